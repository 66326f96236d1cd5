"""Python loads this first in a hospital's processes under test: it listens at the trainer's door and plants faults.

What it does is said by the environment; each test says what it wants. The installed code stays as it was approved.

    PLANTED_HEARD         a file: one line for every frame that reaches the trainer, and what became of a connection
    PLANTED_TRAINING      a text: the second training raises an error with it, and it is printed and logged
    PLANTED_PORTER        a text: the porter's third order raises an error with it, and it is printed
    PLANTED_LEAK          a text: rides out in the group of every answer, as a leak would
    PLANTED_FAILURES      JSON, ``{"token": text, "rounds": [kind, ...]}``: what fails in each round, and how (``failures``)
    PLANTED_FAULT         a file: which process is killed when a study is inside which phase (``faults``)
"""

from __future__ import annotations

import ctypes
import errno
import importlib
import importlib.abc
import importlib.util
import itertools
import json
import logging
import os
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

Patch = Callable[[ModuleType], None]


class Patcher(importlib.abc.MetaPathFinder):
    """Changes some modules when they are imported."""

    def __init__(self, patches: dict[str, Patch]) -> None:
        """Take what to change, by module."""
        self._patches = patches

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Find the module as always, and have it changed once it was run."""
        patch = self._patches.pop(fullname, None)
        spec = None if patch is None else importlib.util.find_spec(fullname)
        if patch is None or spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            patch(module)

        spec.loader.exec_module = exec_module
        return spec


def note(**what: object) -> None:
    """Write a line into the file of what was heard."""
    with Path(os.environ["PLANTED_HEARD"]).open("a") as file:
        file.write(json.dumps(what) + "\n")


class Heard:
    """The trainer's connection to the porter, with an ear at it."""

    def __init__(self, connection: object) -> None:
        """Take the connection."""
        self._connection = connection

    def __getattr__(self, name: str) -> object:
        """Be the connection in everything else."""
        return getattr(self._connection, name)

    def recv_bytes(self, *arguments: object) -> bytes:
        """Take a frame and write down that it came."""
        frame: bytes = self._connection.recv_bytes(*arguments)
        note(frame=len(frame), order=frame.decode(errors="replace") if frame[:1] == b"{" else "")  # weights may begin so, too
        return frame


def listen(module: ModuleType) -> None:
    """Hear every frame that the trainer takes; try the network once, as training code could."""
    answer, tried = module.Clerk.answer, itertools.count()

    def heard(clerk: object, connection: object) -> None:
        if next(tried) == 0:
            note(python=python_connects(), native=native_connects())
        answer(clerk, Heard(connection))

    module.Clerk.answer = heard


def target() -> tuple[str, int]:
    """Give an address on this machine at which somebody listens."""
    host, _, port = os.environ["PLANTED_TARGET"].rpartition(":")
    return host, int(port)


def python_connects() -> str:
    """Say what becomes of a connection made with Python's own sockets."""
    try:
        socket.create_connection(target(), 2).close()
    except OSError as error:
        return type(error).__name__
    return "connected"


def native_connects() -> str:
    """Say what becomes of a connection made by native code, which Python does not see."""
    host, port = target()
    libc = ctypes.CDLL(None, use_errno=True)
    made = libc.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
    address = struct.pack("=HH4s8x", socket.AF_INET, socket.htons(port), socket.inet_aton(host))
    status = libc.connect(made, address, len(address))
    reason = errno.errorcode.get(ctypes.get_errno(), "?")
    os.close(made)
    return "connected" if status == 0 else reason


def fail_in_training(module: ModuleType) -> None:
    """Have the second training raise, with a text that must not leave."""
    honest, calls, text = module.train, itertools.count(1), os.environ["PLANTED_TRAINING"]

    def train(*arguments: object) -> object:
        print(text, file=sys.stderr, flush=True)
        logging.getLogger("silo_node").error(text)
        if next(calls) == 2:
            message = f"{text} in row 17"
            raise ValueError(message)
        return honest(*arguments)

    module.train = train


def fail_in_porter(module: ModuleType) -> None:
    """Have the porter's third order raise, with a text that must not leave."""
    honest, calls, text = module.BenchClient.perform, itertools.count(1), os.environ["PLANTED_PORTER"]

    def perform(client: object, work: object) -> object:
        print(text, flush=True)
        if next(calls) == 3:
            message = f"{text} of patient 17"
            raise RuntimeError(message)
        return honest(client, work)

    module.BenchClient.perform = perform


def leak(module: ModuleType) -> None:
    """Put a text into every answer."""
    honest, text = module._reply_to, os.environ["PLANTED_LEAK"]

    def reply_to(asked: object) -> object:
        reply = honest(asked)
        reply.group_id = text
        return reply

    module._reply_to = reply_to


def imported(name: str, where: str = "faults") -> Patch:
    """Plant what ``faults`` or ``failures`` has for a module: it is imported only where one is wanted."""

    def patch(module: ModuleType) -> None:
        getattr(importlib.import_module(where), name)(module)

    return patch


PLANTED: dict[str, dict[str, dict[str, Patch]]] = {
    "coordinator.conductor_process": {
        "coordinator.journal.journal": {"PLANTED_FAULT": imported("in_journal")},
        "coordinator.flower.grid": {"PLANTED_FAULT": imported("in_grid")},
        "wardround.files": {"PLANTED_FAULT": imported("in_files")},
    },
    "silo_node.training.process": {
        "silo_node.training.serve": {"PLANTED_HEARD": listen},
        "silo_node.training.trainer": {
            "PLANTED_TRAINING": fail_in_training,
            "PLANTED_FAULT": imported("in_training"),
            "PLANTED_FAILURES": imported("in_trainer", "failures"),
        },
        "silo_node.training.results": {"PLANTED_FAULT": imported("in_results")},
    },
    "silo_node.node_process": {
        "silo_node.porter.bench_client": {
            "PLANTED_PORTER": fail_in_porter,
            "PLANTED_FAILURES": imported("in_porter", "failures"),
        },
        "silo_node.porter.ledger": {"PLANTED_FAILURES": imported("in_ledger", "failures")},
        "silo_node.porter.inbox": {"PLANTED_FAILURES": imported("in_inbox", "failures")},
        "silo_node.flower.node": {"PLANTED_LEAK": leak},
    },
}
"""By process and module: what is changed when which variable is there."""

if sys.orig_argv[1:2] == ["-m"]:
    wanted = PLANTED.get(sys.orig_argv[2], {})
    chosen = {
        module: next(patch for name, patch in patches.items() if name in os.environ)
        for module, patches in wanted.items()
        if any(name in os.environ for name in patches)
    }
    if chosen:
        sys.meta_path.insert(0, Patcher(chosen))

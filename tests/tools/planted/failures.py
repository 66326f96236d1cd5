"""Failures of every kind that a real hospital can have, each with a text that must not leave; one kind for each round.

PLANTED_FAILURES is JSON: ``{"token": text, "rounds": [kind, ...]}``. A kind that begins with ``porter`` happens in the porter,
one that begins with ``ledger`` when its ledger is written, every other in the trainer, with the cells of a record in its text.
The first offer fails in the inbox, and every trial of a canary in the trainer. The statistics of a study that is called
``gate`` name the text as a field: that is no failure but a leak, and the egress gate's to keep back.
"""

from __future__ import annotations

import errno
import itertools
import json
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any, NoReturn

PLANTED = json.loads(os.environ["PLANTED_FAILURES"])
TOKEN, ROUNDS = PLANTED["token"], PLANTED["rounds"]


class Panic(BaseException):
    """As Rust's panics come to Python: no Exception."""


class Unspeakable(Exception):
    """An error whose text raises another."""

    def __str__(self) -> str:
        raise ValueError(TOKEN)


class Loud:
    """Raises where nothing can be raised."""

    def __del__(self) -> None:
        raise ValueError(f"{TOKEN} in a finaliser")


def kind_of(number: int) -> str:
    """Give the kind of failure that a round has; none beyond the last one that was asked for."""
    return ROUNDS[number - 1] if 0 < number <= len(ROUNDS) else ""


def _raise(error: BaseException) -> NoReturn:
    raise error


def _deep(text: str) -> None:
    _deep(text + ".")


def _group(text: str) -> NoReturn:
    error = ExceptionGroup(text, [ValueError(text), KeyError(text)])
    error.add_note(text)
    raise error from OSError(text)


def _decode(text: str) -> None:
    (text + "é").encode("latin-1").decode("utf-8")


def _loud(text: str) -> NoReturn:
    """Everything that a library may do but raise, and an error in the end."""
    warnings.warn(text, stacklevel=1)
    logging.getLogger("some.library").error(text)
    logging.getLogger().critical(text)
    print(text, flush=True)
    print(text, file=sys.stderr, flush=True)
    os.write(1, text.encode())
    os.write(2, text.encode())
    thread = threading.Thread(target=_raise, args=(ValueError(f"{text} in a thread"),))
    thread.start()
    thread.join()
    Loud()
    raise ValueError(text)


def _die(number: int) -> Callable[[str], None]:
    def die(text: str) -> None:
        os.write(2, text.encode())
        os.kill(os.getpid(), number)

    return die


KINDS: dict[str, Callable[[str], object]] = {
    "value": lambda text: _raise(ValueError(text)),
    "memory": lambda text: _raise(MemoryError(text)),
    "recursion": _deep,
    "exit": lambda text: _raise(SystemExit(text)),
    "panic": lambda text: _raise(Panic(text)),
    "unspeakable": lambda text: _raise(Unspeakable(text)),
    "huge": lambda text: _raise(ValueError(text * 100_000)),
    "group": _group,
    "disk full": lambda text: _raise(OSError(errno.ENOSPC, "No space left on device", f"/data/{text}")),
    "denied": lambda text: _raise(PermissionError(errno.EACCES, "Permission denied", f"/data/{text}")),
    "decode": _decode,
    "loud": _loud,
    "killed": _die(signal.SIGKILL),
    "aborted": _die(signal.SIGABRT),
}


def in_trainer(module: ModuleType) -> None:
    """Fail in a round's training, and in every trial of a canary."""
    honest = module.Trainer._train

    def training(trainer: Any, work: Any, desk: Any, *rest: Any) -> Any:
        kind = kind_of(work.task.core.round)
        if kind == "not finite":
            raise module.NotFinite
        done = honest(trainer, work, desk, *rest) if kind in ("", "odd", "wrong count") else None
        if kind == "odd":
            return replace(done, change=done.change[:-1])
        if kind == "wrong count":
            return replace(done, records=done.records + 1)
        if kind in KINDS:
            return KINDS[kind](f"{TOKEN} {desk.cohort.train.row(0)}")
        return done if done is not None else honest(trainer, work, desk, *rest)

    def trying(*_: object) -> NoReturn:
        raise Panic(f"{TOKEN} in a canary")

    module.Trainer._train, module.Trainer.try_out = training, trying
    counted = module.Trainer._statistics

    def counting(trainer: Any, desk: Any) -> Any:
        done = counted(trainer, desk)
        if desk.bundle.study.name != "gate":
            return done
        first, *rest = done.result.sums
        sums = (first.model_copy(update={"field": TOKEN.lower()}), *rest)
        logging.getLogger("some.library").error("%s in a result", sums[0].field)
        return replace(done, result=done.result.model_copy(update={"sums": sums}))

    module.Trainer._statistics = counting


def in_porter(module: ModuleType) -> None:
    """Fail where the porter hands its work to the trainer."""
    honest = module.BenchClient.perform

    def perform(client: Any, work: Any) -> Any:
        place, _, kind = kind_of(work.task.core.round).partition(" ")
        return KINDS[kind](TOKEN) if place == "porter" else honest(client, work)

    module.BenchClient.perform = perform


def in_ledger(module: ModuleType) -> None:
    """Fail when the release of a round is written down."""
    honest = module.Ledger.write

    def write(ledger: Any, entry: Any) -> Any:
        place, _, kind = kind_of(getattr(entry, "round", None) or 0).partition(" ")
        return KINDS[kind](TOKEN) if place == "ledger" and entry.event == "release" else honest(ledger, entry)

    module.Ledger.write = write


def in_inbox(module: ModuleType) -> None:
    """Fail over the first offer."""
    honest, calls = module.Inbox.answer, itertools.count()

    def answer(inbox: Any, *rest: Any) -> Any:
        if next(calls) == 0:
            raise ValueError(f"{TOKEN} in an offer")
        return honest(inbox, *rest)

    module.Inbox.answer = answer

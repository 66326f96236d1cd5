"""Serve the porter over the private socket: one order, one answer."""

from __future__ import annotations

import logging
import os
import sys
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import NoReturn

from silo_node.configuration import Site, load_site
from silo_node.confinement import Confinement, write_confinement
from silo_node.local_log import keep_everything, open_log
from silo_node.training.bench import Bench
from silo_node.training.confinement import tried
from silo_node.training.durable import Durable
from silo_node.training.memory import NO_DEVICE_STATUS, NO_ROOM_STATUS, NoRoom, counted_bytes, has_room, limit_memory
from silo_node.training.probes import CutOff
from silo_node.training.trainer import Trainer
from silo_node.training.warm_up import warm_up
from silo_node.work import Busy, Done, NotDone, Stepped, Work
from silo_node.work_wire import (
    LARGEST_FRAME,
    ORDER,
    ConfinementOrder,
    PerformOrder,
    TryOrder,
    WithdrawOrder,
    pack_confinement,
    pack_outcome,
    pack_tried,
)
from wardround.errors import Broken, Refused
from wardround.reference import refer_to, referred
from wardround.study.bundle import SUFFIX, Bundle, read_bundle
from wardround.supervision.settle import settle
from wardround.weights.packing import from_bytes

TRAINER_LOG = "trainer.log"


def serve(
    site_path: Path, socket_path: Path, patience_seconds: float, checkpoint_seconds: float, network: CutOff, code: str
) -> NoReturn:
    """Warm up, open the socket for its owner only, and serve one porter after another."""
    site = load_site(site_path)
    log = open_log(site.make_directory("logs"), f"{site.file.site}.trainer", TRAINER_LOG)
    keep_everything(log)
    warm_up()
    settle()
    limit = site.file.resources.memory_bytes
    durable = Durable(site.make_directory("journal"), socket_path.parent, checkpoint_seconds)
    _limit(limit, log)
    found = tried(site, network)
    bench = Bench(_trainer(site, log, durable, found), patience_seconds, log)
    clerk = Clerk(site.directory("inbox"), bench, code, log, limit, found)
    _tell(found, socket_path.parent, log)
    socket_path.unlink(missing_ok=True)
    previous = os.umask(0o177)
    listener = Listener(str(socket_path), family="AF_UNIX")
    os.umask(previous)
    log.info("ready; the network is cut by %s", network.cut)
    while True:
        with listener.accept() as connection, referred(None):
            try:
                while True:
                    clerk.answer(connection)
            except (EOFError, ConnectionError):
                continue
            except Exception:
                log.exception("an order could not be served")  # the porter sees the connection end, and a bare code leaves


def _limit(limit_bytes: int | None, log: logging.Logger) -> None:
    """Set the memory limit; a trainer that could do nothing under it ends here, and its supervisor says why."""
    try:
        limit_memory(limit_bytes)
    except NoRoom:
        log.error("the memory limit is too small: the libraries alone take %d MiB", counted_bytes() // 2**20)  # noqa: TRY400
        sys.exit(NO_ROOM_STATUS)


def _trainer(site: Site, log: logging.Logger, durable: Durable, found: Confinement) -> Trainer:
    """Make the trainer; one that lacks the device that the site file names ends here, and its log says so."""
    try:
        return Trainer(site, log, durable, found)
    except Refused as refused:
        log.error("%s", refused)  # noqa: TRY400
        sys.exit(NO_DEVICE_STATUS)


def _tell(found: Confinement, run: Path, log: logging.Logger) -> None:
    """Leave what was found at the start where people look: in the log, and for status and doctor."""
    log.info("confinement %s", found.words())
    try:
        write_confinement(run, found)
    except Refused as error:  # a full disk: the porter is told anyway
        log.warning("what was found of the confinement is not written down: %s", error)


class Clerk:
    """Reads orders, has the bench do them, and answers."""

    def __init__(
        self,
        inbox: Path,
        bench: Bench,
        code: str,
        log: logging.Logger,
        limit_bytes: int | None = None,
        found: Confinement | None = None,
    ) -> None:
        """Take the folder of approved bundles, the bench, the digest of this process's code, the log, the memory limit, and
        what this process found of its confinement.
        """
        self._inbox = inbox
        self._bench = bench
        self._code = code
        self._log = log
        self._limit = limit_bytes
        self._found = found or Confinement(process=os.getpid(), holds=(), fails=())
        self._bundles: dict[str, Bundle] = {}

    def answer(self, connection: Connection) -> None:
        """Serve one order, under its reference. A porter that is gone before its answer is there is not worked for.

        Raises:
            EOFError: when the porter is gone.
        """
        order = ORDER.validate_json(connection.recv_bytes(LARGEST_FRAME))
        weights = connection.recv_bytes(LARGEST_FRAME)
        if isinstance(order, WithdrawOrder):
            self._bench.withdraw(order.task_id)
            return
        if not _awaited(connection):  # it waited for us too long, and will ask again
            raise EOFError
        if isinstance(order, ConfinementOrder):
            _send(connection, pack_confinement(self._found))
            return
        refer_to(order.reference)
        outcome, frames = self._do(order, weights, connection)
        _send(connection, frames)
        if isinstance(outcome, NotDone) and outcome.code == "H-MEMORY" and not has_room(self._limit):
            os._exit(0)  # the supervisor starts an empty one; nothing is lost that is not read again

    def _do(
        self, order: PerformOrder | TryOrder, weights: bytes, connection: Connection
    ) -> tuple[Done | NotDone | Busy | Stepped, tuple[bytes, bytes | memoryview]]:
        if order.code != self._code:
            self._log.error("H-CODE: the software here was changed since the porter was started; stop the node and start it")
            other = NotDone("H-CODE")
            return other, pack_outcome(other)
        if isinstance(order, TryOrder):
            tried = self._bench.try_out(self._bundle(order.study_hash), order.rows)
            return tried, pack_tried(tried)
        bundle = self._bundle(order.task.study_hash)
        vector = from_bytes(weights, bundle.manifest) if weights else None
        performed = self._bench.perform(Work(bundle, order.task, vector, order.policy), lambda: _awaited(connection))
        return performed, pack_outcome(performed)

    def _bundle(self, study_hash: str) -> Bundle:
        if study_hash not in self._bundles:
            bundle = read_bundle(self._inbox / f"{study_hash}{SUFFIX}")
            if bundle.study_hash != study_hash:
                msg = "the inbox holds another study under this name"
                raise Broken(msg)
            self._bundles[study_hash] = bundle
        return self._bundles[study_hash]


def _send(connection: Connection, frames: tuple[bytes, bytes | memoryview]) -> None:
    for frame in frames:
        connection.send_bytes(frame)


def _awaited(connection: Connection) -> bool:
    """Say whether the porter waits for its answer: until then it sends nothing, so what can be read is its end."""
    return not connection.poll()

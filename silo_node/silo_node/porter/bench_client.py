"""The porter's side of the private socket: a worker that is another process, which may die, freeze and come back.

A trainer that is away is no reason to refuse: the supervisor starts it anew, the work is ordered again, and goes on
from its checkpoint. Meanwhile the answer is how far it was. That has two ends: work over which trainers die, and a
trainer that says nothing for too long.
"""

from __future__ import annotations

import logging
import socket
import struct
import time
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from pydantic import ValidationError

from silo_node.confinement import Confinement
from silo_node.running_code import OUR_PACKAGES
from silo_node.work import Busy, Done, NotDone, Stepped, Work
from silo_node.work_wire import (
    LARGEST_FRAME,
    ConfinementOrder,
    PerformOrder,
    TryOrder,
    WithdrawOrder,
    unpack_confinement,
    unpack_outcome,
    unpack_tried,
)
from wardround.identity.software import code_digest
from wardround.reference import current_reference
from wardround.study.bundle import Bundle
from wardround.values import Value
from wardround.weights.packing import as_wire

RETRY_SECONDS = 0.2
GRACE_SECONDS = 5.0
"""How long a trainer may take no more of an order, and how much longer than its own patience it may say nothing, until it counts
as silent. Its patience begins when it has the whole order: hundreds of megabytes of weights take seconds on a busy machine."""
REACH_SECONDS = 3.0
"""How long a visit waits for a trainer that is not there to come back."""
MOST_DEATHS = 2
"""So many trainers may die over the same work before it is given up."""
MOST_SILENT_SECONDS = 180.0
"""How long a trainer may be silent or away before its work is given up; its supervisor has started it anew before."""


@dataclass
class _Care:
    """The work that is looked after.

    Attributes:
        ordered: whether a trainer took the order; if it dies then, it died over this work.
        silent_since: since when nothing was heard, monotonic; None when the last order was answered.
    """

    work: str
    last: Busy
    deaths: int = 0
    ordered: bool = False
    silent_since: float | None = None


class BenchClient:
    """Has work done by the trainer process, in visits that end in time whatever becomes of it."""

    def __init__(
        self, socket_path: Path, patience_seconds: float, log: logging.Logger | None = None, code: str | None = None
    ) -> None:
        """Take the trainer's socket, how long the trainer itself waits in one visit, the hospital's own log, and the digest of
        the code that the trainer must run: this process's own where it is not given.
        """
        self._code = code_digest(OUR_PACKAGES) if code is None else code
        self._path = socket_path
        self._patience = patience_seconds
        self._log = log or logging.getLogger(__name__)
        self._connection: Connection | None = None
        self._care: _Care | None = None
        self._found: tuple[Connection, Confinement] | None = None

    def perform(self, work: Work) -> Done | NotDone | Busy:
        """Have work begun or looked after.

        ``Busy``, as it was last known, while the trainer is dead, away or silent; ``H-FAILED`` when ``MOST_DEATHS``
        trainers died over the same work, or none was heard for ``MOST_SILENT_SECONDS``. Asked again, all begins anew.
        """
        care = self._take_care(work)
        try:
            outcome = self._order(work, care)
        except TimeoutError:
            self._drop()
            return self._silent(care)
        except (EOFError, OSError):
            self._drop()
            return self._died(care)
        if isinstance(outcome, Busy):
            if (outcome.epoch, outcome.percent) > (care.last.epoch, care.last.percent):
                care.deaths = 0  # it got on: whatever killed the last one, it is not this work
            care.last, care.silent_since = outcome, None
        else:
            self._care = None
        return outcome

    def withdraw(self, task_id: str) -> None:
        """Tell the trainer that a task is not wanted any more; a dead trainer does not work on it anyway."""
        self._care = None
        try:
            self._send(self._connect(RETRY_SECONDS), WithdrawOrder(task_id=task_id), b"")
        except OSError:
            self._drop()

    def confinement(self) -> Confinement | None:
        """Ask the trainer that is there now how it is confined: once for each connection, and so once for each trainer.

        None when it is away, silent, or does not say: then nothing is known of it.
        """
        if self._found is not None and self._connection is not None and self._found[0] is self._connection:
            return self._found[1]
        self._found = None
        end = time.monotonic() + REACH_SECONDS
        try:
            connection = self._send(self._connect(REACH_SECONDS), ConfinementOrder(), b"")
            answer, _ = self._receive(connection, end), self._receive(connection, end)
            found = unpack_confinement(answer)
        except (EOFError, OSError, ValidationError) as error:
            self._log.warning("the trainer did not say how it is confined (%s)", type(error).__name__)
            self._drop()
            return None
        self._found = (connection, found)
        return found

    def try_out(self, bundle: Bundle, rows: int) -> Stepped | NotDone:
        """Have a study's network tried on made-up records; ``H-FAILED`` when the trainer is away, dies or is silent."""
        if self._care is not None:
            return NotDone("H-ORDER")
        end = time.monotonic() + self._patience + GRACE_SECONDS
        order = TryOrder(code=self._code, study_hash=bundle.study_hash, rows=rows, reference=current_reference())
        try:
            connection = self._ask(order)
            answer, _ = self._receive(connection, end), self._receive(connection, end)
        except (EOFError, OSError):
            self._drop()
            self._log.warning("the trainer was lost or silent over a canary")
            return NotDone("H-FAILED")
        return unpack_tried(answer)

    def _ask(self, order: TryOrder) -> Connection:
        """Send a trial's order, once more where the connection was of a trainer that is gone."""
        try:
            return self._send(self._connect(REACH_SECONDS), order, b"")
        except (BrokenPipeError, ConnectionResetError):
            self._drop()
            return self._send(self._connect(REACH_SECONDS), order, b"")

    def _take_care(self, work: Work) -> _Care:
        identity = work.task.core.work_id()
        if self._care is None or self._care.work != identity:
            self._care = _Care(identity, Busy(0, work.bundle.study.training.local_epochs))
        return self._care

    def _order(self, work: Work, care: _Care) -> Done | NotDone | Busy:
        """Give the order to the trainer and wait for its answer.

        Raises:
            TimeoutError: when it cannot be reached, or says nothing.
            EOFError, OSError: when it died.
        """
        order = PerformOrder(code=self._code, task=work.task, policy=work.policy, reference=current_reference())
        weights = b"" if work.weights is None else as_wire(work.weights)
        try:
            connection = self._send(self._connect(REACH_SECONDS), order, weights)
        except (BrokenPipeError, ConnectionResetError):  # the connection was of a trainer that is gone
            self._drop()
            if care.ordered:
                raise
            connection = self._send(self._connect(REACH_SECONDS), order, weights)
        care.ordered = True
        answer = self._receive(connection, time.monotonic() + self._patience + GRACE_SECONDS)
        change = self._receive(connection, time.monotonic() + GRACE_SECONDS)
        return unpack_outcome(answer, change, work.bundle.manifest)

    def _died(self, care: _Care) -> NotDone | Busy:
        care.deaths += 1
        care.ordered = False
        self._log.warning("the trainer was lost over work %s (%s so far)", care.work[:12], care.deaths)
        if care.deaths < MOST_DEATHS:
            return care.last
        return self._give_up(f"{care.deaths} trainers were lost over the same work")

    def _silent(self, care: _Care) -> NotDone | Busy:
        now = time.monotonic()
        if care.silent_since is None:
            care.silent_since = now
            self._log.warning("the trainer is away or silent; work %s waits for it", care.work[:12])
        if now - care.silent_since < MOST_SILENT_SECONDS:
            return care.last
        return self._give_up(f"the trainer said nothing for {MOST_SILENT_SECONDS:.0f} seconds")

    def _give_up(self, why: str) -> NotDone:
        self._log.error("the work is given up: %s", why)
        self._care = None
        return NotDone("H-FAILED")

    def _send(self, connection: Connection, order: Value, weights: bytes | memoryview) -> Connection:
        try:
            connection.send_bytes(order.model_dump_json(by_alias=True).encode())
            connection.send_bytes(weights)
        except BlockingIOError:
            raise TimeoutError from None
        return connection

    def _receive(self, connection: Connection, end: float) -> bytes:
        if not connection.poll(max(end - time.monotonic(), 0.0)):
            raise TimeoutError
        try:
            return connection.recv_bytes(LARGEST_FRAME)
        except BlockingIOError:
            raise TimeoutError from None

    def _connect(self, seconds: float) -> Connection:
        """Give the connection to the trainer; ``TimeoutError`` when it cannot be had in this time."""
        end = time.monotonic() + seconds
        while self._connection is None:
            try:
                self._connection = _open(self._path)
            except OSError:
                if time.monotonic() > end:
                    raise TimeoutError from None
                time.sleep(RETRY_SECONDS)
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _open(path: Path) -> Connection:
    """Connect to the trainer; a frozen one blocks neither connecting nor sending for longer than the grace time."""
    limit = struct.pack("ll", int(GRACE_SECONDS), int(GRACE_SECONDS % 1 * 1e6))
    with closing(socket.socket(socket.AF_UNIX)) as line:
        for direction in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
            line.setsockopt(socket.SOL_SOCKET, direction, limit)
        line.connect(str(path))
        return Connection(line.detach())

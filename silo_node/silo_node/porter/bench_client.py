"""The porter's side of the private socket: a worker that is another process."""

from __future__ import annotations

import time
from multiprocessing.connection import Client, Connection
from pathlib import Path

from silo_node.work import Busy, Done, NotDone, Work
from silo_node.work_wire import LARGEST_FRAME, PerformOrder, WithdrawOrder, unpack_outcome
from wardround.values import Value
from wardround.weights.packing import to_bytes

RETRY_SECONDS = 0.2
GRACE_SECONDS = 15.0
"""How much longer than a visit's patience the trainer may be silent before it is held for frozen."""


class BenchClient:
    """Has work done by the trainer process; a trainer that died is waited for within the patience of a visit."""

    def __init__(self, socket_path: Path, patience_seconds: float) -> None:
        """Take the trainer's socket and how long a visit may wait for it to come back."""
        self._path = socket_path
        self._patience = patience_seconds
        self._connection: Connection | None = None

    def perform(self, work: Work) -> Done | NotDone | Busy:
        """Have a task begun or looked after; ``H-FAILED`` when the trainer dies over it, or says nothing for too long."""
        order = PerformOrder(task=work.task)
        weights = b"" if work.weights is None else to_bytes(work.weights)
        try:
            connection = self._send(order, weights)
            answer, change = self._receive(connection), self._receive(connection)
        except (EOFError, OSError):
            self._drop()
            return NotDone("H-FAILED")
        return unpack_outcome(answer, change, work.bundle.manifest)

    def withdraw(self, task_id: str) -> None:
        """Tell the trainer that a task is not wanted any more; a dead trainer does not work on it anyway."""
        try:
            self._send(WithdrawOrder(task_id=task_id), b"")
        except (EOFError, OSError):
            self._drop()

    def _send(self, order: Value, weights: bytes) -> Connection:
        message = order.model_dump_json(by_alias=True).encode()
        try:
            return self._deliver(self._connect(), message, weights)
        except OSError:  # the connection was of a trainer that is gone: once more, to the new one
            self._drop()
            return self._deliver(self._connect(), message, weights)

    def _deliver(self, connection: Connection, message: bytes, weights: bytes) -> Connection:
        connection.send_bytes(message)
        connection.send_bytes(weights)
        return connection

    def _receive(self, connection: Connection) -> bytes:
        if not connection.poll(self._patience + GRACE_SECONDS):
            raise TimeoutError
        return connection.recv_bytes(LARGEST_FRAME)

    def _connect(self) -> Connection:
        end = time.monotonic() + self._patience
        while self._connection is None:
            try:
                self._connection = Client(str(self._path), family="AF_UNIX")
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(RETRY_SECONDS)
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

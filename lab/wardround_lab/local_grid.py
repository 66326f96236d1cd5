"""The in-memory grid: the same conductor and the same porters as in deployment, without a network.

Messages are envelopes of immutable bytes, so nothing is shared across the wall. One thread does the hospitals' work, in
the order in which messages were pushed: training on several threads at once would share torch's global state.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Condition
from types import TracebackType
from typing import Self

from coordinator.rounds.grid import Incoming, Outgoing
from wardround.messages.envelope import Envelope

Door = Callable[[Envelope], Envelope]


class LocalGrid:
    """Delivers each message to its hospital's door and keeps the answer until it is pulled."""

    def __init__(self, doors: Mapping[str, Door]) -> None:
        """Take the hospitals' doors by site name."""
        self._doors = dict(doors)
        self._numbers = itertools.count(1)
        self._answers: dict[str, Incoming] = {}
        self._arrived = Condition()
        self._closed = False
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hospitals")

    def push_messages(self, messages: Sequence[Outgoing]) -> list[str]:
        """Queue messages; gives their ids, in order."""
        ids = [str(next(self._numbers)) for _ in messages]
        for message_id, message in zip(ids, messages, strict=True):
            self._worker.submit(self._deliver, message_id, message, time.monotonic() + message.seconds_to_live)
        return ids

    def pull_messages(self, message_ids: Collection[str], wait_seconds: float) -> list[Incoming]:
        """Give what came back to some messages, each once; waits for the first up to ``wait_seconds``."""
        wanted = set(message_ids)
        with self._arrived:
            self._arrived.wait_for(lambda: not wanted.isdisjoint(self._answers), timeout=wait_seconds)
            return [self._answers.pop(message_id) for message_id in message_ids if message_id in self._answers]

    def _deliver(self, message_id: str, message: Outgoing, end: float) -> None:
        if self._closed or time.monotonic() > end:
            return
        door = self._doors.get(message.site)
        try:
            envelope = None if door is None else door(message.envelope)
        except Exception:  # noqa: BLE001  (a hospital that dies is unreachable, whatever killed it)
            envelope = None
        with self._arrived:
            self._answers[message_id] = Incoming(message_id, envelope, final=door is None)
            self._arrived.notify_all()

    def close(self) -> None:
        """Stop; work that was not begun is dropped."""
        self._closed = True
        self._worker.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Self:
        """Begin a block at whose end the grid stops."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop."""
        self.close()

"""Keeps a task of Flower's alive while it is worked on."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from wardround.transport.channel import RuntimeChannel, TransportFault, Unauthorised

INTERVAL_SECONDS = 10.0
"""Flower gives a begun task up after 60 s of silence, one that is not begun after 30 s."""


class Heartbeat:
    """A block during which Flower hears every few seconds that its task is being worked on."""

    def __init__(self, channel: RuntimeChannel, interval: float = INTERVAL_SECONDS) -> None:
        """Take the task's channel."""
        self._channel = channel
        self._interval = interval
        self._ended = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="flower-heartbeat", daemon=True)

    @property
    def lost(self) -> bool:
        """Whether Flower has given the task up."""
        return self._lost.is_set()

    def _beat(self) -> None:
        while not self._ended.wait(self._interval):
            try:
                alive = self._channel.heartbeat()
            except Unauthorised:
                alive = False
            except TransportFault:
                continue  # away for a moment: the next beat may come through
            if not alive:
                self._lost.set()
                return

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End."""
        self._ended.set()
        self._thread.join()

"""How often to ask again: often just after something happened, seldom after a long silence."""

from __future__ import annotations

import time

SHARE_OF_SILENCE = 0.1
"""A pause is this share of the silence so far, so asking adds about a tenth to any wait and costs little when idle."""


class Pace:
    """The pauses between two questions, in seconds."""

    def __init__(self, shortest: float, longest: float) -> None:
        """Take the shortest and the longest pause."""
        self._shortest = shortest
        self._longest = longest
        self._since = time.monotonic()

    def reset(self) -> None:
        """Something happened: ask often again."""
        self._since = time.monotonic()

    def pause(self) -> float:
        """Give the seconds to wait before asking again."""
        silence = time.monotonic() - self._since
        return min(self._longest, max(self._shortest, silence * SHARE_OF_SILENCE))

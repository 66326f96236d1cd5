"""A sign of life: a file that a process touches every second from a thread of its own, and who listens for it.

It goes on while the interpreter runs, whatever the other threads do: long work of torch or of a disk does not stop it,
SIGSTOP or a deadlock of the whole interpreter does. It says that a process is not frozen, not that it gets on.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PULSE_VARIABLE = "WARDROUND_PULSE"
"""Names the file to a process that is supervised."""
BEAT_SECONDS = 1.0
SILENCE_SECONDS = 60.0
ASLEEP_SECONDS = 10.0
"""A supervisor that did not look for so long was itself stopped, or the machine slept: all silence before counts for nothing."""


@dataclass(frozen=True)
class Pulse:
    """The file that a process touches, and how many seconds without it are allowed."""

    file: Path
    silence_seconds: float = SILENCE_SECONDS


def begin_pulse(seconds: float = BEAT_SECONDS) -> threading.Thread | None:
    """Touch the file that the supervisor named, from now on; nothing when no supervisor named any.

    A daemon thread: it needs Python's lock for microseconds, which torch, NumPy and input and output give away.
    """
    named = os.environ.get(PULSE_VARIABLE)
    if not named:
        return None
    thread = threading.Thread(target=_beat, args=(Path(named), seconds), name="pulse", daemon=True)
    thread.start()
    return thread


def _beat(file: Path, seconds: float) -> None:
    while True:
        with suppress(OSError):
            file.touch(mode=0o600)
        time.sleep(seconds)


class Listener:
    """Listens for one process's pulse, by its own clock: only changes of the file count, not its time."""

    def __init__(self, pulse: Pulse, first_seconds: float) -> None:
        """Take the pulse, and how long a process that was just started may need for its first sign."""
        self._pulse = pulse
        self._first = max(first_seconds, pulse.silence_seconds)
        self.begin()

    def begin(self) -> None:
        """A process was just started."""
        self._seen = self._mark()
        self._heard = self._looked = time.monotonic()
        self._once = False

    def _mark(self) -> int:
        try:
            return self._pulse.file.stat().st_mtime_ns
        except OSError:
            return 0

    def silent(self) -> float | None:
        """Give for how many seconds a process has been silent, if that is longer than allowed.

        A file that we cannot touch ourselves proves nothing: then nobody is held for frozen.
        """
        now, mark = time.monotonic(), self._mark()
        if mark != self._seen or now - self._looked > ASLEEP_SECONDS:
            self._once = self._once or mark != self._seen
            self._seen, self._heard = mark, now
        self._looked = now
        passed = now - self._heard
        if passed <= (self._pulse.silence_seconds if self._once else self._first):
            return None
        return passed if self._touchable() else None

    def _touchable(self) -> bool:
        try:
            self._pulse.file.touch(mode=0o600)
        except OSError:
            return False
        self._seen = self._mark()
        return True

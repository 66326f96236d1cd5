"""One process of a supervisor: its handle, what it prints, and the sign of life that it gives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from wardround.supervision.child import Child, ChildState
from wardround.supervision.printed import rotate
from wardround.supervision.pulse import PULSE_VARIABLE, Listener

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 15.0
STEADY_SECONDS = 60.0
"""A process that ran this long has its pauses begin anew."""


class Running:
    """A child and its process, if it has one."""

    def __init__(self, child: Child, printed: Path) -> None:
        """Take the child, and the file of what it prints."""
        self.child = child
        self.printed = printed
        self.process: subprocess.Popen[bytes] | None = None
        self.state: ChildState = "stopped"
        self.pause = FIRST_PAUSE_SECONDS
        self.started = 0.0
        self.next_start = 0.0
        self.restarts = 0
        self._listener = None if child.pulse is None else Listener(child.pulse, child.patience_seconds)

    def start(self) -> None:
        """Start the process; ``OSError`` when the machine does not allow it."""
        rotate(self.printed)
        self.child.before()
        leash = [sys.executable, "-m", "wardround.supervision.leash", str(os.getpid()), "--"]
        descriptor = os.open(self.printed, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            self.process = subprocess.Popen(  # noqa: S603  (our own command lines)
                [*leash, *self.child.command],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                cwd=self.child.folder,
                start_new_session=True,
            )
        finally:
            os.close(descriptor)
        self.started, self.state = time.monotonic(), "starting"
        if self._listener is not None:
            self._listener.begin()

    def _environment(self) -> dict[str, str]:
        base = {} if self.child.whole_environment else dict(os.environ)
        pulse = {} if self.child.pulse is None else {PULSE_VARIABLE: str(self.child.pulse.file)}
        return {**base, **self.child.environment, **pulse}

    def ended(self) -> int | None:
        """Give the status of a process that ended; None while it runs."""
        return None if self.process is None else self.process.poll()

    def frozen(self) -> float | None:
        """Give for how many seconds a process has given no sign of life, if that is longer than it may."""
        return None if self._listener is None or self.ended() is not None else self._listener.silent()

    def rest(self, now: float) -> float:
        """Let it wait for its next start, and give for how long; each pause is longer, until it ran steadily."""
        if now - self.started > STEADY_SECONDS:
            self.pause = FIRST_PAUSE_SECONDS
        pause, self.pause = self.pause, min(self.pause * 2, LONGEST_PAUSE_SECONDS)
        self.state, self.next_start = "waiting", now + pause
        self.restarts += 1
        return pause

    def end(self, grace_seconds: float) -> None:
        """SIGTERM, and SIGKILL after the grace time."""
        self.signal(signal.SIGTERM)
        if self.process is not None:
            try:
                self.process.wait(grace_seconds)
            except subprocess.TimeoutExpired:
                self.signal(signal.SIGKILL)
                self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to a process that still runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

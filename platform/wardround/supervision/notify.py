"""What systemd is told of a service (sd_notify(3)): ready, how it is, alive, stopping. Elsewhere nothing is told."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import MutableMapping
from contextlib import suppress


class Notifier:
    """Speaks to the service manager that started this process, if one did and wants to hear of it."""

    def __init__(self, environment: MutableMapping[str, str] = os.environ) -> None:
        """Take the environment's word, and take it out: our own processes are not to speak for us."""
        self._address = environment.pop("NOTIFY_SOCKET", "")
        microseconds, process = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", "")
        meant = process in ("", str(os.getpid()))
        self._every = int(microseconds) / 2e6 if microseconds.isdigit() and meant else 0.0
        self._beaten = 0.0

    def tell(self, **values: str) -> None:
        """Send ``KEY=value`` lines in one datagram. Nobody who listens: nothing is lost."""
        if not self._address.startswith(("/", "@")):
            return
        name = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as outlet:
            outlet.settimeout(0)  # a manager that hangs does not hang us
            outlet.sendto("\n".join(f"{key}={value}" for key, value in values.items()).encode(), name)

    def beat(self) -> None:
        """Say that the loop runs, at half of the time that the manager allows; called as often as one likes."""
        now = time.monotonic()
        if self._every and now - self._beaten >= self._every:
            self._beaten = now
            self.tell(WATCHDOG="1")

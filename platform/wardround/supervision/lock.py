"""The right to run in a directory: one process holds it, its lock file says who, and it goes with the process.

The kernel keeps the lock (flock), not the file's contents: after ``kill -9`` the directory is free, whatever the file
says. On a file system that several hosts share, the contents name the other host; whether its lock is seen here depends
on that file system, so a name that was left there by another host is told to whoever takes the lock.
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from wardround.canonical import model_bytes
from wardround.errors import Refused, refuse
from wardround.values import Count, Instant, PersonName, Value, instant

LOCK = "supervisor.lock"
TRIES = 5
PAUSE_SECONDS = 0.05
LARGEST_BYTES = 4096


class Holder(Value):
    """Who holds a directory: process id, name of its host, and since when (UTC)."""

    process: Count
    host: PersonName
    since: Instant

    def __str__(self) -> str:
        """Give it in a few words."""
        return f"process {self.process} on {self.host}, since {self.since}"

    @property
    def here(self) -> bool:
        """Whether it is a process of this machine."""
        return self.host == socket.gethostname()


NOBODY_KNOWN = Holder(process=0, host="an unknown host", since="1970-01-01T00:00:00Z")
"""Stands for a holder whose lock file cannot be read."""


def _taken(file: int, kind: int) -> bool:
    """Take a lock; somebody who only looks holds it for a moment, which is waited out."""
    for _ in range(TRIES):
        with suppress(OSError):
            fcntl.flock(file, kind | fcntl.LOCK_NB)
            return True
        time.sleep(PAUSE_SECONDS)
    return False


def _read(file: int) -> Holder | None:
    try:
        return Holder.model_validate_json(os.pread(file, LARGEST_BYTES, 0))
    except (OSError, ValidationError):
        return None


class Lock:
    """The right to run in a directory: held by a process, gone with it, however it ends.

    Attributes:
        left: what another host left in the file; it may run there still, if the file system hides its lock from here.
    """

    def __init__(self, folder: Path, place: str) -> None:
        """Take it.

        Raises:
            Refused: V-RUNNING when somebody runs there; O-WRITE when the lock file cannot be made.
        """
        self._file = _open(folder)
        if not _taken(self._file, fcntl.LOCK_EX):
            found = _read(self._file) or NOBODY_KNOWN
            os.close(self._file)
            raise _running(place, found)
        before = _read(self._file)
        self.left = before if before is not None and not before.here else None
        mine = Holder(process=os.getpid(), host=socket.gethostname(), since=instant(datetime.now(UTC)))
        with suppress(OSError):  # a full disk: the lock holds, though nobody can read whose it is
            data = model_bytes(mine)
            os.pwrite(self._file, data, 0)  # first over the old, then cut: who looks never sees an empty file
            os.ftruncate(self._file, len(data))

    def __enter__(self) -> Self:
        """Hold it for a block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give it back."""
        with suppress(OSError):
            os.ftruncate(self._file, 0)
        os.close(self._file)


def _open(folder: Path) -> int:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise refuse(
            "O-WRITE",
            f"{folder.name}/{LOCK}",
            "Whoever runs in a directory writes there",
            f"the lock file cannot be made ({type(error).__name__})",
            "check the folder's rights, and whether its disk is read-only",
        ) from None


def _running(place: str, found: Holder) -> Refused:
    stop = "stop it first, or look at its status"
    elsewhere = f"stop it on {found.host}, or give this machine a directory of its own"
    return refuse(
        "V-RUNNING", place, "One supervisor runs in a directory", f"{found} runs here", stop if found.here else elsewhere
    )


def holder(folder: Path) -> Holder | None:
    """Say who runs in a directory; None when nobody does, whatever an old file says."""
    try:
        file = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two who look do not take each other for a supervisor
    except OSError:
        return _read(file) or NOBODY_KNOWN
    else:
        return None
    finally:
        os.close(file)

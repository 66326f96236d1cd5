"""A file that only grows, by one process: each piece is on disk before it counts, and is there whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from wardround.errors import Refused, refuse
from wardround.files import sync_folder


class AppendOnly:
    """A file of the owner's alone, opened for appending."""

    def __init__(self, path: Path) -> None:
        """Open or make the file; ``OSError`` when that cannot be done. What it holds stays until ``cut``."""
        self._path = path
        self._size = 0
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)

    def lock(self) -> None:
        """Take the file for this process alone.

        Raises:
            Refused: L-BUSY when another process has it open.
        """
        lock(self._file, self._path.name)

    def cut(self, size: int) -> None:
        """Leave the first ``size`` bytes; what follows was never whole. The file's own name survives a power cut after this."""
        self._size = size
        os.ftruncate(self._file, size)
        sync_folder(self._path.parent)

    def append(self, data: bytes) -> None:
        """Add bytes; they are on disk when this returns.

        Raises:
            Refused: O-WRITE when the disk does not take them; the file is as before.
        """
        try:
            _write_whole(self._file, data, self._size)
        except OSError:
            os.ftruncate(self._file, self._size)
            raise refuse(
                "O-WRITE",
                self._path.name,
                "Every line is on disk before it counts",
                "the disk did not take a line",
                "free space",
            ) from None
        self._size += len(data)

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _write_whole(file: int, data: bytes, position: int) -> None:
    if os.pwrite(file, data, position) != len(data):
        raise OSError(errno.ENOSPC, "short write")
    os.fsync(file)


def lock(descriptor: int, name: str) -> None:
    """Take a file or folder for this process alone; the lock goes with the process, however it ends.

    Raises:
        Refused: L-BUSY when another process has it.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise refuse(
            "L-BUSY",
            name,
            "One process at a time writes a journal or ledger",
            "another process has it open",
            "stop the other one, or wait until it ends",
        ) from None


def unopened(name: str, error: OSError) -> Refused:
    """Say that a journal or ledger cannot be opened."""
    return refuse(
        "O-WRITE",
        name,
        "A journal or ledger can be opened and written",
        f"it cannot ({type(error).__name__})",
        "check the folder's rights, whether its disk is read-only, and the free space",
    )

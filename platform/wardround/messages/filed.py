"""Bytes in an unnamed file: a large array that was received and is not held in memory before somebody needs it."""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from typing import BinaryIO

BLOCK_BYTES = 1024**2
"""How much of two arrays is compared, or of one is digested, at once."""


class FiledArray:
    """A byte string that is read where it is asked for. Nobody writes to its file any more, and it ends with the last user."""

    __slots__ = ("__weakref__", "_file", "_size")
    __hash__ = None  # type: ignore[assignment]  # equal to bytes, whose hash would take reading it whole

    def __init__(self, file: BinaryIO) -> None:
        """Take what a file holds now. The file may be closed afterwards; it must not be written to."""
        file.flush()
        self._file = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._file)
        self._size = os.fstat(self._file).st_size

    @classmethod
    def of(cls, path: Path) -> FiledArray:
        """Take a file that is only ever replaced whole."""
        with path.open("rb") as file:
            return cls(file)

    def __len__(self) -> int:
        """The number of bytes."""
        return self._size

    def __getitem__(self, part: slice) -> bytes:
        """Read a part, as of a byte string.

        Raises:
            ValueError: for a step other than one.
            OSError: when the disk does not give it any more.
        """
        start, stop, step = part.indices(self._size)
        if step != 1:
            msg = "a filed array is read in runs"
            raise ValueError(msg)
        found = os.pread(self._file, max(0, stop - start), start)
        while len(found) < stop - start:
            more = os.pread(self._file, stop - start - len(found), start + len(found))
            if not more:
                msg = "a file of an array is shorter than it was"
                raise OSError(msg)
            found += more
        return found

    def __bytes__(self) -> bytes:
        """Read it whole."""
        return self[:]

    def __eq__(self, other: object) -> bool:
        """Compare with any byte string, a block at a time."""
        if not isinstance(other, bytes | memoryview | FiledArray):
            return NotImplemented
        if len(self) != len(other):
            return False
        starts = range(0, len(self), BLOCK_BYTES)
        return all(self[start : start + BLOCK_BYTES] == other[start : start + BLOCK_BYTES] for start in starts)

    def __repr__(self) -> str:
        """Show the size only."""
        return f"FiledArray({self._size})"

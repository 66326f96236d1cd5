"""Writing a ledger: one process at a time, each entry signed and on disk before anything happens because of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from wardround.append_only import AppendOnly, lock, unopened
from wardround.errors import Broken
from wardround.identity.keys import SigningKey
from wardround.ledger.entries import AnyEntry
from wardround.ledger.folder import DAY, SUFFIX, Course, read_entries
from wardround.ledger.lines import write_line


class LedgerWriter:
    """A ledger that is open for writing, in this process alone."""

    def __init__(self, folder: Path, key: SigningKey, seen: Callable[[AnyEntry], None] | None = None) -> None:
        """Open or begin a ledger: verify it whole, drop a torn last line, and show each entry to ``seen``.

        Raises:
            Refused: L-BROKEN, L-FORGED, L-FORMAT as ``read_ledger``; L-BUSY when another process has it open; O-WRITE when it
                cannot be opened.
        """
        self._folder = folder
        self._key = key
        self._folder_file = -1
        self._file: AppendOnly | None = None
        self._day = ""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folder_file = os.open(folder, os.O_RDONLY)
            lock(self._folder_file, folder.name)
            course = Course()
            for _, entry in read_entries(folder, key.public, course):
                if seen is not None:
                    seen(entry)
            self._length, self._head = course.length, course.head
            self._go_on(course)
        except OSError as error:
            self.close()
            raise unopened(folder.name, error) from None
        except BaseException:
            self.close()
            raise

    def _go_on(self, course: Course) -> None:
        """Open the last segment that has an entry; one after it was begun, and nothing was written to it."""
        for segment in reversed(course.segments):
            if segment.entries:
                self._file, self._day = AppendOnly(segment.path), segment.path.stem
                self._file.cut(segment.size)
                return
            segment.path.unlink()

    @property
    def head(self) -> str:
        """The hash of the last entry; 64 zeros when there is none."""
        return self._head

    def append(self, entry: AnyEntry) -> str:
        """Sign and add an entry, in a new segment when a new day has begun; gives its hash, once it is on disk.

        Raises:
            Refused: O-WRITE when the disk does not take it; the ledger is as before.
        """
        if self._folder_file < 0:
            raise Broken("a ledger that was closed is written to")
        data, hashed = write_line(entry, self._length, self._head, self._key)
        day = entry.time[:DAY]
        if self._file is None or day > self._day:
            self._begin(day, data)
        else:
            self._file.append(data)
        self._length, self._head = self._length + 1, hashed
        return hashed

    def _begin(self, day: str, data: bytes) -> None:
        """Begin a segment with its first line."""
        path = self._folder / f"{day}{SUFFIX}"
        file: AppendOnly | None = None
        try:
            file = AppendOnly(path)
            file.cut(0)
            file.append(data)
        except BaseException as error:
            if file is not None:
                file.close()
                path.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise unopened(path.name, error) from None
            raise
        if self._file is not None:
            self._file.close()
        self._file, self._day = file, day

    def close(self) -> None:
        """Close the files; a second time does nothing."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._folder_file >= 0:
            os.close(self._folder_file)
            self._folder_file = -1

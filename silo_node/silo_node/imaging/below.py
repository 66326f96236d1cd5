"""Files that a table names, opened below one folder and nowhere else: no way up, no link, no device."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO, Final

LONGEST_NAME: Final = 1000


class NameRefusedError(Exception):
    """A name leads, or may lead, out of the folder, or to what is no file."""


def open_below(folder: Path, name: str) -> BinaryIO:
    """Open a file by its path within a folder, parts joined by ``/``. The folder may be a link, and nothing below it.

    Raises:
        NameRefusedError: the name is not allowed.
        OSError: the file is not there, or cannot be read.
    """
    parts = name.split("/")
    if len(name) > LONGEST_NAME or "\\" in name or not name.isprintable() or any(part in ("", ".", "..") for part in parts):
        raise NameRefusedError
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            at, before = _inside(part, at, os.O_DIRECTORY), at
            os.close(before)
        found = _inside(parts[-1], at, os.O_NONBLOCK)
    finally:
        os.close(at)
    if not stat.S_ISREG(os.fstat(found).st_mode):
        os.close(found)
        raise NameRefusedError
    return os.fdopen(found, "rb", buffering=0)


def _inside(part: str, folder: int, flags: int) -> int:
    if stat.S_ISLNK(os.stat(part, dir_fd=folder, follow_symlinks=False).st_mode):
        raise NameRefusedError
    return os.open(part, os.O_RDONLY | os.O_NOFOLLOW | flags, dir_fd=folder)

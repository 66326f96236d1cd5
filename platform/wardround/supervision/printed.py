"""What supervised processes print: files that cannot grow without end, though others hold them open.

A process writes at the end of its file (O_APPEND) and knows of no rotation, so the file is copied and then cut. What is
printed between the two is lost: a few lines at most, of programs whose own logs are elsewhere.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

SUFFIX = ".out"
LARGEST_BYTES = 5_000_000
KEPT_FILES = 3


def rotate(path: Path, largest_bytes: int = LARGEST_BYTES) -> bool:
    """Put a file that has grown too large aside as ``NAME.1`` (before that ``.2``, ``.3``) and cut it; says whether it did.

    A disk that is full keeps the file as it is: nothing is cut that was not copied.
    """
    try:
        if path.stat().st_size <= largest_bytes:
            return False
        first = _aside(path, 1)
        beside = _aside(path, 0)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            with path.open("rb") as source, os.fdopen(descriptor, "wb") as target:
                shutil.copyfileobj(source, target)
            for number in range(KEPT_FILES - 1, 0, -1):
                with suppress(FileNotFoundError):
                    _aside(path, number).replace(_aside(path, number + 1))
            beside.replace(first)
        finally:
            beside.unlink(missing_ok=True)
        os.truncate(path, 0)
    except OSError:
        return False
    return True


def _aside(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")

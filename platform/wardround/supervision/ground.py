"""Errors before harm: can a directory be written, and is there room on its disk?"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from wardround.errors import Problem, raise_all

MIB = 2**20
LEAST_FREE_BYTES = 500 * MIB
"""What a directory's disk has free before anything starts in it."""
MODELS_ON_DISK = 4
"""What a hospital keeps of a study at once, in sizes of its model: bundle, last reply, last result, checkpoint."""


def check_ground(folder: Path, least_bytes: int = LEAST_FREE_BYTES) -> None:
    """Check that a process can work in a directory: a file is written to it, flushed and removed, and there is room.

    Raises:
        Refused: O-WRITE, O-SPACE, both at once.
    """
    raise_all([*_unwritable(folder), *_narrow(folder, least_bytes)])


def require_space(folder: Path, needed_bytes: int) -> None:
    """Check that a directory's disk has some bytes free, before work begins that will write them.

    Raises:
        Refused: O-SPACE.
    """
    raise_all(_narrow(folder, needed_bytes))


def free_bytes(folder: Path) -> int | None:
    """Give how many bytes this user may still write on a directory's disk; None where nobody can tell."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def _unwritable(folder: Path) -> list[Problem]:
    try:
        descriptor, name = tempfile.mkstemp(prefix=".ground.", dir=folder)
        try:
            os.write(descriptor, b"\0")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
            Path(name).unlink()
    except OSError as error:
        return [
            Problem(
                "O-WRITE",
                folder.absolute().name,
                "A service writes in its directory",
                f"a file cannot be written there ({type(error).__name__})",
                "check the folder's rights, whether its disk is read-only, and the free space",
            )
        ]
    return []


def _narrow(folder: Path, least_bytes: int) -> list[Problem]:
    free = free_bytes(folder)
    if free is None or free >= least_bytes:
        return []
    return [
        Problem(
            "O-SPACE",
            folder.absolute().name,
            f"The disk of this directory has {_mib(least_bytes)} free before work begins",
            f"it has {free // MIB} MiB",
            "make room, or move the directory to a larger disk",
        )
    ]


def _mib(count: int) -> str:
    return f"{-(-count // MIB)} MiB"

"""Files that are whole or not there: written beside, flushed to disk, then renamed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import TypeAlias

from wardround.errors import Refused, refuse

Data: TypeAlias = bytes | memoryview | tuple[bytes | memoryview, ...]
"""What a file is to hold: in one piece, or in parts one behind the other, so that large ones need not be joined in memory."""


def sync_folder(folder: Path) -> None:
    """Flush a folder's own entry, so that a rename in it survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_beside(path: Path, data: Data, mode: int) -> Path:
    # folders that are made for a private file are private too, each of them: Path.mkdir gives its mode to the last one only
    missing = [folder for folder in path.parents if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=0o777 if mode & 0o077 else 0o700, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.writelines(data if isinstance(data, tuple) else (data,))
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


def write_atomic(path: Path, data: Data, mode: int = 0o644) -> None:
    """Write a file whole, replacing an older one.

    Raises:
        Refused: O-WRITE when it cannot be written; the older file, if any, is untouched.
    """
    try:
        beside = _write_beside(path, data, mode)
        try:
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise _unwritable(path, error) from None


def write_new(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a file whole that must not exist yet; ``FileExistsError`` when it does.

    Raises:
        Refused: O-WRITE when it cannot be written.
    """
    try:
        beside = _write_beside(path, data, mode)
    except OSError as error:
        raise _unwritable(path, error) from None
    try:
        os.link(beside, path)
    except FileExistsError:
        raise
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        beside.unlink()
    sync_folder(path.parent)


def remove_leftovers(path: Path) -> None:
    """Remove what writers of a file left beside it that were killed; only where no other process can be writing it now."""
    for beside in path.parent.glob(f".{escape(path.name)}.????????"):
        with suppress(OSError):  # it takes space and does no harm
            beside.unlink()


@contextmanager
def new_private_folder(folder: Path) -> Iterator[Path]:
    """Make a folder for its owner only (0700), whole or not at all: it is filled beside and then renamed.

    Gives the place to fill. ``FileExistsError`` when the folder is there and not empty.

    Raises:
        Refused: O-WRITE when it cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise _unwritable(folder, error) from None
    try:
        yield beside
        try:
            beside.rename(folder)  # takes the place of an empty folder, of no other
            sync_folder(folder.parent)
        except OSError as error:
            if folder.exists():
                raise FileExistsError(folder) from None
            raise _unwritable(folder, error) from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _unwritable(path: Path, error: OSError) -> Refused:
    return refuse(
        "O-WRITE",
        path.name,
        "Outputs are written whole or not at all",
        f"the file cannot be written ({type(error).__name__})",
        "check the folder's rights and the free space",
    )

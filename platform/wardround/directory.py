"""The format of a centre's or hospital's directory: a file ``format`` that says how to read everything beside it.

    {"format":1,"written_by":"0.1.0"}

``written_by`` is the version of Wardround that made the directory, or that last migrated it. The rule of migration:

- A release reads the formats up to its own, ``FORMAT``, and refuses a newer one before it reads anything else.
- A change that an older release would misread gets a new number and a step here, from the number before to it. Adding a
  file that older releases ignore is no such change.
- Steps are run one after the other by the first ``start`` of the newer release, with the directory's lock held; each
  leaves the directory whole, and the file ``format`` is written last. There is no way back but a copy made before.
- A directory with keys and without the file is of format 1: the file was introduced when there was no other.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints, ValidationError

from wardround import __version__
from wardround.canonical import model_bytes
from wardround.errors import Refused, refuse
from wardround.files import write_atomic
from wardround.values import Value

FORMAT = 1
FORMAT_FILE = "format"
KEYS = "keys"


class DirectoryFormat(Value):
    """The number of a format, and the version of Wardround that wrote it."""

    format: Annotated[int, Field(ge=1, lt=2**31)]
    written_by: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z.+-]{1,40}$")]


def write_format(folder: Path) -> None:
    """Mark a directory as of this release's format.

    Raises:
        Refused: O-WRITE.
    """
    write_atomic(folder / FORMAT_FILE, model_bytes(DirectoryFormat(format=FORMAT, written_by=__version__)))


def check_format(folder: Path) -> None:
    """Check that this release can read a directory; one without the file, but with keys, is of format 1 and is marked so.

    Raises:
        Refused: V-FORMAT when it is newer than this release, or the file is not as it was written.
    """
    path = folder / FORMAT_FILE
    try:
        found = _parse(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        if (folder / KEYS).is_dir():
            with suppress(Refused):  # who may only read the directory may read it
                write_format(folder)
        return
    except OSError as error:
        raise _unreadable(f"it cannot be read ({type(error).__name__})") from None
    except (ValueError, KeyError, TypeError):
        raise _unreadable("it was changed") from None
    if found.format > FORMAT:
        raise refuse(
            "V-FORMAT",
            FORMAT_FILE,
            f"Wardround {__version__} reads directories up to format {FORMAT}",
            f"this one has format {found.format}, written by Wardround {found.written_by}",
            f"use Wardround {found.written_by} or newer, or a copy of the directory from before it was migrated",
        )


def _parse(data: bytes) -> DirectoryFormat:
    """Read the two keys that every version has; a newer one may have more beside them."""
    try:
        content = json.loads(data)
        return DirectoryFormat(format=content["format"], written_by=content["written_by"])
    except (ValidationError, UnicodeDecodeError):
        raise ValueError from None


def _unreadable(finding: str) -> Refused:
    return refuse(
        "V-FORMAT",
        FORMAT_FILE,
        "The file says how the directory is to be read",
        finding,
        f'restore it from a copy; of a directory that this release made it is {{"format":{FORMAT},"written_by":"{__version__}"}}',
    )

r"""A file of the trainer's own: a head and a body under one seal, so that a damaged or foreign file is never used.

wardround/<kind>/1\n | length of the head, 8 bytes, little-endian | head (JSON) | body | SHA-256 of all that, 32 bytes
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from wardround.files import remove_leftovers, write_atomic
from wardround.values import Value

LENGTH_BYTES = 8
SEAL_BYTES = 32
MODE = 0o600


class Damaged(Exception):
    """The file is there, but it is not a whole file of this kind."""


@dataclass(frozen=True)
class Sealed:
    """What stood under an unbroken seal; the body is seen where it was read, not copied."""

    head: bytes
    body: memoryview


def write_sealed(path: Path, kind: str, head: Value, body: bytes | memoryview) -> None:
    """Write a file whole and durable, for its owner only, in the place of an older one.

    Raises:
        Refused: O-WRITE when it cannot be written.
    """
    words = head.model_dump_json(by_alias=True).encode()
    parts = (_mark(kind), len(words).to_bytes(LENGTH_BYTES, "little"), words, body)
    seal = hashlib.sha256()
    for part in parts:
        seal.update(part)
    remove_leftovers(path)  # of a trainer that was killed: there is one at a time
    write_atomic(path, (*parts, seal.digest()), MODE)


def read_sealed(path: Path, kind: str) -> Sealed | None:
    """Read a file of this kind; None when there is none.

    Raises:
        Damaged: when it is cut, changed, of another kind, or cannot be read. A link is followed nowhere.
    """
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return None
    except OSError:
        raise Damaged from None
    mark = _mark(kind)
    start, end = len(mark) + LENGTH_BYTES, len(data) - SEAL_BYTES
    view = memoryview(data)
    if end < start or view[: len(mark)] != mark or hashlib.sha256(view[:end]).digest() != view[end:]:
        raise Damaged
    body = start + int.from_bytes(view[len(mark) : start], "little")
    if body > end:
        raise Damaged
    return Sealed(bytes(view[start:body]), view[body:end])


def drop(path: Path) -> None:
    """Remove a file, if it is there and can be removed; what stays is found again, and judged again."""
    remove_leftovers(path)
    with suppress(OSError):
        path.unlink()


def _mark(kind: str) -> bytes:
    return f"wardround/{kind}/1\n".encode()

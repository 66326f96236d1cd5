"""Values of a header as numbers and texts, without complaint: what does not have its form is not there.

How a value is written: PS3.5 section 6.2. Several values of one element are separated by backslashes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from struct import Struct
from typing import Final, TypeAlias

from pydicom.charset import convert_encodings, decode_bytes

from silo_node.dicom.header import Header
from silo_node.dicom.tags import CHARACTER_SET

Vector: TypeAlias = tuple[float, float, float]

_LITTLE: Final[Mapping[bool, Struct]] = {True: Struct("<H"), False: Struct(">H")}
_TEXT_DELIMITERS: Final = {0xA, 0xC, 0xD}


def text(header: Header, tag: int) -> str:
    """Give a value of ASCII letters (UI, CS), empty where there is none."""
    return header.values.get(tag, b"").decode("ascii", "replace").strip(" \0")


def texts(header: Header, tag: int) -> tuple[str, ...]:
    """Give the values of an element with several of ASCII letters; empty where there is none."""
    whole = text(header, tag)
    return tuple(part.strip(" \0") for part in whole.split("\\")) if whole else ()


def identifier(header: Header, tag: int) -> str:
    """Give a text of any script (LO), in the character set that the header declares."""
    value = header.values.get(tag, b"").strip(b" \0")
    if value.isascii() and b"\x1b" not in value:
        return value.decode("ascii")
    try:
        sets = convert_encodings(list(texts(header, CHARACTER_SET)) or "")
        return str(decode_bytes(value, sets, _TEXT_DELIMITERS)).strip()
    except (LookupError, UnicodeError, ValueError):
        return value.decode("latin-1")


def numbers(header: Header, tag: int, many: int) -> tuple[float, ...] | None:
    """Give the finite numbers of an element that has just so ``many`` (DS, IS); ``None`` where it has not."""
    parts = texts(header, tag)
    if len(parts) != many:
        return None
    try:
        found = tuple(float(part) for part in parts)
    except ValueError:
        return None
    return found if all(math.isfinite(each) for each in found) else None


def number(header: Header, tag: int) -> float | None:
    """Give the one finite number of an element (DS, IS)."""
    found = numbers(header, tag, 1)
    return None if found is None else found[0]


def whole(header: Header, tag: int) -> int | None:
    """Give the one whole number of an element that is written as text (IS)."""
    found = number(header, tag)
    return int(found) if found is not None and found.is_integer() else None


def short(header: Header, tag: int) -> int | None:
    """Give the one number of an element of two bytes (US)."""
    value = header.values.get(tag)
    if value is None or len(value) != 2:  # noqa: PLR2004  (bytes of a US)
        return None
    found: int = _LITTLE[header.little].unpack(value)[0]
    return found


def vector(header: Header, tag: int) -> Vector | None:
    """Give a place in space (DS, three values), in mm."""
    found = numbers(header, tag, 3)
    return None if found is None else (found[0], found[1], found[2])

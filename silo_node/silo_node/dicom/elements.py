"""Data elements of explicit VR little endian, read straight from bytes: the fast way for most files of most scanners.

PS3.5 section 7 says how elements lie in a file. This reader takes the plain case only, and says ``Odd`` to all else: another
byte order, a VR that it does not know, a length that runs past the end, items that do not fit. What it says ``Odd`` to is
read by pydicom (``silo_node.dicom.header``), which is also its oracle: where it answers, pydicom answers the same.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from struct import Struct
from typing import Final, TypeAlias

UNDEFINED = 0xFFFFFFFF
"""A length that is not known beforehand: a delimiter ends the value."""

PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
"""Float, double float and ordinary pixel data."""

ITEMS: Final = b"items"
"""What stands for the value of a sequence that is not empty."""

LARGEST_VALUE: Final = 1024 * 1024
"""Bytes of a value that is kept at most; no element of a header that is asked for needs a thousandth of it."""

DEEPEST = 32
"""Sequences within sequences that are read; real objects need fewer than ten."""

_ITEM, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE0DD
_ITEM_DELIMITER = (0xFFFE, 0xE00D, 0)
_DELIMITERS = 0xFFFE
_SHORT = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split(b" "))
_LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split(b" "))

_element = Struct("<HH2sH").unpack_from
_item = Struct("<HHL").unpack_from
_length = Struct("<L").unpack_from


def length_at(data: bytes, at: int) -> int:
    """Give the four bytes at a place as a length."""
    found: int = _length(data, at)[0]
    return found


Visit: TypeAlias = Callable[[int, bytes, int, int], None]
"""Called with the tag, VR, and where the value begins and ends."""


class Odd(Exception):
    """The bytes are not the plain case."""


class Short(Exception):
    """The bytes end before the part that is asked for does."""


def top_level(  # noqa: C901, PLR0912  (the hot loop: a call for each element would double its time)
    data: bytes, at: int, wanted: Container[int], found: dict[int, bytes], group: int | None = None
) -> int:
    """Gather the values of some elements of a data set, up to its pixel data.

    Args:
        data: the bytes of a file, from its beginning.
        at: where the first element begins.
        wanted: tags whose values are kept.
        found: takes them, by tag; of a tag that stands twice the last, as pydicom does.
        group: read the elements of this group only.

    Returns:
        Where the first element begins that was not read: pixel data, or one of another group; or the end.

    Raises:
        Odd: the bytes are not the plain case.
        Short: they end within an element.
    """
    end = len(data)
    while at + 8 <= end:
        high, low, vr, length = _element(data, at)
        if group is not None and high != group:
            return at
        tag = high << 16 | low
        if tag in PIXELS:
            return at
        if high == _DELIMITERS:
            raise Odd
        if vr in _SHORT:
            at += 8
        elif vr in _LONG:
            if at + 12 > end:
                raise Short
            (length,) = _length(data, at + 8)
            at += 12
            if length == UNDEFINED:
                if vr != b"SQ":
                    raise Odd
                end_of_items = _items(data, at, None, None, 1)
                if tag in wanted:
                    found[tag] = ITEMS if end_of_items > at + 8 else b""
                at = end_of_items
                continue
        else:
            raise Odd
        value = at
        at += length
        if at > end:
            raise Short
        if tag in wanted:
            if length > LARGEST_VALUE:
                raise Odd
            found[tag] = data[value:at] if vr != b"SQ" else ITEMS if length else b""
    if at != end:
        raise Short
    return at


def every_element(data: bytes, at: int, end: int, visit: Visit, depth: int = 0) -> int:
    """Visit every element between two places, at every depth; a sequence before its items. Pixel data ends it.

    Args:
        data: the bytes of a file, from its beginning.
        at: where the first element begins.
        end: where the last one ends.
        visit: called for each.
        depth: in how many sequences this is.

    Returns:
        Where pixel data begins, or ``end``.

    Raises:
        Odd: the bytes are not the plain case.
        Short: they end within an element.
    """
    while at + 8 <= end:
        high, low, vr, length = _element(data, at)
        tag = high << 16 | low
        if tag in PIXELS and depth == 0:
            return at
        if high == _DELIMITERS:
            raise Odd
        at = _visited(data, at, end, tag, vr, length, visit, depth)
    if at != end:
        raise Short
    return at


def _visited(data: bytes, at: int, end: int, tag: int, vr: bytes, length: int, visit: Visit | None, depth: int) -> int:
    """Visit one element, and those within it; give where the next begins."""
    if vr in _SHORT:
        value = at + 8
    elif vr in _LONG:
        if at + 12 > len(data):
            raise Short
        (length,) = _length(data, at + 8)
        value = at + 12
        if vr == b"SQ":
            if length != UNDEFINED and value + length > end:
                raise Short if end == len(data) else Odd
            if visit is not None:
                visit(tag, vr, value, value)
            return _items(data, value, None if length == UNDEFINED else value + length, visit, depth + 1)
        if length == UNDEFINED:
            raise Odd
    else:
        raise Odd
    if value + length > end:
        raise Short if end == len(data) else Odd
    if visit is not None:
        visit(tag, vr, value, value + length)
    return value + length


def _items(data: bytes, at: int, end: int | None, visit: Visit | None, depth: int) -> int:
    """Go through the items of a sequence; give where it ends. ``end``: where, if its length was defined."""
    if depth > DEEPEST:
        raise Odd
    while end is None or at < end:
        if at + 8 > len(data):
            raise Short
        high, low, length = _item(data, at)
        tag = high << 16 | low
        at += 8
        if tag == _SEQUENCE_END and end is None and length == 0:
            return at
        if tag != _ITEM:
            raise Odd
        at = _open_item(data, at, visit, depth) if length == UNDEFINED else _closed_item(data, at, at + length, visit, depth)
    if at != end:
        raise Odd
    return at


def _closed_item(data: bytes, at: int, end: int, visit: Visit | None, depth: int) -> int:
    """Go through an item of defined length."""
    if end > len(data):
        raise Short
    while at + 8 <= end:
        high, low, vr, length = _element(data, at)
        if high == _DELIMITERS:
            raise Odd
        at = _visited(data, at, end, high << 16 | low, vr, length, visit, depth)
    if at != end:
        raise Odd
    return at


def _open_item(data: bytes, at: int, visit: Visit | None, depth: int) -> int:
    """Go through an item up to its delimiter; give where that ends."""
    end = len(data)
    while at + 8 <= end:
        high, low, vr, length = _element(data, at)
        if high == _DELIMITERS:
            if _item(data, at) != _ITEM_DELIMITER:
                raise Odd
            return at + 8
        at = _visited(data, at, end, high << 16 | low, vr, length, visit, depth)
    raise Short

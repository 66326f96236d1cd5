"""Data elements of explicit VR little endian, read straight from bytes: the fast way for most files of most scanners.

PS3.5 section 7 says how elements lie in a file. This reader takes the plain case only, and says ``Odd`` to all else: another
byte order, a VR that it does not know, a length that runs past the end, items that do not fit. What it says ``Odd`` to is
read by pydicom (``silo_node.dicom.header``), which is also its oracle: where it answers, pydicom answers the same.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from itertools import repeat
from struct import Struct
from typing import Final, Protocol, TypeAlias

from silo_node.dicom.dummies import holds
from silo_node.dicom.tags import SEQUENCES

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

MOST_ELEMENTS: Final = 600_000
"""Elements of one file that are read at most; enhanced objects of five thousand frames need fewer."""

ITEM: Final = 0xFFFEE000
"""The tag of an item of a sequence."""

PADDED: Final = 0x20
"""The highest byte that a value is padded with: a space. What begins with a higher one is more than padding."""

_CHARACTER_SET = 0x00080005
_READ_AT_ONCE: Final = {0x00020002: b"UI", 0x00020010: b"UI", 0x00020016: b"AE", _CHARACTER_SET: b"CS"}
"""Elements that pydicom converts while it reads, or may, by the VR that they must have for that."""

ITEM_HEAD: Final = b"\xfe\xff\x00\xe0"
"""The tag of an item as it lies in a little endian file."""

ITEM_DELIMITER: Final = (0xFFFE, 0xE00D, 0)
"""Group, element and length of what ends an item of undefined length."""

DELIMITERS: Final = 0xFFFE
"""The group of items and of what ends them."""

PIXEL_GROUP: Final = 0x7FE0

_SEQUENCE_END = 0xFFFEE0DD
_SHORT = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())

_element = Struct("<HH2sH").unpack_from
_item = Struct("<HHL").unpack_from
_length = Struct("<L").unpack_from


def length_at(data: bytes, at: int) -> int:
    """Give the four bytes at a place as a length."""
    found: int = _length(data, at)[0]
    return found


Visit: TypeAlias = Callable[[int, bytes, int, int, int], None]
"""Called with tag, VR, where the value begins and ends, and in how many sequences it is.

For a sequence its value is said to be empty; its items follow, each as ``ITEM`` without a VR, then the elements in it."""


class Elements(Protocol):
    """Visits the elements of one item, as its form has them."""

    def __call__(self, data: bytes, at: int, end: int, visit: Visit, depth: int, *, is_open: bool) -> int:
        """Visit those up to ``end``, or, in an item of undefined length, up to its delimiter; give where that ends."""


class Odd(Exception):
    """The bytes are not the plain case."""


class Short(Exception):
    """The bytes end before the part that is asked for does."""


class TooMuch(Exception):
    """There are more elements than any real object has."""


class Count:
    """A visit that only counts, up to ``MOST_ELEMENTS``, and leaves a character set within a sequence to pydicom."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = MOST_ELEMENTS

    def __call__(self, tag: int, _vr: bytes, _begin: int, _end: int, _depth: int) -> None:
        """Count one.

        Raises:
            TooMuch: it is one too many.
            Odd: it is converted at once by pydicom, which may fail.
        """
        if tag == _CHARACTER_SET:
            raise Odd
        self._left -= 1
        if self._left < 0:
            raise TooMuch


def top_level(  # noqa: C901, PLR0912  (the hot loop of every header: a call costs more than the element)
    data: bytes,
    at: int,
    wanted: Container[int],
    found: dict[int, bytes],
    group: int | None = None,
    present: set[int] | None = None,
) -> int:
    """Gather the values of some elements of a data set, up to its pixel data.

    Args:
        data: the bytes of a file, from its beginning.
        at: where the first element begins.
        wanted: tags whose values are kept.
        found: takes them, by tag; of a tag that stands twice the last, as pydicom does.
        group: read the elements of this group only.
        present: takes the tags of all elements that have a value.

    Returns:
        Where the first element begins that was not read: pixel data, or one of another group; or the end.

    Raises:
        Odd: the bytes are not the plain case.
        Short: they end within an element.
        TooMuch: there is no end of them.
    """
    end, count = len(data), Count()
    present = set() if present is None else present
    element, short, last, padded, add, discard = _element, _SHORT, PIXEL_GROUP, PADDED, present.add, present.discard
    for _ in repeat(None, MOST_ELEMENTS):
        if at + 8 > end:
            break
        high, low, vr, length = element(data, at)
        if group is not None and high != group:
            return at
        tag = high << 16 | low
        if high >= last:
            if tag in PIXELS:
                return at
            if high == DELIMITERS:
                raise Odd
        if vr in short:
            at += 8
        elif vr in _LONG:
            if at + 12 > end:
                raise Short
            (length,) = _length(data, at + 8)
            at += 12
            if length == UNDEFINED:
                if vr != b"SQ":
                    raise Odd
                end_of_items = items_of(data, at, None, count, 1, _elements)
                if tag in wanted:
                    found[tag] = ITEMS if end_of_items > at + 8 else b""
                (add if end_of_items > at + 8 else discard)(tag)
                at = end_of_items
                continue
        else:
            raise Odd
        value = at
        at += length
        if at > end:
            raise Short
        if length and (data[value] > padded or length > LARGEST_VALUE or holds(vr, data[value:at])):
            add(tag)
        else:
            discard(tag)
        if tag in wanted:
            if length > LARGEST_VALUE or _READ_AT_ONCE.get(tag, vr) != vr:
                raise Odd
            found[tag] = data[value:at] if tag not in SEQUENCES else ITEMS if length else b""
    else:
        raise TooMuch
    if at != end:
        raise Short
    return at


def every_element(data: bytes, at: int, visit: Visit) -> int:
    """Visit every element from a place on, at every depth; a sequence before its items. Pixel data ends it.

    Args:
        data: the bytes of a file, from its beginning.
        at: where the first element begins.
        visit: called for each; what it raises ends the reading.

    Returns:
        Where pixel data begins, or the end.

    Raises:
        Odd: the bytes are not the plain case.
        Short: they end within an element.
    """
    return _elements(data, at, len(data), visit, 0, is_open=False)


def _elements(  # noqa: C901, PLR0912  (as top_level)
    data: bytes, at: int, end: int, visit: Visit, depth: int, *, is_open: bool
) -> int:
    """Visit the elements up to ``end``, or, in an item of undefined length, up to its delimiter; give where that ends."""
    while at + 8 <= end:
        high, low, vr, length = _element(data, at)
        tag = high << 16 | low
        if high == DELIMITERS:
            if is_open and _item(data, at) == ITEM_DELIMITER:
                return at + 8
            raise Odd
        if high == PIXEL_GROUP and depth == 0 and tag in PIXELS:
            return at
        if vr in _SHORT:
            at += 8
        elif vr in _LONG:
            if at + 12 > len(data):
                raise Short
            (length,) = _length(data, at + 8)
            at += 12
            if vr == b"SQ":
                if length != UNDEFINED and at + length > end:
                    raise Short if end == len(data) else Odd
                visit(tag, vr, at, at, depth)
                at = items_of(data, at, None if length == UNDEFINED else at + length, visit, depth + 1, _elements)
                continue
            if length == UNDEFINED:
                raise Odd
        else:
            raise Odd
        value = at
        at += length
        if at > end:
            raise Short if end == len(data) else Odd
        visit(tag, vr, value, at, depth)
    if is_open:
        raise Short
    if at != end:
        raise Short if end == len(data) else Odd
    return at


def items_of(data: bytes, at: int, end: int | None, visit: Visit, depth: int, elements: Elements) -> int:
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
        if tag != ITEM:
            raise Odd
        visit(ITEM, b"", at, at, depth)
        if length == UNDEFINED:
            at = elements(data, at, len(data), visit, depth, is_open=True)
        elif at + length > len(data):
            raise Short
        else:
            at = elements(data, at, at + length, visit, depth, is_open=False)
    if at != end:
        raise Odd
    return at

"""Data elements of implicit VR little endian, read straight from bytes: the fast way for files that name no VR.

An element there is a tag, a length and a value (PS3.5 section 7.1.3); what kind of value it is, the data dictionary says. It is
asked as seldom as can be, and as pydicom asks it: private elements, which it does not have, are of no known VR.

As in ``silo_node.dicom.elements``: the plain case only, ``Odd`` to all else, and pydicom is the oracle.
"""

from __future__ import annotations

from collections.abc import Container
from itertools import repeat
from struct import Struct
from typing import Final

from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary

from silo_node.dicom.dummies import holds
from silo_node.dicom.elements import (
    DELIMITERS,
    ITEM_DELIMITER,
    ITEM_HEAD,
    ITEMS,
    LARGEST_VALUE,
    MOST_ELEMENTS,
    PADDED,
    PIXEL_GROUP,
    PIXELS,
    UNDEFINED,
    Count,
    Odd,
    Short,
    TooMuch,
    Visit,
    items_of,
)
from silo_node.dicom.tags import SEQUENCES

_PRIVATE: Final = 0x00010000
"""The bit of a tag that makes its group odd."""

_element = Struct("<HHL").unpack_from


def _by_mask() -> dict[int, dict[int, bytes]]:
    """Give the rows of repeating groups, such as ``60xx3000``, by the bits of a tag that count, then by what they are."""
    found: dict[int, dict[int, bytes]] = {}
    for row, (vr, *_) in RepeatersDictionary.items():
        mask = int("".join("0" if digit == "x" else "F" for digit in row), 16)
        found.setdefault(mask, {})[int(row.replace("x", "0"), 16)] = vr.encode()
    return found


_SINGLE: Final = {tag: vr.encode() for tag, (vr, *_) in DicomDictionary.items()}
_REPEATED: Final = tuple(_by_mask().items())
_UNKNOWN: Final = b"UN"


def representation(tag: int) -> bytes:
    """Give the VR of an element as pydicom's dictionary has it, such as ``OB or OW``; UN of one that it does not have.

    pydicom's own look-up raises where it has none, and a hostile file has half a million of those.
    """
    found = _SINGLE.get(tag)
    if found is None and not tag & _PRIVATE:
        found = next((rows[tag & mask] for mask, rows in _REPEATED if tag & mask in rows), None)
    return _UNKNOWN if found is None else found


def top_level(  # noqa: C901, PLR0912  (the hot loop, as in elements)
    data: bytes,
    at: int,
    wanted: Container[int],
    found: dict[int, bytes],
    present: set[int],
) -> int:
    """Gather the values of some elements of a data set, up to its pixel data.

    Args:
        data: the bytes of a file, from its beginning.
        at: where the first element begins.
        wanted: tags whose values are kept.
        found: takes them, by tag; of a tag that stands twice the last, as pydicom does.
        present: takes the tags of all elements that have a value.

    Returns:
        Where pixel data begins, or the end.

    Raises:
        Odd: the bytes are not the plain case.
        Short: they end within an element.
        TooMuch: there is no end of them.
    """
    _is_implicit(data, at)
    end, count = len(data), Count()
    element, last, padded, add, discard = _element, PIXEL_GROUP, PADDED, present.add, present.discard
    for _ in repeat(None, MOST_ELEMENTS):
        if at + 8 > end:
            break
        high, low, length = element(data, at)
        tag = high << 16 | low
        if high >= last:
            if tag in PIXELS:
                return at
            if high == DELIMITERS:
                raise Odd
        at += 8
        if length == UNDEFINED:
            value, at = at, _open_sequence(data, at, tag, count)
            is_there = at > value + 8
            if tag in wanted:
                found[tag] = ITEMS if is_there else b""
            (add if is_there else discard)(tag)
            continue
        value = at
        at += length
        if at > end:
            raise Short
        if length and (data[value] > padded or length > LARGEST_VALUE or holds(representation(tag), data[value:at])):
            add(tag)
        else:
            discard(tag)
        if tag in wanted:
            if length > LARGEST_VALUE:
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
    _is_implicit(data, at)
    return _elements(data, at, len(data), visit, 0, is_open=False)


def _is_implicit(data: bytes, at: int) -> None:
    """See that the first element names no VR where it would stand: some files do, whatever they declare."""
    vr = data[at + 4 : at + 6]
    if vr.isalpha() and vr.isupper():
        raise Odd


def _open_sequence(data: bytes, at: int, tag: int, count: Visit) -> int:
    """Go through a sequence of undefined length whose items begin at a place; give where it ends."""
    if _kind(data, at, tag) != b"SQ":
        raise Odd
    return items_of(data, at, None, count, 1, _elements)


def _kind(data: bytes, at: int, tag: int) -> bytes:
    """Give the VR of an element of undefined length; a private one is a sequence if an item follows."""
    if tag & _PRIVATE and data[at : at + 4] == ITEM_HEAD:
        return b"SQ"
    return representation(tag)


def _elements(data: bytes, at: int, end: int, visit: Visit, depth: int, *, is_open: bool) -> int:
    """Visit the elements up to ``end``, or, in an item of undefined length, up to its delimiter; give where that ends."""
    whole = len(data)
    while at + 8 <= end:
        head = high, low, length = _element(data, at)
        tag = high << 16 | low
        if high == DELIMITERS:
            if is_open and head == ITEM_DELIMITER:
                return at + 8
            raise Odd
        if high == PIXEL_GROUP and depth == 0 and tag in PIXELS:
            return at
        at += 8
        vr = representation(tag) if length != UNDEFINED else _kind(data, at, tag)
        if vr == b"SQ":
            if length != UNDEFINED and at + length > end:
                raise Short if end == whole else Odd
            visit(tag, vr, at, at, depth)
            at = items_of(data, at, None if length == UNDEFINED else at + length, visit, depth + 1, _elements)
            continue
        if length == UNDEFINED:
            raise Odd
        value = at
        at += length
        if at > end:
            raise Short if end == whole else Odd
        visit(tag, vr, value, at, depth)
    if is_open:
        raise Short
    if at != end:
        raise Short if end == whole else Odd
    return at

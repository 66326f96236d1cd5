"""What may still identify people in a DICOM file: looked for at every depth, and said by tag.

Nothing here de-identifies, and an empty result is no proof: it says that a listed set of places is empty. Those are the
attributes of PS3.15 table E.1-1 in the data set, in sequences (listed ones or not) and behind the pixel data; private
attributes; overlays and curves; whatever group 2 holds beyond what reading needs; the preamble; the names of the file
and its folders; whether the file says that and how it was de-identified; and whether text may be burned into its image.

The plain case is walked in bytes (``silo_node.dicom.elements``), all else by pydicom without conversion of values; both
ask the same judge. A result holds tags and kinds, never a value.

UIDs are no names. Whether a UID was replaced cannot be seen in a file, so an attribute with action U only has to hold UIDs.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from itertools import repeat
from pathlib import Path, PurePath
from struct import Struct
from typing import BinaryIO, Final, Protocol

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset, read_sequence
from pydicom.multival import MultiValue

from silo_node.dicom.elements import DEEPEST, ITEM, MOST_ELEMENTS, PIXELS, UNDEFINED, Odd, Short, TooMuch, Visit, every_element
from silo_node.dicom.header import (
    FIRST_READ,
    IMPLICIT,
    LARGEST_HEADER,
    REPEATED_GROUPS,
    Bounded,
    Foreign,
    PixelPlace,
    UnreadableHeader,
    coded,
    foreign,
    foreign_pixels,
    plain_elements,
    plain_pixels,
    plain_start,
)
from silo_node.dicom.judge import DATA, PRIVATE, Judge, Rules
from silo_node.dicom.traces import Traces

MOST_FRAGMENTS: Final = 200_000
"""Fragments of encapsulated pixel data that are gone through to find what is behind it."""

_META_GROUP: Final = range(0x00020000, 0x00030000)
_ITEM_HEADS: Final = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")
_FRAGMENTS_END: Final = 0xFFFEE0DD


def scan(path: Path, name: PurePath, rules: Rules) -> Traces:
    """Look for all that may identify people in a file.

    Args:
        path: the file.
        name: its path within the folder that was exported; the hospital's own folders above it do not count.
        rules: what it is held against.

    Returns:
        What was found; empty where nothing was.

    Raises:
        UnreadableHeader: the file, or a part of it, cannot be read, so nothing can be said of it.
        OSError: the file cannot be opened.
    """
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        data = file.read(FIRST_READ)
        while True:
            judge = Judge(rules)
            try:
                _plain(judge, file, data, size)
                break
            except Short:
                if len(data) >= min(size, LARGEST_HEADER):
                    judge = _by_pydicom(rules, file, data, size)
                    break
            except Odd:
                judge = _by_pydicom(rules, file, data, size)
                break
            except TooMuch:
                raise UnreadableHeader("D-BOMB") from None
            data += file.read(15 * len(data))
    judge.preamble(data)
    judge.conclude(name)
    return frozenset(judge.traces)


def _plain(judge: Judge, file: BinaryIO, data: bytes, size: int) -> None:
    """Walk the plain case."""
    meta: dict[int, bytes] = {}
    at, syntax = plain_start(data, _META_GROUP, meta)
    judge.meta(meta)
    at = plain_elements(data, at, syntax, _visit(judge, data))
    if at == len(data) < size:
        raise Short
    pixels = plain_pixels(data, at, size, syntax)
    if pixels is not None:
        _behind(judge, file, _end_of_pixels(file, pixels, size, little=True), size, implicit=syntax == IMPLICIT, little=True)


def _visit(judge: Judge, data: bytes) -> Visit:
    """Give what is called for each element of plain bytes: it passes by, quickly, what nothing can be said of."""
    watched, unfinished, element = judge.rules.watched, judge.unfinished, judge.element
    left = MOST_ELEMENTS

    def visit(tag: int, vr: bytes, begin: int, end: int, depth: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise TooMuch
        if vr == b"UN" and begin != end and (not tag & PRIVATE or data[begin : begin + 4] in _ITEM_HEADS):
            raise Odd  # a sequence may hide in it
        if tag in watched or tag & PRIVATE or unfinished or tag < DATA or tag >> 24 in REPEATED_GROUPS:
            element(tag, vr, data[begin:end], depth)

    return visit


# ------------------------------------------------------------------------------------------- behind the pixel data


def _end_of_pixels(file: BinaryIO | Bounded, place: PixelPlace, size: int, *, little: bool) -> int | None:
    """Give where the value of the pixel data ends; ``None`` where its fragments are not in order."""
    at = place.at
    if place.length is not None:
        return at + place.length
    fragment = Struct("<HHL" if little else ">HHL")
    for _ in repeat(None, MOST_FRAGMENTS):
        file.seek(at)
        read = file.read(fragment.size)
        if len(read) < fragment.size:
            return size
        high, low, length = fragment.unpack(read)
        tag = high << 16 | low
        at += fragment.size
        if tag == _FRAGMENTS_END:
            return at
        if tag != ITEM or length == UNDEFINED:
            return None
        at += length
    raise UnreadableHeader("D-BOMB")


def _behind(judge: Judge, file: BinaryIO | Bounded, at: int | None, size: int, *, implicit: bool, little: bool) -> None:
    """Look at what is behind the pixel data: elements, zeros, or what cannot be read."""
    judge.pixels()
    if at is None or size - at > LARGEST_HEADER:
        judge.unreadable_behind()
        return
    if at >= size:
        return
    file.seek(at)
    rest = file.read(size - at)
    if not rest.strip(b"\0"):
        return
    try:
        if not implicit and little and every_element(rest, 0, _visit(judge, rest)) == len(rest):
            return
    except (Odd, Short):
        pass
    except TooMuch:
        raise UnreadableHeader("D-BOMB") from None
    bounded = Bounded(io.BytesIO(rest))
    try:
        with coded(bounded):
            dataset = read_dataset(bounded, implicit, little, stop_when=_is_pixels)  # type: ignore[arg-type]
            read = Foreign({}, dataset, bounded, len(rest))
            if foreign_pixels(read) is None:
                each_element(judge, dataset, bounded, 0)
                return
    except UnreadableHeader as trouble:
        if trouble.code == "D-BOMB":
            raise
    judge.unreadable_behind()


def _is_pixels(tag: int, _vr: str | None, _length: int) -> bool:
    return tag in PIXELS


# -------------------------------------------------------------------------------------------------------- by pydicom


def _by_pydicom(rules: Rules, file: BinaryIO, data: bytes, size: int) -> Judge:
    """Walk what is not the plain case."""
    judge = Judge(rules)
    with foreign(file, data, size, _META_GROUP, defer=None) as read:
        meta = read.file_meta
        judge.meta(dict(read.meta) if meta is None else {int(one.tag): _bytes(one) for one in meta.elements()})
        pixels = foreign_pixels(read)
        each_element(judge, read.dataset, read.file, 0)
        if not read.whole:
            raise UnreadableHeader("D-TRUNC" if read.end < LARGEST_HEADER else "D-BOMB")
        if pixels is not None:
            end = _end_of_pixels(read.file, pixels, read.end, little=read.little)
            _behind(judge, read.file, end, read.end, implicit=read.implicit, little=read.little)
        if read.rest.strip(b"\0"):
            judge.unreadable_behind()
    return judge


class Listener(Protocol):
    """Is told each element, in order; a sequence as one without a value, then each of its items as ``ITEM``, one deeper."""

    def element(self, tag: int, vr: bytes, value: bytes, depth: int) -> None:
        """Take one element."""


def each_element(judge: Listener, dataset: Dataset, file: Bounded, depth: int) -> None:
    """Tell the elements of a data set and of the sequences in it.

    Raises:
        UnreadableHeader: it is deeper than any real one.
    """
    if depth > DEEPEST:
        raise UnreadableHeader("D-BOMB")
    for element in dataset.elements():
        tag = int(element.tag)
        vr = _vr(element)
        items = _items(element, vr, file)
        if items is None:
            judge.element(tag, vr.encode(), _bytes(element), depth)
            continue
        judge.element(tag, b"SQ", b"", depth)
        for item in items:
            judge.element(ITEM, b"", b"", depth + 1)
            each_element(judge, item, file, depth + 1)


def _vr(element: DataElement | RawDataElement) -> str:
    """Give the VR of an element, from the dictionary where the file gives none."""
    if element.VR not in (None, "UN"):
        return str(element.VR)
    try:
        return dictionary_VR(element.tag)
    except KeyError:
        return "UN"


def _items(element: DataElement | RawDataElement, vr: str, file: Bounded) -> Iterable[Dataset] | None:
    """Give the items of a sequence, also of one that its VR does not show; ``None`` for all else."""
    if not isinstance(element, RawDataElement):
        return element.value if vr == "SQ" else None
    value = element.value or b""
    if vr != "SQ" and not (vr == "UN" and value[:4] in _ITEM_HEADS):
        return None
    if not value:
        return []
    within = file.within(value)
    try:
        return read_sequence(within, element.is_implicit_VR, element.is_little_endian, len(value), "iso8859")  # type: ignore[arg-type]
    except Exception:
        if vr == "SQ" or file.exhausted:
            raise
        return None  # its value counts as one


def _bytes(element: DataElement | RawDataElement) -> bytes:
    """Give the bytes of a value."""
    if isinstance(element, RawDataElement):
        return element.value or b""
    several = isinstance(element.value, MultiValue | list)
    return "\\".join(str(each) for each in (element.value if several else [element.value or ""])).encode("utf-8", "replace")

"""The header of a DICOM file: the elements that its verdict needs, without a look at its pixels.

The plain case is read from the bytes (``silo_node.dicom.elements`` and ``implicit_elements``), all else by pydicom, without
conversion of values; the same values come out both ways. Nothing that pydicom raises or warns of leaves this module: its words
hold values.

    64 KiB ──> meta group ──> elements in order, up to the pixel data     (little endian, explicit or implicit)
                    └───────> pydicom, with a limit of reads              (big endian, deflated, odd)
"""

from __future__ import annotations

import io
import logging
import os
import struct
import warnings
import zlib
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import BinaryIO, Final, Literal, TypeAlias, cast

from pydicom import dcmread
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_dataset
from pydicom.multival import MultiValue

from silo_node.dicom import implicit_elements
from silo_node.dicom.dummies import holds
from silo_node.dicom.elements import (
    ITEMS,
    LARGEST_VALUE,
    PADDED,
    PIXELS,
    UNDEFINED,
    Odd,
    Short,
    TooMuch,
    Visit,
    every_element,
    length_at,
    top_level,
)
from silo_node.dicom.tags import CHARACTER_SET, HEADER_TAGS, MEDIA_CLASS, SEQUENCES, SOURCE_TITLE, TRANSFER_SYNTAX
from wardround.contract import dicom_dictionary

FIRST_READ: Final = 64 * 1024
"""Bytes that are read of a file at first: most headers are shorter."""

LARGEST_HEADER: Final = 64 * 1024 * 1024
"""Bytes before the pixel data that are read at most; enhanced objects of thousands of frames need some megabytes."""

MOST_READS: Final = 250_000
"""How often pydicom may read from one file: it reads twice an element, and a header of 100,000 elements is none."""

IMPLICIT, BIG_ENDIAN, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
PADDING: Final = b" \0"
META_TAGS: Final = frozenset(tag for tag in HEADER_TAGS if tag >> 16 == 2)  # noqa: PLR2004  (group 2: PS3.10 7.1)
DATA_TAGS: Final = HEADER_TAGS - META_TAGS
REPEATED_GROUPS: Final = frozenset({0x50, 0x60})
"""Curves and overlays, by the first two digits of their groups."""
READ_AT_ONCE: Final = frozenset({MEDIA_CLASS, TRANSFER_SYNTAX, SOURCE_TITLE, CHARACTER_SET})
"""Elements that pydicom converts while it reads, or may; their padding is then gone."""
PREAMBLE: Final = 132
"""Bytes before the first element: 128 that mean nothing, and ``DICM``."""

Trouble: TypeAlias = Literal["D-NOTDICOM", "D-TRUNC", "D-BOMB", "D-HEADER"]
"""Why a header cannot be read: no DICOM file, ended too early, too much in it, not in the form that it declares."""


class UnreadableHeader(Exception):
    """A header cannot be read; ``code`` says why, and nothing says what stands there."""

    def __init__(self, code: Trouble) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class PixelPlace:
    """Where the pixel data lies.

    Attributes:
        at: where its value begins; in a deflated file, after inflation.
        length: of its value in bytes; ``None`` where it is encapsulated in fragments.
    """

    at: int
    length: int | None


@dataclass(frozen=True, slots=True)
class Header:
    """What stands in a header.

    Attributes:
        syntax: the transfer syntax's UID; empty where the file names none.
        values: by tag, the bytes of the elements of ``HEADER_TAGS`` that are there; ``ITEMS`` for a sequence that has some.
        little: whether numbers in ``values`` are little endian.
        pixels: where the pixel data is; ``None`` where the file has none.
        size: of the file in bytes.
        present: what has a value, of the data set up to the pixel data, and not within sequences; see ``known``.
    """

    syntax: str
    values: Mapping[int, bytes]
    little: bool
    pixels: PixelPlace | None
    size: int
    present: frozenset[int] = frozenset()


@cache
def _dictionary() -> frozenset[int]:
    return frozenset(each.number for each in dicom_dictionary.elements().values())


@lru_cache(maxsize=64)  # files of a series mostly have the same
def known(tags: frozenset[int]) -> frozenset[int]:
    """Give those of some tags that the data dictionary has; those of repeating groups as of the first group: ``60003000``.

    Private ones and unheard-of ones are left out: a file makes up as many as it likes, and no contract can name them.
    """
    found = _dictionary() & tags
    repeated = {tag & 0xFF00FFFF for tag in tags - found if tag >> 24 in REPEATED_GROUPS}
    return found | (_dictionary() & repeated) if repeated else found


def read_header(path: Path) -> Header:
    """Read a file's header.

    Raises:
        UnreadableHeader: it cannot be read.
        OSError: the file cannot.
    """
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        data = file.read(FIRST_READ)
        while True:
            try:
                return _plain(data, size)
            except Short:
                if len(data) >= min(size, LARGEST_HEADER):
                    break
            except Odd:
                break
            except TooMuch:
                raise UnreadableHeader("D-BOMB") from None
            data += file.read(15 * len(data))
        return _by_pydicom(file, data, size)


def _plain(data: bytes, size: int) -> Header:
    """Read the plain case from the beginning of a file."""
    found: dict[int, bytes] = {}
    present: set[int] = set()
    at, syntax = plain_start(data, META_TAGS, found)
    if syntax == IMPLICIT:
        at = implicit_elements.top_level(data, at, DATA_TAGS, found, present)
    else:
        at = top_level(data, at, DATA_TAGS, found, present=present)
    if at == len(data) < size:
        raise Short
    for tag in READ_AT_ONCE.intersection(found):
        found[tag] = converted(found[tag])
    pixels = plain_pixels(data, at, size, syntax)
    return Header(syntax, found, little=True, pixels=pixels, size=size, present=known(frozenset(present)))


def converted(value: bytes) -> bytes:
    """Give a text that pydicom converts at once as it has it then: without its padding.

    Raises:
        Odd: it may fail to.
    """
    text = value.rstrip(PADDING)
    if not text.isascii() or not text.decode("ascii").isprintable():
        raise Odd
    return text


def plain_start(data: bytes, wanted: Container[int], found: dict[int, bytes]) -> tuple[int, str]:
    """Read the elements of group 2; give where the data set begins, and the UID of its transfer syntax.

    Raises:
        UnreadableHeader: this is no DICOM file.
        Odd: it is not the plain case.
        Short: there is more of them.
    """
    if data[PREAMBLE - 4 : PREAMBLE] != b"DICM":
        raise UnreadableHeader("D-NOTDICOM")
    at = top_level(data, PREAMBLE, wanted, found, group=2)
    value = found.get(TRANSFER_SYNTAX, b"")
    syntax = text_of(value)
    if syntax in ("", BIG_ENDIAN, DEFLATED) or data[at : at + 2] == b"\0\0":
        raise Odd
    if syntax == IMPLICIT and not value.startswith(IMPLICIT.encode()):
        raise Odd
    return at, syntax


def plain_elements(data: bytes, at: int, syntax: str, visit: Visit) -> int:
    """Visit every element of a data set from a place on; see ``silo_node.dicom.elements.every_element``."""
    return (implicit_elements.every_element if syntax == IMPLICIT else every_element)(data, at, visit)


def plain_pixels(data: bytes, at: int, size: int, syntax: str) -> PixelPlace | None:
    """Give where the pixel data is whose element begins at a place.

    Raises:
        Odd: it is not the plain case.
        Short: there is more of it.
    """
    if at == size:
        return None
    if syntax == IMPLICIT:
        length = length_at(data, at + 4)
        return PixelPlace(at + 8, None if length == UNDEFINED else length)
    if data[at + 4 : at + 6] not in (b"OB", b"OW", b"OF", b"OD", b"UN"):
        raise Odd
    if at + 12 > len(data):
        raise Short
    length = length_at(data, at + 8)
    return PixelPlace(at + 12, None if length == UNDEFINED else length)


def text_of(value: bytes) -> str:
    """Give a value as text, without the padding of PS3.5 6.2; bytes outside ASCII are replaced."""
    return value.decode("ascii", "replace").strip(" \0")


# -------------------------------------------------------------------------------------------------------- by pydicom


logging.getLogger("pydicom").addHandler(logging.NullHandler())
logging.getLogger("pydicom").propagate = False  # it logs what it warns of, values included


@dataclass(slots=True)
class _Budget:
    """How often, and how many bytes, may still be read of one file."""

    reads: int = MOST_READS
    size: int = 4 * LARGEST_HEADER


class Bounded(io.RawIOBase):
    """A file that can be read so often only: a file of millions of empty elements would keep pydicom busy for minutes."""

    def __init__(self, file: BinaryIO, budget: _Budget | None = None) -> None:
        self._file = file
        self._budget = budget or _Budget()
        self.name = ""

    @property
    def exhausted(self) -> bool:
        """Whether too much has been read of it."""
        return self._budget.reads <= 0 or self._budget.size <= 0

    def within(self, value: bytes) -> Bounded:
        """Give a part of this file as a file, bounded together with it."""
        return Bounded(io.BytesIO(value), self._budget)

    def read(self, size: int = -1) -> bytes:
        """Read, unless too much has been read; never more at once than a header may be long.

        Raises:
            OSError: too much has been read, or all is asked for: so pydicom inflates what is deflated, whatever comes out.
        """
        self._budget.reads -= 1
        if self.exhausted or size < 0:
            raise OSError
        data = self._file.read(min(size, LARGEST_HEADER))
        self._budget.size -= len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Give the place."""
        return self._file.tell()


@dataclass(frozen=True, slots=True)
class Foreign:
    """A file as pydicom reads it.

    Attributes:
        meta: bytes of the wanted elements of its group 2, as far as that is plain.
        dataset: its elements up to the pixel data.
        file: where that was read from: the file, or what a deflated one holds.
        end: how long that is.
        whole: whether that is all there is; of a deflated file only so much is inflated.
        rest: what follows the deflated part of the file; not the checksum and length by which zip programs end it.
    """

    meta: Mapping[int, bytes]
    dataset: Dataset
    file: Bounded
    end: int
    whole: bool = True
    rest: bytes = b""

    @property
    def file_meta(self) -> Dataset | None:
        """Group 2 as pydicom read it; ``None`` where it did not."""
        return getattr(self.dataset, "file_meta", None)

    @property
    def implicit(self) -> bool:
        """Whether elements have no VR: as they were read, which is not always what the file declares."""
        declared = bool(self.dataset.original_encoding[0])
        read = (each for each in self.dataset.elements() if isinstance(each, RawDataElement) and each.tag.group)
        return next((each.is_implicit_VR for each in read), declared)

    @property
    def little(self) -> bool:
        """Whether numbers are little endian."""
        return bool(self.dataset.original_encoding[1])


@contextmanager
def foreign(file: BinaryIO, data: bytes, size: int, meta: Container[int], *, defer: int | None) -> Iterator[Foreign]:
    """Read a file by pydicom; what pydicom raises within the context gets a code.

    Args:
        file: the file.
        data: its first bytes.
        size: its size in bytes.
        meta: the elements of group 2 that are wanted.
        defer: values longer than this are left out.

    Raises:
        UnreadableHeader: it cannot be read.
    """
    if data[PREAMBLE - 4 : PREAMBLE] != b"DICM":
        raise UnreadableHeader("D-NOTDICOM")
    found: dict[int, bytes] = {}
    try:
        start = top_level(data, PREAMBLE, meta, found, group=2)
    except (Odd, Short):
        start = 0
    if start and text_of(found.get(TRANSFER_SYNTAX, b"")) == DEFLATED:
        file.seek(start)
        inflator = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            inflated = inflator.decompress(file.read(LARGEST_HEADER), LARGEST_HEADER)
        except zlib.error:
            raise UnreadableHeader("D-HEADER") from None
        bounded = Bounded(io.BytesIO(inflated))
        with coded(bounded):
            dataset = read_dataset(
                bounded,  # type: ignore[arg-type]
                is_implicit_VR=False,
                is_little_endian=True,
                stop_when=lambda tag, _vr, _length: int(tag) in PIXELS,
                defer_size=defer,
            )
            rest = inflator.unused_data.removeprefix(struct.pack("<LL", zlib.crc32(inflated), len(inflated)))
            yield Foreign(found, dataset, bounded, len(inflated), inflator.eof, rest)
        return
    bounded = Bounded(file)
    with coded(bounded):
        yield Foreign(found, _read(bounded, data, size, defer), bounded, size)


def _read(file: Bounded, data: bytes, size: int, defer: int | None) -> FileDataset:
    """Read a file up to its pixel data: from its first bytes in memory, if they reach so far; else from the file itself.

    So few bytes need no bound, unless they would be inflated, and reading them is twice as quick.
    """
    if len(data) <= FIRST_READ and DEFLATED.encode() not in data:
        first = io.BytesIO(data)
        with suppress(Exception):
            dataset = dcmread(first, stop_before_pixels=True, defer_size=defer)
            if first.tell() < len(data) or first.tell() == size:
                file.seek(first.tell())
                return dataset
    file.seek(0)
    return dcmread(file, stop_before_pixels=True, defer_size=defer)


def _by_pydicom(file: BinaryIO, data: bytes, size: int) -> Header:
    """Read what is not the plain case."""
    with foreign(file, data, size, META_TAGS, defer=LARGEST_VALUE) as read:
        pixels = foreign_pixels(read)
        meta = dict(read.meta) if read.file_meta is None else _values(read.file_meta, META_TAGS)
        values = meta | _values(read.dataset, DATA_TAGS)
        return Header(
            syntax=text_of(values.get(TRANSFER_SYNTAX, b"")),
            values=values,
            little=read.little,
            pixels=pixels,
            size=size,
            present=known(frozenset(tag for element in read.dataset.elements() if (tag := _with_value(element)) is not None)),
        )


def _with_value(element: DataElement | RawDataElement) -> int | None:
    """Give the tag of an element that has a value."""
    tag = int(element.tag)
    if not isinstance(element, RawDataElement):  # converted while it was read: a sequence, a character set, Pixel Representation
        value = element.value.strip(" \0") if isinstance(element.value, str) else element.value
        is_there = bool(value) or isinstance(value, int)
    elif element.value is None:  # too long to be kept, or none
        is_there = bool(element.length)
    else:
        is_there = bool(element.value) and (element.value[0] > PADDED or holds(_representation(element), element.value))
    return tag if is_there else None


def _representation(element: RawDataElement) -> bytes:
    return element.VR.encode() if element.VR is not None else implicit_elements.representation(int(element.tag))


@contextmanager
def coded(bounded: Bounded) -> Iterator[None]:
    """Turn whatever pydicom raises into a code, by its type alone, and say none of its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except UnreadableHeader:
            raise
        except (RecursionError, MemoryError, TooMuch):
            raise UnreadableHeader("D-BOMB") from None
        except InvalidDicomError:
            raise UnreadableHeader("D-NOTDICOM") from None
        except Exception:  # noqa: BLE001  (pydicom raises almost anything on damaged files)
            raise UnreadableHeader("D-BOMB" if bounded.exhausted else "D-HEADER") from None


def _values(dataset: Dataset, wanted: frozenset[int]) -> dict[int, bytes]:
    """Give the bytes of the wanted elements of a data set, as pydicom read them."""
    values: dict[int, bytes] = {}
    for tag in wanted:
        if tag not in dataset:
            continue
        element = cast("DataElement | RawDataElement", dataset.get_item(tag, keep_deferred=True))
        if tag in READ_AT_ONCE and not isinstance(element, RawDataElement):
            texts = element.value if isinstance(element.value, MultiValue | list) else [element.value or ""]
            values[tag] = "\\".join(str(text) for text in texts).encode("ascii", "replace")
        elif not isinstance(element, RawDataElement):  # a sequence of undefined length
            values[tag] = ITEMS if element.value else b""
        elif element.value is None:
            if element.length:
                raise UnreadableHeader("D-HEADER")
            values[tag] = b""
        else:
            is_sequence = tag in SEQUENCES
            values[tag] = (ITEMS if element.value else b"") if is_sequence else bytes(element.value)
        if tag in READ_AT_ONCE:
            values[tag] = values[tag].rstrip(PADDING)
    return values


def foreign_pixels(read: Foreign) -> PixelPlace | None:
    """Look at the element at which pydicom stopped.

    Raises:
        UnreadableHeader: it is none of pixel data, or the file ended before.
    """
    parts = [read.dataset, *([read.file_meta] if read.file_meta is not None else [])]
    elements = [
        cast("DataElement | RawDataElement", part.get_item(tag, keep_deferred=True))
        for part in parts
        for tag in list(part.keys())
    ]
    raw = [element for element in elements if isinstance(element, RawDataElement)]
    if any(element.length != UNDEFINED and element.value_tell + element.length > read.end for element in raw):
        raise UnreadableHeader("D-TRUNC")
    at = read.file.tell()
    if at >= read.end:
        return None
    head = read.file.read(12)
    order = "<" if read.little else ">"
    try:
        high, low = struct.Struct(f"{order}HH").unpack_from(head)
        (length,) = struct.Struct(f"{order}L").unpack_from(head, 4 if read.implicit else 8)
    except struct.error:
        raise UnreadableHeader("D-TRUNC") from None
    if high << 16 | low not in PIXELS:
        raise UnreadableHeader("D-HEADER")
    return PixelPlace(at + (8 if read.implicit else 12), None if length == UNDEFINED else length)

"""The header of a DICOM file: the elements that its verdict needs, without a look at its pixels.

The plain case is read from the bytes (``silo_node.dicom.elements``), all else by pydicom, without conversion of values; the
same values come out both ways. Nothing that pydicom raises or warns of leaves this module: its words hold values.

    64 KiB ──> meta group ──> elements in order, up to the pixel data     (explicit little endian: 95 % of what scanners write)
                    └───────> pydicom, with a limit of reads              (implicit, big endian, deflated, odd)
"""

from __future__ import annotations

import io
import logging
import os
import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Literal, TypeAlias

from pydicom import dcmread
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_dataset
from pydicom.multival import MultiValue

from silo_node.dicom.elements import ITEMS, LARGEST_VALUE, PIXELS, UNDEFINED, Odd, Short, length_at, top_level
from silo_node.dicom.tags import CHARACTER_SET, HEADER_TAGS, MEDIA_CLASS, SEQUENCES, SOURCE_TITLE, TRANSFER_SYNTAX

FIRST_READ: Final = 64 * 1024
"""Bytes that are read of a file at first: most headers are shorter."""

LARGEST_HEADER: Final = 64 * 1024 * 1024
"""Bytes before the pixel data that are read at most; enhanced objects of thousands of frames need some megabytes."""

MOST_READS: Final = 400_000
"""How often pydicom may read from one file: it reads twice an element, and a header of 100,000 elements is none."""

IMPLICIT, BIG_ENDIAN, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
PADDING: Final = b" \0"
READ_AT_ONCE: Final = frozenset({MEDIA_CLASS, TRANSFER_SYNTAX, SOURCE_TITLE, CHARACTER_SET})
"""Elements that pydicom converts while it reads, or may; their padding is then gone."""
PREAMBLE: Final = 132
"""Bytes of a file before its first element: 128 that mean nothing, and ``DICM`` (PS3.10 7.1)."""

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
    """

    syntax: str
    values: Mapping[int, bytes]
    little: bool
    pixels: PixelPlace | None
    size: int


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
            data += file.read(15 * len(data))
        return _by_pydicom(file, data, size)


def _plain(data: bytes, size: int) -> Header:
    """Read the plain case from the beginning of a file."""
    if data[PREAMBLE - 4 : PREAMBLE] != b"DICM":
        raise UnreadableHeader("D-NOTDICOM")
    found: dict[int, bytes] = {}
    at = top_level(data, PREAMBLE, HEADER_TAGS, found, group=2)
    syntax = text_of(found.get(TRANSFER_SYNTAX, b""))
    if syntax in ("", IMPLICIT, BIG_ENDIAN, DEFLATED) or data[at : at + 2] == b"\0\0":
        raise Odd
    at = top_level(data, at, HEADER_TAGS, found)
    if at == len(data) < size:
        raise Short
    for tag in READ_AT_ONCE.intersection(found):
        if not found[tag].isascii():
            raise Odd
        found[tag] = found[tag].rstrip(PADDING)
    return Header(syntax, found, little=True, pixels=_pixels(data, at, size), size=size)


def _pixels(data: bytes, at: int, size: int) -> PixelPlace | None:
    if at == size:
        return None
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


class _Bounded(io.RawIOBase):
    """A file that can be read so often only: a file of millions of empty elements would keep pydicom busy for minutes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = MOST_READS
        self.name = ""

    @property
    def exhausted(self) -> bool:
        """Whether it has been read too often."""
        return self._left <= 0

    def read(self, size: int = -1) -> bytes:
        """Read, unless that has been done too often; never more at once than a header may be long."""
        self._left -= 1
        if self._left <= 0:
            raise OSError
        return self._file.read(min(size, LARGEST_HEADER) if size >= 0 else LARGEST_HEADER)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Give the place."""
        return self._file.tell()


def _by_pydicom(file: BinaryIO, data: bytes, size: int) -> Header:
    """Read what is not the plain case."""
    found: dict[int, bytes] = {}
    try:
        start = top_level(data, PREAMBLE, HEADER_TAGS, found, group=2)
    except (Odd, Short):
        start = 0
    if start and text_of(found.get(TRANSFER_SYNTAX, b"")) == DEFLATED:
        return _deflated(file, start, found, size)
    file.seek(0)
    bounded = _Bounded(file)
    with _coded(bounded):
        dataset = dcmread(bounded, stop_before_pixels=True, defer_size=LARGEST_VALUE)
        _whole(dataset.file_meta, size)
        values = _values(dataset.file_meta) | _values(dataset)
        return _header(dataset, values, bounded, size)


def _deflated(file: BinaryIO, start: int, meta: dict[int, bytes], size: int) -> Header:
    """Read a deflated data set, of which only so much is inflated as a header may be long."""
    file.seek(start)
    try:
        inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(file.read(LARGEST_HEADER), LARGEST_HEADER)
    except zlib.error:
        raise UnreadableHeader("D-HEADER") from None
    bounded = _Bounded(io.BytesIO(inflated))
    with _coded(bounded):
        dataset = read_dataset(
            bounded,  # type: ignore[arg-type]
            is_implicit_VR=False,
            is_little_endian=True,
            stop_when=lambda tag, _vr, _length: int(tag) in PIXELS,
            defer_size=LARGEST_VALUE,
        )
        return _header(dataset, meta | _values(dataset), bounded, len(inflated), size)


@contextmanager
def _coded(bounded: _Bounded) -> Iterator[None]:
    """Turn whatever pydicom raises into a code, by its type alone, and say none of its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except UnreadableHeader:
            raise
        except (RecursionError, MemoryError):
            raise UnreadableHeader("D-BOMB") from None
        except InvalidDicomError:
            raise UnreadableHeader("D-NOTDICOM") from None
        except Exception:  # noqa: BLE001  (pydicom raises almost anything on damaged files)
            raise UnreadableHeader("D-BOMB" if bounded.exhausted else "D-HEADER") from None


def _values(dataset: Dataset) -> dict[int, bytes]:
    """Give the bytes of the wanted elements of a data set, as pydicom read them."""
    values: dict[int, bytes] = {}
    for tag in HEADER_TAGS:
        if tag not in dataset:
            continue
        element: RawDataElement | DataElement = dataset.get_item(tag)
        if tag in READ_AT_ONCE and not isinstance(element, RawDataElement):
            given = element.value
            texts = given if isinstance(given, MultiValue | list) else [given or ""]
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


def _whole(dataset: Dataset, end: int) -> None:
    """Refuse elements that run past the end: pydicom gives what there is of them."""
    for element in dataset.elements():
        if isinstance(element, RawDataElement):
            length = 0 if element.length == UNDEFINED else element.length
            if element.value_tell + length > end:
                raise UnreadableHeader("D-TRUNC")


def _header(dataset: Dataset, values: dict[int, bytes], bounded: _Bounded, end: int, size: int | None = None) -> Header:
    """Make the header of what pydicom read, up to where it stopped."""
    implicit, little = dataset.original_encoding
    _whole(dataset, end)
    at = bounded.tell()
    return Header(
        syntax=text_of(values.get(TRANSFER_SYNTAX, b"")),
        values=values,
        little=bool(little),
        pixels=_pixel_place(bounded, at, end, implicit=bool(implicit), little=bool(little)),
        size=end if size is None else size,
    )


def _pixel_place(file: _Bounded, at: int, end: int, *, implicit: bool, little: bool) -> PixelPlace | None:
    """Look at the element at which pydicom stopped."""
    if at >= end:
        return None
    head = file.read(12)
    order = "<" if little else ">"
    try:
        high, low = struct.Struct(f"{order}HH").unpack_from(head)
        (length,) = struct.Struct(f"{order}L").unpack_from(head, 4 if implicit else 8)
    except struct.error:
        raise UnreadableHeader("D-TRUNC") from None
    if high << 16 | low not in PIXELS:
        raise UnreadableHeader("D-HEADER")
    return PixelPlace(at + (8 if implicit else 12), None if length == UNDEFINED else length)

"""Writes DICOM files byte by byte, by PS3.5 and PS3.10, so that a test can write what no library would."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED = (
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.1.99",
)
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
LONG = {"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}
UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD


@dataclass(frozen=True)
class Form:
    """How elements are written."""

    syntax: str = EXPLICIT

    @property
    def order(self) -> str:
        return ">" if self.syntax == BIG_ENDIAN else "<"

    def tag(self, tag: int, length: int) -> bytes:
        """A tag and a length without a VR: of implicit elements and of delimiters."""
        return struct.pack(f"{self.order}HHL", tag >> 16, tag & 0xFFFF, length)

    def element(self, tag: int, vr: str, value: bytes = b"", length: int | None = None) -> bytes:
        """An element; a value of odd length is padded."""
        value += (b"\0" if vr in {"UI", "OB", "UN"} else b" ") * (len(value) % 2)
        length = len(value) if length is None else length
        if self.syntax == IMPLICIT:
            return self.tag(tag, length) + value
        head = struct.pack(f"{self.order}HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
        return (
            head
            + struct.pack(f"{self.order}HL" if vr in LONG else f"{self.order}H", *([0] if vr in LONG else []), length)
            + value
        )

    def sequence(self, tag: int, *items: bytes, undefined: bool = False, vr: str = "SQ") -> bytes:
        """A sequence with items, all of defined length or all of undefined."""
        if undefined:
            body = b"".join(self.tag(ITEM, UNDEFINED) + item + self.tag(ITEM_END, 0) for item in items)
            return self.element(tag, vr, body + self.tag(SEQUENCE_END, 0), UNDEFINED)
        return self.element(tag, vr, b"".join(self.tag(ITEM, len(item)) + item for item in items))

    def pixels(self, value: bytes = b"\1\2\3\4") -> bytes:
        """Pixel data that is not compressed."""
        return self.element(0x7FE00010, "OW", value)

    def fragments(self, *fragments: bytes) -> bytes:
        """Encapsulated pixel data with an empty table of offsets."""
        parts = b"".join(self.tag(ITEM, len(part)) + part for part in (b"", *fragments))
        return self.element(0x7FE00010, "OB", parts + self.tag(SEQUENCE_END, 0), UNDEFINED)

    def file(self, dataset: bytes, *, preamble: bytes = bytes(128), meta: bytes = b"", sop_class: str = CT_IMAGE) -> bytes:
        """A whole file; ``meta``: further elements of group 2."""
        plain = Form()
        group = plain.element(0x00020001, "OB", b"\0\1") + plain.element(0x00020002, "UI", sop_class.encode())
        group += plain.element(0x00020003, "UI", b"1.2.3.4.5") + plain.element(0x00020010, "UI", self.syntax.encode()) + meta
        head = preamble + b"DICM" + plain.element(0x00020000, "UL", struct.pack("<L", len(group))) + group
        if self.syntax == DEFLATED:
            deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
            dataset = deflate.compress(dataset) + deflate.flush()
        return head + dataset


def ordered(*elements: bytes) -> bytes:
    """Elements in order of their tags, for a little endian form."""
    return b"".join(sorted(elements, key=lambda element: struct.unpack_from("<HH", element)))

"""PNG and JPEG by Pillow: grey or in colour, 8 bits, PNG in grey 16 too; one picture a file, and no transparency."""

from __future__ import annotations

import struct
from typing import IO, Any, BinaryIO, Final, Literal, cast

import numpy as np
from PIL import ExifTags, Image, ImageOps

from silo_node.dicom.header import Bounded
from silo_node.dicom.volume import Volume
from silo_node.imaging.file_header import FileError, FileHeader

LARGEST_PICTURE: Final = 128 * 1024**2
"""Pixels."""

MOST_CHUNKS: Final = 50_000
"""Of a PNG file: one of 1 GiB in the usual chunks of 32 KiB has fewer."""

_HEADS: Final = {"png": b"\x89PNG\r\n\x1a\n", "jpeg": b"\xff\xd8\xff"}
_GREY: Final = frozenset({"L", "1", "I;16", "I;16B", "I"})
_TURNED: Final = frozenset({5, 6, 7, 8})
"""Orientations of EXIF by which rows become columns."""

_HARMLESS_CHUNKS: Final = frozenset(
    [b"IHDR", b"PLTE", b"IDAT", b"IEND", b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"bKGD", b"hIST", b"pHYs", b"sPLT", b"cICP"]
)
_HARMLESS_TEXTS: Final = frozenset({b"Software", b"Gamma"})
_HARMLESS_SEGMENTS: Final = {"APP0": b"JFIF\0", "APP2": b"ICC_PROFILE\0", "APP14": b"Adobe"}
"""How segments begin that say nothing but resolution, a profile of colours, and how they were transformed."""

_HARMLESS_EXIF: Final = frozenset(
    {0x0100, 0x0101, 0x0102, 0x0103, 0x0106, 0x010F, 0x0110, 0x0112, 0x0115, 0x011A, 0x011B, 0x011C, 0x0128, 0x0131, 0x013E}
    | {0x013F, 0x0211, 0x0213, 0x0214, 0x8769, 0xA005, 0x829A, 0x829D, 0x8822, 0x8827, 0x8830, 0x8832, 0x9000, 0x9101, 0x9102}
    | {0xA000, 0xA001, 0xA002, 0xA003, 0xA20E, 0xA20F, 0xA210, 0xA217, 0xA300, 0xA301, 0xA433, 0xA434, 0xA432, 0xA460}
    | set(range(0x9201, 0x920B))
    | set(range(0xA401, 0xA40D))
)
"""Elements of EXIF (CIPA DC-008) that say how a camera took a picture; not when, where, by whom, or with which camera."""


def look(file: BinaryIO, size: int, form: Literal["png", "jpeg"]) -> FileHeader:
    """Read the header of a picture.

    Raises:
        FileError: D-FORMAT, D-HEADER, D-BOMB.
    """
    return _look(file, size, form)[1]


def load(file: BinaryIO, size: int, form: Literal["png", "jpeg"]) -> Volume:
    """Read a picture.

    Raises:
        FileError: D-FORMAT, D-HEADER, D-BOMB, D-DECODE.
    """
    image, header = _look(file, size, form)
    mode = None if image.mode in _GREY - {"1"} else "L" if image.mode == "1" or header.samples == 1 else "RGB"
    pixels = _decoded(image, mode)
    return Volume(np.ascontiguousarray(pixels.astype(np.float32).swapaxes(0, 1)), np.eye(4))


def numbers(file: BinaryIO, size: int) -> Volume:
    """Read a PNG whose numbers are classes: those of a palette are its places, and one bit is 0 or 1.

    Raises:
        FileError: D-FORMAT, D-HEADER, D-BOMB, D-DECODE.
    """
    image, _header = _look(file, size, "png")
    pixels = _decoded(image, None)
    return Volume(np.ascontiguousarray(pixels.astype(np.float32).swapaxes(0, 1)), np.eye(4))


def _look(file: BinaryIO, size: int, form: Literal["png", "jpeg"]) -> tuple[Image.Image, FileHeader]:
    if not file.read(8).startswith(_HEADS[form]):
        raise FileError("D-FORMAT")
    file.seek(0)
    telling = _chunks(file, size) if form == "png" else False
    file.seek(0)
    bounded = Bounded(file)
    try:
        image = Image.open(cast("IO[bytes]", bounded), formats=[form.upper()])
        exif = image.getexif()
        orientation = exif.get(ExifTags.Base.Orientation)
        telling |= _exif_tells(exif) or (form == "jpeg" and _segments_tell(image))
        several = getattr(image, "n_frames", 1) != 1
    except Image.DecompressionBombError:
        raise FileError("D-BOMB") from None
    except Exception:  # noqa: BLE001  (Pillow raises almost anything on damaged files)
        raise FileError("D-BOMB" if bounded.exhausted else "D-HEADER") from None
    columns, rows = image.size
    if columns < 1 or rows < 1:
        raise FileError("D-HEADER")
    if columns * rows > LARGEST_PICTURE:
        raise FileError("D-BOMB")
    samples = _samples(image)
    if several or samples is None:
        raise FileError("D-FORMAT")
    if orientation in _TURNED:
        columns, rows = rows, columns
    return image, FileHeader((columns, rows), samples, f"{form} {image.mode}", None, telling)


def _samples(image: Image.Image) -> int | None:
    if "transparency" in image.info:
        return None
    if image.mode in _GREY:
        return 1
    if image.mode == "P":
        return _of_palette(image)
    return 3 if image.mode == "RGB" else None


def _of_palette(image: Image.Image) -> int:
    palette = image.getpalette() or []
    grey = all(palette[at] == palette[at + 1] == palette[at + 2] for at in range(0, len(palette) - 2, 3))
    return 1 if grey else 3


def _decoded(image: Image.Image, mode: str | None) -> np.ndarray[Any, np.dtype[Any]]:
    """Decode a picture, turned as EXIF says: ``(rows, columns)``, in colour ``(rows, columns, 3)``."""
    try:
        image.load()
        turned = ImageOps.exif_transpose(image)
        return np.asarray(turned if mode is None or turned.mode == mode else turned.convert(mode))
    except MemoryError:  # it says nothing of the file
        raise
    except Exception:  # noqa: BLE001  (as above)
        raise FileError("D-DECODE") from None


# ------------------------------------------------------------------------------------------------------------- people


def _chunks(file: BinaryIO, size: int) -> bool:
    """Go through the chunks of a PNG (ISO/IEC 15948, 5): whether one may say who, where or when.

    Raises:
        FileError: D-FORMAT of 16 bits in colour, which Pillow would cut, or of an animation; D-HEADER, D-BOMB.
    """
    at, telling = 8, False
    for _ in range(MOST_CHUNKS):
        file.seek(at)
        head = file.read(8 + 80)
        if len(head) < 8:  # noqa: PLR2004  (length and type)
            return telling
        length, kind = struct.unpack_from(">I4s", head)
        if at == 8 and (kind != b"IHDR" or length != 13 or len(head) < 21):  # noqa: PLR2004  (its length)
            raise FileError("D-HEADER")
        if kind == b"acTL" or (kind == b"IHDR" and head[16] == 16 and head[17] & 2):  # noqa: PLR2004  (bits; colours)
            raise FileError("D-FORMAT")
        if kind in (b"tEXt", b"zTXt", b"iTXt"):
            telling |= head[8 : 8 + min(length, 80)].partition(b"\0")[0] not in _HARMLESS_TEXTS
        elif kind not in _HARMLESS_CHUNKS and kind not in (b"tRNS", b"eXIf"):
            telling = True
        if kind == b"IEND":
            return telling or at + 12 + length < size
        at += 12 + length
    raise FileError("D-BOMB")


def _exif_tells(exif: Image.Exif) -> bool:
    parts = [dict(exif), exif.get_ifd(ExifTags.IFD.Exif)]
    is_telling = any(tag not in _HARMLESS_EXIF and value not in ("", b"", None) for part in parts for tag, value in part.items())
    return is_telling or bool(exif.get_ifd(ExifTags.IFD.IFD1))


def _segments_tell(image: Image.Image) -> bool:
    """Say whether a JPEG has comments, or segments of applications beside those that say how it was compressed and coloured."""
    for name, value in getattr(image, "applist", ()):
        if name == "APP1" and bytes(value).startswith(b"Exif\0"):
            continue  # looked at by itself
        harmless = _HARMLESS_SEGMENTS.get(name)
        if (harmless is None or not bytes(value).startswith(harmless)) and bytes(value).strip(b"\0 "):
            return True
    return False

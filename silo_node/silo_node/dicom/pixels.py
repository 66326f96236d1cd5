"""The pixels of a DICOM file: what can be said of them before they are decoded, and the decoding itself.

What cannot be decoded here is known from the header: by its transfer syntax and by how many bytes there are. Decoders are
those of pydicom and of its plug-ins that are installed; none is under the GPL. Whatever they raise becomes a code by its type.
"""

from __future__ import annotations

import io
import warnings
import zlib
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, ExplicitVRLittleEndian

from silo_node.dicom.elements import top_level
from silo_node.dicom.header import DEFLATED, LARGEST_HEADER, PREAMBLE
from silo_node.dicom.instance import Instance, Pixels

LARGEST_IMAGE: Final = 4 * 1024**3
"""Bytes that the pixels of one file may take when decoded."""

PHOTOMETRIC: Final = frozenset(
    ["MONOCHROME1", "MONOCHROME2", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "YBR_PARTIAL_420"]
)
"""What PS3.3 C.7.6.3.1.2 knows and is not retired, but for PALETTE COLOR: its numbers are places in a palette, and no colours."""

_BITS: Final = frozenset([1, 8, 16, 32, 64])
_NATIVE: Final = frozenset(["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"])
_EXTENDED: Final = "1.2.840.10008.1.2.4.51"
_EXTENDED_BITS: Final = 8
"""JPEG of 12 bits is decoded by nothing that is free of the GPL."""

Trouble: TypeAlias = Literal["D-NOPIXELS", "D-SYNTAX", "D-HEADER", "D-PHOTO", "D-PIXLEN", "D-TRUNC", "D-BOMB"]
"""Why pixels cannot be decoded, as far as a header tells."""


class UndecodableError(Exception):
    """Pixels that should decode do not; nothing says what stands there."""


def trouble(instance: Instance) -> Trouble | None:
    """Say why the pixels of a file cannot be decoded, as far as its header tells; ``None`` where nothing speaks against it."""
    pixels = instance.pixels
    if pixels.place is None:
        return "D-NOPIXELS"
    if not decodes(instance.syntax) or (instance.syntax == _EXTENDED and (pixels.stored or 0) > _EXTENDED_BITS):
        return "D-SYNTAX"
    needed = decoded_bytes(pixels)
    if needed is None:
        return "D-HEADER"
    if pixels.photometric not in PHOTOMETRIC:
        return "D-PHOTO"
    if needed > LARGEST_IMAGE:
        return "D-BOMB"
    return _length_trouble(instance, needed)


def _length_trouble(instance: Instance, needed: int) -> Trouble | None:
    place = instance.pixels.place
    encapsulated = instance.syntax not in _NATIVE
    if place is None or encapsulated != (place.length is None):
        return "D-PIXLEN"
    if place.length is None:
        return None
    if instance.pixels.photometric == "YBR_FULL_422":
        needed = needed // 3 * 2
    if place.length < needed:
        return "D-PIXLEN"
    if instance.syntax != DEFLATED and place.at + place.length > instance.size:
        return "D-TRUNC"
    return None


def decoded_bytes(pixels: Pixels) -> int | None:
    """Give how many bytes the pixels take when decoded; ``None`` where the header does not say it, or says nonsense."""
    sizes = (pixels.rows, pixels.columns, pixels.frames, pixels.samples)
    if any(size is None or size < 1 for size in sizes) or pixels.allocated not in _BITS or pixels.samples not in (1, 3):
        return None
    if pixels.stored is None or pixels.high is None or not pixels.high + 1 == pixels.stored <= pixels.allocated:
        return None
    bits = pixels.allocated
    for size in sizes:
        bits *= size or 0
    return -(-bits // 8)


@cache
def decodes(syntax: str) -> bool:
    """Say whether pixels in a transfer syntax, by its UID, can be decoded by what is installed here."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd ones, which it says
            return bool(get_decoder(UID(syntax)).is_available)
    except (NotImplementedError, ValueError):
        return False


def decode(path: Path, instance: Instance) -> NDArray[Any]:
    """Decode the pixels of a file: ``(rows, columns)``, of several frames ``(frames, rows, columns)``, of colour ``(..., 3)``.

    Raises:
        UndecodableError: they do not decode, whatever the reason.
        MemoryError: there is no memory for them here, which says nothing of the file.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = pixel_array(path) if instance.syntax != DEFLATED else _inflated(path, instance.pixels).pixel_array
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001  (plug-ins raise almost anything, with values in it)
            raise UndecodableError from None
    axes = 2 if instance.pixels.frames == 1 else 3
    colour = 1 if instance.pixels.samples == 3 or found.ndim > axes else 0  # noqa: PLR2004  (red, green, blue)
    if found.ndim != axes + colour or found.shape[axes - 2 : axes] != (instance.pixels.rows, instance.pixels.columns):
        raise UndecodableError
    return np.asarray(found)


def _inflated(path: Path, pixels: Pixels) -> Dataset:
    """Inflate a deflated data set, as far as its header and the pixels that it declares may go."""
    data = path.read_bytes()
    found: dict[int, bytes] = {}
    start = top_level(data, PREAMBLE, (), found, group=2)
    most = LARGEST_HEADER + (decoded_bytes(pixels) or 0)
    inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data[start:], most)
    dataset = read_dataset(io.BytesIO(inflated), is_implicit_VR=False, is_little_endian=True)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset

"""Images that are no DICOM, read without trust: NIfTI, PNG and JPEG, each named by a table, below one folder.

    name ──below the folder──> header (``look``) ──> verdict         bounded: size, reads, what it inflates to
                                └──────────────────> ``load``        float32 with an affine, as ``silo_node.dicom.volume`` has it

What a decoder would have to guess is refused by code: several frames, CMYK, transparency, colour of 16 bits, NIfTI of four
dimensions or in a pair of files. The orientation that EXIF declares is applied. Nothing that a library raises or warns of leaves
this module: its words hold values.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO, Final, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from silo_node.dicom.volume import Volume
from silo_node.imaging import nifti, pictures
from silo_node.imaging.below import NameRefusedError, open_below
from silo_node.imaging.file_header import FileError, FileHeader

Format: TypeAlias = Literal["nifti", "png", "jpeg"]

LARGEST_FILE: Final = 1024**3
"""Bytes of a file that is looked at."""

SAME_PLACE: Final = 1e-3
"""How far the affine of a mask may differ from its image's, in mm."""

Read = TypeVar("Read")


def look(folder: Path, name: str, form: Format) -> FileHeader:
    """Read what a file says of its image, and not its pixels.

    Raises:
        FileError: D-PATHNAME, D-NOFILE, D-FILE, D-FORMAT, D-HEADER, D-BOMB.
    """
    return _read(folder, name, lambda file, size: nifti.look(file, size) if form == "nifti" else pictures.look(file, size, form))


def load(folder: Path, name: str, form: Format) -> Volume:
    """Read an image: ``(columns, rows)``, in colour ``(columns, rows, 3)``, of a volume ``(columns, rows, slices)``.

    Raises:
        FileError: as ``look``, and D-DECODE.
    """
    return _read(folder, name, lambda file, size: nifti.load(file, size) if form == "nifti" else pictures.load(file, size, form))


def load_mask(
    folder: Path, name: str, form: Literal["nifti", "png"], classes: Mapping[str, str], on: FileHeader
) -> NDArray[np.uint16]:
    """Read the mask of an image: its shape but for colours, numbers of classes, 0 background, which all of it may be.

    Args:
        folder: that both lie in.
        name: of the mask.
        form: of the mask.
        classes: number to name; any other number is no class.
        on: the image that it lies on.

    Raises:
        FileError: D-MASKFILE, D-MASKFIT, D-MASKCLASS.
    """
    try:
        header = look(folder, name, form)
        pixels = _read(folder, name, pictures.numbers if form == "png" else nifti.load).array
    except FileError:
        raise FileError("D-MASKFILE") from None
    if pixels.ndim != len(header.shape):
        raise FileError("D-MASKFILE")
    if header.shape != on.shape or not _same_place(header, on):
        raise FileError("D-MASKFIT")
    if not np.isin(pixels, [0, *(int(number) for number in classes)]).all():
        raise FileError("D-MASKCLASS")
    return pixels.astype(np.uint16)


def _same_place(mask: FileHeader, image: FileHeader) -> bool:
    if mask.affine is None or image.affine is None:
        return mask.affine is image.affine
    return bool(np.abs(np.array(mask.affine) - np.array(image.affine)).max() <= SAME_PLACE)


def _read(folder: Path, name: str, read: Callable[[BinaryIO, int], Read]) -> Read:
    try:
        with warnings.catch_warnings(), open_below(folder, name) as file:
            warnings.simplefilter("ignore")
            size = file.seek(0, 2)
            file.seek(0)
            if size > LARGEST_FILE:
                raise FileError("D-BOMB")
            return read(file, size)
    except NameRefusedError:
        raise FileError("D-PATHNAME") from None
    except (FileNotFoundError, NotADirectoryError):
        raise FileError("D-NOFILE") from None
    except OSError:
        raise FileError("D-FILE") from None

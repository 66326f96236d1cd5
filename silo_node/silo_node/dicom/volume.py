"""From a stack of slices to an array with an affine: what MONAI's transforms then take.

Pixels become numbers of the modality (Hounsfield units for CT) by slope and intercept of each slice (PS3.3 C.11.1);
MONOCHROME1, where the smallest number is white, is turned over within the range of its bits (PS3.3 C.7.6.3.1.2). Axes are
column, row, slice, as in NIfTI, so that the affine gives RAS+ millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from silo_node.dicom.instance import Instance
from silo_node.dicom.pixels import UndecodableError, decode
from silo_node.dicom.series import Matrix, Stack


@dataclass(frozen=True)
class Volume:
    """Numbers in space.

    Attributes:
        array: float32; ``(columns, rows, slices)`` of a stack, ``(columns, rows)`` of one grey image, ``(columns, rows, 3)`` of
            one colour image.
        affine: ``(4, 4)``, see ``Stack``; the identity of an image that has no plane.
    """

    array: NDArray[np.float32]
    affine: Matrix


def assemble(stack: Stack, folder: Path) -> Volume:
    """Make one array of a stack that has no troubles and more than one slice.

    Raises:
        UndecodableError: a slice does not decode, or not in its declared size.
        ValueError: the stack is none.
    """
    if stack.troubles or stack.affine is None or len(stack.slices) < 2:  # noqa: PLR2004  (slices of a volume)
        msg = "no volume can be made of this stack"
        raise ValueError(msg)
    slices = [numbers(each, folder) for each in stack.slices]
    if any(each.ndim != 2 for each in slices):  # noqa: PLR2004  (axes of a grey slice)
        raise UndecodableError
    return Volume(np.stack(slices, axis=-1), stack.affine)


def image(instance: Instance, stack: Stack, folder: Path) -> Volume:
    """Make an array of one image.

    Raises:
        UndecodableError: it does not decode.
    """
    return Volume(numbers(instance, folder), affine_of(stack))


def affine_of(stack: Stack) -> Matrix:
    """Give the affine of a stack's array; the identity where it has none."""
    return np.eye(4) if stack.affine is None else stack.affine


def numbers(instance: Instance, folder: Path) -> NDArray[np.float32]:
    """Give the numbers of one image: ``(columns, rows)``, of colour ``(columns, rows, 3)``; finite ones.

    Raises:
        UndecodableError: it does not decode, or not to numbers.
    """
    pixels = decode(folder / instance.file, instance)
    slope = 1.0 if instance.slope is None else instance.slope
    intercept = 0.0 if instance.intercept is None else instance.intercept
    with np.errstate(over="ignore", invalid="ignore"):
        found = _upright(pixels, instance).astype(np.float32)
        if (slope, intercept) != (1.0, 0.0):
            found = (found.astype(np.float64) * slope + intercept).astype(np.float32)
    if not np.isfinite(found).all():
        raise UndecodableError
    return np.ascontiguousarray(found.swapaxes(0, 1))


def _upright(pixels: NDArray[Any], instance: Instance) -> NDArray[Any]:
    """Turn MONOCHROME1 over: within the range of its bits, so that all images of a scanner are turned alike."""
    if instance.pixels.photometric != "MONOCHROME1" or instance.pixels.stored is None:
        return pixels
    lowest = -(1 << (instance.pixels.stored - 1)) if instance.pixels.signed else 0
    highest = lowest + (1 << instance.pixels.stored) - 1
    return np.asarray(lowest + highest - pixels.astype(np.int64))

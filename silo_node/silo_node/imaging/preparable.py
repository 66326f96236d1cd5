"""What a study's preparation refuses of an image and its header tells: axes, colours, and its size at the study's spacing.

It is known before any pixel is prepared, so that such an image is set aside when records are checked, as any other that is not
fit, and stops no training. No torch and no MONAI: who only finds and counts images loads neither.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardround.study.images import Images
from wardround.study.transforms import CropForeground, Spacing

UNPREPARABLE = "D-PREPARE"

MOST_VOXELS = 2**28
"""Pixels or voxels of one channel that a prepared image may have: 1 GB. A spacing may ask for more of a large volume."""

_PLANE = 2


@dataclass(frozen=True)
class Grid:
    """What a header says of the array that its image becomes.

    Attributes:
        shape: ``(columns, rows)`` or ``(columns, rows, slices)``.
        colours: whether a pixel has red, green and blue.
        affine: ``(4, 4)``, as of the loaded image.
    """

    shape: tuple[int, ...]
    colours: bool
    affine: NDArray[np.float64]


def is_preparable(grid: Grid, images: Images, dimensions: int) -> bool:
    """Say whether a study's preparation takes an image, as far as its header tells.

    Where a foreground is cut out before the spacing, only the pixels tell how large it becomes.

    Args:
        grid: of the image.
        images: what the study asks.
        dimensions: of its images, 2 or 3.
    """
    if len(grid.shape) != dimensions or (grid.colours and dimensions != _PLANE):
        return False
    for each in images.preparation:
        if isinstance(each, CropForeground):
            return True
        if isinstance(each, Spacing):
            millimetres = np.linalg.norm(grid.affine[:3, :dimensions], axis=0) * grid.shape
            return not is_too_large(millimetres, each.pixdim)
    return True


def is_too_large(millimetres: Iterable[float], pixdim: Iterable[float]) -> bool:
    """Say whether an image of these lengths would have too many pixels at a spacing; how its axes are turned changes nothing."""
    return math.prod(sorted(millimetres)) / math.prod(sorted(pixdim)) > MOST_VOXELS

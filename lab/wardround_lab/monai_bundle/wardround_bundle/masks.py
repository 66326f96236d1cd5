"""Masks, brought back from the grid of the preparation to the image's own, and written.

MONAI's ``SaveImage`` is not used: in MONAI 1.6 it cannot write a volume whose slices are sagittal or coronal.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from monai.data import MetaTensor
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import map_coordinates

from .images import grid_of

HALF = 0.5
"""A voxel reaches half a voxel beyond its centre."""


class BackToImage:
    """Make a mask of the probabilities in ``pred``, on the image's own grid, under ``mask``.

    Each voxel of the image asks the prepared grid for the probabilities at its own place, linearly between voxels, and takes the
    most probable class; what lies outside of the prepared grid is background.
    """

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Draw the mask."""
        prepared = sample["image"]
        chance = np.asarray(sample["pred"].cpu().numpy())
        own, size = np.asarray(sample["own_affine"], dtype=np.float64), tuple(int(each) for each in sample["own_size"])
        axes = len(size)
        kept = [*range(axes), -1]
        from_here = np.asarray(prepared.affine.cpu().numpy(), dtype=np.float64)[kept][:, kept]
        there = np.linalg.inv(from_here) @ grid_of(own, axes)[kept][:, kept]
        drawn = np.zeros(size, np.uint16)
        for last in range(size[-1]):  # a part at a time: memory for one slice of places
            grid = np.indices((*size[:-1], 1), dtype=np.float64).reshape(axes, -1)
            grid[-1] += last
            places = there[:axes, :axes] @ grid + there[:axes, axes:]
            drawn[..., last] = _most_probable(chance, places).reshape(size[:-1])
        return {**sample, "mask": MetaTensor(drawn.astype(np.int32)[None], affine=own)}


def _most_probable(chance: NDArray[np.float32], places: NDArray[np.float64]) -> NDArray[np.intp]:
    edges = np.array(chance.shape[1:], dtype=np.float64)[:, None]
    inside = ((places >= -HALF) & (places <= edges - HALF)).all(axis=0)
    found = np.stack([map_coordinates(each, places, order=1, mode="nearest") for each in chance])
    return np.where(inside, found.argmax(axis=0), 0)


class Save:
    """Write what stands under a key: a mask as PNG or NIfTI, numbers of a class each; probabilities as NIfTI, class by class.

    Attributes:
        key: ``mask``, or ``pred`` for the probabilities, which lie on the grid of the preparation.
        output_dir: where it goes, in folders as the images are in; files that are there are replaced.
        ending: of the name, after that of the image: ``_seg.nii.gz``.
    """

    def __init__(self, key: str, output_dir: str, ending: str) -> None:
        self.key, self.output_dir, self.ending = key, Path(output_dir), ending

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Write a file; nothing is changed."""
        path = self.output_dir / f"{sample['name']}{self.ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        found = np.asarray(sample[self.key].cpu().numpy())
        if self.ending.endswith(".png"):
            Image.fromarray(found[0].astype(np.uint8).swapaxes(0, 1)).save(path)
            return sample
        grid = sample[self.key] if self.key == "mask" else sample["image"]
        numbers = found[0].astype(np.uint8) if self.key == "mask" else _classes_last(found)
        affine = np.asarray(grid.affine.cpu().numpy(), dtype=np.float64)
        nibabel.Nifti1Image(numbers, affine).to_filename(path)  # type: ignore[no-untyped-call]
        return sample


def _classes_last(chance: NDArray[np.float32]) -> NDArray[np.float32]:
    """NIfTI has its first three axes for space."""
    found = np.moveaxis(chance, 0, -1)
    return found if found.ndim == 4 else found[:, :, None]  # noqa: PLR2004  (space, classes)

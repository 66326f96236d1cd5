"""A body as a CT scanner sees it: numbers on a grid, blurred by slices of some thickness, with noise; and the truth on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from wardround_lab.phantoms.anatomy import AIR, CORTEX, FAT, MARROW, MUSCLE, ORGAN, SKIN_MM, VESSEL, Array, Body

RIND_MM: Final = 1.2
"""The hard rind of bones."""

TEXTURE_HU: Final = 5.0
"""Standard deviation of the tissue's texture."""

WITHIN_SLICE: Final = 3
"""Places along a slice's thickness that are averaged."""

LOWEST_HU, HIGHEST_HU = -1024, 3071
"""What a scanner can say in 12 bits."""

EDGE: Final = 0.35
"""How soft edges are, as a part of the pixel spacing."""


@dataclass(frozen=True)
class Grid:
    """Where a scan's numbers lie: about the middle of the body, slices from feet to head.

    Attributes:
        size: rows and columns of a slice.
        spacing: between pixels, in mm.
        slices: how many.
        step: between slices, in mm.
        thickness: of a slice, in mm; slices may overlap, or leave some out.
    """

    size: int
    spacing: float
    slices: int
    step: float
    thickness: float

    def middle(self, count: int, step: float) -> Array:
        """Give places about zero."""
        return np.asarray((np.arange(count) - (count - 1) / 2) * step, np.float64)

    @property
    def first(self) -> tuple[float, float, float]:
        """Where the first pixel of the lowest slice lies: x, y, z in mm."""
        edge = float(self.middle(self.size, self.spacing)[0])
        return edge, edge, float(self.middle(self.slices, self.step)[0])


@dataclass(frozen=True)
class Scan:
    """What a scan gives.

    Attributes:
        hounsfield: ``(slices, rows, columns)``, whole numbers.
        truth: likewise; how many lesions of the body a voxel lies in: 0 or 1.
    """

    hounsfield: NDArray[np.int16]
    truth: NDArray[np.uint8]


def scan(body: Body, grid: Grid, noise: float, random: np.random.Generator) -> Scan:
    """Scan a body.

    Args:
        body: what lies in the scanner.
        grid: where its numbers are taken.
        noise: standard deviation of a pixel in HU.
        random: the noise comes from it.
    """
    across = grid.middle(grid.size, grid.spacing)
    heights = grid.middle(grid.slices, grid.step)
    shifts = (np.arange(WITHIN_SLICE) - (WITHIN_SLICE - 1) / 2) * grid.thickness / WITHIN_SLICE
    x, y = across[np.newaxis, np.newaxis, :], across[np.newaxis, :, np.newaxis]
    z = heights[:, np.newaxis, np.newaxis]
    texture = _texture(body, across, across, heights)
    seen = np.mean([_tissue(body, x, y, z + shift, texture, grid.spacing * EDGE) for shift in shifts], axis=0)
    seen += noise * _grain(random, texture.shape)
    truth = np.zeros(texture.shape, bool)
    for lesion in body.lesions:
        truth |= lesion.shape.depth(x, y, z) > 0
    return Scan(np.rint(np.clip(seen, LOWEST_HU, HIGHEST_HU)).astype(np.int16), truth.astype(np.uint8))


def _texture(body: Body, x: Array, y: Array, z: Array) -> Array:
    """Give the tissue's texture on a grid, ``(z, y, x)``: a sum of plane waves."""
    a, b, c, phase = body.waves.T
    along_x, along_y = np.exp(1j * np.outer(a, x)), np.exp(1j * np.outer(b, y))
    along_z = np.exp(1j * (np.outer(c, z) + phase[:, np.newaxis]))
    waves = np.einsum("wz,wy->zyw", along_z, along_y) @ along_x
    return np.asarray(TEXTURE_HU * np.sqrt(2 / len(body.waves)) * waves.real)


def _tissue(body: Body, x: Array, y: Array, z: Array, texture: Array, edge: float) -> Array:
    """Give Hounsfield units at points, with soft edges."""
    found = np.full(texture.shape, AIR)

    def put(value: float | Array, depth: Array) -> None:
        """Fill a shape."""
        nonlocal found
        part = 1 / (1 + np.exp(-np.clip(depth / edge, -30, 30)))
        found = found + (value - found) * part

    skin = body.outline.depth(x, y, np.zeros_like(z))
    put(FAT + texture, skin)
    put(MUSCLE + texture, skin - SKIN_MM)
    put(ORGAN + texture, body.organ.depth(x, y, z))
    for vessel in body.vessels:
        put(VESSEL, vessel.depth(x, y, z))
    for lesion in body.lesions:
        put(ORGAN + lesion.contrast + texture, lesion.shape.depth(x, y, z))
    for bone in body.bones:
        depth = bone.depth(x, y, z)
        put(CORTEX, depth)
        put(MARROW, depth - RIND_MM)
    return found


def _grain(random: np.random.Generator, shape: tuple[int, int, int]) -> Array:
    """Draw noise of standard deviation 1 that is alike in neighbouring pixels of a slice, as reconstruction leaves it."""
    fine = random.normal(size=shape)
    smooth = fine + 0.5 * (
        np.roll(fine, 1, axis=1) + np.roll(fine, -1, axis=1) + np.roll(fine, 1, axis=2) + np.roll(fine, -1, axis=2)
    )
    return np.asarray(smooth / np.sqrt(2.0))

"""Prepared images as small pictures: a slice, grey or colour, with the outlines of its mask.

Pictures are PNG in data URIs, so that a page is one file. They show patients: a page stays in the hospital.
"""

from __future__ import annotations

import base64
import io
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE: Final = 160
"""Pixels of the longer side of a picture at least: smaller ones are enlarged, pixel by pixel."""

COLOURS: Final = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (204, 121, 167), (213, 94, 0), (0, 114, 178), (240, 228, 66))
"""Of classes, in order; told apart by colour-blind eyes too (Okabe and Ito, *Color universal design*, 2008)."""

DARKEST, BRIGHTEST = 1.0, 99.0
"""Percentiles of the values that are drawn black and white."""

Numbers: TypeAlias = NDArray[np.float32]
LabelMap: TypeAlias = NDArray[np.int64]


def middle(image: Numbers, mask: LabelMap | None) -> tuple[Numbers, LabelMap | None, int | None]:
    """Give the slice of a volume that shows most: the one with most of its mask, else the middle one; and its number.

    Args:
        image: ``(channels, columns, rows)`` or ``(channels, columns, rows, slices)``.
        mask: ``(columns, rows)`` or ``(columns, rows, slices)``.
    """
    if image.ndim == 3:  # noqa: PLR2004  (channels and a plane)
        return image, mask, None
    at = image.shape[-1] // 2
    if mask is not None and mask.any():
        at = int(np.argmax((mask > 0).sum(axis=(0, 1))))
    return image[..., at], None if mask is None else mask[..., at], at


def upright(plane: NDArray[Any], axcodes: str) -> NDArray[Any]:
    """Turn a plane of a volume as it is looked at: the patient's front is up, and the right is on the left.

    Args:
        plane: ``(..., columns, rows)``.
        axcodes: where columns and rows lead: ``RA...`` to the right and to the front.
    """
    if axcodes.startswith("R"):
        plane = plane[..., ::-1, :]
    return plane[..., ::-1] if axcodes[1:2] in ("A", "S") else plane


def picture(image: Numbers, mask: LabelMap | None = None) -> str:
    """Draw one plane as a PNG in a data URI: ``(channels, columns, rows)``, and its mask's outlines on it."""
    low, high = (float(edge) for edge in np.percentile(image, (DARKEST, BRIGHTEST)))
    grey = np.clip((image - low) / (high - low if high > low else 1.0), 0.0, 1.0) * 255
    pixels = np.repeat(grey, 3, axis=0) if grey.shape[0] == 1 else grey
    drawn = np.ascontiguousarray(pixels.transpose(2, 1, 0).round().astype(np.uint8))  # rows, columns, colours
    times = max(1, -(-SIDE // max(drawn.shape[:2])))
    drawn = drawn.repeat(times, axis=0).repeat(times, axis=1)
    if mask is not None:
        _outline(drawn, mask.T.repeat(times, axis=0).repeat(times, axis=1))
    file = io.BytesIO()
    Image.fromarray(drawn).save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _outline(drawn: NDArray[np.uint8], mask: LabelMap) -> None:
    """Colour the pixels of each class that touch another class."""
    padded = np.pad(mask, 1, mode="edge")
    centre = padded[1:-1, 1:-1]
    edge = np.zeros(mask.shape, np.bool_)
    for other in (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]):
        edge |= other != centre
    for label in np.unique(mask[mask > 0]):
        drawn[edge & (mask == label)] = colour_of(int(label))


def colour_of(label: int) -> tuple[int, int, int]:
    """Give the colour of a class; its number is 1 or more."""
    return COLOURS[(label - 1) % len(COLOURS)]

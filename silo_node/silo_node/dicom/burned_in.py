"""Whether an image looks as if text were burned in: a heuristic, cheap, and no more than a reason to look.

Devices draw text at the brightest or darkest value there is, in strokes of few pixels, on what is much darker or
brighter; a line of it crosses many strokes within a short stretch, on several rows, and ends above and below. So:

1. the pixels within a tenth of the brightest (then, inverted, of the darkest), if they are no large part of the image;
2. without those in blobs of 7×7 pixels and more, and what is around them: bone, metal, the image's frame;
3. the left edges of what is left, where two pixels further left is darker than half of that level;
4. is there a stretch of 64 pixels with at least 5 such edges on 5 to 40 rows, one below the other?

What it misses: text in grey or on bright ground, large letters (their strokes are blobs), one or two letters.
The figures on real files and on text written into them are in ``tests/silo_node/dicom/test_burned_in.py``.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

LEVELS: Final = (1.0, 0.9)
"""Shares of the range of values from which on a pixel counts as bright."""

MOST_BRIGHT: Final = 0.15
"""Share of the image that text covers at most."""

FEWEST_PIXELS: Final = 40
"""Bright pixels in a line of text at least."""

BLOB: Final = 7
"""Pixels across which no stroke of text is."""

STRETCH: Final = 64
"""Pixels of a stretch of a line."""

EDGES: Final = 5
"""Strokes in a stretch at least."""

LOWEST: Final = 5
"""Rows of a line of text at least."""

TALLEST: Final = 40
"""Rows of a line of text at most."""

MARGIN: Final = 2
"""Pixels around a blob that are its rim."""

SMALLEST_SIDE: Final = 48
"""Rows and columns below which no text is looked for."""


def looks_like_text(pixels: NDArray[Any]) -> bool:
    """Say whether an image looks as if text were burned in.

    Args:
        pixels: one frame, (rows, columns) or (rows, columns, samples); of colours the brightest sample counts.
    """
    image = np.asarray(pixels).astype(np.float32)
    if image.ndim > 2:  # noqa: PLR2004  (rows and columns)
        image = image.max(axis=-1)
    if min(image.shape) < SMALLEST_SIDE or not np.isfinite(image).all():
        return False
    low, high = float(image.min()), float(image.max())
    if low == high:
        return False
    image = (image - low) / (high - low)
    return any(_has_line(one, level) for one in (image, 1 - image) for level in LEVELS)


def _has_line(image: NDArray[np.float32], level: float) -> bool:
    """Whether there is a line of text among the pixels of at least a level; ``image`` is from 0 to 1."""
    bright = image >= level
    if not FEWEST_PIXELS <= int(bright.sum()) <= MOST_BRIGHT * bright.size:
        return False
    bright &= ~_around_blobs(bright)
    edges = bright[:, 1:] & ~bright[:, :-1]
    dark = image < level / 2
    edges[:, 1:] &= dark[:, :-2]
    edges[:, 0] &= dark[:, 0]
    counted = np.pad(edges.astype(np.int32).cumsum(axis=1), ((0, 0), (1, 0)))
    width = min(STRETCH, edges.shape[1])
    longest = _longest_runs(counted[:, width:] - counted[:, :-width] >= EDGES)
    return bool(((longest >= LOWEST) & (longest <= TALLEST)).any())


def _around_blobs(bright: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Give the pixels of all squares that are bright throughout, and those around them."""
    whole = _sums(bright, BLOB) == BLOB * BLOB  # by where a square begins: its pixels are that one and BLOB - 1 more
    return _sums(np.pad(whole, BLOB - 1 + MARGIN), BLOB + 2 * MARGIN) > 0


def _sums(mask: NDArray[np.bool_], side: int) -> NDArray[np.int32]:
    """Count in each square of a side, by where it begins."""
    total = np.pad(mask.astype(np.int32).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    found: NDArray[np.int32] = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    return found


def _longest_runs(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Give for each column how many rows, one below the other, are set at most."""
    longest = np.zeros(mask.shape[1], dtype=np.int32)
    run = np.zeros(mask.shape[1], dtype=np.int32)
    for row in mask:
        run = np.where(row, run + 1, 0).astype(np.int32)
        np.maximum(longest, run, out=longest)
    return longest

"""Random transforms that only move pixels (mirrored, turned by quarters, cut): MONAI's draws, without what its tensors carry.

MONAI keeps with each tensor where it lies and what was done to it, and copies that at every step: a fifth of a small network's
training went there. Nothing of it is asked for after an augmentation. What is drawn, and so each bit, is what MONAI's
transforms of these names draw from the same generator; the tests hold one against the other.

A movement is drawn once and then done to image and mask alike. What is cut is not copied: a window of a large volume costs what
a window costs, but for the search for marks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch

from wardround.study import random_transforms as drawn
from wardround.study.transforms import Transform

Move: TypeAlias = Callable[[torch.Tensor], torch.Tensor]
"""From a tensor ``(channels, *spatial)`` to another, which may be a view of it."""


@dataclass(frozen=True)
class Seen:
    """What a movement has to know of its example.

    Attributes:
        shape: of the image and its mask, ``(*spatial)``.
        mask: ``(*spatial)``, 0 the background; None where there is none.
        window: of the study.
    """

    shape: tuple[int, ...]
    mask: torch.Tensor | None
    window: tuple[int, ...]


def _stay(tensor: torch.Tensor) -> torch.Tensor:
    return tensor


def _mirrored(each: drawn.RandFlip, random: np.random.RandomState, _: Seen) -> Move:
    if random.rand() >= each.probability:
        return _stay
    return lambda tensor: tensor.flip(each.spatial_axis + 1)


def _turned(each: drawn.RandRotate90, random: np.random.RandomState, _: Seen) -> Move:
    quarters = int(random.randint(each.max_k)) + 1
    if random.rand() >= each.probability:
        return _stay
    first, second = each.spatial_axes
    return lambda tensor: tensor.rot90(quarters, (first + 1, second + 1))


def _cut(_: drawn.RandSpatialCrop, random: np.random.RandomState, seen: Seen) -> Move:
    return _anywhere(random, seen)


def _cut_by_mark(each: drawn.RandCropByPosNegLabel, random: np.random.RandomState, seen: Seen) -> Move:
    """Cut around a pixel of a class, or one of the background; where all are of one kind, anywhere (MONAI warns)."""
    marks = torch.empty(0) if seen.mask is None else seen.mask.reshape(-1).nonzero()[:, 0]
    others = int(np.prod(seen.shape)) - len(marks)
    if not len(marks) or not others:
        return _anywhere(random, seen)
    if random.rand() < each.pos / (each.pos + each.neg):
        middle = int(marks[random.randint(len(marks))])
    else:
        middle = _background(marks, int(random.randint(others)))
    places = np.unravel_index(middle, seen.shape)
    starts = (
        max(min(int(place) - size // 2, length - size), 0)
        for place, size, length in zip(places, seen.window, seen.shape, strict=True)
    )
    return _part(list(starts), seen.window)


def _background(marks: torch.Tensor, number: int) -> int:
    """Give the index of a background pixel by its number among them, without a list of all: ``marks`` are few, and rise."""
    before = marks - torch.arange(len(marks))  # how many background pixels lie before each mark
    return number + int(torch.searchsorted(before, number, right=True))


def _anywhere(random: np.random.RandomState, seen: Seen) -> Move:
    room = [length - size for length, size in zip(seen.shape, seen.window, strict=True)]
    return _part([int(random.randint(0, each + 1)) if each > 0 else 0 for each in room], seen.window)


def _part(starts: Sequence[int], window: tuple[int, ...]) -> Move:
    inside = (slice(None), *(slice(start, start + size) for start, size in zip(starts, window, strict=True)))
    return lambda tensor: tensor[inside]


MOVEMENTS: dict[type[Transform], Callable[[Any, np.random.RandomState, Seen], Move]] = {
    drawn.RandFlip: _mirrored,
    drawn.RandRotate90: _turned,
    drawn.RandSpatialCrop: _cut,
    drawn.RandCropByPosNegLabel: _cut_by_mark,
}
"""What draws each movement of the allow-list."""

"""Series and the stacks of slices in them: made of what files say, never of folders, names or instance numbers.

A series may hold a localiser, two acquisitions, or images of several sizes. What can be one volume is a *stack*: images of one
series with the same size, orientation, spacing, frame of reference and kind. Its slices are sorted by their place along the
normal of their plane (PS3.3 C.7.6.2.1.1).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from silo_node.dicom.instance import Instance, Plane

DIRECTION_TOLERANCE: Final = 1e-4
"""How far the cosines of two slices may differ, or directions be from length 1 and square; scanners write six digits."""

SPACING_TOLERANCE: Final = 0.01
"""The share by which the steps between slices may differ from their median, unless the contract has another."""

SAME_PLACE: Final = 0.01
"""Slices nearer to each other than this, in mm, lie at one place."""

Trouble: TypeAlias = Literal["D-NOPLANE", "D-ORIENT", "D-DUPSLICE", "D-GAP", "D-UNEVEN", "D-TILT", "D-MULTIFRAME", "D-SIZE"]
"""Why images are no volume; see ``docs/reference/errors.md``."""

Matrix: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Stack:
    """Images that may be one volume.

    Attributes:
        slices: in order along the normal where all have a plane, else by instance number and name.
        localiser: whether they are said to be one: they are no volume, and no trouble.
        troubles: why they are no volume as they are; empty for one that is.
        missing: how many slices the gaps make, where there are some.
        step: between slices in mm, along the normal; ``None`` for a single image and where it is unknown.
        affine: ``(4, 4)``, from column, row and slice to the patient's right, front and head (RAS+) in mm; ``None`` where
            there is trouble with the plane.
    """

    slices: tuple[Instance, ...]
    localiser: bool
    troubles: tuple[Trouble, ...]
    missing: int
    step: float | None
    affine: Matrix | None


@dataclass(frozen=True)
class Series:
    """One series of one study.

    Attributes:
        study: its UID.
        series: its UID.
        stacks: the largest first.
    """

    study: str
    series: str
    stacks: tuple[Stack, ...]


def series_of(instances: Iterable[Instance], tolerance: float = SPACING_TOLERANCE) -> list[Series]:
    """Group files into series and stacks; the order of the files changes nothing.

    Args:
        instances: files with pixels.
        tolerance: the share by which steps between slices may differ from their median.
    """
    by_uid: dict[tuple[str, str], list[Instance]] = defaultdict(list)
    for each in sorted(instances, key=_stable):
        by_uid[each.study, each.series].append(each)
    return [Series(study, uid, _stacks(members, tolerance)) for (study, uid), members in sorted(by_uid.items())]


def _stable(each: Instance) -> tuple[str, str]:
    return each.sop_instance, each.file


def is_localiser(each: Instance) -> bool:
    """Say whether an image is said to be one that only shows where others were taken."""
    return "LOCALIZER" in each.image_type[2:]


def is_multiframe(each: Instance) -> bool:
    """Say whether a file holds several images, or says in functional groups where its image lies and what its numbers mean."""
    return (each.pixels.frames or 0) > 1 or each.grouped


def _stacks(members: Sequence[Instance], tolerance: float) -> tuple[Stack, ...]:
    groups: list[list[Instance]] = []
    for each in members:
        for group in groups:
            if _together(group[0], each):
                group.append(each)
                break
        else:
            groups.append([each])
    stacks = [_stack(part, tolerance) for group in groups for part in _apart(group)]
    return tuple(sorted(stacks, key=lambda stack: -len(stack.slices)))


def _together(first: Instance, other: Instance) -> bool:
    """Say whether two images of a series may be slices of one volume."""
    return _kind(first) == _kind(other) and _same_plane(first.plane, other.plane)


def _kind(each: Instance) -> tuple[object, ...]:
    pixels = each.pixels
    size = (pixels.rows, pixels.columns, pixels.frames, pixels.samples, pixels.photometric)
    return (*size, each.frame_of_reference, each.sop_class, is_localiser(each))


def _same_plane(first: Plane | None, other: Plane | None) -> bool:
    if first is None or other is None:
        return first is other
    same = [*zip(first.row, other.row, strict=True), *zip(first.column, other.column, strict=True)]
    spacing = zip(first.spacing, other.spacing, strict=True)
    return all(abs(a - b) <= DIRECTION_TOLERANCE for a, b in same) and all(abs(a - b) <= SAME_PLACE * abs(a) for a, b in spacing)


def _apart(group: list[Instance]) -> list[list[Instance]]:
    """Tell acquisitions and moments apart, where that leaves every place of each taken once."""
    if not _twice(group):
        return [group]
    for key in (_temporal, _acquisition):
        parts: dict[int | None, list[Instance]] = defaultdict(list)
        for each in group:
            parts[key(each)].append(each)
        if len(parts) > 1 and None not in parts and not any(_twice(part) for part in parts.values()):
            return [parts[number] for number in sorted(parts, key=lambda number: number or 0)]
    return [group]


def _temporal(each: Instance) -> int | None:
    return each.temporal


def _acquisition(each: Instance) -> int | None:
    return each.acquisition


def _twice(group: Sequence[Instance]) -> bool:
    """Say whether two images lie at one place."""
    planes = [each.plane for each in group if each.plane is not None]
    if len(planes) < 2:  # noqa: PLR2004  (two images)
        return False
    along = np.sort(_along(planes))
    return bool((np.diff(along) < SAME_PLACE).any())


def _normal(plane: Plane) -> Matrix:
    return np.cross(np.array(plane.row), np.array(plane.column))


def _along(planes: Sequence[Plane]) -> Matrix:
    """Give the places along the first one's normal, in mm."""
    positions = np.array([plane.position for plane in planes])
    return np.asarray(positions @ _normal(planes[0]))


def _stack(group: list[Instance], tolerance: float) -> Stack:
    planes = [each.plane for each in group if each.plane is not None]
    localiser = is_localiser(group[0])
    if any(is_multiframe(each) for each in group):
        return Stack(tuple(group), localiser, ("D-MULTIFRAME",), 0, None, None)
    if len(planes) < len(group):
        by_number = sorted(group, key=lambda each: (each.number is None, each.number or 0, each.file))
        return Stack(tuple(by_number), localiser, ("D-NOPLANE",), 0, None, None)
    if not _square(planes[0]):
        return Stack(tuple(group), localiser, ("D-ORIENT",), 0, None, None)
    along = _along(planes)
    order = np.argsort(along, kind="stable")
    slices = tuple(group[at] for at in order)
    steps = np.diff(along[order])
    troubles, missing, step = _spacing_troubles(steps, tolerance)
    positions = np.array([each.plane.position for each in slices if each.plane is not None])
    if not troubles and _tilted(positions, _normal(planes[0]), tolerance):
        troubles = ("D-TILT",)
    if step is not None and not troubles:
        step = float(along[order][-1] - along[order][0]) / (len(slices) - 1)  # the mean: what rounding did to each step is gone
    affine = _affine(planes[0], positions[0], step if step is not None else group[0].thickness or 1.0)
    return Stack(slices, localiser, troubles, missing, step, affine)


def _square(plane: Plane) -> bool:
    row, column = np.array(plane.row), np.array(plane.column)
    lengths = abs(np.linalg.norm(row) - 1) <= DIRECTION_TOLERANCE and abs(np.linalg.norm(column) - 1) <= DIRECTION_TOLERANCE
    return bool(lengths and abs(row @ column) <= DIRECTION_TOLERANCE and min(plane.spacing) > 0)


def _spacing_troubles(steps: Matrix, tolerance: float) -> tuple[tuple[Trouble, ...], int, float | None]:
    """Judge the steps between slices: what is wrong, how many are missing, and the step."""
    if not len(steps):
        return (), 0, None
    apart = steps[steps >= SAME_PLACE]
    if not len(apart):
        return ("D-DUPSLICE",), 0, None
    step = float(np.median(apart[apart <= 1.5 * apart.min()]))  # of those that are no gap
    troubles: list[Trouble] = ["D-DUPSLICE"] if len(apart) < len(steps) else []
    times = apart / step
    whole = np.rint(times)
    if (np.abs(times - whole) > tolerance * np.maximum(whole, 1)).any() or (whole < 1).any():
        return (*troubles, "D-UNEVEN"), 0, step
    missing = int((whole - 1).sum())
    if missing:
        troubles.append("D-GAP")
    return tuple(troubles), missing, step


def _tilted(positions: Matrix, normal: Matrix, tolerance: float) -> bool:
    """Say whether the slices are not stacked along their normal: a tilted gantry, another shear, or a slice that lies aside."""
    way = positions[-1] - positions[0]
    along = float(way @ normal)
    if not along:
        return False
    sheared = float(np.linalg.norm(way - along * normal)) > tolerance * abs(along)
    on_line = positions[0] + np.outer((positions - positions[0]) @ normal / along, way)
    aside = float(np.linalg.norm(positions - on_line, axis=1).max())
    return sheared or aside > max(tolerance * abs(along) / (len(positions) - 1), SAME_PLACE)


def _affine(plane: Plane, first: Matrix, step: float) -> Matrix:
    """Give the way from column, row and slice to RAS+ millimetres (PS3.3 C.7.6.2.1.1, equation C.7.6.2.1-1)."""
    affine = np.eye(4)
    affine[:3, 0] = np.array(plane.row) * plane.spacing[1]
    affine[:3, 1] = np.array(plane.column) * plane.spacing[0]
    affine[:3, 2] = _normal(plane) * step
    affine[:3, 3] = first
    affine[:2] *= -1.0  # from left and back to right and front
    return affine

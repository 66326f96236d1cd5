"""How one example's predicted masks lie on the true ones: overlap, and the distances between the surfaces.

A surface is the voxels of a mask that are no longer in it after an erosion by the nearest neighbours; outside of the image is
background. The distances are Euclidean, from the centres of voxels, in mm. So do MONAI's metrics, which are the tests' oracle.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, find_objects
from scipy.spatial import KDTree

from wardround.errors import Broken
from wardround.metrics.losses import loss_units
from wardround.metrics.segmentation import DICE_UNIT, DISTANCE_LIMIT, DISTANCE_UNIT, RegionCounts, SegmentationCounts

PERCENTILE = 95
NOTHING = RegionCounts(
    present=0, matched=0, dice_units=0, intersection=0, predicted=0, true=0, distance_units=0, hausdorff_units=0
)


def count_overlaps(
    predicted: NDArray[np.integer], true: NDArray[np.integer], spacing: Sequence[float], classes: int, loss: float
) -> SegmentationCounts:
    """Count one example; the counts of several are added by ``wardround.metrics.pooled.pool``.

    Args:
        predicted: the number of each voxel's class, 0 for the background.
        true: the same of the truth.
        spacing: between the centres of neighbours, in mm, for each dimension.
        classes: how many there are besides the background.
        loss: the example's loss.

    Raises:
        Broken: when the maps are not of one shape, have other classes, or the spacing is none: all our own mistakes.
    """
    apart = np.asarray(spacing, dtype=np.float64)
    if predicted.shape != true.shape or apart.shape != (true.ndim,) or not (np.isfinite(apart) & (apart > 0)).all():
        msg = "two label maps of one shape, and the distance of voxels in each direction"
        raise Broken(msg)
    if any(labels.size and not 0 <= labels.min() <= labels.max() <= classes for labels in (predicted, true)):
        msg = "a label that is none of the classes"
        raise Broken(msg)
    return SegmentationCounts(
        records=1,
        regions=tuple(_region(predicted == number, true == number, apart) for number in range(1, classes + 1)),
        loss_units=loss_units(np.array([loss])),
    )


def _region(predicted: NDArray[np.bool_], true: NDArray[np.bool_], spacing: NDArray[np.float64]) -> RegionCounts:
    sizes = {"predicted": int(np.count_nonzero(predicted)), "true": int(np.count_nonzero(true))}
    if not any(sizes.values()):
        return NOTHING
    seen = NOTHING.model_dump() | sizes | {"present": 1}
    if not all(sizes.values()):
        return RegionCounts.model_validate(seen)
    both = int(np.count_nonzero(predicted & true))
    surfaces = _surface(predicted, spacing), _surface(true, spacing)
    there, back = _distances(*surfaces), _distances(*reversed(surfaces))
    hausdorff = max(np.percentile(there, PERCENTILE), np.percentile(back, PERCENTILE))
    return RegionCounts.model_validate(
        seen
        | {
            "matched": 1,
            "intersection": both,
            "dice_units": round(2 * both / sum(sizes.values()) / DICE_UNIT),
            "distance_units": _in_units(float(np.concatenate((there, back)).mean())),
            "hausdorff_units": _in_units(float(hausdorff)),
        }
    )


def _surface(mask: NDArray[np.bool_], spacing: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the places of a mask's surface, shape ``(n_voxels, n_dimensions)``, in mm."""
    box = find_objects(mask.astype(np.uint8))[0]
    inside = mask[box]
    found = np.argwhere(inside & ~binary_erosion(inside)) + np.array([side.start for side in box])
    return np.asarray(found * spacing, dtype=np.float64)


def _distances(here: NDArray[np.float64], there: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the distance from each place here to the nearest one there."""
    return np.asarray(KDTree(there).query(here)[0], dtype=np.float64)


def _in_units(distance: float) -> int:
    return round(min(distance, DISTANCE_LIMIT) / DISTANCE_UNIT)

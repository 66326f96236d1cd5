"""Counts of masks without images, and of classes without records."""

import numpy as np
from hypothesis import strategies as st

from wardround.metrics.classes import ClassCounts, count_classes
from wardround.metrics.segmentation import DICE_ONE, RegionCounts, SegmentationCounts

GOOD_REGION = {
    "present": 2,
    "matched": 2,
    "dice_units": DICE_ONE,
    "intersection": 15,
    "predicted": 30,
    "true": 30,
    "distance_units": 3 << 20,
    "hausdorff_units": 7 << 20,
}
"""Two examples in which both sides have the class."""
NOWHERE = RegionCounts.model_validate(dict.fromkeys(GOOD_REGION, 0))


def region(**changes: int) -> RegionCounts:
    """Give one example's overlap, both sides of which have the class; some of it changed."""
    return RegionCounts.model_validate({**GOOD_REGION, "present": 1, "matched": 1, **changes})


def _one(intersection: int, predicted: int, true: int, away: int) -> RegionCounts:
    if not (predicted and true):
        present = int(predicted + true > 0)
        return RegionCounts.model_validate({**NOWHERE.model_dump(), "present": present, "predicted": predicted, "true": true})
    both = min(intersection, predicted, true)
    return region(
        dice_units=round(2 * both * DICE_ONE / (predicted + true)),
        intersection=both,
        predicted=predicted,
        true=true,
        distance_units=away,
        hausdorff_units=2 * away,
    )


regions = st.builds(_one, st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.integers(0, 2**25))


def overlaps(records: int, *shares: float) -> SegmentationCounts:
    """Give so many examples, in each of which this share of a class's hundred voxels is right; one class for each share."""
    return SegmentationCounts(
        records=records,
        regions=tuple(
            RegionCounts(
                present=records,
                matched=records,
                dice_units=records * round(share * DICE_ONE),
                intersection=records * max(round(100 * share), 1),
                predicted=100 * records,
                true=100 * records,
                distance_units=records * round((1 - share) * (5 << 20)),
                hausdorff_units=records * round((1 - share) * (20 << 20)),
            )
            for share in shares
        ),
        loss_units=records * round((1 - sum(shares) / len(shares)) * 2**20),
    )


def guesses(records: int, classes: int, separation: float) -> ClassCounts:
    """Give so many records of these classes, whose scores lie so far apart."""
    random = np.random.default_rng(records)
    labels = np.arange(records) % classes
    logits = separation * np.eye(classes)[labels] + random.normal(size=(records, classes))
    losses = np.logaddexp.reduce(logits, axis=1) - logits[np.arange(records), labels]
    return count_classes(logits, labels, losses)

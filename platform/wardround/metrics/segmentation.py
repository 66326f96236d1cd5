"""Sufficient statistics of a segmentation: for each class of the masks, sums over examples of overlap and of surface distances.

An example counts for a class if truth or prediction has a voxel of it. Where both have, the distances between their surfaces are
defined; where one side is empty, Dice is 0 and there is no distance. The counts have no names: the classes are the study's, in
its order, which the study hash covers; the background is none of them.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from wardround.metrics.classes import MOST_CLASSES
from wardround.metrics.losses import possible
from wardround.values import Count, Value

DICE_UNIT = 2.0**-20
DICE_ONE = 2**20
"""A Dice of 1, in units."""
DISTANCE_UNIT = 2.0**-20
"""Millimetres."""
DISTANCE_LIMIT = 4096.0
"""Millimetres. A distance is counted as at most this, so that the sum of 2**20 examples fits 53 bits."""
MOST_DISTANCE_UNITS = round(DISTANCE_LIMIT / DISTANCE_UNIT)


class RegionCounts(Value):
    """Overlap of truth and prediction for one class, on some examples.

    Attributes:
        present: examples in which truth or prediction has the class.
        matched: those of them in which both have it; the distances are of these.
        dice_units: sum over examples of Dice in units of 2**-20.
        intersection, predicted, true: voxels of both, of the prediction, of the truth, over all examples.
        distance_units: sum of the average symmetric surface distance, in units of 2**-20 mm.
        hausdorff_units: sum of the 95th percentile of the Hausdorff distance, in the same units.
    """

    present: Count
    matched: Count
    dice_units: Count
    intersection: Count
    predicted: Count
    true: Count
    distance_units: Count
    hausdorff_units: Count

    @property
    def one_sided(self) -> int:
        """Examples in which truth or prediction has the class and the other has not: their distance is not defined."""
        return self.present - self.matched

    @model_validator(mode="after")
    def _possible(self) -> RegionCounts:
        both = min(self.predicted, self.true)
        held = (
            self.matched <= self.present
            and self.dice_units <= self.matched * DICE_ONE
            and self.intersection <= both
            and self.matched <= both  # each has a voxel of either
            and self.present + self.matched <= self.predicted + self.true
            and (self.present > 0 or self.predicted + self.true == 0)
            and (self.matched > 0 or self.intersection == 0)
            and (self.intersection > 0 or self.dice_units == 0)
            and max(self.distance_units, self.hausdorff_units) <= self.matched * MOST_DISTANCE_UNITS
        )
        if not held:
            msg = "overlaps that contradict each other"
            raise ValueError(msg)
        return self


class SegmentationCounts(Value):
    """Sufficient statistics of a segmentation on some examples.

    Attributes:
        records: examples, whether or not they have any class.
        regions: one for each class of the study.
        loss_units: summed loss in units of 2**-20.
    """

    records: Count
    regions: Annotated[tuple[RegionCounts, ...], Field(min_length=1, max_length=MOST_CLASSES)]
    loss_units: Count

    @model_validator(mode="after")
    def _possible(self) -> SegmentationCounts:
        if any(region.present > self.records for region in self.regions):
            msg = "a class in more examples than there are"
            raise ValueError(msg)
        possible(self.loss_units, self.records)
        return self

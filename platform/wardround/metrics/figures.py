"""Metrics as they are recorded and released: numbers, or None where the records cannot say."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from wardround.metrics.classes import MOST_CLASSES
from wardround.metrics.histograms import OperatingPoint, ReliabilityGroup
from wardround.values import Count, Value

Name = Annotated[str, Field(min_length=1, max_length=200)]
OfEach = Field(max_length=MOST_CLASSES)


class ClassMetrics(Value):
    """How well one class is told from all others.

    Attributes:
        name: the schema's; ``records``: how many records are of the class.
        sensitivity, specificity: of the class with the highest score.
    """

    name: Name
    records: Count
    auroc: float | None
    auroc_error: float | None
    average_precision: float | None
    average_precision_error: float | None
    sensitivity: float | None
    specificity: float | None
    calibration_error: float | None


class RegionMetrics(Value):
    """How well the masks of one class are found.

    Attributes:
        name: the schema's; ``examples``: in how many of them truth or prediction has the class.
        dice: mean over these examples; one with an empty side counts 0.
        pooled_dice: of the voxels of all examples together.
        surface_distance: mean over examples of the average symmetric surface distance, in mm.
        hausdorff_95: mean over examples of the 95th percentile of the Hausdorff distance, in mm.
        one_sided: examples in which one side is empty: they have no distance.
    """

    name: Name
    examples: Count
    dice: float | None
    pooled_dice: float | None
    surface_distance: float | None
    hausdorff_95: float | None
    one_sided: Count


class Metrics(Value):
    """Metrics of pooled records; None where the records cannot say, or the study's target has no such metric.

    Attributes:
        positives: of a target with two classes.
        auroc, average_precision: of several classes the mean over those that have them, each against all others; of several
            labels the mean over those that have them, as of ``loss`` and ``calibration_error``.
        accuracy: of two classes at probability one half, like ``sensitivity`` and ``specificity``.
        dice: of masks: mean over classes of the mean over examples.
        r2, rmse, mae, bias: of a number; the last three in the contract's unit, and bias is the mean of prediction less value.
        classes, regions, labels: by class, of a target with several, and of masks; by label, of several labels.
        roc, reliability, confusion: curves and table, of the pooled records of the last visits only.
    """

    records: Count
    positives: Count | None
    loss: float | None
    auroc: float | None
    auroc_error: float | None
    accuracy: float | None
    sensitivity: float | None
    specificity: float | None
    calibration_error: float | None
    average_precision: float | None = None
    average_precision_error: float | None = None
    dice: float | None = None
    r2: float | None = None
    rmse: float | None = None
    mae: float | None = None
    bias: float | None = None
    classes: Annotated[tuple[ClassMetrics, ...], OfEach] = ()
    regions: Annotated[tuple[RegionMetrics, ...], OfEach] = ()
    labels: Annotated[tuple[LabelMetrics, ...], OfEach] = ()
    roc: Annotated[tuple[OperatingPoint, ...], OfEach] = ()
    reliability: Annotated[tuple[ReliabilityGroup, ...], OfEach] = ()
    confusion: Annotated[tuple[Annotated[tuple[Count, ...], OfEach], ...], OfEach] = ()

    @property
    def main(self) -> tuple[str, float | None]:
        """The one metric for a line, with its name: Dice of masks, R² of a number, else AUROC."""
        if self.rmse is not None:
            return "R²", self.r2
        return ("Dice", self.dice) if self.regions else ("mean AUROC" if self.labels else "AUROC", self.auroc)


class LabelMetrics(Value):
    """How well one of several labels is told, as of a target with two classes.

    Attributes:
        name: the schema's field; ``metrics``: of the records of which the label is known; None where everybody withholds them.
    """

    name: Name
    metrics: Metrics | None


Metrics.model_rebuild()

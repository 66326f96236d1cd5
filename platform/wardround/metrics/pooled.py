"""Metrics of pooled records, whatever a study predicts: one of two classes, one of several, several labels, a number, or masks.

Each hospital sends counts and sums of integers: sufficient statistics, of one of five kinds. They are added over hospitals,
and the metrics of the sums are computed once. What cannot be said (no positives, say) is None, never NaN.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import TypeAlias

from wardround.canonical import Json
from wardround.errors import Broken
from wardround.metrics import histograms, regression
from wardround.metrics.classes import ClassCounts, count_classes
from wardround.metrics.figures import ClassMetrics, LabelMetrics, Metrics, RegionMetrics
from wardround.metrics.histograms import BINS, LOGIT_LIMIT, ratio
from wardround.metrics.labels import LabelCounts, count_labels, over_labels
from wardround.metrics.losses import LOSS_LIMIT, LOSS_UNIT
from wardround.metrics.regression import NumberCounts, count_numbers
from wardround.metrics.scores import ScoreCounts, count_scores
from wardround.metrics.segmentation import DICE_UNIT, DISTANCE_UNIT, RegionCounts, SegmentationCounts

__all__ = [
    "BINS",
    "LOGIT_LIMIT",
    "LOSS_LIMIT",
    "LOSS_UNIT",
    "NO_RECORDS",
    "ClassCounts",
    "Counts",
    "LabelCounts",
    "Metrics",
    "NumberCounts",
    "RegionCounts",
    "ScoreCounts",
    "SegmentationCounts",
    "count_classes",
    "count_labels",
    "count_numbers",
    "count_scores",
    "largest_number",
    "measure",
    "pool",
]

Counts: TypeAlias = ScoreCounts | ClassCounts | LabelCounts | SegmentationCounts | NumberCounts
"""Sufficient statistics; which kind it is follows from the keys, which are closed."""
Tree: TypeAlias = "int | tuple[Tree, ...] | dict[str, Tree] | None"
"""Numbers as the counts hold them; None where they are withheld."""
NO_RECORDS = ScoreCounts(positives=(0,) * BINS, negatives=(0,) * BINS, loss_units=0)
"""The counts of a target with two classes on no records."""


def pool(counts: Iterable[Counts]) -> Counts:
    """Add the counts of several hospitals.

    Raises:
        Broken: when there are none, or they are of different kinds or numbers of classes: then they are of no one study.
    """
    parts = list(counts)
    kinds = {type(each) for each in parts}
    if len(kinds) != 1:
        msg = "counts of one kind are added, and of at least one hospital"
        raise Broken(msg)
    return kinds.pop().model_validate(_add([each.model_dump() for each in parts]))


def _add(told: Sequence[Tree]) -> Tree:
    """Add numbers place by place; what somebody withholds is not added, and what everybody does stays so."""
    parts = [each for each in told if each is not None]
    if not parts:
        return None
    first = parts[0]
    if isinstance(first, dict):
        return {key: _add([each[key] for each in parts if isinstance(each, dict)]) for key in first}
    if isinstance(first, int):
        return sum(each for each in parts if isinstance(each, int))
    rows = [each for each in parts if isinstance(each, tuple)]
    if len({len(row) for row in rows}) != 1:
        msg = "counts of as many classes are added"
        raise Broken(msg)
    return tuple(_add(column) for column in zip(*rows, strict=True))


def largest_number(counts: Counts) -> int:
    """Give the largest number in some counts, of those that stand in JSON as numbers: the others are exact at any size."""
    return _largest(counts.model_dump(mode="json"))


def _largest(tree: Json) -> int:
    if isinstance(tree, int):
        return tree
    parts = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return max((_largest(each) for each in parts), default=0)


def measure(counts: Counts, classes: Sequence[str] = (), *, span: float | None = None, curves: bool = False) -> Metrics:
    """Compute the metrics of the records behind some counts.

    Args:
        counts: of one hospital, or pooled.
        classes: the study's names of the classes or labels, in its order; none for a target with two.
        span: of a number, how far apart the ends of its range are, in the contract's unit.
        curves: whether to give ROC and calibration curve, or the confusion matrix, too.

    Raises:
        Broken: when there are not as many names as classes, or the span of a number is not given.
    """
    match counts:
        case ScoreCounts():
            return _of_scores(counts, curves=curves)
        case ClassCounts():
            return _of_classes(counts, classes, curves=curves)
        case LabelCounts():
            return _of_labels(counts, classes, curves=curves)
        case NumberCounts():
            return _of_numbers(counts, span)
    return _of_masks(counts, classes)


def _of_scores(counts: ScoreCounts, *, curves: bool) -> Metrics:
    sides = counts.positives, counts.negatives
    positives, negatives = map(sum, sides)
    right = sum(counts.positives[histograms.EVEN :]) + sum(counts.negatives[: histograms.EVEN])
    at_even = histograms.operating_point(*sides)
    auroc, auroc_error = histograms.auroc(*sides)
    precision, precision_error = histograms.average_precision(*sides)
    return Metrics(
        records=positives + negatives,
        positives=positives,
        loss=ratio(counts.loss_units * LOSS_UNIT, positives + negatives),
        auroc=auroc,
        auroc_error=auroc_error,
        accuracy=ratio(right, positives + negatives),
        sensitivity=at_even.sensitivity,
        specificity=at_even.specificity,
        calibration_error=histograms.calibration_error(*sides),
        average_precision=precision,
        average_precision_error=precision_error,
        roc=histograms.roc(*sides) if curves else (),
        reliability=histograms.calibration(*sides) if curves else (),
    )


def _of_classes(counts: ClassCounts, names: Sequence[str], *, curves: bool) -> Metrics:
    _as_many(names, counts.confusion)
    records = counts.records
    found = tuple(_of_class(counts, number, name, records) for number, name in enumerate(names))
    return Metrics(
        records=records,
        positives=None,
        loss=ratio(counts.loss_units * LOSS_UNIT, records),
        auroc=_mean(each.auroc for each in found),
        auroc_error=_mean(each.auroc_error for each in found),
        accuracy=ratio(sum(row[number] for number, row in enumerate(counts.confusion)), records),
        sensitivity=None,
        specificity=None,
        calibration_error=None,
        average_precision=_mean(each.average_precision for each in found),
        average_precision_error=_mean(each.average_precision_error for each in found),
        classes=found,
        confusion=counts.confusion if curves else (),
    )


def _of_class(counts: ClassCounts, number: int, name: str, records: int) -> ClassMetrics:
    sides = counts.positives[number], counts.negatives[number]
    own, called = sum(counts.confusion[number]), sum(row[number] for row in counts.confusion)
    right = counts.confusion[number][number]
    auroc, auroc_error = histograms.auroc(*sides)
    precision, precision_error = histograms.average_precision(*sides)
    return ClassMetrics(
        name=name,
        records=own,
        auroc=auroc,
        auroc_error=auroc_error,
        average_precision=precision,
        average_precision_error=precision_error,
        sensitivity=ratio(right, own),
        specificity=ratio(records - own - (called - right), records - own),
        calibration_error=histograms.calibration_error(*sides),
    )


def _of_labels(counts: LabelCounts, names: Sequence[str], *, curves: bool) -> Metrics:
    _as_many(names, counts.labels)
    told = zip(names, counts.labels, strict=True)
    return over_labels(
        counts.records,
        [LabelMetrics(name=name, metrics=None if each is None else _of_scores(each, curves=curves)) for name, each in told],
    )


def _of_masks(counts: SegmentationCounts, names: Sequence[str]) -> Metrics:
    _as_many(names, counts.regions)
    found = tuple(_of_region(region, name) for region, name in zip(counts.regions, names, strict=True))
    return Metrics(
        records=counts.records,
        positives=None,
        loss=ratio(counts.loss_units * LOSS_UNIT, counts.records),
        auroc=None,
        auroc_error=None,
        accuracy=None,
        sensitivity=None,
        specificity=None,
        calibration_error=None,
        dice=_mean(each.dice for each in found),
        regions=found,
    )


def _of_region(region: RegionCounts, name: str) -> RegionMetrics:
    return RegionMetrics(
        name=name,
        examples=region.present,
        dice=ratio(region.dice_units * DICE_UNIT, region.present),
        pooled_dice=ratio(2 * region.intersection, region.predicted + region.true),
        surface_distance=ratio(region.distance_units * DISTANCE_UNIT, region.matched),
        hausdorff_95=ratio(region.hausdorff_units * DISTANCE_UNIT, region.matched),
        one_sided=region.one_sided,
    )


def _of_numbers(counts: NumberCounts, span: float | None) -> Metrics:
    if span is None:
        msg = "errors of a number are measured in its unit"
        raise Broken(msg)
    squared = regression.mean_squared_error(counts)
    return Metrics(
        records=counts.records,
        positives=None,
        loss=None if squared is None else 4 * squared,  # on the scale of training, the range is 2 long
        auroc=None,
        auroc_error=None,
        accuracy=None,
        sensitivity=None,
        specificity=None,
        calibration_error=None,
        r2=regression.determination(counts),
        rmse=_times(regression.root_mean_squared_error(counts), span),
        mae=_times(regression.mean_absolute_error(counts), span),
        bias=_times(regression.mean_error(counts), span),
    )


def _times(share: float | None, span: float) -> float | None:
    return None if share is None else share * span


def _mean(values: Iterable[float | None]) -> float | None:
    """Give the mean over the classes that have the metric; each class is of all records, so it is no mean over hospitals."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _as_many(names: Sequence[str], classes: Sequence[object]) -> None:
    if len(names) != len(classes):
        msg = "counts of other classes than the study has"
        raise Broken(msg)

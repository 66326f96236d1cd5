"""Figures by class or label: how well each is told from the others, or its masks are found; and who is taken for whom."""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.release.figures import WITHHELD, Figure, count, known, millimetres, of_metrics, percent, ranked, share
from wardround.metrics.figures import ClassMetrics, LabelMetrics, RegionMetrics
from wardround.metrics.pooled import Metrics

_LABEL_FIGURES = 7
"""Columns of a table by label, beside the name."""


@dataclass(frozen=True)
class Table:
    """A table of figures; ``heads`` begins with the head of the rows' names."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Figure, ...]], ...]


def table_by_class(metrics: Metrics) -> Table | None:
    """Give the pooled figures of each class, or label; None of a target with two."""
    if metrics.regions:
        return Table(
            "By class, over all examples. Distances are of the examples in which truth and prediction have the class.",
            ("class", "examples", "Dice (mean)", "Dice (all voxels)", "surface distance", "Hausdorff 95 %", "one side empty"),
            tuple((region.name, _of_region(region)) for region in metrics.regions),
        )
    if metrics.classes:
        return Table(
            "By class, each against all others. Sensitivity and specificity are of the class with the highest score.",
            ("class", "records", "AUROC", "sensitivity", "specificity", "average precision", "calibration error"),
            tuple((each.name, _of_class(each, metrics.records)) for each in metrics.classes),
        )
    if metrics.labels:
        return Table(
            "By label, over the records of which it is known. Sensitivity and specificity are at a probability of one half.",
            ("label", "records", "positive", "AUROC", "sensitivity", "specificity", "average precision", "calibration error"),
            tuple((each.name, _of_label(each)) for each in metrics.labels),
        )
    return None


def _of_label(each: LabelMetrics) -> tuple[Figure, ...]:
    found = each.metrics
    if found is None:
        return (Figure(WITHHELD, shown=False),) * _LABEL_FIGURES
    figures = of_metrics(found)
    shown = ("auroc", "sensitivity", "specificity", "precision", "calibration")
    return (figures["records"], Figure(count(found.positives)), *(figures[name] for name in shown))


def _of_region(region: RegionMetrics) -> tuple[Figure, ...]:
    return (
        Figure(count(region.examples)),
        known(region.dice),
        known(region.pooled_dice),
        millimetres(region.surface_distance),
        millimetres(region.hausdorff_95),
        Figure(count(region.one_sided)),
    )


def _of_class(each: ClassMetrics, records: int) -> tuple[Figure, ...]:
    return (
        Figure(count(each.records)),
        ranked(each.auroc, each.auroc_error),
        share(each.sensitivity, each.records),
        share(each.specificity, records - each.records),
        ranked(each.average_precision, each.average_precision_error),
        known(each.calibration_error),
    )


def confusion_of(metrics: Metrics) -> Table | None:
    """Give the records of each class by the class that the model gives them, with their share of the row."""
    if not metrics.confusion:
        return None
    names = tuple(each.name for each in metrics.classes)
    return Table(
        "Confusion matrix: records by their class (row) and by the class with the highest score (column).",
        ("class", *names),
        tuple((name, _shares(row)) for name, row in zip(names, metrics.confusion, strict=True)),
    )


def _shares(row: tuple[int, ...]) -> tuple[Figure, ...]:
    total = sum(row)
    return tuple(Figure(count(cell), note=percent(cell / total) if total else "") for cell in row)

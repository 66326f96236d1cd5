"""How figures are written for people: digits, units, intervals, and what cannot be shown."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TypeAlias

from wardround.messages.data_report import Cell, ShownCell
from wardround.messages.record import SiloRecord
from wardround.metrics.figures import LabelMetrics, RegionMetrics
from wardround.metrics.pooled import Metrics
from wardround.study.kind import Predicted
from wardround.study.model import TargetKind

WITHHELD = "withheld"
UNDEFINED = "not defined"
"""The records cannot say: AUROC without both classes, for one."""
UNKNOWN = "–"
_Z95 = 1.959963984540054
"""The 0.975 quantile of the normal distribution."""
_SMALLEST_ERROR = 0.00005
"""A resolution error below this is zero in the four digits that are shown."""
_KIBI = 1024


@dataclass(frozen=True)
class Figure:
    """A figure as it is shown.

    Attributes:
        text: the figure, or the word that stands for it.
        shown: whether ``text`` is a figure.
        note: what stands small beside it.
    """

    text: str
    shown: bool = True
    note: str = ""


def ratio(value: float | None) -> str:
    """Write a metric with three digits."""
    return UNDEFINED if value is None else f"{value:.3f}"


def percent(value: float) -> str:
    """Write a share."""
    return f"{100 * value:.1f} %"


def resolution(error: float | None) -> str:
    """Write an AUROC's resolution error."""
    if error is None:
        return ""
    return f"± {error:.4f}" if error >= _SMALLEST_ERROR else "± 0"


def count(value: int | None) -> str:
    """Write a count, thousands apart."""
    return UNKNOWN if value is None else f"{value:,}".replace(",", "\u202f")


def cell(value: Cell | None) -> Figure:
    """Write a count of records that may be withheld; withheld is not zero."""
    if value is None:
        return Figure(UNKNOWN, shown=False)
    return Figure(count(value.count)) if isinstance(value, ShownCell) else Figure(WITHHELD, shown=False)


def seconds(value: float) -> str:
    """Write a duration."""
    if value < 1:
        return f"{1000 * value:.0f} ms"
    return f"{value:.1f} s" if value < 120 else f"{value / 60:.1f} min"  # noqa: PLR2004  (two minutes)


def byte_count(value: float) -> str:
    """Write a number of bytes."""
    for unit in ("B", "KiB", "MiB"):
        if value < _KIBI:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= _KIBI
    return f"{value:.2f} GiB"


def capitalised(text: str) -> str:
    """Begin with a capital, and leave the rest as it is."""
    return text[:1].upper() + text[1:]


def listing(names: list[str] | tuple[str, ...]) -> str:
    """Write names as a sentence has them."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "none"


def plural(number: int, word: str) -> str:
    """Write a number with its word."""
    return f"{count(number)} {word}{'' if number == 1 else 's'}"


def wilson(share: float, records: int) -> tuple[float, float]:
    """Give the 95 % score interval of a share of independent records (Wilson 1927)."""
    square = _Z95**2 / records
    centre = (share + square / 2) / (1 + square)
    half = _Z95 * sqrt(share * (1 - share) / records + square / (4 * records)) / (1 + square)
    return max(0.0, centre - half), min(1.0, centre + half)


def share(value: float | None, records: int) -> Figure:
    """Write a share of independent records, with its 95 % interval."""
    if value is None or not records:
        return Figure(UNDEFINED, shown=False)
    low, high = wilson(value, records)
    return Figure(ratio(value), note=f"{low:.3f} to {high:.3f}")


def known(value: float | None, note: str = "") -> Figure:
    """Write a metric, or that the records cannot say it."""
    return Figure(ratio(value), shown=value is not None, note="" if value is None else note)


def millimetres(value: float | None) -> Figure:
    """Write a distance."""
    return Figure(UNDEFINED, shown=False) if value is None else Figure(f"{value:.2f}\u202fmm")


def amount(value: float | None, *, signed: bool = False) -> Figure:
    """Write an amount in the contract's unit, with three significant digits; a unit stands at the head of its column."""
    if value is None:
        return Figure(UNDEFINED, shown=False)
    sign = "+" if signed else ""
    return Figure(f"{float(f'{value:.3g}'):{sign}.10g}".replace("-", "−"))


def ranked(value: float | None, error: float | None) -> Figure:
    """Write a metric of the ranking, with the resolution of the histogram."""
    return known(value, resolution(error))


def of_metrics(metrics: Metrics) -> dict[str, Figure]:
    """Write every metric of some records, each with its uncertainty where there is a simple one."""
    positives = metrics.positives or 0
    return {
        "auroc": ranked(metrics.auroc, metrics.auroc_error),
        "accuracy": share(metrics.accuracy, metrics.records),
        "sensitivity": share(metrics.sensitivity, positives),
        "specificity": share(metrics.specificity, metrics.records - positives),
        "precision": ranked(metrics.average_precision, metrics.average_precision_error),
        "calibration": known(metrics.calibration_error),
        "loss": known(metrics.loss),
        "dice": known(metrics.dice),
        "r2": known(metrics.r2),
        "rmse": amount(metrics.rmse),
        "mae": amount(metrics.mae),
        "bias": amount(metrics.bias, signed=True),
        **{_dice_of(region.name): _dice(region) for region in metrics.regions},
        **{_auroc_of(label.name): _auroc(label) for label in metrics.labels},
        "records": Figure(count(metrics.records)),
    }


def _dice_of(name: str) -> str:
    return f"dice of {name}"


def _dice(region: RegionMetrics) -> Figure:
    return known(region.dice, plural(region.examples, "example"))


def _auroc_of(name: str) -> str:
    return f"auroc of {name}"


def _auroc(label: LabelMetrics) -> Figure:
    found = label.metrics
    return Figure(WITHHELD, shown=False) if found is None else ranked(found.auroc, found.auroc_error)


Columns: TypeAlias = tuple[tuple[str, str], ...]
"""Metrics that are shown side by side: names in ``of_metrics``, and what people read."""

_COLUMNS: dict[TargetKind, Columns] = {
    "binary": (
        ("auroc", "AUROC"),
        ("accuracy", "accuracy"),
        ("sensitivity", "sensitivity"),
        ("specificity", "specificity"),
        ("precision", "average precision"),
        ("calibration", "calibration error"),
    ),
    "classes": (
        ("auroc", "mean AUROC"),
        ("accuracy", "accuracy"),
        ("precision", "mean average precision"),
        ("loss", "loss"),
    ),
    "labels": (
        ("auroc", "mean AUROC"),
        ("precision", "mean average precision"),
        ("calibration", "mean calibration error"),
        ("loss", "loss"),
    ),
    "number": (
        ("r2", "R²"),
        ("rmse", "RMSE"),
        ("mae", "mean absolute error"),
        ("bias", "mean error"),
    ),
    "mask": (("dice", "mean Dice"),),
}
_IN_UNITS = ("rmse", "mae", "bias")
MAIN: dict[TargetKind, tuple[str, str]] = {kind: columns[0] for kind, columns in _COLUMNS.items()}
"""The metric by which models are compared."""


def columns_of(what: Predicted) -> Columns:
    """Give the metrics that a study's target has, the main one first; of masks and labels also of each."""
    each: Columns = ()
    if what.kind == "mask":
        each = tuple((_dice_of(name), f"Dice: {name}") for name in what.classes)
    if what.kind == "labels":
        each = tuple((_auroc_of(name), f"AUROC: {name}") for name in what.classes)
    losses = (("loss", "loss"), ("records", "examples")) if what.kind == "mask" else (("records", "records"),)
    unit = "" if what.unit in (None, "1") else f" ({what.unit})"
    columns = ((name, words + unit if name in _IN_UNITS else words) for name, words in _COLUMNS[what.kind])
    return (*columns, *each, *losses)


def instead(word: str, columns: Columns) -> dict[str, Figure]:
    """Give the same word in the place of every metric."""
    return {name: Figure(word, shown=False) for name, _ in columns}


def of_silo(silo: SiloRecord | None, columns: Columns) -> dict[str, Figure]:
    """Write a hospital's metrics in one visit, or the word for why there are none."""
    if silo is None:
        return instead("not asked", columns)
    if silo.status != "counted":
        return instead(f"did not count ({silo.code})", columns)
    if silo.withheld:
        return instead(WITHHELD, columns)
    if silo.evaluation == "not used":
        return instead("too few records", columns)
    if silo.evaluation == "withheld" or silo.metrics is None:
        return instead(WITHHELD, columns)
    found = of_metrics(silo.metrics)
    return {name: found[name] for name, _ in columns}

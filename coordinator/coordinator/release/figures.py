"""How figures are written for people: digits, units, intervals, and what cannot be shown."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from wardround.messages.data_report import Cell, ShownCell
from wardround.messages.record import SiloRecord
from wardround.metrics.pooled import Metrics

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


def _share(value: float | None, records: int) -> Figure:
    if value is None or not records:
        return Figure(UNDEFINED, shown=False)
    low, high = wilson(value, records)
    return Figure(ratio(value), note=f"{low:.3f} to {high:.3f}")


def of_metrics(metrics: Metrics) -> dict[str, Figure]:
    """Write every metric of some records, each with its uncertainty where there is a simple one."""
    negatives = metrics.records - metrics.positives
    auroc = Figure(UNDEFINED, shown=False)
    if metrics.auroc is not None:
        auroc = Figure(ratio(metrics.auroc), note=resolution(metrics.auroc_error))
    plain = {"calibration": metrics.calibration_error, "loss": metrics.loss}
    return {
        "auroc": auroc,
        "accuracy": _share(metrics.accuracy, metrics.records),
        "sensitivity": _share(metrics.sensitivity, metrics.positives),
        "specificity": _share(metrics.specificity, negatives),
        **{name: Figure(ratio(value), shown=value is not None) for name, value in plain.items()},
        "records": Figure(count(metrics.records)),
    }


METRICS = ("auroc", "accuracy", "sensitivity", "specificity", "calibration", "loss", "records")


def instead(word: str) -> dict[str, Figure]:
    """Give the same word in the place of every metric."""
    return {name: Figure(word, shown=False) for name in METRICS}


def of_silo(silo: SiloRecord | None) -> dict[str, Figure]:
    """Write a hospital's metrics in one visit, or the word for why there are none."""
    if silo is None:
        return instead("not asked")
    if silo.status != "counted":
        return instead(f"did not count ({silo.code})")
    if silo.withheld:
        return instead(WITHHELD)
    if silo.evaluation == "not used":
        return instead("too few records")
    if silo.evaluation == "withheld" or silo.metrics is None:
        return instead(WITHHELD)
    return of_metrics(silo.metrics)

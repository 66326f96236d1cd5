"""What the values of each field look like at this hospital: how many are missing, and counts for each bin or category.

For the local report only. Counts are true, small ones too, because the report is the hospital's own and stays there. No
cell is told: bins are the contract's where it gives limits, and else round numbers and months; keys and direct
identifiers are counted as missing or not, and nothing else.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from math import ceil, floor, isfinite, log10
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from silo_node.mapping.listed import SHORT_LIST
from silo_node.mapping.resolve import identifying_fields
from silo_node.validation.records import Typed
from wardround.contract.model import Contract, ContractField

Kind = Literal["numbers", "dates", "categories", "not shown"]

BINS = 24
"""The most bins of a histogram."""
BESIDE_PLAUSIBLE = 0.25
"""How far a histogram reaches beyond the plausible range, as a share of its width."""
BESIDE_REFERENCE = 0.5
"""How far it reaches beyond the reference's quantiles, where there is no plausible range."""
TAIL = 0.01
"""The share of values at each end that a histogram leaves to its outer bars, where the contract gives no limits."""
MONTH_STEPS = (1, 2, 3, 6, 12, 24, 60, 120, 300, 600, 1200)
"""Widths of bins of dates, in months."""


@dataclass(frozen=True, slots=True)
class FieldProfile:
    """What one field's values look like.

    Attributes:
        field: its name.
        kind: how they are counted.
        values: records with a value, impossible ones too.
        missing: records without one, cells that cannot be read among them.
        edges: of the bins, ascending; one more than ``counts``; dates as day numbers (``date.fromordinal``).
        counts: of each bin, or of each category in the contract's order.
        below: possible values below the bins; ``above`` likewise.
        too_low: values below the contract's minimum; ``too_high`` likewise.
        unlisted: values that are in no category.
    """

    field: str
    kind: Kind
    values: int
    missing: int
    edges: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    below: int = 0
    above: int = 0
    too_low: int = 0
    too_high: int = 0
    unlisted: int = 0


def profiles(contract: Contract, typed: Typed) -> tuple[FieldProfile, ...]:
    """Describe every field of a table in schema form, records that are set aside included."""
    fields = [contract.field(name) for name in typed.names]
    keys = identifying_fields(contract)
    kinds = {field.name: _kind(field, hidden=field.name in keys) for field in fields}
    by_values = [field.name for field in fields if _by_values(field, kinds[field.name])]
    edges = {field.name: _edges(field, _none()) for field in fields if kinds[field.name] == "numbers"}
    for name, column in zip(by_values, typed.records.columns(by_values), strict=True):
        edges[name] = _edges(contract.field(name), column)
    tallies = {field.name: Counter[str]() for field in fields}
    for part in typed.records.blocks(typed.names):
        for field in fields:
            tallies[field.name].update(_tally(field, kinds[field.name], edges.get(field.name, ()), part[field.name]))
    return tuple(_profile(field, kinds[field.name], edges.get(field.name, ()), tallies[field.name]) for field in fields)


def _kind(field: ContractField, *, hidden: bool) -> Kind:
    if hidden or field.privacy in ("direct", "pseudonym") or (field.type == "string" and not field.values):
        return "not shown"
    return "categories" if field.type == "string" else "dates" if field.type == "date" else "numbers"


def _tally(field: ContractField, kind: Kind, edges: tuple[float, ...], column: pl.Series) -> dict[str, int]:
    """Count what can be counted in a part of the records: what is missing, what is where, and what is in which bin."""
    present = column.drop_nulls()
    found = {"values": len(present), "missing": column.null_count()}
    if kind == "not shown":
        return found
    if kind == "categories":
        return found | {str(at): count for at, count in enumerate(_category_counts(present, field.values))}
    values = _numbers(field, present)
    possible, found["too_low"], found["too_high"] = _between(values, *hard_limits(field))
    whole = kind == "dates" or field.type == "integer"
    # the last edge of whole numbers and days is the first that is in no bin
    inside, found["below"], found["above"] = _between(possible, edges[0], edges[-1] - 1 if whole else edges[-1])
    if kind == "dates":
        counts, _ = np.histogram(inside, edges)
    else:
        counts, _ = np.histogram(inside, len(edges) - 1, (edges[0], edges[-1]))  # of one width: several times as fast
    return found | {str(at): int(count) for at, count in enumerate(counts)}


def _profile(field: ContractField, kind: Kind, edges: tuple[float, ...], tally: Counter[str]) -> FieldProfile:
    values, missing = tally["values"], tally["missing"]
    if kind == "not shown":
        return FieldProfile(field.name, kind, values, missing)
    counts = tuple(tally[str(at)] for at in range(len(field.values) if kind == "categories" else len(edges) - 1))
    if kind == "categories":
        return FieldProfile(field.name, kind, values, missing, counts=counts, unlisted=values - sum(counts))
    outside = {name: tally[name] for name in ("below", "above", "too_low", "too_high")}
    return FieldProfile(field.name, kind, values, missing, edges, counts, **outside)


def _category_counts(present: pl.Series, values: tuple[str, ...]) -> tuple[int, ...]:
    """Count each category; comparing one by one is the cheaper way for the short lists that codes have."""
    if len(values) <= SHORT_LIST:
        return tuple(int((present == value).sum()) for value in values)
    counted = dict(present.value_counts().iter_rows())
    return tuple(int(counted.get(value, 0)) for value in values)


def _numbers(field: ContractField, present: pl.Series) -> NDArray[np.float64]:
    return _days(present) if field.type == "date" else present.cast(pl.Float64).to_numpy()


def _days(dates: pl.Series) -> NDArray[np.float64]:
    """Give dates as day numbers of ``date.toordinal``; a typed column may hold days that Python's calendar does not have."""
    days: NDArray[np.float64] = dates.cast(pl.Int32).to_numpy().astype(np.float64) + date(1970, 1, 1).toordinal()
    return days.clip(1, date.max.toordinal())


def _between(values: NDArray[np.float64], low: float, high: float) -> tuple[NDArray[np.float64], int, int]:
    """Give the values from low to high, and how many are below and above; most tables have none of those."""
    if not len(values) or (values.min() >= low and values.max() <= high):
        return values, 0, 0
    below, above = values < low, values > high
    return values[~below & ~above], int(below.sum()), int(above.sum())


def hard_limits(field: ContractField) -> tuple[float, float]:
    """Give a field's minimum and maximum, dates as day numbers; infinite where the contract gives none."""
    low, high = field.constraints.minimum, field.constraints.maximum
    return _limit(low, -np.inf), _limit(high, np.inf)


def _limit(limit: float | str | None, otherwise: float) -> float:
    if limit is None:
        return otherwise
    return float(date.fromisoformat(limit).toordinal()) if isinstance(limit, str) else float(limit)


# ---------------------------------------------------------------------------------------------------------------- bins


def _by_values(field: ContractField, kind: Kind) -> bool:
    """Say whether it takes all values of a field to say what its bins are."""
    return kind == "dates" or (kind == "numbers" and _given_view(field) is None)


def _none() -> pl.Series:
    return pl.Series(dtype=pl.Float64)


def _edges(field: ContractField, column: pl.Series) -> tuple[float, ...]:
    possible, _, _ = _between(_numbers(field, column.drop_nulls()), *hard_limits(field))
    return _date_edges(possible) if field.type == "date" else _number_edges(field, possible)


def _number_edges(field: ContractField, values: NDArray[np.float64]) -> tuple[float, ...]:
    low, high = _view(field, values)
    if field.type == "integer":
        first, last = floor(low), ceil(high)
        width = max(1, ceil((last - first + 1) / BINS))
        return tuple(float(first + at * width) for at in range(ceil((last - first + 1) / width) + 1))
    return tuple(float(edge) for edge in np.linspace(low, high, BINS + 1))


def _view(field: ContractField, values: NDArray[np.float64]) -> tuple[float, float]:
    """Give the range of numbers that a histogram shows bin by bin: the contract's, else round numbers about the values."""
    hard = hard_limits(field)
    low, high = _given_view(field) or _about(values)
    low, high = max(low, hard[0]), min(high, hard[1])
    return (low, high) if low < high else (low, low + 1.0)


def _given_view(field: ContractField) -> tuple[float, float] | None:
    hard = hard_limits(field)
    quantiles = list(field.reference.quantiles.values()) if field.reference is not None else []
    if field.plausible is not None:
        return _widened(field.plausible.low, field.plausible.high, BESIDE_PLAUSIBLE)
    if len(quantiles) > 1 and quantiles[0] < quantiles[-1]:
        return _widened(quantiles[0], quantiles[-1], BESIDE_REFERENCE)
    return hard if isfinite(hard[0]) and isfinite(hard[1]) else None


def _widened(low: float, high: float, share: float) -> tuple[float, float]:
    return low - share * (high - low), high + share * (high - low)


def _about(values: NDArray[np.float64]) -> tuple[float, float]:
    """Give round numbers about most of the values, so that no edge is a cell."""
    if not len(values):
        return 0.0, 1.0
    low, high = (float(number) for number in np.quantile(values, (TAIL, 1 - TAIL)))
    step = 10.0 ** floor(log10(high - low)) if high > low else 10.0 ** floor(log10(max(abs(low), 1.0)))
    return floor(low / step) * step, (floor(high / step) + 1) * step


def _date_edges(days: NDArray[np.float64]) -> tuple[float, ...]:
    """Give bins of whole months about most of the days."""
    if not len(days):
        return _months(0, 1, 1)
    first, last = (date.fromordinal(int(day)) for day in np.quantile(days, (TAIL, 1 - TAIL)))
    low, high = _month(first), _month(last) + 1
    step = next((step for step in MONTH_STEPS if ceil((high - low) / step) <= BINS), MONTH_STEPS[-1])
    low -= low % step
    return _months(low, ceil((high - low) / step), step)


def _month(day: date) -> int:
    return 12 * (day.year - 1) + day.month - 1


def _months(first: int, bins: int, step: int) -> tuple[float, ...]:
    return tuple(float(_first_day(first + at * step)) for at in range(bins + 1))


def _first_day(month: int) -> int:
    """Give a month's first day; that of the month after the calendar's last one is the calendar's last day."""
    year = month // 12 + 1
    return date(year, month % 12 + 1, 1).toordinal() if year <= date.max.year else date.max.toordinal()


def bin_names(profile: FieldProfile) -> tuple[str, ...]:
    """Give the words for each bin: ``40 to 50``, ``2021-03-01 to 2021-04-01``."""
    words = [date.fromordinal(int(edge)).isoformat() if profile.kind == "dates" else f"{edge:.6g}" for edge in profile.edges]
    return tuple(f"{low} to {high}" for low, high in pairwise(words))

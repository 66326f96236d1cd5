"""A table's columns held against the contract's reference figures: wrong units, parts in a wrong unit, and drift.

The reference is published with the contract; nothing of another hospital is needed, and no figure of this one is said: a
finding names factors and units of the tables, and which quantiles lie off.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from silo_node.mapping.resolve import FieldMapping
from silo_node.sources.faults import Fault
from silo_node.validation import unit_slips
from silo_node.validation.constraints import Check
from silo_node.validation.unit_slips import ERRORS, Found, Hypothesis, Sample, Shape
from wardround.contract.model import Reference
from wardround.contract.slips import LEAST_VALUES

MOST_VALUES: Final = 10_000
"""Values of a column that are looked at; of more, some from everywhere."""
GOLDEN: Final = (math.sqrt(5) - 1) / 2
"""Steps of this part of a table come by everywhere evenly, and keep pace with nothing that repeats in it."""

OFF_MIDDLE: Final = math.log(1.5)
"""How far (logarithm of the ratio) the quartiles and the median of a hospital may be from the reference's."""
OFF_ENDS: Final = math.log(2)
"""The same of the 5 % and 95 % quantiles."""
OFF_SHARE: Final = 0.25
"""How far the share of a category may be from the reference's."""
OFF_ODDS: Final = 3.0
"""Or how many times the reference's its odds may be, either way, where the shares are more than ``LEAST_OFF`` apart."""
LEAST_OFF: Final = 0.05

_NAMES: Final = {0.05: "p05", 0.25: "p25", 0.5: "median", 0.75: "p75", 0.95: "p95"}


@dataclass(frozen=True)
class Looked:
    """What the distributions show.

    Attributes:
        faults: columns in a wrong unit, and columns that are off.
        parts: columns of which a part is in a wrong unit, with the rows.
    """

    faults: tuple[Fault, ...]
    parts: tuple[tuple[Check, pl.Series], ...]


def look(columns: Callable[[Sequence[str]], Iterable[pl.Series]], mappings: Iterable[FieldMapping]) -> Looked:
    """Hold each field that has a reference against it.

    Args:
        columns: gives fields in schema form, null where a value is missing or bad.
        mappings: the fields that could be read.
    """
    faults: list[Fault] = []
    parts: list[tuple[Check, pl.Series]] = []
    told = [(each, each.field.reference) for each in mappings if each.field.reference is not None]
    for (each, reference), column in zip(told, columns([each.field.name for each, _ in told]), strict=True):
        found = _shares(each, reference, column) if reference.shares else _numbers(each, reference, column)
        if isinstance(found, Fault):
            faults.append(found)
        elif found is not None:
            parts.append(found)
    return Looked(tuple(faults), tuple(parts))


def some(column: pl.Series) -> pl.Series:
    """Give the values of a column that are there; of very many, ``MOST_VALUES`` from everywhere, the same ones every time."""
    there = column.drop_nulls()
    if len(there) <= MOST_VALUES:
        return there
    step = int(GOLDEN * len(there)) | 1
    while math.gcd(step, len(there)) > 1:
        step += 2
    rows = np.arange(MOST_VALUES, dtype=np.int64) * step % len(there)
    return there.gather(rows)


# ------------------------------------------------------------------------------------------------------------ numbers


def _numbers(mapping: FieldMapping, reference: Reference, column: pl.Series) -> Fault | tuple[Check, pl.Series] | None:
    if not reference.quantiles:
        return None
    values = some(column).cast(pl.Float64).to_numpy()
    shape, numbers = unit_slips.shape(reference), unit_slips.sample(values)
    if shape is None or numbers is None:
        return _outside(mapping, reference, values, len(column))
    found = unit_slips.find(mapping, shape, numbers)
    if found is None:
        return _outside(mapping, reference, values, len(column)) or _drifted(mapping, shape, numbers, len(column))
    return _whole(mapping, found.hypothesis, len(column)) if found.centre is None else _part(mapping, found, column)


def _whole(mapping: FieldMapping, slip: Hypothesis, count: int) -> Fault:
    field = mapping.field
    near = ", ".join(dict.fromkeys(each.name for each in slip.near))
    instead = " in place of the conversion that stands there" if mapping.converts else ""
    return Fault(
        "T-UNIT",
        f"{field.name} is in {field.unit}, and its values lie about where the schema's reference says",
        f"they are about {slip.times:.3g} times the reference's: that is what {_named(slip)} gives"
        + (f"; {near} would not be far off" if near else ""),
        f"if the column is in {slip.slip.name}, write {slip.slip.keys} for {field.name} in the site file{instead}",
        field=field.name,
        count=count,
        warning=field.investigative,
    )


def _named(slip: Hypothesis) -> str:
    return " or ".join(dict.fromkeys((slip.slip.name, *(each.name for each in slip.also))))


def _part(mapping: FieldMapping, found: Found, column: pl.Series) -> tuple[Check, pl.Series]:
    """Give the check that a part of a column breaks, and its rows: those whose values are nearer to the wrong unit's."""
    field, slip = mapping.field, found.hypothesis
    values = column.cast(pl.Float64).fill_null(0.0).to_numpy()
    rows = np.zeros(len(values), dtype=np.bool_)
    rows[values > 0] = found.wrong(np.log(values[values > 0]))
    nothing = pl.lit(value=False)
    rule = f"{field.name} is in {field.unit} throughout; values about {slip.times:.3g} times as large are in {_named(slip)}"
    one = f"{slip.slip.keys} is for {slip.slip.name}"
    check = Check(
        code="T-UNITMIX",
        severity="warning" if field.investigative or not found.clear else "error",
        level="share",
        fields=(field.name,),
        broken=nothing,
        suspicion=nothing,
        expectation=rule,
        next_step=f"find out where these records come from, and export the column in one unit ({one})",
        limit=0.0,  # how large a part has to be was judged by what the reference explains
    )
    return check, pl.Series(rows)


# -------------------------------------------------------------------------------------------------------------- drift


def _drifted(mapping: FieldMapping, shape: Shape, numbers: Sample, count: int) -> Fault | None:
    """Say which quantiles are further from the reference's than other patients and chance explain."""
    off: list[str] = []
    for share, wanted in shape.quantiles.items():
        away = float(np.quantile(numbers.logs, share)) - wanted
        chance = numbers.chance * unit_slips.wider(share)
        if abs(away) > (OFF_ENDS if share in (0.05, 0.95) else OFF_MIDDLE) + chance:
            off.append(f"{_NAMES[share]} lies {'above' if away > 0 else 'below'} it")
    return _drift(mapping, ", ".join(off), count) if off else None


def _outside(mapping: FieldMapping, reference: Reference, values: npt.NDArray[np.float64], count: int) -> Fault | None:
    """Say so when most values lie where the reference has 5 % of them: the one thing that also holds of negative numbers."""
    if len(values) < LEAST_VALUES:
        return None
    chance = ERRORS * math.sqrt(0.25 / len(values))
    for name, limit, beyond in (("p05", reference.p05, values.__lt__), ("p95", reference.p95, values.__gt__)):
        if limit is not None and float(beyond(limit).mean()) > 0.5 + chance:
            side = "below" if name == "p05" else "above"
            return _drift(mapping, f"more than half of the values lie {side} its {name}", count)
    return None


def _shares(mapping: FieldMapping, reference: Reference, column: pl.Series) -> Fault | None:
    values = some(column)
    if len(values) < LEAST_VALUES:
        return None
    counted = dict(values.value_counts().iter_rows())
    off: list[str] = []
    for value, wanted in reference.shares.items():
        share = counted.get(value, 0) / len(values)
        away = abs(share - wanted) - ERRORS * math.sqrt(max(wanted * (1 - wanted), 1 / len(values)) / len(values))
        if away > OFF_SHARE or (away > LEAST_OFF and not 1 / OFF_ODDS <= _odds(share, wanted) <= OFF_ODDS):
            off.append(f"{value} is {'more' if share > wanted else 'less'} frequent")
    return _drift(mapping, ", ".join(off), len(column)) if off else None


def _odds(share: float, wanted: float) -> float:
    """Give how many times the reference's odds a share's are."""
    if share in (0.0, 1.0) or wanted in (0.0, 1.0):
        return 0.0
    return share / (1 - share) * (1 - wanted) / wanted


def _drift(mapping: FieldMapping, what: str, count: int) -> Fault:
    name = mapping.field.name
    return Fault(
        "T-DRIFT",
        f"{name} is distributed about as the schema's reference says",
        what,
        "see whether the column, its unit and its codes are the right ones, and these the patients that the schema is for",
        field=name,
        count=count,
        warning=True,
    )

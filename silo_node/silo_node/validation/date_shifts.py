"""Dates that were shifted one by one (T-DATESHIFT), which destroys what a model would learn from the time between them.

De-identification may move all dates of a patient by one number of days: what lies between them stays. It may not draw
that number anew for each date, or for each record. Two traces of that are looked for, both conservative:

* Two dates of a record of which one never lies before the other (a stay's two days, a rule ``b >= a``): shifted one by
  one, their difference spreads alike on both sides of zero. Single mistakes do not, nor do swapped columns.
* A date that is constant for a patient (the day of birth), in a contract that orders records by a date: shifted by the
  record, it changes in most patients that have several records, by the size of a shift, while the patients' ages go on.

The weekdays of admissions are no trace: a shift by the patient changes them as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import polars as pl

from silo_node.mapping.facts import Facts
from silo_node.validation.constraints import Check
from wardround.contract import rules
from wardround.contract.model import Contract

LEAST_PAIRS: Final = 50
"""Records with both dates below which nothing is said."""
LEAST_REVERSED, MOST_REVERSED = 0.1, 0.9
"""Share of records in which the later date lies before the earlier one. Less are mistakes; more are swapped columns."""
LIKE_SIZED: Final = 3.0
"""Differences on both sides of zero are alike when their medians differ by no more than this factor."""
LEAST_PATIENTS: Final = 20
"""Patients with several records below which nothing is said of a constant date."""
MOST_PATIENTS_VARY: Final = 0.5
"""Share of these patients whose constant date changes, from which on it was shifted; less are mistakes."""
LONGEST_SHIFT_DAYS: Final = 2 * 366
"""Dates that lie further apart, in the median, were not shifted: another date stands in the column."""
SAME_AGE_DAYS: Final = 31
"""Where a patient's age changes by no more than this, in the median, the column follows the time: it is another date."""

_NEXT = "shift all dates of a patient by the same number of days, or export them as they are"


def shifted_dates(contract: Contract, names: set[str], facts: Facts) -> Iterator[Check]:
    """Give the checks for dates that were shifted one by one."""
    for first, last in ordered_dates(contract):
        if {first, last} <= names:
            columns = pl.struct(pl.col(first).alias("first"), pl.col(last).alias("last"))
            spread = columns.map_batches(reversed_records, return_dtype=pl.Boolean)
            text = f"The time from {first} to {last} is that of the patients: no more than a tenth of it is below zero"
            below = pl.col(last) < pl.col(first)
            known = facts.count(below.is_not_null().sum())
            some = (known > 0) & (facts.count(below.sum()) >= LEAST_REVERSED * known)
            yield _check((first, last), last, spread, some, text)
    patient, time = contract.patient_key, contract.longitudinal.time
    if time is not None and {patient, time} <= names and contract.primary_key != (patient,):
        for name in contract.longitudinal.constant:
            if name in names and contract.field(name).type == "date":
                columns = pl.struct(pl.col(patient).alias("patient"), pl.col(name).alias("day"), pl.col(time).alias("time"))
                moves = columns.map_batches(moving_records, return_dtype=pl.Boolean)
                text = f"{name} is the same day in most patients who have several records"
                yield _check((patient, name, time), name, moves, facts.whole(columns, _any_moves), text)


def _check(fields: tuple[str, ...], about: str, broken: pl.Expr, suspicion: pl.Expr, text: str) -> Check:
    return Check(
        code="T-DATESHIFT",
        severity="error",
        level="share",
        fields=fields,
        broken=broken,
        suspicion=suspicion,
        expectation=text,
        next_step=_NEXT,
        stage="table",
        about=about,
    )


def ordered_dates(contract: Contract) -> tuple[tuple[str, str], ...]:
    """Give the pairs of dates of which, by the contract, the second never lies before the first."""
    dates = {field.name for field in contract.fields if field.type == "date"}
    stay = contract.longitudinal.no_overlap
    pairs = [] if stay is None else [stay]
    for rule in contract.rules:
        pairs += _ordered(rules.parse(rule.check, rule.id))
    return tuple(dict.fromkeys(pair for pair in pairs if dates.issuperset(pair)))


def _ordered(expression: rules.Expression) -> Iterator[tuple[str, str]]:
    match expression:
        case rules.Logic("and", left, right):
            yield from _ordered(left)
            yield from _ordered(right)
        case rules.Comparison("<" | "<=", rules.FieldRef(first), rules.FieldRef(last)):
            yield first, last
        case rules.Comparison(">" | ">=", rules.FieldRef(last), rules.FieldRef(first)):
            yield first, last


def reversed_records(days: pl.Series) -> pl.Series:
    """Give the records in which the later date lies first, if they are as many, and as far apart, as the others."""
    table = days.struct.unnest()
    gap = (table["last"] - table["first"]).dt.total_days()
    known, below = gap.drop_nulls(), (gap < 0).fill_null(value=False)
    above, beneath = known.filter(known > 0).median(), known.filter(known < 0).median()
    shifted = (
        len(known) >= LEAST_PAIRS
        and LEAST_REVERSED * len(known) <= below.sum() <= MOST_REVERSED * len(known)
        and isinstance(above, float)
        and isinstance(beneath, float)
        and 1 / LIKE_SIZED <= above / -beneath <= LIKE_SIZED
    )
    return below & shifted


def _any_moves(days: pl.Series) -> bool:
    return bool(moving_records(days).any())


def moving_records(days: pl.Series) -> pl.Series:
    """Give the records of patients whose constant date changes, if it does in most of them, by the size of a shift."""
    table = days.struct.unnest()
    age = pl.col("time") - pl.col("day")
    patients = (
        table.drop_nulls()
        .group_by("patient")
        .agg(pl.len(), *(_span(each).alias(name) for name, each in (("moved", pl.col("day")), ("aged", age))))
        .filter(pl.col("len") > 1)
    )
    moved = patients.filter(pl.col("moved") > 0)
    by, aged = moved["moved"].median(), moved["aged"].median()
    shifted = (
        patients.height >= LEAST_PATIENTS
        and moved.height >= MOST_PATIENTS_VARY * patients.height
        and isinstance(by, float)
        and by <= LONGEST_SHIFT_DAYS
        and isinstance(aged, float)
        and aged > SAME_AGE_DAYS
    )
    return table["patient"].is_in(moved["patient"].implode() if shifted else [])


def _span(values: pl.Expr) -> pl.Expr:
    return (values.max() - values.min()).dt.total_days()

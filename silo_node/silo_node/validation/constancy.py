"""A number or a code that is the same in all records of a hospital, or in nearly all (T-CONST): nothing is learned from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import polars as pl

from silo_node.mapping.facts import Facts
from silo_node.validation.constraints import Check
from wardround.contract.model import Contract

LEAST_VALUES: Final = 30
"""Values below which one of them may well be the only one."""
OTHERS: Final = 1000
"""A field is nearly constant when at most one value in so many is another."""
SAMPLE_STEP: Final = 100
"""Of a large table every hundredth value is looked at first, in each block of it."""
LARGE: Final = 10_000


def constant_fields(contract: Contract, names: set[str], height: int, facts: Facts) -> Iterator[Check]:
    """Give the check for each number, and each code that may have several values."""
    keys = {*contract.primary_key, contract.patient_key}
    step = SAMPLE_STEP if height > LARGE else 1
    for field in contract.fields:
        several = field.type in ("integer", "number") or len(field.values) > 1
        if field.name in names - keys and several and height >= LEAST_VALUES:
            yield _constant(field.name, step, facts)


def _constant(name: str, step: int, facts: Facts) -> Check:
    column = pl.col(name)
    # Each value that is not the one makes two changes at the most, so that more of them tell of too many others.
    seen = facts.count(changes(column, step))
    return Check(
        code="T-CONST",
        severity="warning",
        level="table",
        fields=(name,),
        broken=column.map_batches(constant, return_dtype=pl.Boolean),
        suspicion=seen * OTHERS <= 2 * (facts.records - facts.nulls(name)),
        expectation=f"{name} is not the same in nearly all records",
        next_step="look whether the right column is mapped, and whether a default stands for what was not measured",
        stage="table",
    )


def changes(column: pl.Expr, step: int) -> pl.Expr:
    """Count how often a value differs from the one before it, among those at regular places; this is cheaper than counting."""
    return column.gather_every(step).drop_nulls().rle_id().last().fill_null(0).cast(pl.Int64)


def constant(values: pl.Series) -> pl.Series:
    """Say which records hold the one value, if it is that of all, or of all but at most one in a thousand; else none."""
    known, nothing = values.drop_nulls(), pl.Series([False]).new_from_index(0, len(values))
    if len(known) < LEAST_VALUES:
        return nothing
    single: pl.Series = (values == known.mode(maintain_order=True)[0]).fill_null(value=False)
    return single if (len(known) - int(single.sum())) * OTHERS <= len(known) else nothing

"""Numbers and days that stand for something else: -9, 999, 1900-01-01. A value that many records share, far from all others.

A value from a short list is taken for a mark when more than one record in a hundred has it, and at least three. Where it is
impossible or implausible anyway, it must be twice as frequent as any other such value. Among possible values it must be the
least or the greatest (other marks aside), outside of the 1st to the 99th percentile of the rest, and implausible by the
contract; or, where the contract says nothing of that, stand off from the rest by the width of those percentiles, and when it
has one digit be negative among others that are not. Nought is a mark only where the contract calls it implausible or
impossible: counts, doses and scores are often 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

import polars as pl

from silo_node.mapping.facts import Facts
from silo_node.mapping.resolve import FieldMapping
from silo_node.validation.causes import Cause, Failed, nowhere
from silo_node.validation.constraints import Check
from wardround.contract import marks
from wardround.contract.model import ContractField

SPIKE = 0.01
"""Share of the records above which one value is many."""
FEWEST = 3
"""Records that share a mark; fewer are mistakes of their own."""
ENOUGH_OTHERS = 20
"""Records with other values without which nothing is far from the others."""
TIMES_OTHERS = 2
"""How many times more frequent a mark is than other values that are impossible or implausible."""
STANDS_OFF = 1.0
"""Distance of a mark from the rest, in widths of the rest from the 1st to the 99th percentile."""

ONE_DIGIT = 10
"""What a mark of one digit is below."""

IMPOSSIBLE_STEP = "declare the value under 'missing' in the site file, if it stands for a missing one; else correct it"
NEXT_STEP = "if it stands for a missing value, declare it under 'missing' in the site file; if it is a value, nothing is wrong"


def expectation(field: ContractField) -> str:
    """Say what should hold of a field's values."""
    return f"{field.name} holds no value that stands for a missing one without being declared"


def checks(mapping: FieldMapping, facts: Facts) -> Iterator[Check]:
    """Give the check of marks among possible values; impossible ones break the limits."""
    field = mapping.field
    possible = [mark for mark in shared_marks(mapping) if _possible(field, mark)]
    if not possible:
        return

    def spikes(values: pl.Series) -> pl.Series:
        return values.is_in(list(_spikes(field, values, possible))).fill_null(value=False)

    column = pl.col(field.name)
    ends = facts.least(field.name).is_in(possible) | facts.most(field.name).is_in(possible)
    yield Check(
        code="T-SENTINEL",
        severity="warning",
        level="share",
        fields=(field.name,),
        broken=column.map_batches(spikes, return_dtype=pl.Boolean),
        suspicion=ends.fill_null(value=False) | _limits_broken(field, facts),
        expectation=expectation(field),
        next_step=NEXT_STEP,
        stage="context",
        whole=True,
    )


def causes(failed: Failed) -> Iterator[Cause]:
    """Say which impossible or implausible values are marks: those of the list that many records share."""
    values = failed.values.drop_nulls()
    known = shared_marks(failed.mapping)
    others = values.filter(~values.is_in(known)).value_counts(name="count")["count"].max()
    usual = max(FEWEST, TIMES_OTHERS * (others if isinstance(others, int) else 0))
    counts = {mark: int((values == mark).sum()) for mark in known}
    wanted = [mark for mark, count in counts.items() if count >= usual and _are_many(count, failed.records)]
    where = failed.values.is_in(wanted).fill_null(value=False) if wanted else nowhere(failed.cells)
    yield Cause("T-SENTINEL", where, expectation(failed.mapping.field), IMPOSSIBLE_STEP)


def _are_many(same: int, records: int) -> bool:
    return same >= FEWEST and same > SPIKE * records


def shared_marks(mapping: FieldMapping) -> list[float | date]:
    """Give the values of the shared form that local marks become: a local -9 in another unit is another number."""
    field = mapping.field
    if field.type == "date":
        return list(marks.DAYS)
    if field.type == "string":
        return []
    local = [*marks.NUMBERS, *(marks.AGES if field.unit == "a" else ()), 0.0]
    shared = [number * mapping.factor + mapping.offset for number in local] if mapping.converts else local
    if _zero_is_usual(field, shared[-1]):
        shared.pop()
    return [round(number) for number in shared if number.is_integer()] if field.type == "integer" else list(shared)


def _zero_is_usual(field: ContractField, zero: float) -> bool:
    """Say whether a local nought may be a value like others, as far as the contract says."""
    plausible = field.plausible
    if plausible is not None:
        return plausible.low <= zero <= plausible.high
    return _possible(field, zero)


def _possible(field: ContractField, value: float | date) -> bool:
    low, high = field.constraints.minimum, field.constraints.maximum
    if isinstance(value, date):
        return (low is None or str(low) <= value.isoformat()) and (high is None or value.isoformat() <= str(high))
    above = low is None or isinstance(low, str) or value >= low
    return above and (high is None or isinstance(high, str) or value <= high)


def _limits_broken(field: ContractField, facts: Facts) -> pl.Expr:
    """Say whether some values are impossible: then the least and the greatest value say nothing of the others."""
    broken = pl.lit(value=False)
    low, high = field.constraints.minimum, field.constraints.maximum
    if low is not None:
        broken = broken | (facts.least(field.name) < _limit(low)).fill_null(value=False)
    if high is not None:
        broken = broken | (facts.most(field.name) > _limit(high)).fill_null(value=False)
    return broken


def _limit(limit: float | str) -> float | date:
    return date.fromisoformat(limit) if isinstance(limit, str) else limit


def _spikes(field: ContractField, values: pl.Series, possible: Sequence[float | date]) -> set[float | date]:
    """Give the marks of a column: from the ends inwards, as long as an end is one."""
    low, high = field.constraints.minimum, field.constraints.maximum
    left = values.drop_nulls()
    if low is not None:
        left = left.filter(left >= _limit(low))
    if high is not None:
        left = left.filter(left <= _limit(high))
    found = set[float | date]()
    while len(left):
        ends = [mark for mark in possible if mark in (left.min(), left.max())]
        rest = left.filter(~left.is_in(list(possible)))
        many = (end for end in ends if _are_many(int((left == end).sum()), len(values)))
        spike = next((end for end in many if _stands_off(field, rest, end)), None)
        if spike is None:
            break
        found.add(spike)
        left = left.filter(left != spike)
    return found


def _stands_off(field: ContractField, rest: pl.Series, mark: float | date) -> bool:
    """Say whether a mark lies outside of what the other values, no marks among them, look like."""
    if len(rest) < ENOUGH_OTHERS:
        return False
    others = rest.to_physical()
    first, last = others.quantile(0.01, "nearest"), others.quantile(0.99, "nearest")
    place = float((mark - date(1970, 1, 1)).days) if isinstance(mark, date) else mark
    if first is None or last is None or first <= place <= last:
        return False
    plausible = field.plausible
    if isinstance(mark, date) or (plausible is not None and not plausible.low <= mark <= plausible.high):
        return True
    if -ONE_DIGIT < mark < 0 and first < 0:
        return False
    return max(first - place, place - last) >= STANDS_OFF * (last - first) > 0

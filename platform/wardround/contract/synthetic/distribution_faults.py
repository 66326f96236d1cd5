"""Faults of a column's distribution, each in a column of its own that has a reference: a wrong unit, and drift."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from wardround.contract.model import ContractField
from wardround.contract.slips import LEAST_OF_PARTS, LEAST_VALUES, Slip, slips
from wardround.contract.synthetic.records import Record
from wardround.contract.synthetic.spoiling import Made, Work
from wardround.contract.synthetic.values import Span, limits

FAR: Final = 2.0
"""How many times the right number a wrong one is, or the other way round, at least."""
PART: Final = 0.12
"""Of the values are in a wrong unit, where a part of them is to be."""
ROOM: Final = 1.25
"""How many times nearer values of one unit are to their own median than to the other's, on the scale between them."""
DRIFTED: Final = 0.8
"""Of the records have a number off the reference, where a column is to drift."""
MORE_OFTEN: Final = 0.5
"""A category that drifts has so much more of the records than the reference says."""
DIGITS: Final = 9


def unit(work: Work, code: str) -> Made:
    """Write all values of a field in a wrong unit."""
    for field, slip, median in _slips(work):
        changed = _converted(work, field, slip, lambda _: True)
        if len(changed) >= LEAST_VALUES and len(changed) == len(_there(work, field)) and _times(slip, median) >= FAR:
            return Made(code, field=_take(work, field, changed))
    raise work.impossible(code, "no field has a reference and a wrong unit that keeps its limits, or too few values")


def unit_mix(work: Work, code: str) -> Made:
    """Write a part of a field's values in a wrong unit; ordinary values, so that each can be told from the right ones."""
    for field, slip, median in _slips(work):
        quantiles = field.reference.quantiles if field.reference is not None else {}
        there = _there(work, field)
        numbers = [float(str(work.records[row][field.name])) for row in there]
        low, high = quantiles.get(0.05), quantiles.get(0.95)
        if low is None or high is None or low <= 0 or len(there) < LEAST_OF_PARTS or min(numbers) <= 0:
            continue
        if not ROOM * ROOM * max(max(numbers) / median, median / min(numbers)) ** 2 < _times(slip, median):
            continue
        changed = _converted(work, field, slip, lambda number, low=low, high=high: low <= number <= high)  # type: ignore[misc]
        wanted = max(int(PART * len(there)) + 1, work.wanted[code] or 0)
        if len(changed) >= wanted and 3 * wanted < len(there):
            rows = dict(list(changed.items())[:: len(changed) // wanted][:wanted])
            return Made(code, field=_take(work, field, rows), lines=work.lines(list(rows)))
    raise work.impossible(code, "no field has a reference and a wrong unit far enough away, or too few values")


def drift(work: Work, code: str) -> Made:
    """Have a category in many more records than the reference says, or most numbers beyond nearly all that it has."""
    for field in work.fields(lambda field: field.reference is not None and work.repeats(field)):
        there = _there(work, field)
        for share, make in _off(work, field):
            other = [row for row in there if not field.values or work.records[row][field.name] != make()]
            wanted = int(share * len(there)) + 1 - (len(there) - len(other))
            changed = {row: record for row in other if (record := _kept(work, row, field.name, make())) is not None}
            if len(there) >= 2 * LEAST_VALUES and 0 < wanted <= len(changed):
                rows = dict(list(changed.items())[:wanted])
                return Made(code, field=_take(work, field, rows))
    raise work.impossible(code, "no field has a reference from which its values can be kept away, or too few values")


def _off(work: Work, field: ContractField) -> Iterator[tuple[float, Callable[[], float | str | None]]]:
    """Give ways to make values that are off a field's reference and no slip of its unit, and the share that is to be so."""
    reference, values = field.reference, work.values[field.name]
    if reference is None:
        return
    for value in sorted(reference.shares, key=lambda value: reference.shares[value]):
        share = reference.shares[value] + MORE_OFTEN
        if share < 1 and value in values.codes:
            yield share, partial(str, value)
    high, middle = reference.p95, reference.median
    if high is None or middle is None or not 0 < middle < high:
        return
    far = Span(high + (high - middle) / 8, high + (high - middle) / 2)
    slipped = [each.local(middle) for each in slips(field)]
    ordinary = values.span is not None and far.high <= values.span.high
    if ordinary and not any(far.low / FAR < number < far.high * FAR for number in slipped if number != middle):
        yield DRIFTED, lambda: values.number(far, work.random())


def _slips(work: Work) -> Iterator[tuple[ContractField, Slip, float]]:
    """Give the fields that have a reference, with units that they may be in by mistake, and the reference's median."""
    for field in work.fields(lambda field: field.type == "number" and work.repeats(field)):
        median = None if field.reference is None else field.reference.median
        if median is not None and median > 0:
            for slip in slips(field):
                if slip.local(median) > 0:
                    yield field, slip, float(median)


def _times(slip: Slip, median: float) -> float:
    """Give how many times one number is the other, the right and the wrong one, at the median; from 1."""
    times = slip.local(median) / median
    return max(times, 1 / times)


def _there(work: Work, field: ContractField) -> list[int]:
    return [row for row, record in enumerate(work.records) if record[field.name] is not None]


def _converted(work: Work, field: ContractField, slip: Slip, chosen: Callable[[float], bool]) -> dict[int, Record]:
    """Give the records whose number can stand in the wrong unit: still possible, plausible, and within the same rules."""
    allowed = limits(field) if field.plausible is None else Span(field.plausible.low, field.plausible.high)
    found: dict[int, Record] = {}
    for row in _there(work, field):
        number = float(str(work.records[row][field.name]))
        wrong = round(slip.local(number), DIGITS)
        if chosen(number) and allowed.low <= wrong <= allowed.high:
            record = _kept(work, row, field.name, wrong)
            if record is not None:
                found[row] = record
    return found


def _kept(work: Work, row: int, name: str, value: float | str | None) -> Record | None:
    """Give a record with another value, if it breaks what it broke before and nothing else."""
    before = work.records[row]
    changed: Record = {**before, name: value}
    return changed if value is not None and work.broken(changed) == work.broken(before) else None


def _take(work: Work, field: ContractField, changed: dict[int, Record]) -> str:
    work.owned.add(field.name)
    for row, record in changed.items():
        work.records[row] = record
    return field.name

"""Faults of whole columns, each in a column of its own, and faults of the file."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Final

from wardround.contract.marks import is_usual
from wardround.contract.model import ContractField
from wardround.contract.slips import slips
from wardround.contract.synthetic.records import Record, identifying
from wardround.contract.synthetic.sheet import Sheet
from wardround.contract.synthetic.spoiling import Made, Work
from wardround.contract.synthetic.values import Span, limits

TRIES: Final = 40
"""Values that are tried for a record that is to keep every rule."""
NEAR: Final = 10
"""A number that is to be implausible alone lies so much of the plausible range beyond it at most."""
LEAST_CONSTANT: Final = 30
"""Records below which a check does not wonder at a single value."""


def missing(work: Work, code: str) -> Made:
    """Have more values missing than the field allows."""
    count = len(work.records) - len(work.cut)
    for field in work.fields(lambda field: work.optional(field) and field.missing.max_fraction < 1.0):
        wanted = max(int(field.missing.max_fraction * len(work.records)) + 1, work.wanted[code] or 0)
        rows = [row for row in range(len(work.records)) if row not in work.kept and _may_lose(work, row, field.name)]
        if wanted < count and wanted <= len(rows):
            lose(work, rows[-wanted:], field.name)
            return Made(code, field=field.name)
    raise work.impossible(code, "no field can miss more values than allowed and keep one, without breaking a rule")


def _may_lose(work: Work, row: int, name: str) -> bool:
    record = work.records[row]
    return row not in work.cut and (record[name] is None or not work.broken({**record, name: None}))


def lose(work: Work, rows: list[int], name: str) -> None:
    """Have a field miss these values; it belongs to this fault then."""
    work.owned.add(name)
    for row in rows:
        work.records[row] = {**work.records[row], name: None}


def all_missing(work: Work, code: str) -> Made:
    """Have every value of an optional field missing."""
    rows = list(range(len(work.records)))
    for field in work.fields(work.optional):
        if all(_may_lose(work, row, field.name) or row in work.cut for row in rows):
            lose(work, rows, field.name)
            return Made(code, field=field.name)
    raise work.impossible(code, "no optional field can be left out everywhere without breaking a rule")


def implausible(work: Work, code: str) -> Made:
    """Have more values outside the plausible range, though possible, than the contract allows."""
    fields = work.fields(lambda field: field.plausible is not None and not field.constraints.unique)
    for field in sorted(fields, key=lambda field: 0 if field.reference is None else 1 + len(slips(field))):
        if field.plausible is None:
            continue
        wanted = max(int(field.plausible.max_outside * len(work.records)) + 1, work.wanted[code] or 0)
        changed: dict[int, Record] = {}
        for row in reversed(work.free):
            if len(changed) == wanted:
                break
            found = _implausible(work, field, work.records[row])
            if found is not None:
                changed[row] = found
        if len(changed) == wanted:
            work.owned.add(field.name)
            work.free = [row for row in work.free if row not in changed] + list(changed)
            for row, record in changed.items():
                work.records[row] = record
            return Made(code, field=field.name, lines=work.lines(list(changed)))
    raise work.impossible(code, "no field has values that are implausible and possible, and keep the rules")


def _implausible(work: Work, field: ContractField, record: Record) -> Record | None:
    possible, plausible, values = limits(field), field.plausible, work.values[field.name]
    if plausible is None or field.name in identifying(work.contract):
        return None
    # beside a reference no further out: far numbers look like those of another unit
    most = math.inf if field.reference is None else (plausible.high - plausible.low) / NEAR
    above, below = min(possible.high, plausible.high + most), max(possible.low, plausible.low - most)
    for span in (Span(plausible.high, above), Span(below, plausible.low)):
        if not (math.isfinite(span.low) and math.isfinite(span.high)) or span.low >= span.high:
            continue
        for _ in range(TRIES):
            value = values.number(span, work.random())
            changed = {**record, field.name: value}
            unlikely = value is not None and not plausible.low <= value <= plausible.high and not is_usual(value)
            if unlikely and not work.broken(changed):
                return changed
    return None


def constant(work: Work, code: str) -> Made:
    """Give a number or a code one value in all records that have one."""

    def several(field: ContractField) -> bool:
        """Without a reference, from which one value would drift."""
        return field.reference is None and work.repeats(field) and (field.type in ("integer", "number") or len(field.values) > 1)

    for field in work.fields(several):
        rows = [row for row, record in enumerate(work.records) if record[field.name] is not None]
        if len(rows) - len(work.cut) < LEAST_CONSTANT:
            continue
        counted = Counter(work.records[row][field.name] for row in rows)
        for value, _ in counted.most_common(TRIES):
            changed = {row: {**work.records[row], field.name: value} for row in rows}
            if not any(work.broken(record) for record in changed.values()):
                work.owned.add(field.name)
                for row, record in changed.items():
                    work.records[row] = record
                return Made(code, field=field.name)
    raise work.impossible(code, f"nothing without a reference can have one value in {LEAST_CONSTANT} records, and keep the rules")


def few(_: Work, code: str) -> Made:
    """Do nothing more: so few records were made that they are too few."""
    return Made(code)


def ragged(work: Work, code: str) -> Made:
    """Cut the last cell of some lines."""
    rows = work.take(code, work.rows(code))
    work.cut = set(rows)

    def change(sheet: Sheet) -> None:
        for row in rows:
            sheet.cells[row] = [*sheet.cells[row], ""]

    work.sheet_changes.append(change)
    return Made(code, lines=work.lines(rows))


def no_column(work: Work, code: str) -> Made:
    """Leave a column out."""
    keys = identifying(work.contract)
    field = work.one_field(code, "every field is a key", lambda field: field.name not in keys)
    work.owned.add(field.name)

    def change(sheet: Sheet) -> None:
        at = sheet.header.index(field.name)
        for line in (sheet.header, *sheet.cells):
            del line[at]

    work.sheet_changes.append(change)
    return Made(code, field=field.name)


def extra_column(work: Work, code: str) -> Made:
    """Put in a column that the schema does not have."""
    name = "not_in_the_schema"
    while name in work.contract.names:
        name += "_"

    def change(sheet: Sheet) -> None:
        sheet.header.insert(0, name)
        for line in sheet.cells:
            line.insert(0, "0")

    work.sheet_changes.append(change)
    return Made(code)


def header_twice(work: Work, code: str) -> Made:
    """Have a column stand twice."""
    field = work.one_field(code, "every column has a fault of its own", lambda _: True)

    def change(sheet: Sheet) -> None:
        at = sheet.header.index(field.name)
        for line in (sheet.header, *sheet.cells):
            line.insert(at, line[at])

    work.sheet_changes.append(change)
    return Made(code, field=field.name)


def delimiter(work: Work, code: str) -> Made:
    """Write the file with another delimiter."""
    if len(work.contract.fields) == 1:
        raise work.impossible(code, "a single column has no delimiter")
    return _whole(work, code, lambda sheet: setattr(sheet, "delimiter", ";"))


def no_header(work: Work, code: str) -> Made:
    """Leave the header line out."""
    return _whole(work, code, lambda sheet: setattr(sheet, "has_header", False))


def empty(work: Work, code: str) -> Made:
    """Write the header line alone."""
    return _whole(work, code, lambda sheet: sheet.cells.clear())


def encoding(work: Work, code: str) -> Made:
    """Write a byte that is not UTF-8."""
    return _whole(work, code, lambda sheet: setattr(sheet, "broken_bytes", True))


def _whole(work: Work, code: str, change: Callable[[Sheet], None]) -> Made:
    work.sheet_changes.append(change)
    return Made(code)

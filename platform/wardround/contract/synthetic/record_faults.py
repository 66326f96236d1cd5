"""Faults of single records: each takes records of its own, which a check sets aside (but for rules that only warn)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

from wardround.contract.marks import is_usual
from wardround.contract.model import ContractField
from wardround.contract.synthetic.records import Asked, Record, identifying
from wardround.contract.synthetic.sheet import cell
from wardround.contract.synthetic.spoiling import Made, Work, fields_of
from wardround.contract.synthetic.values import limits

TRIES: Final = 40
"""Values that are tried for a record that is to break one rule and no other."""


def wrong_type(work: Work, code: str) -> Made:
    """Put words where a number or a date belongs."""
    field = work.one_field(code, "it has no number and no date", lambda field: field.type != "string")
    return work.cells(code, field, work.no_mark(field, "not of this type", "no such value"))


def fraction(work: Work, code: str) -> Made:
    """Put a fraction where a whole number belongs."""
    field = work.one_field(code, "it has no whole number", lambda field: field.type == "integer")
    return work.cells(code, field, work.no_mark(field, "0.5", "1.5", "2.5"))


def nonfinite(work: Work, code: str) -> Made:
    """Put an infinite number."""
    field = work.one_field(code, "it has no number", lambda field: field.type in ("integer", "number"))
    return work.cells(code, field, work.no_mark(field, "inf", "-inf", "NaN"))


def out_of_range(work: Work, code: str) -> Made:
    """Put an impossible number or date."""

    def outside(field: ContractField) -> list[str]:
        return [text for value in _outside(field) if (text := cell(value, "")) not in work.values[field.name].marks]

    field = work.one_field(code, "no field has limits", lambda field: work.repeats(field) and bool(outside(field)))
    texts = outside(field)
    return work.cells(code, field, lambda row: texts[row % len(texts)])


def no_code(work: Work, code: str) -> Made:
    """Put a text that is none of the codes."""

    def plain(field: ContractField) -> bool:
        of_text = field.constraints
        lengths = (of_text.pattern, of_text.min_length, of_text.max_length)
        return bool(field.values) and work.repeats(field) and lengths == (None, None, None)

    field = work.one_field(code, "it has no coded field", plain)
    return work.cells(code, field, work.no_mark(field, "not a code of this field", "no such code"))


def pattern(work: Work, code: str) -> Made:
    """Put a text that breaks the pattern or the lengths."""
    field = work.one_field(
        code,
        "no text has a pattern or a length that a made-up text breaks",
        lambda field: field.type == "string" and not field.values and _misfit(work, field, 0) is not None,
    )
    return work.cells(code, field, lambda row: str(_misfit(work, field, row)))


def _misfit(work: Work, field: ContractField, row: int) -> str | None:
    """Give a text that breaks a field's pattern or lengths, another one for each record."""
    texts, marks = work.values[field.name].texts, work.values[field.name].marks
    tried = (f"?{row}", f"?{row}?{row:040}", f"~{row:0{(field.constraints.max_length or 0) + 1}}")
    return next((text for text in tried if not texts.fits(text) and text not in marks), None)


def null(work: Work, code: str) -> Made:
    """Leave out a required value."""
    keys = identifying(work.contract)
    for field in work.fields(lambda field: field.required or field.name in keys):
        marks = work.values[field.name].marks
        rows = [row for row in work.free if not work.broken({**work.records[row], field.name: None})]
        if marks and len(rows) >= work.rows(code):
            work.free = rows + [row for row in work.free if row not in set(rows)]
            return work.cells(code, field, marks[0])
    raise work.impossible(code, "no required value can be left out without breaking a rule")


def duplicate(work: Work, code: str) -> Made:
    """Have records stand twice, whole."""
    number = work.rows(code)
    rows = work.take(code, 2 * number)
    gaps = sorted(rows, key=lambda row: sum(value is None for value in work.records[row].values()))
    for first, second in zip(gaps[:number], reversed(gaps[number:]), strict=True):
        work.records[second] = dict(work.records[first])
    key = work.contract.primary_key
    return Made(code, field=key[0] if len(key) == 1 else None, lines=work.lines(rows))


def rule(work: Work, code: str) -> Made:
    """Break one rule, and nothing else: one that sets records aside if there is one."""
    by_severity = sorted(work.contract.rules, key=lambda rule: rule.severity)
    for rule in by_severity:
        asked = next(each for each in work.asked if each.name == f"rule {rule.id}")
        warns = rule.severity == "warning"
        number = max(work.rows(code), int(rule.max_fraction * len(work.records)) + 1) if warns else work.rows(code)
        changed: dict[int, Record] = {}
        for row in work.free:
            if len(changed) == number:
                break
            found = _breaking(work, asked, work.records[row])
            if found is not None:
                changed[row] = found
        if len(changed) == number:
            for row, record in changed.items():
                work.records[row] = record
            work.free = [row for row in work.free if row not in changed]
            if not warns:
                work.aside |= set(changed)
            return Made(code, rule=rule.id, lines=work.lines(list(changed)))
    raise work.impossible(code, "no rule was broken by a value that keeps everything else")


def _breaking(work: Work, asked: Asked, record: Record) -> Record | None:
    """Change one value of a record so that it breaks one rule, and no other."""
    keys = identifying(work.contract)
    for name in sorted(fields_of(asked) - keys - work.owned):
        if work.contract.field(name).constraints.unique:
            continue
        for _ in range(TRIES):
            value = work.values[name].draw(work.random, 0.5, freely=True, ties=iter(()))
            changed = {**record, name: value}
            if value is not None and work.broken(changed) == [asked.name]:
                return changed
    return None


def _outside(field: ContractField) -> Sequence[float | date]:
    """Give some values that are impossible, and no usual marks for missing; none where everything is possible."""
    return [value for value in _beyond(field) if not is_usual(value)]


def _beyond(field: ContractField) -> Sequence[float | date]:
    steps = range(1, 10)
    if field.type == "date":
        low, high = field.constraints.minimum, field.constraints.maximum
        later = [date.fromisoformat(str(high)) + timedelta(days=step) for step in steps] if _before_the_last(high) else []
        return later or ([] if low is None else [date.fromisoformat(str(low)) - timedelta(days=step) for step in steps])
    if field.type == "string":
        return []
    possible = limits(field)
    above = [possible.high + step for step in steps] if math.isfinite(possible.high) else []
    found = above or ([possible.low - step for step in steps] if math.isfinite(possible.low) else [])
    return [int(value) if field.type == "integer" else float(value) for value in found]


def _before_the_last(high: object) -> bool:
    return high is not None and str(high) < "9999-12-01"

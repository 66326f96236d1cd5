"""Faults of cells that have a cause of their own: what spreadsheets, floats, programs and people do to values."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Final

from wardround.contract.marks import NUMBERS
from wardround.contract.model import ContractField
from wardround.contract.synthetic.records import Record, identifying
from wardround.contract.synthetic.sheet import cell
from wardround.contract.synthetic.spoiling import Made, Work
from wardround.contract.synthetic.values import USUAL_DATES, limits

LONGEST: Final = 40
"""Digits of an identifier that are tried."""
FEWEST_MARKS: Final = 3
SPIKE: Final = 0.01
"""Share of the records above which a value that they share is taken for a mark; at least ``FEWEST_MARKS`` share it."""
ENOUGH_TEXTS: Final = 20
"""Records whose texts are enough to be taken for sentences."""
_YES_AND_NO: Final = (("yes", "no"), ("true", "false"), ("1", "0"), ("present", "absent"), ("positive", "negative"), ("y", "n"))
_NO_COMING_DAY: Final = date.fromordinal(USUAL_DATES[1])
_FAR_DAY: Final = date(9000, 1, 1)


def lost_zeros(work: Work, code: str) -> Made:
    """Put digits that would fit with zeros before them."""
    field = work.one_field(
        code, "no identifier has a form that digits without leading zeros break", lambda field: bool(_short(work, field))
    )
    length = _short(work, field)
    return work.cells(code, field, lambda row: _digits(row, length))


def _short(work: Work, field: ContractField) -> int:
    """Give how many digits are too few, but enough with zeros before them; 0 when there is no such number."""
    texts = work.values[field.name].texts
    if field.type != "string" or field.values or field.constraints.pattern is None or field.code_system is not None:
        return 0
    for length in range(LONGEST // 2, len(str(len(work.records))), -1):
        few = _digits(0, length)
        if not texts.fits(few) and any(texts.fits(few.zfill(more)) for more in range(length + 1, LONGEST + 1)):
            return length
    return 0


def _digits(row: int, length: int) -> str:
    return "4" + f"{row:0{length - 1}d}"


def scientific(work: Work, code: str) -> Made:
    """Put what a spreadsheet shows of a long number."""
    return _number_for_text(work, code, lambda row: f"{1 + row % 9}.{row:05}E+11")


def through_a_float(work: Work, code: str) -> Made:
    """Put what a float writes of a number that it does not hold exactly."""
    return _number_for_text(work, code, lambda row: f"{1 + row % 9}.{row:016}E+18")


def _number_for_text(work: Work, code: str, text: Callable[[int], str]) -> Made:
    def broken(field: ContractField) -> bool:
        if field.type != "string" or field.values or field.code_system is not None:
            return False
        if field.constraints.pattern is None:
            return field.name in identifying(work.contract) or field.privacy == "pseudonym"
        return not work.values[field.name].texts.fits(text(0))

    field = work.one_field(code, "it has no identifier that breaks by being a number", broken)
    return work.cells(code, field, text)


def sentinel(work: Work, code: str) -> Made:
    """Put an impossible number that programs write for missing, as often as they do."""
    field = work.one_field(
        code, "every usual mark is possible", lambda field: work.repeats(field) and _mark(work, field) is not None
    )
    rows = work.take(code, max(work.rows(code), FEWEST_MARKS, int(SPIKE * len(work.records)) + 1))
    for row in rows:
        work.texts[row, field.name] = str(_mark(work, field))
    return Made(code, field=field.name, lines=work.lines(rows))


def _mark(work: Work, field: ContractField) -> str | None:
    if field.type not in ("integer", "number"):
        return None
    possible, declared = limits(field), work.values[field.name].marks
    found = (cell(int(number), "") for number in NUMBERS if not possible.low <= number <= possible.high)
    return next((text for text in found if text not in declared), None)


def other_case(work: Work, code: str) -> Made:
    """Put a code in another case, or with a blank after it."""
    field = work.one_field(code, "it has no coded field", lambda field: _coded(work, field) and _variant(work, field) is not None)
    return work.cells(code, field, str(_variant(work, field)))


def _coded(work: Work, field: ContractField) -> bool:
    return bool(field.values) and work.repeats(field) and field.constraints.pattern is None


def _variant(work: Work, field: ContractField) -> str | None:
    tried = [variant for value in field.values for variant in (value.upper(), value.capitalize(), f"{value} ")]
    known = {*field.values, *work.values[field.name].marks}
    lower = {value.lower() for value in field.values}
    return next((text for text in tried if text not in known and text.lower().strip() in lower), None)


def other_notation(work: Work, code: str) -> Made:
    """Put another word for yes into a yes-or-no field."""
    field = work.one_field(
        code, "it has no field of yes and no", lambda field: _coded(work, field) and bool(_other_yes(work, field))
    )
    return work.cells(code, field, _other_yes(work, field))


def _other_yes(work: Work, field: ContractField) -> str:
    known = {value.lower() for value in field.values}
    if len(field.values) != 2 or known not in [set(pair) for pair in _YES_AND_NO]:  # noqa: PLR2004  (yes and no)
        return ""
    others = [yes for yes, _ in _YES_AND_NO if yes not in known and yes not in work.values[field.name].marks]
    return others[0]


def person(work: Work, code: str) -> Made:
    """Put an address of a person who does not exist."""

    def open_to_people(field: ContractField) -> bool:
        expected = field.free_text or field.privacy == "direct" or field.code_system is not None
        if field.type != "string" or field.values or expected:
            return False
        return field.constraints.pattern is None or not work.values[field.name].texts.fits(_address(0))

    field = work.one_field(code, "it has no text but codes and free text", open_to_people)
    return work.cells(code, field, _address)


def _address(row: int) -> str:
    return f"person.{row}@example.org"


def sentences(work: Work, code: str) -> Made:
    """Fill a text field with sentences."""

    def plain(field: ContractField) -> bool:
        free = field.type != "string" or field.values or field.free_text or field.code_system is not None
        special = field.name in identifying(work.contract) or field.privacy == "pseudonym" or field.name in work.ruled
        used = any(name == field.name for _, name in work.texts)
        return (
            not (free or special or used)
            and field.constraints.pattern is None
            and work.values[field.name].texts.fits(_sentence(0))
        )

    if len(work.records) < ENOUGH_TEXTS:
        raise work.impossible(code, "so few texts are not judged")
    field = work.one_field(code, "it has no text without a form, and long enough", plain)
    work.owned.add(field.name)
    for row in range(len(work.records)):
        work.texts[row, field.name] = _sentence(row)
    return Made(code, field=field.name)


def _sentence(row: int) -> str:
    return f"On day {row} the patient felt much better and went home after breakfast."


def wrong_code(work: Work, code: str) -> Made:
    """Put a text that is no code of the field's terminology."""
    field = work.one_field(code, "it has no field with a code system", lambda field: field.code_system is not None)
    return work.cells(code, field, lambda row: f"no code {row}")


def other_date_form(work: Work, code: str) -> Made:
    """Put days with years of two digits."""
    field = work.one_field(code, "it has no date", lambda field: field.type == "date")
    return work.cells(code, field, lambda row: f"{row % 28 + 1:02}.01.{row % 100:02}")


def zones(work: Work, code: str) -> Made:
    """Put times of two zones where days belong."""
    field = work.one_field(code, "it has no date", lambda field: field.type == "date")
    rows = work.take(code, max(2, work.rows(code)))
    for at, row in enumerate(rows):
        work.texts[row, field.name] = f"2021-03-{row % 28 + 1:02}T23:30:00{('Z', '+02:00')[at % 2]}"
    return Made(code, field=field.name, lines=work.lines(rows))


def future(work: Work, code: str) -> Made:
    """Put days that have not come yet; they are possible, so no record is set aside."""

    def open_ended(field: ContractField) -> bool:
        first = field.constraints.minimum
        early = first is None or str(first) <= _NO_COMING_DAY.isoformat()
        return field.type == "date" and field.constraints.maximum is None and early

    for field in work.fields(open_ended):
        changed: dict[int, Record] = {}
        for row in work.free:
            record = {**work.records[row], field.name: _FAR_DAY + timedelta(days=row)}
            if len(changed) < work.rows(code) and not work.broken(record):
                changed[row] = record
        if len(changed) == work.rows(code):
            work.free = [row for row in work.free if row not in changed]
            for row, record in changed.items():
                work.records[row] = record
            return Made(code, field=field.name, lines=work.lines(list(changed)))
    raise work.impossible(code, "no date may be later than others without breaking a rule or a limit")

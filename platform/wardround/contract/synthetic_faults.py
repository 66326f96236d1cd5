"""Synthetic records with faults on purpose: exactly those that were asked for, so that a check can be tried.

Each kind of fault has its code, as ``silo check`` gives it. Faults of single records take records of their own; faults
of whole columns take a column of their own; faults of the whole file stand alone, since nothing else is read then.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from wardround.contract import rules
from wardround.contract.model import Contract, ContractField
from wardround.contract.synthesis import Asked, Record, asked_of, generator, identifying, synthesise
from wardround.contract.synthetic_table import Sheet, cell, sheet_of
from wardround.contract.synthetic_values import FieldValues, Span, limits
from wardround.errors import Problem, Refused, raise_all, refuse
from wardround.strict_yaml import nearest

USUAL_ROWS: Final = 3
LARGEST_SHARE: Final = 0.25
"""Of the records are spoiled at most; the others have to keep what the contract asks of whole tables."""
TRIES: Final = 40
"""Values that are tried for a record that is to break one rule and no other."""

ALONE: Final = ("T-ENCODING", "T-DELIM", "T-NOHEADER", "T-EMPTY")
"""Faults after which nothing of a file is read: they stand alone."""
NOT_BY_A_FILE: Final[Mapping[str, str]] = {
    "T-FILE": "it means that the file is not there",
    "T-MAP": "it is about the site file's own codes, not about the shared form",
    "T-LABEL": "it is about one study's target and cohort",
    "T-QUARANTINE": "it follows by itself where other faults set more records aside than a study allows",
}
"""Codes of a check that no file in shared form can be made for, and why."""


@dataclass(frozen=True)
class Made:
    """One kind of fault that was made.

    Attributes:
        field: the column it is in, or ``rule``: the rule it breaks, where it is about one.
        lines: of the file, for the records concerned (the header is line 1); empty for faults of whole columns and files.
    """

    code: str
    field: str | None = None
    rule: str | None = None
    lines: tuple[int, ...] = ()


@dataclass(frozen=True)
class Spoiled:
    """A table with faults."""

    sheet: Sheet
    made: tuple[Made, ...]


def spoiled(contract: Contract, count: int, seed: int, wanted: Mapping[str, int | None]) -> Spoiled:
    """Make synthetic records with faults.

    Args:
        contract: says what a record is.
        count: how many records; fewer where T-FEW is wanted.
        seed: as for ``synthesise``.
        wanted: codes, and how many records each shall concern (None: as many as it needs, or a few).

    Raises:
        Refused: X-USAGE for codes that are no faults of a file or do not go together, S-SYNTH for one that this contract's
            records cannot have.
    """
    _check_codes(contract, wanted)
    few = "T-FEW" in wanted
    count = _too_few(contract) if few else count
    records = synthesise(contract, count, seed, enough=not few)
    made = _Spoiling(contract, records, seed, wanted)
    return made.all()


def _check_codes(contract: Contract, wanted: Mapping[str, int | None]) -> None:
    place = f"{contract.id} {contract.version}"
    rule = "Faults are codes of a check that a file in shared form can have"
    found: list[Problem] = []
    for code in wanted:
        if code in NOT_BY_A_FILE:
            found.append(Problem("X-USAGE", place, rule, f"no file is made for {code}: {NOT_BY_A_FILE[code]}", "leave it out"))
        elif code not in CODES:
            guess = nearest(code, CODES)
            next_step = f"did you mean {guess}?" if guess else f"choose among: {', '.join(CODES)}"
            found.append(Problem("X-USAGE", place, rule, f"there is no such code: {code!r}", next_step))
    alone = [code for code in wanted if code in ALONE]
    if alone and len(wanted) > 1:
        finding = f"{alone[0]} hides the other faults: nothing of the file is read"
        found.append(Problem("X-USAGE", place, "Faults that are made together are found together", finding, "make two files"))
    raise_all(found)


def _too_few(contract: Contract) -> int:
    least = contract.limits.min_records
    if least < 2:  # noqa: PLR2004  (no record at all is T-EMPTY)
        raise _impossible(contract, "T-FEW", "the schema asks for one record only")
    return least - 1


def _impossible(contract: Contract, code: str, why: str) -> Refused:
    return refuse(
        "S-SYNTH",
        f"{contract.id} {contract.version}",
        "A fault on purpose is one that records of the schema can have, without any other",
        f"{code} cannot be made: {why}",
        "leave it out, make more records (-n), or choose another schema",
    )


class _Spoiling:
    """Records on their way to their faults."""

    def __init__(self, contract: Contract, records: list[Record], seed: int, wanted: Mapping[str, int | None]) -> None:
        self.contract = contract
        self.records = records
        self.wanted = wanted
        self.random = generator(contract, seed, "faults").random
        self.asked = asked_of(contract)
        self.values = {field.name: FieldValues(contract, field) for field in contract.fields}
        self.ruled = {name for each in self.asked for name in _fields(each)}
        self.owned: set[str] = set()
        self.texts: dict[tuple[int, str], str] = {}
        self.free = list(range(len(records)))
        self.aside: set[int] = set()
        self.cut: set[int] = set()
        self.sheet_changes: list[Callable[[Sheet], None]] = []

    def all(self) -> Spoiled:
        """Make every wanted fault, the hardest first."""
        made = [CODES[code](self, code) for code in CODES if code in self.wanted]
        self._check_rest()
        sheet = sheet_of(self.contract, self.records)
        for (row, name), text in self.texts.items():
            sheet.cells[row][self.contract.names.index(name)] = text
        for change in self.sheet_changes:
            change(sheet)
        return Spoiled(sheet, tuple(made))

    def _check_rest(self) -> None:
        """See that enough records stay whole: else T-FEW would be found, too."""
        if "T-FEW" in self.wanted or any(code in self.wanted for code in ALONE):
            return
        whole = [record for row, record in enumerate(self.records) if row not in self.aside]
        patients = {record[self.contract.patient_key] for record in whole}
        least = self.contract.limits
        if len(whole) < least.min_records or len(patients) < least.min_patients:
            raise self.impossible(next(iter(self.wanted)), "too few records would stay whole")

    def impossible(self, code: str, why: str) -> Refused:
        return _impossible(self.contract, code, why)

    # ---------------------------------------------------------------------------------------------- rows and fields

    def rows(self, code: str) -> int:
        """Give how many records a fault of single records takes."""
        asked, most = self.wanted[code], int(LARGEST_SHARE * len(self.records)) // len(self.wanted)
        rows = max(1, min(USUAL_ROWS, most)) if asked is None else asked
        if rows > max(1, most):
            raise self.impossible(code, f"{rows} records are more than {max(1, most)} of {len(self.records)}")
        return rows

    def take(self, code: str, number: int) -> list[int]:
        """Take records of their own for a fault that sets them aside."""
        if number > len(self.free):
            raise self.impossible(code, "no record is left for it")
        taken, self.free = self.free[:number], self.free[number:]
        self.aside |= set(taken)
        return taken

    def fields(self, wanted: Callable[[ContractField], bool]) -> Iterator[ContractField]:
        """Give the fields that nobody owns and that fit, those first that no key, no rule and few other faults need."""
        keys = identifying(self.contract)
        found = [field for field in self.contract.fields if field.name not in self.owned and wanted(field)]

        def wanted_elsewhere(field: ContractField) -> tuple[bool, ...]:
            scarce = field.required or bool(field.values) or field.type == "integer"
            return field.name in keys, field.name in self.ruled, scarce

        return iter(sorted(found, key=wanted_elsewhere))

    def one_field(self, code: str, why: str, wanted: Callable[[ContractField], bool]) -> ContractField:
        found = next(self.fields(wanted), None)
        if found is None:
            raise self.impossible(code, why)
        return found

    def optional(self, field: ContractField) -> bool:
        return not field.required and field.name not in identifying(self.contract) and bool(self.values[field.name].marks)

    def broken(self, record: Record) -> list[str]:
        """Name the rules that a record breaks."""
        return [each.name for each in self.asked if not each.holds(record)]

    def lines(self, rows: list[int]) -> tuple[int, ...]:
        return tuple(sorted(row + 2 for row in rows))

    # --------------------------------------------------------------------------------------------- faults of records

    def cells(self, code: str, field: ContractField, text: Callable[[int], str]) -> Made:
        """Put texts into a field of some records."""
        rows = self.take(code, self.rows(code))
        for row in rows:
            self.texts[row, field.name] = text(row)
        return Made(code, field=field.name, lines=self.lines(rows))

    def type(self, code: str) -> Made:
        field = self.one_field(code, "it has no number and no date", lambda field: field.type != "string")
        return self.cells(code, field, lambda _: self.no_mark(field, "not of this type", "no such value"))

    def fraction(self, code: str) -> Made:
        field = self.one_field(code, "it has no whole number", lambda field: field.type == "integer")
        return self.cells(code, field, lambda _: self.no_mark(field, "0.5", "1.5", "2.5"))

    def nonfinite(self, code: str) -> Made:
        field = self.one_field(code, "it has no number", lambda field: field.type in ("integer", "number"))
        return self.cells(code, field, lambda _: self.no_mark(field, "inf", "-inf", "NaN"))

    def out_of_range(self, code: str) -> Made:
        field = self.one_field(code, "no field has limits", lambda field: self.repeats(field) and any(_outside(field)))
        text = self.no_mark(field, *(cell(value, "") for value in _outside(field)))
        return self.cells(code, field, lambda _: text)

    def no_code(self, code: str) -> Made:
        def plain(field: ContractField) -> bool:
            of_text = field.constraints
            lengths = (of_text.pattern, of_text.min_length, of_text.max_length)
            return bool(field.values) and self.repeats(field) and lengths == (None, None, None)

        field = self.one_field(code, "it has no coded field", plain)
        return self.cells(code, field, lambda _: self.no_mark(field, "not a code of this field", "no such code"))

    def pattern(self, code: str) -> Made:
        field = self.one_field(
            code,
            "no text has a pattern or a length that a made-up text breaks",
            lambda field: field.type == "string" and not field.values and self._misfit(field, 0) is not None,
        )
        return self.cells(code, field, lambda row: str(self._misfit(field, row)))

    def _misfit(self, field: ContractField, row: int) -> str | None:
        """Give a text that breaks a field's pattern or lengths, another one for each record."""
        texts, marks = self.values[field.name].texts, self.values[field.name].marks
        tried = (f"?{row}", f"?{row}?{row:040}", f"~{row:0{(field.constraints.max_length or 0) + 1}}")
        return next((text for text in tried if not texts.fits(text) and text not in marks), None)

    def no_mark(self, field: ContractField, *texts: str) -> str:
        """Give the first text that does not mean missing."""
        marks = self.values[field.name].marks
        return next((text for text in texts if text not in marks), texts[0])

    def repeats(self, field: ContractField) -> bool:
        """Say whether several records may hold the same value."""
        return not field.constraints.unique and field.name not in identifying(self.contract)

    def null(self, code: str) -> Made:
        keys = identifying(self.contract)
        for field in self.fields(lambda field: field.required or field.name in keys):
            marks = self.values[field.name].marks
            rows = [row for row in self.free if not self.broken({**self.records[row], field.name: None})]
            if marks and len(rows) >= self.rows(code):
                self.free = rows + [row for row in self.free if row not in set(rows)]
                return self.cells(code, field, lambda _, mark=marks[0]: mark)
        raise self.impossible(code, "no required value can be left out without breaking a rule")

    def duplicate(self, code: str) -> Made:
        """Have records stand twice, whole."""
        number = self.rows(code)
        rows = self.take(code, 2 * number)
        gaps = sorted(rows, key=lambda row: sum(value is None for value in self.records[row].values()))
        for first, second in zip(gaps[:number], reversed(gaps[number:]), strict=True):
            self.records[second] = dict(self.records[first])
        key = self.contract.primary_key
        return Made(code, field=key[0] if len(key) == 1 else None, lines=self.lines(rows))

    def rule(self, code: str) -> Made:
        """Break one rule, and nothing else: one that sets records aside if there is one."""
        by_severity = sorted(self.contract.rules, key=lambda rule: rule.severity)
        for rule in by_severity:
            asked = next(each for each in self.asked if each.name == f"rule {rule.id}")
            warns = rule.severity == "warning"
            number = max(self.rows(code), int(rule.max_fraction * len(self.records)) + 1) if warns else self.rows(code)
            changed: dict[int, Record] = {}
            for row in self.free:
                if len(changed) == number:
                    break
                found = self._breaking(asked, self.records[row])
                if found is not None:
                    changed[row] = found
            if len(changed) == number:
                for row, record in changed.items():
                    self.records[row] = record
                self.free = [row for row in self.free if row not in changed]
                if not warns:
                    self.aside |= set(changed)
                return Made(code, rule=rule.id, lines=self.lines(list(changed)))
        raise self.impossible(code, "no rule was broken by a value that keeps everything else")

    def _breaking(self, asked: Asked, record: Record) -> Record | None:
        """Change one value of a record so that it breaks one rule, and no other."""
        keys = identifying(self.contract)
        for name in sorted(_fields(asked) - keys - self.owned):
            if self.contract.field(name).constraints.unique:
                continue
            for _ in range(TRIES):
                value = self.values[name].draw(self.random, 0.5, freely=True, ties=iter(()))
                changed = {**record, name: value}
                if value is not None and self.broken(changed) == [asked.name]:
                    return changed
        return None

    # ------------------------------------------------------------------------------- faults of columns, by their share

    def missing(self, code: str) -> Made:
        """Have more values missing than the field allows."""
        count = len(self.records) - len(self.cut)
        for field in self.fields(lambda field: self.optional(field) and field.missing.max_fraction < 1.0):
            wanted = max(int(field.missing.max_fraction * len(self.records)) + 1, self.wanted[code] or 0)
            rows = [row for row in range(len(self.records)) if self._may_lose(row, field.name)]
            if wanted < count and wanted <= len(rows):
                self.lose(rows[-wanted:], field.name)
                return Made(code, field=field.name)
        raise self.impossible(code, "no field can miss more values than allowed and keep one, without breaking a rule")

    def _may_lose(self, row: int, name: str) -> bool:
        record = self.records[row]
        return row not in self.cut and (record[name] is None or not self.broken({**record, name: None}))

    def lose(self, rows: list[int], name: str) -> None:
        """Have a field miss these values; it belongs to this fault then."""
        self.owned.add(name)
        for row in rows:
            self.records[row] = {**self.records[row], name: None}

    def all_missing(self, code: str) -> Made:
        rows = list(range(len(self.records)))
        for field in self.fields(self.optional):
            if all(self._may_lose(row, field.name) or row in self.cut for row in rows):
                self.lose(rows, field.name)
                return Made(code, field=field.name)
        raise self.impossible(code, "no optional field can be left out everywhere without breaking a rule")

    def implausible(self, code: str) -> Made:
        """Have more values outside the plausible range, though possible, than the contract allows."""
        for field in self.fields(lambda field: field.plausible is not None and not field.constraints.unique):
            if field.plausible is None:
                continue
            wanted = max(int(field.plausible.max_outside * len(self.records)) + 1, self.wanted[code] or 0)
            changed: dict[int, Record] = {}
            for row in reversed(self.free):
                if len(changed) == wanted:
                    break
                found = self._implausible(field, self.records[row])
                if found is not None:
                    changed[row] = found
            if len(changed) == wanted:
                self.owned.add(field.name)
                self.free = [row for row in self.free if row not in changed] + list(changed)
                for row, record in changed.items():
                    self.records[row] = record
                return Made(code, field=field.name, lines=self.lines(list(changed)))
        raise self.impossible(code, "no field has values that are implausible and possible, and keep the rules")

    def _implausible(self, field: ContractField, record: Record) -> Record | None:
        possible, plausible, values = limits(field), field.plausible, self.values[field.name]
        if plausible is None or field.name in identifying(self.contract):
            return None
        for span in (Span(plausible.high, possible.high), Span(possible.low, plausible.low)):
            if not (math.isfinite(span.low) and math.isfinite(span.high)) or span.low >= span.high:
                continue
            for _ in range(TRIES):
                value = values.number(span, self.random())
                changed = {**record, field.name: value}
                if value is not None and not plausible.low <= value <= plausible.high and not self.broken(changed):
                    return changed
        return None

    # ------------------------------------------------------------------------------------------- faults of the file

    def few(self, code: str) -> Made:
        return Made(code)

    def ragged(self, code: str) -> Made:
        """Cut the last cell of some lines."""
        rows = self.take(code, self.rows(code))
        self.cut = set(rows)

        def change(sheet: Sheet) -> None:
            for row in rows:
                sheet.cells[row] = [*sheet.cells[row], ""]

        self.sheet_changes.append(change)
        return Made(code, lines=self.lines(rows))

    def no_column(self, code: str) -> Made:
        keys = identifying(self.contract)
        field = self.one_field(code, "every field is a key", lambda field: field.name not in keys)
        self.owned.add(field.name)

        def change(sheet: Sheet) -> None:
            at = sheet.header.index(field.name)
            for line in (sheet.header, *sheet.cells):
                del line[at]

        self.sheet_changes.append(change)
        return Made(code, field=field.name)

    def extra_column(self, code: str) -> Made:
        name = "not_in_the_schema"
        while name in self.contract.names:
            name += "_"

        def change(sheet: Sheet) -> None:
            sheet.header.insert(0, name)
            for line in sheet.cells:
                line.insert(0, "0")

        self.sheet_changes.append(change)
        return Made(code)

    def header_twice(self, code: str) -> Made:
        field = self.one_field(code, "every column has a fault of its own", lambda _: True)

        def change(sheet: Sheet) -> None:
            at = sheet.header.index(field.name)
            for line in (sheet.header, *sheet.cells):
                line.insert(at, line[at])

        self.sheet_changes.append(change)
        return Made(code, field=field.name)

    def delimiter(self, code: str) -> Made:
        if len(self.contract.fields) == 1:
            raise self.impossible(code, "a single column has no delimiter")
        return self._whole(code, lambda sheet: setattr(sheet, "delimiter", ";"))

    def no_header(self, code: str) -> Made:
        return self._whole(code, lambda sheet: setattr(sheet, "has_header", False))

    def empty(self, code: str) -> Made:
        return self._whole(code, lambda sheet: sheet.cells.clear())

    def encoding(self, code: str) -> Made:
        return self._whole(code, lambda sheet: setattr(sheet, "broken_bytes", True))

    def _whole(self, code: str, change: Callable[[Sheet], None]) -> Made:
        self.sheet_changes.append(change)
        return Made(code)


def _fields(asked: Asked) -> set[str]:
    return set(rules.fields(asked.expression))


def _outside(field: ContractField) -> Sequence[float | date]:
    """Give some values that are impossible; none where everything is possible."""
    steps = range(1, 6)
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


CODES: Final[Mapping[str, Callable[[_Spoiling, str], Made]]] = {
    "T-RAGGED": _Spoiling.ragged,
    "T-DUPKEY": _Spoiling.duplicate,
    "T-MISSCOL": _Spoiling.no_column,
    "T-ALLNULL": _Spoiling.all_missing,
    "T-MISSLIM": _Spoiling.missing,
    "T-PLAUS": _Spoiling.implausible,
    "T-RULE": _Spoiling.rule,
    "T-NULL": _Spoiling.null,
    "T-ENUM": _Spoiling.no_code,
    "T-PATTERN": _Spoiling.pattern,
    "T-RANGE": _Spoiling.out_of_range,
    "T-INTFRAC": _Spoiling.fraction,
    "T-NONFINITE": _Spoiling.nonfinite,
    "T-TYPE": _Spoiling.type,
    "T-HDRDUP": _Spoiling.header_twice,
    "T-EXTRACOL": _Spoiling.extra_column,
    "T-FEW": _Spoiling.few,
    "T-ENCODING": _Spoiling.encoding,
    "T-DELIM": _Spoiling.delimiter,
    "T-NOHEADER": _Spoiling.no_header,
    "T-EMPTY": _Spoiling.empty,
}
"""Every fault that a file can have, in the order in which they are made."""

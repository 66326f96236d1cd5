"""What could be changed in the site file for one table: from the cells that were found bad to lines of its mapping.

Only what is plain is proposed. What a person has to know (what a local code means, which of two date formats it is) is a
question. A question may hold local codes, since somebody has to read them; never an identifier, and none of a column in
which so many different texts were found that it holds something else than codes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import polars as pl
from pydantic import ValidationError

from silo_node.configuration import Column, CsvSource, SchemaMapping, Site
from silo_node.fix_plan import texts
from silo_node.fix_plan.texts import quoted
from silo_node.mapping import FieldMapping, TableMapping
from silo_node.mapping.cells import ISO_DATE
from silo_node.mapping.resolve import identifying_fields
from silo_node.sources.tables import Table, column_names
from silo_node.validation.engine import Outcome
from silo_node.validation.findings import Finding
from wardround.contract import units
from wardround.contract.model import Contract, ContractField
from wardround.errors import Refused
from wardround.strict_yaml import nearest, parse_text

MOST_CODES = 20
"""Different unmapped texts of a column that a question lists; more of them are no codes."""
LONGEST_CODE = 40
"""Characters of a text that may be a code."""
ENOUGH = 2
"""Columns from which on a word for missing stands once for the whole schema."""

MARK_WORDS = ", which looks like a mark for missing"

TO_WRITE = re.compile(r"\bwrite ((?:unit|factor|offset|analyte): .+?) for ")
"""How a finding names the keys of a column that would solve it: ``write unit: mg/dL for glucose in the site file``."""

CODE_FAULTS = frozenset({"T-MAP", "T-ENUM", "T-CASE", "T-BOOL"})
READING_FAULTS = frozenset({"T-TYPE", "T-DATEFMT", "T-NONFINITE", "T-INTFRAC"})
IMPOSSIBLE = frozenset({"T-RANGE"})
MARKS = frozenset({"T-SENTINEL"})
"""Codes of values that a check held for marks for missing, possible or not."""
UNIT_FAULTS = frozenset({"T-UNIT"})


@dataclass(frozen=True)
class Change:
    """Lines of the site file that go together.

    Attributes:
        place: what it is about: a field, the source, or the schema's own lists.
        why: for people, what was found and what it would do; may hold local texts.
        column: the field's new column, when it is about one.
        decimal: the source's new decimal mark.
        missing: texts that would mean missing in every column.
        ignore: columns that would be ignored.
    """

    place: str
    why: tuple[str, ...]
    column: Column | None = None
    decimal: str | None = None
    missing: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()


@dataclass(frozen=True)
class Proposals:
    """What could be changed, and what has to be asked."""

    changes: tuple[Change, ...] = ()
    questions: tuple[tuple[str, str], ...] = ()


@dataclass
class _Field:
    """One field's new column while it is gathered."""

    mapping: FieldMapping
    column: Column
    why: list[str] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)
    codes: dict[str, str] = field(default_factory=dict)
    more: dict[str, str] = field(default_factory=dict)


class Proposer:
    """Looks at one table and what was found in it."""

    def __init__(self, site: Site, mapping: TableMapping, table: Table, outcome: Outcome, findings: Sequence[Finding]) -> None:
        """Take what a check read and found."""
        self.site = site
        self.mapping = mapping
        self.contract: Contract = mapping.contract
        self.table = table
        self.outcome = outcome
        self.findings = findings
        self.lines: SchemaMapping = site.file.schemas[mapping.contract.id]
        self.questions: list[tuple[str, str]] = []
        self.shared: tuple[str, ...] = ()

    def proposals(self) -> Proposals:
        """Give everything that could be changed, and every question."""
        changes = list(self._source())
        # with the other decimal mark every number is read anew: what else is wrong with them shows then
        fields = list(self._fields(but_numbers=bool(changes)))
        changes += self._lists(fields)
        changes += [self._change(each) for each in fields if each.why]
        return Proposals(tuple(changes), tuple(self.questions))

    # ---------------------------------------------------------------------------------------------------- whole table

    def _source(self) -> Iterator[Change]:
        """Propose the other decimal mark, where numbers are written with it and none with the declared one."""
        source = self.mapping.source
        if not isinstance(source, CsvSource) or not self._broken_fields(READING_FAULTS, ("integer", "number")):
            return
        found = texts.decimals(self._texts(each) for each in self.mapping.fields if each.field.type in ("integer", "number"))
        now, other = (found.points, found.commas) if source.decimal == "." else (found.commas, found.points)
        mark = "," if source.decimal == "." else "."
        if not other:
            return
        if now or (mark == "," and found.thousands == found.commas):
            why = f"{now} numbers have the other mark" if now else "every comma may part thousands"
            self._ask("source", f"{other} numbers are written with {quoted(mark)}, but {why}: which is the decimal mark?")
        else:
            yield Change(
                "source",
                (f"{other} numbers are written with {quoted(mark)}, and none with {quoted(source.decimal)}",),
                decimal=mark,
            )

    def _lists(self, fields: Sequence[_Field]) -> Iterator[Change]:
        """Propose columns to ignore, and words for missing that several columns have."""
        shared = self.shared = tuple(
            mark
            for mark, times in Counter(mark for each in fields for mark in each.marks).items()
            if times >= ENOUGH and texts.means_missing(mark, coded=True) and not self._is_a_value(mark)
        )
        if shared:
            cells = sum(mark in each.marks for each in fields for mark in shared)
            for each in fields:
                if each.column.missing is None:
                    each.marks = [mark for mark in each.marks if mark not in shared]
                    each.why = [line for line in each.why if not any(_tells(line, mark) for mark in shared)]
            words = ", ".join(quoted(mark) for mark in shared)
            yield Change(
                "missing",
                (f"cells of {cells} columns hold {words}: marks for missing, by the look of them",),
                missing=tuple(shared),
            )
        extra = self._extra_columns()
        if extra:
            yield Change("ignore", ("neither mapped nor ignored so far",), ignore=extra)

    def _extra_columns(self) -> tuple[str, ...]:
        if not any(each.code in ("T-EXTRACOL", "T-HDRDUP") for each in self.findings):
            return ()
        extra = []
        header = column_names(self.site, self.mapping.source_name, self.mapping.known)
        mapped = {
            texts.plain(each.column): each for each in self.mapping.fields if each.column is not None and each.column in header
        }
        for name in dict.fromkeys(header):
            if name in self.mapping.known or not name:
                continue
            if (rival := mapped.get(texts.plain(name))) is not None:
                both = f"{quoted(str(rival.column))} and {quoted(name)}"
                self._ask(rival.field.name, f"Which of the columns {both} is it? List the other one under 'ignore'.")
                continue
            guess = nearest(name, self.contract.names)
            if guess is not None and guess not in self.lines.columns:
                self._ask(guess, f"Is the column {quoted(name)} the field {guess}? Map it, or list it under 'ignore'.")
            else:
                extra.append(name)
        return tuple(extra)

    def _is_a_value(self, text: str) -> bool:
        return any(text in each.values for each in self.contract.fields)

    # --------------------------------------------------------------------------------------------------------- fields

    def _fields(self, *, but_numbers: bool) -> Iterator[_Field]:
        identifying = identifying_fields(self.contract)
        for each in self.mapping.fields:
            column = self.lines.column(each.field.name)
            kind = each.field.type
            if column is None:
                continue
            found = _Field(each, column, codes=dict(each.codes or ()))
            secret = each.field.name in identifying or each.field.privacy in ("direct", "pseudonym")
            if kind == "date":
                self._date(found, secret=secret)
            elif secret:
                continue
            elif each.field.values:
                self._codes(found)
            elif kind in ("integer", "number") and not but_numbers:
                self._unit(found)
                self._marks(found)
            yield found

    def _codes(self, found: _Field) -> None:
        """Propose codes that differ from a known one in case or spaces only; ask for the others."""
        spec = found.mapping.field
        known = found.codes or {value: value for value in spec.values}
        by_plain: dict[str, set[str]] = {}
        for local, value in known.items():
            by_plain.setdefault(texts.plain(local), set()).add(value)
        unknown: dict[str, int] = {}
        for text, times in self._bad(spec.name, CODE_FAULTS).items():
            meant = by_plain.get(texts.plain(text), set())
            if len(meant) == 1 and len(text) <= LONGEST_CODE:
                value = next(iter(meant))
                found.more[text] = value
                found.why.append(f"{quoted(text)} in {texts.many(times, 'cell')}: {value} in other case or spaces")
            elif texts.means_missing(text, coded=True) and not spec.required:
                self._mark(found, text, times)
            else:
                unknown[text] = times
        if unknown:
            self._ask_codes(spec, unknown)

    def _ask_codes(self, spec: ContractField, unknown: dict[str, int]) -> None:
        cells = sum(unknown.values())
        if len(unknown) > MOST_CODES or any(len(text) > LONGEST_CODE for text in unknown):
            text = f"{len(unknown)} different texts that are no code, in {cells} cells: is it the right column?"
            self._ask(spec.name, text)
            return
        labels = {texts.plain(each.label or ""): each.value for each in spec.categories if each.label}
        for text, times in unknown.items():
            guess = labels.get(texts.plain(text))
            which = f"is it {guess}?" if guess else f"which is it: {', '.join(spec.values)}, or a mark for missing?"
            self._ask(spec.name, f"the local code {quoted(text)} in {texts.many(times, 'cell')}: {which}")

    def _date(self, found: _Field, *, secret: bool) -> None:
        """Propose the one format that reads most of a column's texts, if it reads more than the declared one.

        A ``secret`` field identifies records: its texts are counted and none is told.
        """
        name, local = found.mapping.field.name, self._texts(found.mapping)
        if self._bad(name, READING_FAULTS) and len(local):
            now = found.mapping.date_format or ISO_DATE
            read = texts.date_readings(local, (now,))
            have = read[0].reads if read else 0
            better = [each for each in texts.date_readings(local) if each.reads > have]
            best = [each for each in better if each.reads == better[0].reads]
            if len(best) == 1:
                chosen = best[0]
                found.column = found.column.model_copy(update={"date_format": chosen.date_format})
                found.why.append(f"{chosen.reads} of {len(local)} texts are days by {chosen.date_format}, {have} by {now}")
                return
            if best:
                formats = " or ".join(each.date_format for each in best)
                self._ask(name, f"{best[0].reads} of {len(local)} texts are days by {formats}: which is it?")
        if not secret:
            self._marks(found)

    def _marks(self, found: _Field) -> None:
        """Propose words for missing, and impossible values that are written for missing."""
        spec = found.mapping.field
        if spec.required:
            return
        told, impossible = self._bad(spec.name, MARKS), self._bad(spec.name, IMPOSSIBLE)
        written = {text for text in impossible if texts.is_sentinel(text, found.mapping.date_format)}
        if 2 * sum(impossible[text] for text in written) < sum(impossible.values()):
            written = set()  # most are impossible otherwise, as in another unit: an 8 or 99 among them may be one of those
        for text, times in self._bad(spec.name, READING_FAULTS | IMPOSSIBLE | MARKS).items():
            if text in told or text in written or texts.means_missing(text, coded=False):
                self._mark(found, text, times)

    def _mark(self, found: _Field, text: str, times: int) -> None:
        found.marks.append(text)
        found.why.append(f"{quoted(text)} in {texts.many(times, 'cell')}{MARK_WORDS}")

    def _unit(self, found: _Field) -> None:
        """Propose the unit that a finding names, or that the contract's reference knows; else ask."""
        spec = found.mapping.field
        told = [each for each in self.findings if each.code in UNIT_FAULTS and each.field == spec.name]
        if not told or spec.unit is None:
            return
        column = found.column
        if (said := _as_told(told[0], column)) is not None:
            found.column = said
            found.why.append(f"as its finding says: {told[0].finding}")
            return
        named = _units_in(told[0], spec)
        if len(named) != 1 or (column.unit, column.factor, column.offset) != (None, None, None):
            self._ask(spec.name, f"The numbers look like another unit than {column.unit or spec.unit}: which is it?")
            return
        unit = named[0]
        wrong = {each.unit: each.factor for each in spec.reference.wrong_units} if spec.reference is not None else {}
        if _converts(unit, spec.unit):
            found.column = column.model_copy(update={"unit": unit})
        elif unit in wrong:
            found.column = column.model_copy(update={"factor": 1 / wrong[unit]})
        else:
            self._ask(spec.name, f"The numbers look like {unit}, which has no known factor to {spec.unit}: which factor is it?")
            return
        found.why.append(f"the numbers look like {unit}; the schema's unit is {spec.unit}")

    # ---------------------------------------------------------------------------------------------------------- cells

    def _change(self, found: _Field) -> Change:
        column, name = found.column, found.mapping.field.name
        update: dict[str, object] = {}
        if found.more:
            known = found.codes or {value: value for value in found.mapping.field.values}
            update["codes"] = {**known, **found.more}
        if found.marks:
            inherited = (*self.lines.missing, *self.shared) if column.missing is None else column.missing
            update["missing"] = tuple(dict.fromkeys((*inherited, *found.marks)))
        return Change(name, tuple(found.why), column=column.model_copy(update=update))

    def _broken_fields(self, codes: frozenset[str], kinds: tuple[str, ...]) -> set[str]:
        return {each.field.name for each in self.mapping.fields if each.field.type in kinds and self._bad(each.field.name, codes)}

    def _bad(self, name: str, codes: frozenset[str]) -> dict[str, int]:
        """Give the local texts of a field that were found bad, with how many cells hold each, the most frequent first."""
        found: Counter[str] = Counter()
        for broken in self.outcome.broken:
            if broken.check.code in codes and broken.check.fields == (name,) and broken.cells is not None:
                found.update({text: int(times) for text, times in broken.cells.drop_nulls().value_counts().iter_rows()})
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    def _texts(self, mapping: FieldMapping) -> pl.Series:
        """Give the texts of a field's column that are no marks for missing, or digits of days; empty where it holds none."""
        nothing = pl.Series([], dtype=pl.String)
        if mapping.column is None or mapping.column not in self.table.rows.schema:
            return nothing
        local = self.table.rows.column(mapping.column)
        if mapping.field.type == "date" and local.dtype.is_integer():
            local = local.cast(pl.String)
        return local.filter(local.is_not_null() & ~local.is_in(list(mapping.marks))) if local.dtype == pl.String else nothing

    def _ask(self, place: str, text: str) -> None:
        self.questions.append((place, text))


def _tells(line: str, mark: str) -> bool:
    """Whether a reason is that of a mark for missing."""
    return line.startswith(f"{quoted(mark)} in ") and line.endswith(MARK_WORDS)


def _as_told(finding: Finding, column: Column) -> Column | None:
    """Give the column with the keys that a finding says to write, in place of those that convert it now, if it says any."""
    keys = TO_WRITE.search(finding.next_step)
    if keys is None:
        return None
    try:
        told = parse_text(f"{{{keys[1]}}}", "finding").data
        kept = column.model_dump(exclude={"unit", "factor", "offset", "analyte"})
        return Column.model_validate({**kept, **told}) if isinstance(told, dict) else None
    except (Refused, ValidationError):
        return None


def _units_in(finding: Finding, spec: ContractField) -> list[str]:
    """Give the units that a finding names and the field could be in, but for the schema's own."""
    words = {word.strip(".,;:()'\"") for word in re.split(r"\s+", f"{finding.finding} {finding.next_step}")}
    wrong = {each.unit for each in spec.reference.wrong_units} if spec.reference is not None else set()
    return sorted(word for word in words - {str(spec.unit)} if word in wrong or _could_be(word, str(spec.unit)))


def _could_be(unit: str, other: str) -> bool:
    """Whether two units are of one kind: lengths, or concentrations of a substance by mass or by amount."""
    one, two = units.table().get(unit), units.table().get(other)
    if one is None or two is None:
        return False
    return one.dimension == two.dimension or {one.dimension, two.dimension} <= units.ANALYTE_DIMENSIONS


def _converts(unit: str, to: str) -> bool:
    try:
        units.conversion(unit, to, "unit")
    except Refused:
        return False
    return True

"""A table held against its checks in two phases: one aggregate pass that clean data pays for, details only where it fails.

local columns ──> quick values ──> one pass: doubts, suspicions ──┬── none: clean
                                                                  └── full values, masks of what failed, who is set aside
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import polars as pl

from silo_node.mapping.cells import SCHEMA_TYPES, Cells, compile_cells
from silo_node.mapping.facts import Facts
from silo_node.mapping.resolve import FieldMapping, TableMapping
from silo_node.sources.faults import Fault
from silo_node.sources.read import Texts
from silo_node.sources.rows import Rows
from silo_node.validation import cell_checks, distributions, identifiers
from silo_node.validation.between import table_checks
from silo_node.validation.causes import Failed, nowhere
from silo_node.validation.constraints import Check, context_checks, duplicates, rule_check, value_checks
from silo_node.validation.records import Records, Seen, Typed
from silo_node.validation.severity import settled
from wardround.contract import rules


@dataclass(frozen=True)
class Broken:
    """A check that records broke.

    Attributes:
        check: what they broke.
        mask: which rows of the table.
        cells: the local cells concerned, as text, for their shapes; absent for checks of several fields.
        note: what more there is to say of them: how many look like what.
    """

    check: Check
    mask: pl.Series
    cells: pl.Series | None
    note: str = ""


@dataclass(frozen=True)
class Outcome:
    """What the engine found.

    Attributes:
        typed: the fields in schema form.
        broken: the checks that were broken, with their masks.
        faults: columns that are wrong as a whole.
    """

    typed: Typed
    broken: tuple[Broken, ...]
    faults: tuple[Fault, ...]


@dataclass
class _Work:
    """The columns of one run."""

    mapping: TableMapping
    records: Records
    today: date
    facts: Facts
    cells: dict[str, Cells]
    unusable: dict[str, FieldMapping]

    @property
    def readable(self) -> list[FieldMapping]:
        return [each for each in self.mapping.fields if each.field.name not in self.unusable]


def run(mapping: TableMapping, rows: Rows, today: date, texts: Texts | None = None) -> Outcome:
    """Hold a table against a contract.

    Args:
        mapping: the site's mapping of the fields that are needed.
        rows: the local columns that exist, under their local names.
        today: the day after which no record can be dated.
        texts: gives local columns of a text table that are numbers in ``rows`` as text: all of those in whose cells something
            may be wrong, and of the others the cells whose values break a check. How a number is written tells why. Only of a
            table that is held.
    """
    work = _prepare(mapping, rows, today, texts)
    checks = _checks(work)
    suspects = _aggregate_pass(work, checks)
    if texts is not None and (columns := _doubted_numbers(work, suspects)):
        _read_as_text(work, texts(columns, None))
        checks = _checks(work)
        suspects = _aggregate_pass(work, checks)
    if doubted := {name for name in suspects.doubted if work.cells[name].quick is not None}:
        work.records.put({name: work.cells[name].value for name in doubted})
        work.cells |= {name: replace(work.cells[name], quick=None) for name in doubted}
        suspects = _aggregate_pass(work, checks)
    broken = _details(work, suspects)
    empty = [_empty_fault(each, work.records.height) for each in suspects.empty]
    looked = distributions.look(work.records.columns, [each for each in mapping.fields if each.field.name in work.cells])
    parts = [Broken(check, mask, None) for check, mask in looked.parts]
    names = tuple(each.field.name for each in mapping.fields)
    work.records.let_go(names)
    return Outcome(Typed(names, work.records), (*parts, *broken), (*_type_faults(work), *empty, *looked.faults))


# ------------------------------------------------------------------------------------------------------------- prepare


def _prepare(mapping: TableMapping, rows: Rows, today: date, texts: Texts | None) -> _Work:
    """Give the columns: local ones, and the shared ones by their quick values where they have such."""
    facts = Facts()
    cells, unusable = _compiled(mapping, rows.schema, facts)
    fields = {each.field.name: each.field for each in mapping.fields}
    nothing = {name: pl.lit(None, dtype=SCHEMA_TYPES[field.type]) for name, field in fields.items() if name not in cells}
    values = {name: _value(each) for name, each in cells.items()}
    return _Work(mapping, Records(rows, nothing | values, texts), today, facts, cells, unusable)


def _compiled(
    mapping: TableMapping, schema: Mapping[str, pl.DataType], facts: Facts
) -> tuple[dict[str, Cells], dict[str, FieldMapping]]:
    """Give how the cells of each field are read, and the fields whose columns are not there, or of a type that cannot be it."""
    cells: dict[str, Cells] = {}
    unusable: dict[str, FieldMapping] = {}
    for each in mapping.fields:
        if each.column is None:
            continue
        # A column that is not there is T-MISSCOL, which the header's judge has found.
        compiled = compile_cells(each, schema[each.column], facts) if each.column in schema else None
        if compiled is None:
            unusable[each.field.name] = each
        else:
            cells[each.field.name] = compiled
    return cells, unusable


def _value(cells: Cells) -> pl.Expr:
    return cells.value if cells.quick is None else cells.quick.value


def _read_as_text(work: _Work, texts: pl.DataFrame) -> None:
    """Put local texts in the place of numbers, and make the shared columns of them anew."""
    work.facts = Facts()
    schema = work.records.schema | dict(texts.schema)
    work.cells, work.unusable = _compiled(work.mapping, schema, work.facts)
    changed = [each.field.name for each in work.mapping.fields if each.column in texts.columns and each.field.name in work.cells]
    work.records.put({name: _value(work.cells[name]) for name in changed}, texts)


def _checks(work: _Work) -> list[Check]:
    """Give every check whose fields can be read."""
    contract, facts = work.mapping.contract, work.facts
    checks: list[Check] = []
    for each in work.readable:
        checks += cell_checks.specific_checks(contract, each, facts)
        checks += value_checks(contract, each.field, facts, mapped_codes=each.codes is not None)
        checks += context_checks(contract, each.field, facts)
        checks += cell_checks.further_checks(contract, each, facts, work.today)
    names = {each.field.name for each in work.readable}
    if names.issuperset(contract.primary_key):
        words = "stands only once" if len(contract.primary_key) == 1 else "stand only once, together"
        checks.append(duplicates(contract.primary_key, words, facts))
    for rule in contract.rules:
        expression = rules.parse(rule.check, rule.id)
        if names >= rules.fields(expression):
            checks.append(rule_check(contract, rule, expression, facts))
    checks += table_checks(contract, names, work.records.height, facts)
    return [settled(check, contract) for check in checks]


# ---------------------------------------------------------------------------------------------------- phase 1: suspect


@dataclass(frozen=True)
class _Suspects:
    """What the aggregate pass could not clear.

    Attributes:
        checks: checks that records may break.
        doubted: fields whose quick values may be wrong, or that hold bad cells.
        empty: fields without any value.
    """

    checks: tuple[Check, ...]
    doubted: set[str]
    empty: tuple[FieldMapping, ...]


def _aggregate_pass(work: _Work, checks: Sequence[Check]) -> _Suspects:
    """Give one truth value for each check and each column, from aggregates over the table."""
    facts = work.facts
    asked = [check.suspicion.alias(f"check {at}") for at, check in enumerate(checks)]
    for name, cells in work.cells.items():
        if cells.quick is not None:
            asked.append(cells.quick.doubt.alias(f"doubt {name}"))
        elif cells.bad is not None:
            asked.append(facts.any(cells.bad.any()).alias(f"doubt {name}"))
    asked += [(facts.nulls(name) == facts.records).alias(f"empty {name}") for name in (each.field.name for each in work.readable)]
    if not asked:
        return _Suspects((), set(), ())
    answers = work.records.answer(facts)
    # What is not known is not cleared.
    found = {name: truth is not False for name, truth in answers.select(asked).row(0, named=True).items()}
    doubted = {name for name in work.cells if found.get(f"doubt {name}", False)}
    # Where no record could be read there is no value, and the lines that are broken say so.
    readable = work.readable if work.records.height else []
    empty = tuple(each for each in readable if found[f"empty {each.field.name}"] and each.field.name not in doubted)
    names = {each.field.name for each in empty}
    suspected = tuple(
        check
        for at, check in enumerate(checks)
        if found[f"check {at}"] and not (check.code in ("T-NULL", "T-MISSLIM") and names.issuperset(check.fields))
    )
    return _Suspects(suspected, doubted, empty)


def _doubted_numbers(work: _Work, suspects: _Suspects) -> list[str]:
    """Give the local columns of numbers in whose cells something may be wrong."""
    columns = [str(each.column) for each in work.mapping.fields if each.field.name in suspects.doubted]
    return [column for column in columns if work.records.schema[column].is_numeric()]


# ---------------------------------------------------------------------------------------------------- phase 2: details


def _details(work: _Work, suspects: _Suspects) -> list[Broken]:
    """Find the rows behind every suspicion; values that failed by themselves are no evidence in other checks."""
    alone = {f"check {at}": check for at, check in enumerate(suspects.checks) if check.stage != "table"}
    bad = _bad_masks(work, suspects.doubted)
    masks = work.records.masks(bad | {key: check.broken for key, check in alone.items() if not check.whole})
    masks |= work.records.judge({key: (check.broken, check.alike) for key, check in alone.items() if check.whole})
    evidence = _Evidence(work, masks, alone)
    broken, faulty = _bad_cells(work, suspects.doubted, masks, evidence)
    named: dict[str, pl.Series] = dict(faulty)
    failed_values: dict[str, pl.Series] = dict(faulty)
    for key, check in alone.items():
        if check.stage == "value":
            mask = _without(masks[key], check, faulty if check.code in _OF_RECORDS else named)
            if mask.any() and _over(check, mask):
                broken += _by_cause(work, check, mask, evidence.of(key, mask))
                if check.code in (*cell_checks.SPECIFIC, *_FAILED_BY_THEMSELVES):
                    _add(named, check, mask)
                if check.code in _FAILED_BY_THEMSELVES:
                    _add(failed_values, check, mask)
    told = dict(failed_values)
    for key, check in alone.items():
        if check.stage == "context":
            mask = _without(masks[key], check, told if check.code == "T-SENTINEL" else failed_values)
            if mask.any() and _over(check, mask):
                found = _by_cause(work, check, mask, evidence.of(key, mask))
                broken += found
                for each in found:
                    if each.check.code == "T-SENTINEL":
                        _add(told, check, each.mask)
    between = [check for check in suspects.checks if check.stage == "table" and not _in_doubt(check, broken)]
    return broken + _between_records(work, between, broken, failed_values) if between else broken


def _in_doubt(check: Check, broken: Sequence[Broken]) -> bool:
    """Say whether dates look shifted that may only be read wrongly: some are in another form than declared."""
    other_form = {name for each in broken if each.check.code == "T-DATEFMT" for name in each.check.fields}
    return check.code == "T-DATESHIFT" and not other_form.isdisjoint(check.fields)


class _Evidence:
    """The cells behind the masks of checks of one field, read in the order in which the checks are looked at."""

    def __init__(self, work: _Work, masks: Mapping[str, pl.Series], alone: Mapping[str, Check]) -> None:
        wanted = {f"bad {name}": name for name in work.cells if f"bad {name}" in masks}
        for stage in ("value", "context"):
            for key, check in alone.items():
                if check.stage == stage and len(check.fields) == 1 and check.code != "T-NULL" and check.fields[0] in work.cells:
                    wanted[key] = check.fields[0]
        asked = {key: (work.cells[name].text, name, masks[key]) for key, name in wanted.items() if masks[key].any()}
        self._asked = asked.keys()
        self._read = work.records.cells(asked)
        self._last: tuple[str, Seen] | None = None

    def of(self, key: str, mask: pl.Series) -> Seen | None:
        """Give the cells of a check's mask, or of a part of it; nothing for checks of several fields, or of missing values."""
        if key not in self._asked:
            return None
        while self._last is None or self._last[0] != key:
            self._last = next(self._read)  # those of checks that turned out to be kept are passed over
        return self._last[1].within(mask)


def _between_records(
    work: _Work, checks: Sequence[Check], broken: Sequence[Broken], failed: dict[str, pl.Series]
) -> list[Broken]:
    """Hold records against each other. Values that failed are missing to that, as is the patient where a key stands twice."""
    contract = work.mapping.contract
    unknown = dict(failed)
    for each in broken:
        if each.check.code == "T-DUPKEY" and each.check.fields == contract.primary_key:
            name = contract.patient_key
            unknown[name] = unknown[name] | each.mask if name in unknown else each.mask
    masks = work.records.judge({str(at): (check.broken, check.alike) for at, check in enumerate(checks)}, unknown)
    found = [(check, masks[str(at)]) for at, check in enumerate(checks)]
    return [Broken(check, mask, None) for check, mask in found if mask.any() and _over(check, mask)]


_FAILED_BY_THEMSELVES = ("T-RANGE", "T-ENUM", "T-PATTERN", "T-CODEVER", "T-SCI")
"""Codes of checks whose values are no evidence for or against anything else."""
_OF_RECORDS = ("T-NULL", "T-DUPKEY")
"""Codes of checks that say something else of a cell than what is wrong with its form."""


def _add(masks: dict[str, pl.Series], check: Check, mask: pl.Series) -> None:
    name = check.fields[0]
    masks[name] = masks[name] | mask if name in masks else mask


def _by_cause(work: _Work, check: Check, mask: pl.Series, found: Seen | None) -> list[Broken]:
    """Give the records that broke a check the codes of the causes that their cells show; one each."""
    if found is None:
        return [Broken(check, mask, None)]
    cells, name = found.texts, check.fields[0]
    failed = Failed(
        code=check.code,
        mapping=next(each for each in work.mapping.fields if each.field.name == name),
        cells=cells,
        values=found.values,
        sound=found.there - len(found.values) + found.values.null_count(),
        records=work.records.height,
    )
    rows, left, broken = mask.arg_true(), ~nowhere(cells), list[Broken]()
    for cause in cell_checks.causes(work.mapping.contract, failed):
        where = left & cause.where
        if where.any():
            left = left & ~where
            special = replace(
                check,
                code=cause.code,
                level="table" if cause.fatal else check.level,
                expectation=cause.expectation or check.expectation,
                next_step=cause.next_step or check.next_step,
                limit=check.limit if cause.code == check.code else None,
            )
            broken.append(Broken(special, _rows(work, rows.filter(where)), cells.filter(where), cause.note))
    rest = _rows(work, rows.filter(left))
    if not broken or not left.any():
        return broken or [Broken(check, mask, cells)]
    # What is left of a share may be within the limit.
    return [*broken, *([Broken(check, rest, cells.filter(left))] if _over(check, rest) else [])]


def _rows(work: _Work, rows: pl.Series) -> pl.Series:
    mask = np.zeros(work.records.height, dtype=bool)
    mask[rows.to_numpy()] = True
    return pl.Series(mask)


def _bad_masks(work: _Work, names: set[str]) -> dict[str, pl.Expr]:
    """Ask which cells of some fields are bad, and which of them in which way: the first that applies."""
    asked: dict[str, pl.Expr] = {}
    for name, cells in work.cells.items():
        if name in names and cells.bad is not None:
            rest = cells.bad.fill_null(value=False)
            asked[f"bad {name}"] = rest
            for at, (_, applies) in enumerate(cells.kinds):
                asked[f"bad {name} {at}"] = rest & applies.fill_null(value=False)
                rest = rest & ~applies.fill_null(value=False)
    return asked


def _bad_cells(
    work: _Work, names: set[str], masks: Mapping[str, pl.Series], evidence: _Evidence
) -> tuple[list[Broken], dict[str, pl.Series]]:
    broken: list[Broken] = []
    faulty: dict[str, pl.Series] = {}
    fields = {each.field.name: each for each in work.mapping.fields}
    for name, cells in work.cells.items():
        if name not in names or cells.bad is None:
            continue
        faulty[name] = masks[f"bad {name}"]
        for at, (code, _) in enumerate(cells.kinds):
            if (mask := masks[f"bad {name} {at}"]).any():
                broken += _by_cause(work, _cell_check(code, fields[name]), mask, evidence.of(f"bad {name}", mask))
    return broken, faulty


_CELL_WORDS = {
    "T-TYPE": (
        "{name} holds {kind}",
        "write plain values: no unit, no comparison sign, the declared decimal mark and date format",
    ),
    "T-BIGINT": (identifiers.EXPECTATIONS["T-BIGINT"], identifiers.NEXT_STEPS["T-BIGINT"]),
    "T-INTFRAC": ("{name} holds {kind}", "correct the values, or the unit in the site file"),
    "T-NONFINITE": ("{name} holds finite numbers", "declare the mark for missing under 'missing', or leave the cell empty"),
    "T-MAP": (
        "every local code of {name} is mapped",
        "add the codes under 'codes', or the marks under 'missing', in the site file",
    ),
}
_KINDS = {"string": "texts", "integer": "whole numbers", "number": "numbers", "date": "dates"}


def _cell_check(code: str, mapping: FieldMapping) -> Check:
    words, next_step = _CELL_WORDS[code]
    nothing = pl.lit(value=False)
    text = words.format(name=mapping.field.name, kind=_KINDS[mapping.field.type])
    return Check(code, "error", "record", (mapping.field.name,), nothing, nothing, text, next_step)


def _without(mask: pl.Series, check: Check, faulty: dict[str, pl.Series]) -> pl.Series:
    for name in check.fields:
        if name in faulty:
            mask = mask & ~faulty[name]
    return mask


def _over(check: Check, mask: pl.Series) -> bool:
    """Whether more records break a check than may."""
    return check.limit is None or int(mask.sum()) > check.limit * len(mask)


# ------------------------------------------------------------------------------------------------------- whole columns


_SERIAL = (
    "T-DATEFMT",
    "it holds numbers, as a spreadsheet counts days since 1900",
    "export the dates as text, YYYY-MM-DD, or as dates of the file's own type; or map another column",
)
_OTHER_TYPE = ("T-TYPE", "the column's own type cannot", "map another column, or export this one with another type")


def _type_faults(work: _Work) -> list[Fault]:
    """Say which columns have a type that cannot hold the field's values: code, finding and next step of each."""
    faults = []
    for name, each in work.unusable.items():
        if str(each.column) in work.records.schema:
            code, finding, next_step = _SERIAL if _is_serial(work, each) else _OTHER_TYPE
            rule = f"{name} comes from a column that can hold {_KINDS[each.field.type]}"
            faults.append(Fault(code, rule, finding, next_step, field=name, count=work.records.height))
    return faults


def _is_serial(work: _Work, mapping: FieldMapping) -> bool:
    """Say whether numbers stand where dates belong: days, as spreadsheets count them."""
    return mapping.field.type == "date" and work.records.schema[str(mapping.column)].is_numeric()


def _empty_fault(mapping: FieldMapping, height: int) -> Fault:
    needed = mapping.field.required or mapping.field.missing.max_fraction < 1.0
    step = "map the column that holds it, or correct the marks for missing in the site file"
    if mapping.column is None and not needed:
        step = "map the column that holds it; if you have none, there is nothing to do"
    return Fault(
        "T-ALLNULL",
        f"{mapping.field.name} has values" if needed else f"{mapping.field.name} usually has values",
        "every value is missing",
        step,
        field=mapping.field.name,
        count=height,
        warning=not needed,
    )

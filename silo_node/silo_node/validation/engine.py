"""A table held against its checks in two phases: one aggregate pass that clean data pays for, details only where it fails.

local columns ──> quick values ──> one pass: doubts, suspicions ──┬── none: clean
                                                                  └── full values, masks of what failed, who is set aside
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

import numpy as np
import polars as pl

from silo_node.mapping.cells import LOCAL, SCHEMA_TYPES, Cells, compile_cells
from silo_node.mapping.facts import Facts
from silo_node.mapping.resolve import FieldMapping, TableMapping
from silo_node.sources.faults import Fault
from silo_node.sources.read import Texts
from silo_node.validation import cell_checks, distributions, identifiers
from silo_node.validation.between import table_checks
from silo_node.validation.causes import Failed, nowhere
from silo_node.validation.constraints import Check, context_checks, duplicates, rule_check, value_checks
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
        typed: the fields in schema form, in the contract's order; ``(n_rows, n_fields)``.
        broken: the checks that were broken, with their masks.
        faults: columns that are wrong as a whole.
    """

    typed: pl.DataFrame
    broken: tuple[Broken, ...]
    faults: tuple[Fault, ...]


@dataclass
class _Work:
    """The columns of one run."""

    mapping: TableMapping
    table: pl.DataFrame
    today: date
    facts: Facts
    cells: dict[str, Cells]
    absent: dict[str, FieldMapping]
    unusable: dict[str, FieldMapping]
    full: set[str] = field(default_factory=set)

    @property
    def readable(self) -> list[FieldMapping]:
        return [each for each in self.mapping.fields if each.field.name not in self.unusable]


def run(mapping: TableMapping, frame: pl.DataFrame, today: date, texts: Texts | None = None) -> Outcome:
    """Hold a table against a contract.

    Args:
        mapping: the site's mapping of the fields that are needed.
        frame: the local columns that exist, under their local names.
        today: the day after which no record can be dated.
        texts: gives local columns of a text table that are numbers in ``frame`` as text, for those in which something may be
            wrong: how a number is written tells why.
    """
    work = _prepare(mapping, frame, today)
    checks = _checks(work)
    suspects = _aggregate_pass(work, checks)
    if texts is not None and (columns := _suspected_numbers(work, suspects)):
        work = _prepare(mapping, frame.with_columns(texts(columns)), today, work)
        checks = _checks(work)
        suspects = _aggregate_pass(work, checks)
    if any(work.cells[name].quick is not None for name in suspects.doubted):
        work.full |= suspects.doubted
        _fill(work, suspects.doubted)
        suspects = _aggregate_pass(work, checks)
    broken = _details(work, suspects)
    empty = [_empty_fault(each, work.table.height) for each in suspects.empty]
    looked = distributions.look(work.table, [each for each in mapping.fields if each.field.name in work.cells])
    parts = [Broken(check, mask, None) for check, mask in looked.parts]
    typed = work.table.select(each.field.name for each in mapping.fields)
    return Outcome(typed, (*parts, *broken), (*_type_faults(work), *empty, *looked.faults))


# ------------------------------------------------------------------------------------------------------------- prepare


def _prepare(mapping: TableMapping, frame: pl.DataFrame, today: date, before: _Work | None = None) -> _Work:
    """Give the columns; those whose local column is the same as ``before`` are taken from there."""
    table = frame.rename(lambda name: LOCAL + name) if frame.width else frame  # without a column, it would lose its height
    facts = Facts()
    cells: dict[str, Cells] = {}
    absent: dict[str, FieldMapping] = {}
    unusable: dict[str, FieldMapping] = {}
    for each in mapping.fields:
        name = each.field.name
        if each.column is None:
            absent[name] = each
        elif each.column not in frame.columns:
            unusable[name] = each  # T-MISSCOL, which the header's judge has found
        else:
            compiled = compile_cells(each, frame.schema[each.column], facts)
            if compiled is None:
                unusable[name] = each
            else:
                cells[name] = compiled
    work = _Work(mapping, table, today, facts, cells, absent, unusable)
    nothing = [pl.lit(None, dtype=SCHEMA_TYPES[each.field.type]).alias(name) for name, each in (absent | unusable).items()]
    work.table = table.with_columns(nothing)
    old = {} if before is None else before.table.schema
    same = [each.field.name for each in mapping.fields if each.field.name in cells and _same(old, table.schema, each)]
    if before is not None:
        work.table = work.table.with_columns(before.table[name] for name in same)
    _fill(work, set(cells).difference(same))
    return work


def _same(old: Mapping[str, pl.DataType], new: Mapping[str, pl.DataType], mapping: FieldMapping) -> bool:
    return old.get(f"{LOCAL}{mapping.column}") == new[f"{LOCAL}{mapping.column}"]


def _fill(work: _Work, names: set[str]) -> None:
    """Put the shared values of some fields into the table: the quick ones, unless the field needs the full way."""
    values = []
    for name in names:
        compiled = work.cells[name]
        quick = compiled.quick is not None and name not in work.full
        value = compiled.quick.value if compiled.quick is not None and quick else compiled.value
        values.append(value.alias(name))
    work.table = work.table.with_columns(values)


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
    checks += table_checks(contract, names, work.table.height, facts)
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
    """One lazy pass over the table that gives one truth value for each check and each column."""
    facts = work.facts
    asked = [check.suspicion.alias(f"check {at}") for at, check in enumerate(checks)]
    for name, cells in work.cells.items():
        if cells.quick is not None and name not in work.full:
            asked.append(cells.quick.doubt.alias(f"doubt {name}"))
        elif cells.bad is not None:
            asked.append(facts.other(cells.bad.any()).alias(f"doubt {name}"))
    asked += [(facts.nulls(name) == facts.records).alias(f"empty {name}") for name in (each.field.name for each in work.readable)]
    if not asked:
        return _Suspects((), set(), ())
    answers = work.table.lazy().select(facts.asked)
    found = answers.select(question.fill_null(value=True) for question in asked).collect().row(0, named=True)
    doubted = {name for name in work.cells if found.get(f"doubt {name}", False)}
    # Where no record could be read there is no value, and the lines that are broken say so.
    readable = work.readable if work.table.height else []
    empty = tuple(each for each in readable if found[f"empty {each.field.name}"] and each.field.name not in doubted)
    names = {each.field.name for each in empty}
    suspected = tuple(
        check
        for at, check in enumerate(checks)
        if found[f"check {at}"] and not (check.code in ("T-NULL", "T-MISSLIM") and names.issuperset(check.fields))
    )
    return _Suspects(suspected, doubted, empty)


def _suspected_numbers(work: _Work, suspects: _Suspects) -> list[str]:
    """Give the local columns of numbers in whose cells, or with whose values, something may be wrong."""
    names = suspects.doubted.union(*(check.fields for check in suspects.checks))
    columns = [str(each.column) for each in work.mapping.fields if each.field.name in names.intersection(work.cells)]
    return [column for column in columns if work.table.schema[LOCAL + column].is_numeric()]


# ---------------------------------------------------------------------------------------------------- phase 2: details


def _details(work: _Work, suspects: _Suspects) -> list[Broken]:
    """Find the rows behind every suspicion; values that failed by themselves are no evidence in other checks."""
    broken, faulty = _bad_cells(work, suspects.doubted)
    alone = [(at, check) for at, check in enumerate(suspects.checks) if check.stage != "table"]
    masks = (
        work.table.select(check.broken.fill_null(value=False).alias(str(at)) for at, check in alone) if alone else pl.DataFrame()
    )
    named: dict[str, pl.Series] = dict(faulty)
    failed_values: dict[str, pl.Series] = dict(faulty)
    for at, check in alone:
        if check.stage == "value":
            mask = _without(masks[str(at)], check, faulty if check.code in _OF_RECORDS else named)
            if mask.any() and _over(check, mask):
                broken += _by_cause(work, Broken(check, mask, _cells(work, check, mask)))
                if check.code in (*cell_checks.SPECIFIC, *_FAILED_BY_THEMSELVES):
                    _add(named, check, mask)
                if check.code in _FAILED_BY_THEMSELVES:
                    _add(failed_values, check, mask)
    told = dict(failed_values)
    for at, check in alone:
        if check.stage == "context":
            mask = _without(masks[str(at)], check, told if check.code == "T-SENTINEL" else failed_values)
            if mask.any() and _over(check, mask):
                found = _by_cause(work, Broken(check, mask, _cells(work, check, mask)))
                broken += found
                for each in found:
                    if each.check.code == "T-SENTINEL":
                        _add(told, check, each.mask)
    between = [check for check in suspects.checks if check.stage == "table"]
    return broken + _between_records(work, between, broken, failed_values) if between else broken


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
    table = work.table.with_columns(
        pl.when(pl.lit(mask)).then(None).otherwise(pl.col(name)).alias(name) for name, mask in unknown.items()
    )
    masks = table.select(check.broken.fill_null(value=False).alias(str(at)) for at, check in enumerate(checks))
    found = [(check, masks[str(at)]) for at, check in enumerate(checks)]
    return [Broken(check, mask, None) for check, mask in found if mask.any() and _over(check, mask)]


_FAILED_BY_THEMSELVES = ("T-RANGE", "T-ENUM", "T-PATTERN", "T-CODEVER", "T-SCI")
"""Codes of checks whose values are no evidence for or against anything else."""
_OF_RECORDS = ("T-NULL", "T-DUPKEY")
"""Codes of checks that say something else of a cell than what is wrong with its form."""


def _add(masks: dict[str, pl.Series], check: Check, mask: pl.Series) -> None:
    name = check.fields[0]
    masks[name] = masks[name] | mask if name in masks else mask


def _by_cause(work: _Work, broken: Broken) -> list[Broken]:
    """Give the records that broke a check the codes of the causes that their cells show; one each."""
    check, cells = broken.check, broken.cells
    if cells is None:
        return [broken]
    name = check.fields[0]
    there = work.table[name].is_not_null()
    failed = Failed(
        code=check.code,
        mapping=next(each for each in work.mapping.fields if each.field.name == name),
        cells=cells,
        values=work.table[name].filter(broken.mask),
        sound=int((there & ~broken.mask).sum()),
        records=work.table.height,
    )
    rows, left, found = broken.mask.arg_true(), ~nowhere(cells), list[Broken]()
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
            found.append(Broken(special, _rows(work, rows.filter(where)), cells.filter(where), cause.note))
    rest = _rows(work, rows.filter(left))
    if not found or not left.any():
        return found or [broken]
    # What is left of a share may be within the limit.
    return [*found, *([Broken(check, rest, cells.filter(left))] if _over(check, rest) else [])]


def _rows(work: _Work, rows: pl.Series) -> pl.Series:
    mask = np.zeros(work.table.height, dtype=bool)
    mask[rows.to_numpy()] = True
    return pl.Series(mask)


def _bad_cells(work: _Work, names: set[str]) -> tuple[list[Broken], dict[str, pl.Series]]:
    broken: list[Broken] = []
    faulty: dict[str, pl.Series] = {}
    for each in work.mapping.fields:
        name = each.field.name
        cells = work.cells.get(name)
        if name not in names or cells is None or cells.bad is None:
            continue
        rest = cells.bad.fill_null(value=False)
        masks = [rest.alias("bad")]
        for at, (_, applies) in enumerate(cells.kinds):
            masks.append((rest & applies.fill_null(value=False)).alias(str(at)))
            rest = rest & ~applies.fill_null(value=False)
        found = work.table.select(masks)
        faulty[name] = found["bad"]
        for at, (code, _) in enumerate(cells.kinds):
            if (mask := found[str(at)]).any():
                broken += _by_cause(work, Broken(_cell_check(code, each), mask, _shown(work, name, mask)))
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


def _cells(work: _Work, check: Check, mask: pl.Series) -> pl.Series | None:
    return _shown(work, check.fields[0], mask) if len(check.fields) == 1 and check.code != "T-NULL" else None


def _shown(work: _Work, name: str, mask: pl.Series) -> pl.Series | None:
    cells = work.cells.get(name)
    return None if cells is None else work.table.filter(mask).select(cells.text.alias("text")).to_series()


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
        if LOCAL + str(each.column) in work.table.columns:
            code, finding, next_step = _SERIAL if _is_serial(work, each) else _OTHER_TYPE
            rule = f"{name} comes from a column that can hold {_KINDS[each.field.type]}"
            faults.append(Fault(code, rule, finding, next_step, field=name, count=work.table.height))
    return faults


def _is_serial(work: _Work, mapping: FieldMapping) -> bool:
    """Say whether numbers stand where dates belong: days, as spreadsheets count them."""
    return mapping.field.type == "date" and work.table.schema[LOCAL + str(mapping.column)].is_numeric()


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

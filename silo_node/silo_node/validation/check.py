"""The check of a hospital's records against a contract: everything that is wrong, in one run, in two reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from types import MappingProxyType

import polars as pl
from polars.exceptions import PanicException, PolarsError

from silo_node.configuration import Site
from silo_node.mapping import TableMapping, resolve
from silo_node.mapping.cells import SCHEMA_TYPES
from silo_node.sources.faults import UnreadableError
from silo_node.sources.header import Wanted
from silo_node.sources.tables import Table, open_source
from silo_node.sources.unheard import unheard
from silo_node.validation import engine
from silo_node.validation.dates import latest_today
from silo_node.validation.judgement import Judgement, unreadable
from silo_node.validation.profiles import profiles
from silo_node.validation.result import CheckFailed, CheckResult
from wardround.contract.model import Contract
from wardround.errors import Broken

__all__ = ["CheckFailed", "CheckResult", "check", "look"]


def check(
    site: Site,
    contract: Contract,
    *,
    fields: Sequence[str] | None = None,
    max_fraction: float = 0.0,
    minimum_records: int | None = None,
    profiled: bool = False,
    today: date | None = None,
) -> CheckResult:
    """Check a hospital's records against a contract.

    Args:
        site: the hospital.
        contract: the schema.
        fields: the fields that are needed, beside the keys; all when not given. Rules are checked that need only these.
        max_fraction: the share of records that may be set aside.
        minimum_records: the fewest valid records; the contract's own limit when not given.
        profiled: whether to describe each field's values too, for the local report.
        today: the day after which no record can be dated; the day it is when not given. It sets no record aside, so that
            the same records are valid on every day.

    Raises:
        Refused: M- codes, when the site file and the contract do not fit; nothing that depends on a record.
    """
    mapping = resolve(site, contract, fields)
    try:
        table, outcome = look(site, mapping, today, numbers=_numbers(mapping))
        result = Judgement(site, mapping, table, outcome).result(max_fraction, minimum_records)
        return replace(result, profiles=profiles(contract, outcome.typed)) if profiled else result
    except UnreadableError as error:  # a large table is read again for each of them
        return unreadable(site, mapping, error.fault)


def _numbers(mapping: TableMapping) -> dict[str, pl.DataType]:
    """Give the columns that a text table may give as numbers: an empty cell is missing there, and nothing else is."""
    columns = [each.column for each in mapping.fields]
    return {
        each.column: SCHEMA_TYPES[each.field.type]
        for each in mapping.fields
        if each.column is not None
        and columns.count(each.column) == 1
        and each.field.type in ("integer", "number")
        and (each.marks, each.decimal) == (("",), ".")
    }


@unheard
def look(
    site: Site,
    mapping: TableMapping,
    today: date | None = None,
    *,
    numbers: Mapping[str, pl.DataType] = MappingProxyType({}),
) -> tuple[Table, engine.Outcome]:
    """Read a hospital's table and hold it against the contract, without a judgement.

    Args:
        site: the hospital.
        mapping: its mapping to the contract.
        today: as in ``check``.
        numbers: columns that a text table may give as numbers; what is found is the same.

    Raises:
        UnreadableError: the table cannot be read at all.
    """
    contract = mapping.contract
    wanted = Wanted(
        fields={each.field.name: each.column for each in mapping.fields if each.column is not None},
        known=mapping.known,
        names=contract.names,
        exact=contract.fields_match == "exact",
        numbers=numbers,
    )
    table = open_source(site, mapping.source_name, wanted)
    try:
        outcome = engine.run(mapping, table.rows, today or latest_today(), table.texts)
    except (PolarsError, PanicException) as error:
        # Text is text and numbers are numbers by now, so this is our mistake; its message may still hold a cell.
        msg = f"polars could not hold the table against {contract.id}: {type(error).__name__}"
        raise Broken(msg) from None
    return replace(table, texts=None), outcome  # which lets go of the file's text

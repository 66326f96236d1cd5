"""The check of a hospital's records against a contract: everything that is wrong, in one run, in two reports."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from polars.exceptions import PanicException, PolarsError

from silo_node.configuration import Site
from silo_node.mapping import resolve
from silo_node.sources.faults import UnreadableError
from silo_node.sources.header import Wanted
from silo_node.sources.tables import open_table
from silo_node.validation import engine
from silo_node.validation.dates import latest_today
from silo_node.validation.judgement import Judgement, unreadable
from silo_node.validation.result import CheckFailed, CheckResult
from wardround.contract.model import Contract
from wardround.errors import Broken

__all__ = ["CheckFailed", "CheckResult", "check"]


def check(
    site: Site,
    contract: Contract,
    *,
    fields: Sequence[str] | None = None,
    max_fraction: float = 0.0,
    minimum_records: int | None = None,
    today: date | None = None,
) -> CheckResult:
    """Check a hospital's records against a contract.

    Args:
        site: the hospital.
        contract: the schema.
        fields: the fields that are needed, beside the keys; all when not given. Rules are checked that need only these.
        max_fraction: the share of records that may be set aside.
        minimum_records: the fewest valid records; the contract's own limit when not given.
        today: the day after which no record can be dated; the day it is when not given. It only warns, so that the same
            records are valid on every day.

    Raises:
        Refused: M- codes, when the site file and the contract do not fit; nothing that depends on a record.
    """
    mapping = resolve(site, contract, fields)
    wanted = Wanted(
        fields={each.field.name: each.column for each in mapping.fields if each.column is not None},
        known=mapping.known,
        names=contract.names,
        exact=contract.fields_match == "exact",
    )
    try:
        table = open_table(site.source_path(mapping.source), mapping.source, wanted)
    except UnreadableError as error:
        return unreadable(site, mapping, error.fault)
    try:
        outcome = engine.run(mapping, table.frame, today or latest_today())
    except (PolarsError, PanicException) as error:
        # Text is text and numbers are numbers by now, so this is our mistake; its message may still hold a cell.
        msg = f"polars could not hold the table against {contract.id}: {type(error).__name__}"
        raise Broken(msg) from None
    return Judgement(site, mapping, table, outcome).result(max_fraction, minimum_records)

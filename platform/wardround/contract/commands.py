"""``wardround schema``: which shared schemas there are, what one holds, and whether a schema file is in order."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from wardround.canonical import model_json
from wardround.console import format_option, print_json, say, terminal
from wardround.contract import library
from wardround.contract.diff_command import diff_command, in_words
from wardround.contract.export_command import editor_schema_command, export_command
from wardround.contract.folder_check import before, check_folder
from wardround.contract.imaging import ImagingContract
from wardround.contract.imaging_words import demands, summary
from wardround.contract.library import AnyContract
from wardround.contract.model import Contract, ContractField
from wardround.contract.new_command import new_command
from wardround.contract.options import schema_path_option
from wardround.contract.rules import parse, unparse
from wardround.contract.synthesise_command import synthesise
from wardround.errors import raise_all

if TYPE_CHECKING:
    from wardround.canonical import Json


@click.group()
def schema() -> None:
    """Shared schemas (data contracts): list and show them, write, check and compare versions, export, make up records."""


for command in (new_command, diff_command, export_command, editor_schema_command, synthesise):
    schema.add_command(command)


@schema.command("list")
@schema_path_option
@format_option
def list_command(schema_path: tuple[Path, ...], form: str) -> None:
    """List every version of every schema that is installed or on the schema path."""
    rows = [(listing, library.open_any(listing, schema_path)) for listing in library.available_any(schema_path)]
    if form == "json":
        print_json({"schemas": [_summary(contract, shipped=listing.shipped) for listing, contract in rows]})
        return
    table = _table("schema", "version", "kind", "status", "fields", "title")
    for _, contract in rows:
        counted = str(len(contract.fields)) if isinstance(contract, Contract) else ""
        words = (contract.id, contract.version, contract.kind, contract.status, counted, contract.title)
        table.add_row(*(escape(word) for word in words))
    terminal().print(table)


def _summary(contract: AnyContract, **more: Json) -> dict[str, Json]:
    found: dict[str, Json] = {
        "id": contract.id,
        "version": contract.version,
        "kind": contract.kind,
        "status": contract.status,
        "title": contract.title,
        "contract_hash": contract.contract_hash(),
    }
    if isinstance(contract, Contract):
        found |= {"fields": len(contract.fields), "encoding_hash": contract.encoding_hash()}
    return found | more


@schema.command("show")
@click.argument("name")
@schema_path_option
@format_option
def show_command(name: str, schema_path: tuple[Path, ...], form: str) -> None:
    """Show one schema: fields, limits, rules, or what an image must be; and its hashes. NAME is an id, id@version or a file."""
    contract = library.find_any(name, schema_path)
    if form == "json":
        print_json({**_summary(contract), "contract": model_json(contract)})
    elif isinstance(contract, Contract):
        _show_table(contract)
    else:
        _show_images(contract)
    if form != "json":
        for source in contract.sources:
            say(f"source          {source.title}{f' ({source.licence})' if source.licence else ''}")


def _show_images(contract: ImagingContract) -> None:
    say(f"{contract.title}\n{contract.id} {contract.version} ({contract.status}): {summary(contract)}")
    if contract.description:
        say(f"\n{contract.description}")
    table = _table("what", "must be", "if it is not", title="Images")
    for demand in demands(contract):
        table.add_row(*(escape(word) for word in (demand.what, demand.wanted, demand.found)))
    terminal().print(table)
    say(f"patient key     {contract.patient_key}")
    if contract.table is not None:
        say(f"table           {contract.table.id} {contract.table.version}")
    say(f"at least        {contract.minimum_examples} examples")
    say(f"contract hash   {contract.contract_hash()}")


def _show_table(contract: Contract) -> None:
    say(f"{contract.title}\n{contract.id} {contract.version} ({contract.status}): {contract.row_grain}")
    if contract.description:
        say(f"\n{contract.description}")
    terminal().print(_fields_table(contract))
    if contract.rules:
        terminal().print(_rules_table(contract))
    say(f"primary key     {', '.join(contract.primary_key)}")
    say(f"patient key     {contract.patient_key}")
    say(f"at least        {contract.limits.min_records} records of {contract.limits.min_patients} patients")
    say(f"contract hash   {contract.contract_hash()}")
    say(f"encoding hash   {contract.encoding_hash()}")


def _table(*columns: str, title: str | None = None) -> Table:
    """Make a table whose first column is never cut and whose other words wrap instead of being cut."""
    table = Table(title=title, box=SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for position, column in enumerate(columns):
        table.add_column(column, no_wrap=position == 0, overflow="fold")
    return table


def _fields_table(contract: Contract) -> Table:
    table = _table("field", "type", "unit", "values", "missing", "privacy", title="Fields")
    for field in contract.fields:
        missing = "never" if field.required else f"up to {field.missing.max_fraction:.0%}"
        words = (field.name, field.type, field.unit or "", _values(field), missing, field.privacy)
        table.add_row(*(escape(word) for word in words))
    return table


def _values(field: ContractField) -> str:
    plausible = field.plausible
    if plausible is None:
        return _possible(field)
    share = f"{plausible.max_outside:.0%} of records outside {plausible.low} to {plausible.high}"
    return f"{_possible(field)}; at most {share}"


def _possible(field: ContractField) -> str:
    limits = field.constraints
    if field.categories:
        return " | ".join(field.values)
    if limits.minimum is not None or limits.maximum is not None:
        return f"{_limit(limits.minimum)} to {_limit(limits.maximum)}"
    if limits.pattern is not None:
        return limits.pattern
    if limits.min_length is not None or limits.max_length is not None:
        return f"{_limit(limits.min_length)} to {_limit(limits.max_length)} characters"
    return ""


def _limit(value: float | str | None) -> str:
    return "any" if value is None else str(value)


def _rules_table(contract: Contract) -> Table:
    table = _table("rule", "check", "severity", title="Rules")
    for rule in contract.rules:
        severity = rule.severity if rule.severity == "error" else f"warning, at most {rule.max_fraction:.0%}"
        table.add_row(*(escape(word) for word in (rule.id, unparse(parse(rule.check)), severity)))
    return table


@schema.command("check")
@click.argument("path", type=click.Path(path_type=Path))
@schema_path_option
@format_option
def check_command(path: Path, schema_path: tuple[Path, ...], form: str) -> None:
    """Check a schema file or a whole schema folder: every problem at once, each with its line.

    Of a file in order the hashes are printed, and what changed since the version before, where that is installed, on the schema
    path or in the same folder. Of a folder (tables, imaging, examples, registry.yaml) all files, names, hashes and examples are
    checked.
    """
    if path.is_dir():
        _check_folder(path, schema_path, form)
        return
    contract = library.load_any(path, schema_path)
    comparison = before(contract, path, schema_path)
    raise_all([] if comparison is None else comparison.problems())
    if form == "json":
        since = None if comparison is None else comparison.old.version
        grade = None if comparison is None or comparison.grade is None else str(comparison.grade)
        print_json({**_summary(contract), "in_order": True, "since": since, "class": grade})
        return
    if isinstance(contract, Contract):
        say(f"{contract.id} {contract.version} is in order: {len(contract.fields)} fields, {len(contract.rules)} rules.")
    else:
        say(f"{contract.id} {contract.version} is in order: {summary(contract)}.")
    say(f"contract hash   {contract.contract_hash()}")
    if isinstance(contract, Contract):
        say(f"encoding hash   {contract.encoding_hash()}")
    if comparison is not None:
        say(f"since {comparison.old.version}     {in_words(comparison)}")


def _check_folder(folder: Path, schema_path: tuple[Path, ...], form: str) -> None:
    contracts = check_folder(folder, schema_path)
    if form == "json":
        print_json({"in_order": True, "schemas": [_summary(contract) for contract in contracts]})
        return
    for contract in contracts:
        say(f"{contract.id} {contract.version} ({contract.status})")
    versions, schemas = len(contracts), len({contract.id for contract in contracts})
    say(f"The folder is in order. Versions: {versions}; schemas: {schemas}.")

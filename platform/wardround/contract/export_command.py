"""``wardround schema export``: a schema in the words of others. ``wardround schema editor-schema``: the shape of schema files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wardround.console import format_option, print_json, say
from wardround.contract import library
from wardround.contract.library import FOLDERS
from wardround.contract.model import Contract
from wardround.contract.options import schema_path_option
from wardround.errors import Refused, refuse
from wardround.files import write_atomic, write_new

if TYPE_CHECKING:
    from wardround.canonical import Json
    from wardround.contract.library import AnyContract, Kind

output_option = click.option(
    "--output", "output", type=click.Path(path_type=Path, dir_okay=False), help="The file to write  [default: standard output]"
)
force_option = click.option("--force", is_flag=True, help="Replace a file that is there.")


@click.command("export")
@click.argument("name")
@click.option(
    "--as",
    "kind",
    type=click.Choice(["json-schema", "table-schema", "dictionary"]),
    required=True,
    help="Of tables: the JSON Schema of a record, a Frictionless Table Schema (v2). Of all: a page for people (HTML).",
)
@output_option
@force_option
@schema_path_option
@format_option
def export_command(
    name: str,
    kind: str,
    output: Path | None,
    force: bool,  # noqa: FBT001  (click's)
    schema_path: tuple[Path, ...],
    form: str,
) -> None:
    """Write a schema in another form: for programs, for people. NAME is an id, id@version or a file."""
    page = kind == "dictionary"
    text = _page(library.find_any(name, schema_path)) if page else _records(library.find(name, schema_path), kind)
    _deliver(text, output, kind, form, force=force)


def _page(contract: AnyContract) -> str:
    from wardround.contract.exports.dictionary import dictionary, image_dictionary

    return dictionary(contract) if isinstance(contract, Contract) else image_dictionary(contract)


def _records(contract: Contract, kind: str) -> str:
    from wardround.contract.exports.json_schema import record_schema
    from wardround.contract.exports.table_schema import table_schema

    return _as_text(record_schema(contract) if kind == "json-schema" else table_schema(contract))


@click.command("editor-schema")
@click.option(
    "--kind",
    "kind",
    type=click.Choice(list(FOLDERS)),
    default="table",
    show_default=True,
    help="Of schema files of tables, or of images.",
)
@output_option
@force_option
@format_option
def editor_schema_command(kind: Kind, output: Path | None, force: bool, form: str) -> None:  # noqa: FBT001  (click's)
    """Write the JSON Schema of schema files, by which an editor completes keys and marks mistakes.

    The line that schema new --editor-schema PATH writes tells the YAML extension of VS Code, and other editors, where it is.
    """
    from wardround.contract.exports.json_schema import editor_schema

    _deliver(_as_text(editor_schema(kind)), output, "editor-schema", form, force=force)


def _as_text(value: Json) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _deliver(text: str, output: Path | None, kind: str, form: str, *, force: bool) -> None:
    if output is None:
        if form == "json":
            print_json({"as": kind, "content": text})
        else:
            click.echo(text, nl=False)
        return
    if force:
        write_atomic(output, text.encode())
    else:
        try:
            write_new(output, text.encode())
        except FileExistsError:
            raise _there(output) from None
    if form == "json":
        print_json({"as": kind, "path": str(output)})
    else:
        say(f"Wrote {output}.")


def _there(output: Path) -> Refused:
    rule = "A file is replaced only when that was asked for"
    return refuse("O-EXISTS", str(output), rule, "there is a file already", "use --force or another --output")

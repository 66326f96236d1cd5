"""``wardround schema new``: a draft of a schema to edit, from nothing or from a version that is there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import click
from pydantic import TypeAdapter, ValidationError

from wardround.console import format_option, print_json, say
from wardround.contract import library
from wardround.contract.compatibility import version_key
from wardround.contract.library import AnyContract
from wardround.contract.options import schema_path_option
from wardround.errors import Problem, Refused, raise_all, refuse
from wardround.files import write_new
from wardround.strict_yaml import parse, parse_text
from wardround.values import SchemaId, Version

FIRST: Final = "0.1.0"
"""The version of a first draft: below 1.0.0 nothing is promised yet."""

DRAFT: Final = """\
# The draft of a shared schema. What stands here is an example of each kind of field: replace it by your own.
# Every key is explained in docs/reference/schema.md. To see whether the file is in order:
#   wardround schema check {path}
kind: table
id: {id}
version: {version}                 # MAJOR.MINOR.PATCH; below 1.0.0 nothing is promised yet
status: draft                  # draft | active | deprecated; what is not a draft never changes
title: Title of {id}
description: One record describes one visit; replace this sentence by what your records are.
# Where the definitions come from: a paper, a standard, a data dictionary. Whoever maps a column looks it up there.
# sources:
#   - {{title: "Authors: Title. Journal and year, pages", licence: CC BY 4.0}}
row_grain: one row per visit   # what one row is, in words
primaryKey: [record_id]        # never missing, never twice
patientKey: patient_key        # a pseudonym; a patient is on one side of the split
fieldsMatch: exact             # exact: a further column is an error; superset: it is a warning
missingValues: [{{value: "", label: blank}}]
fields:
  - name: record_id
    title: Record
    description: The hospital's pseudonym of the visit.
    type: string
    constraints: {{required: true, pattern: "^[A-Za-z0-9-]{{1,32}}$"}}
    privacy: pseudonym         # direct | quasi | pseudonym | none; only none may be a feature
  - name: patient_key
    title: Patient
    description: A pseudonym that stays the same over all of a patient's records, 16 hexadecimal digits.
    type: string
    constraints: {{required: true, pattern: "^[0-9a-f]{{16}}$"}}
    privacy: pseudonym
  - name: age
    title: Age
    description: Completed years at the visit.
    type: integer              # string | integer | number | date
    unit: a                    # a UCUM code; "1" for a pure number
    constraints: {{required: true, minimum: 0, maximum: 120}}   # impossible outside: the record is set aside
    plausible: {{low: 18, high: 100, max_outside: 0.02}}        # possible, but rare
  - name: sex
    title: Sex
    type: string
    categories:                # the order is part of the encoding
      - {{value: female, label: Female}}
      - {{value: male, label: Male}}
    missing: {{max_fraction: 0.1}}
  - name: systolic_pressure
    title: Systolic blood pressure
    type: integer
    unit: "mm[Hg]"
    constraints: {{minimum: 30, maximum: 300}}
    plausible: {{low: 70, high: 230, max_outside: 0.02}}
    missing: {{max_fraction: 0.2}}   # 1.0, or left out: a hospital may never have measured it
    # reference:               # published figures, only with their source
    #   source: "Authors: Title. Journal and year, table 1"
    #   median: 128
  - name: outcome
    title: Outcome
    type: string
    constraints: {{required: true}}
    categories:
      - {{value: absent, label: Absent}}
      - {{value: present, label: Present}}
# Rules between the fields of a record: docs/reference/rules.md.
# rules:
#   - id: pressure_possible_at_age
#     description: What the rule says, in words.
#     check: systolic_pressure <= 250 or age >= 18
#     severity: warning        # error: each record that breaks it is set aside
#     max_fraction: 0.02
limits: {{min_records: 10, min_patients: 10}}
"""

EDITOR_LINE: Final = "# yaml-language-server: $schema="


@click.command("new")
@click.argument("schema")
@click.option("--version", "version", metavar="VERSION", help=f"The version of the draft  [default: {FIRST}]")
@click.option("--from", "origin", metavar="NAME", help="Begin with a copy of this schema: an id, id@version or a file.")
@click.option(
    "--folder",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Where the folder of the schema is made: tables, or imaging, of a schema folder  [default: here]",
)
@click.option(
    "--editor-schema", "editor", metavar="PATH", help="Write the line by which editors find the file of schema editor-schema."
)
@schema_path_option
@format_option
def new_command(
    schema: str,
    version: str | None,
    origin: str | None,
    folder: Path,
    editor: str | None,
    schema_path: tuple[Path, ...],
    form: str,
) -> None:
    """Write the draft of a schema to SCHEMA/VERSION.yaml, with comments. SCHEMA is its id, such as diabetes.visits.

    The draft is in order as it is. With --from it is a copy of another one, with its comments; a contract of images begins so.
    Nothing is ever replaced.
    """
    _check_names(schema, version, editor, folder)
    old = None if origin is None else library.find_any(origin, schema_path)
    if old is not None and old.id == schema:
        _check_later(old, version)
    number = version or FIRST
    path = folder / schema / f"{number}.yaml"
    if old is None or origin is None:
        text = DRAFT.format(id=schema, version=number, path=path)
    else:
        text = _copy(library.text_of(origin, schema_path), old, schema, number)
    text = text if editor is None else f"{EDITOR_LINE}{editor}\n{text}"
    _write(path, text)
    if form == "json":
        begun = None if old is None else f"{old.id}@{old.version}"
        print_json({"id": schema, "version": number, "path": str(path), "from": begun})
        return
    say(f"Wrote {path}. Edit it, then run: wardround schema check {path}")


def _check_names(schema: str, version: str | None, editor: str | None, folder: Path) -> None:
    problems: list[Problem] = []
    if not _fits(_ID, schema):
        rule = "A schema's id is lower case words joined by dots"
        problems.append(_usage(rule, "the word after new is none", "choose one like diabetes.visits"))
    if version is not None and not _fits(_VERSION, version):
        problems.append(_usage("A version is MAJOR.MINOR.PATCH", "the word after --version is none", "write it like 0.1.0"))
    for option, word in (("--editor-schema", editor or ""), ("--folder", str(folder))):
        if not word.isprintable():  # both stand in comments of the draft, which end with the line
            problems.append(_usage("A path stands on one line", f"the word after {option} does not", "choose another"))
    raise_all(problems)


_ID: Final[TypeAdapter[str]] = TypeAdapter(SchemaId)
_VERSION: Final[TypeAdapter[str]] = TypeAdapter(Version)


def _fits(kind: TypeAdapter[str], word: str) -> bool:
    try:
        kind.validate_python(word)
    except ValidationError:
        return False
    return True


def _check_later(old: AnyContract, version: str | None) -> None:
    if version is None or version_key(version) <= version_key(old.version):
        rule = "The next draft of a schema has a later version than the one it begins with"
        finding = "no --version was given" if version is None else f"{version} is not later than {old.version}"
        raise Refused([_usage(rule, finding, f"name a later one, such as --version {_next_minor(old.version)}")])


def _next_minor(version: str) -> str:
    major, minor, _ = version_key(version)
    return f"{major}.{minor + 1}.0"


def _copy(text: str, old: AnyContract, schema: str, version: str) -> str:
    """Give the text of a schema file with another id, version and status; all else, comments too, as it is."""
    for key, value in (("id", schema), ("version", version), ("status", "draft")):
        text = re.sub(rf"(?m)^{key}:[ \t]*[^\s#]+", f"{key}: {value}", text, count=1)
    text = re.sub(rf"\A({re.escape(EDITOR_LINE)}.*\n)+", "", text)
    wanted = old.model_copy(update={"id": schema, "version": version, "status": "draft"})
    if parse(type(old), parse_text(text, f"{version}.yaml")) != wanted:
        rule = "id, version and status of a schema that is copied stand on lines of their own"
        raise Refused([_usage(rule, "in this file they do not", "copy the file by hand")])
    return text


def _write(path: Path, text: str) -> None:
    try:
        write_new(path, text.encode())
    except FileExistsError:
        rule, next_step = "A schema file is never replaced", "choose another --version, or edit that one"
        raise refuse("O-EXISTS", str(path), rule, "there is a file already", next_step) from None


def _usage(rule: str, finding: str, next_step: str) -> Problem:
    return Problem("X-USAGE", "wardround schema new", rule, finding, next_step)

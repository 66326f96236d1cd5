"""``wardround schema synthesise``: made-up records of a schema, in order or with faults on purpose."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from wardround.console import format_option, print_json, say
from wardround.contract import library
from wardround.errors import Problem, Refused, raise_all, refuse
from wardround.files import write_atomic, write_new

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wardround.contract.synthetic.spoiling import Made

MADE_UP = "made up from the schema alone; no record of a patient was read"


@click.command()
@click.argument("name")
@click.option("-n", "count", type=int, default=1000, show_default=True, help="How many records.")
@click.option("--seed", type=click.IntRange(0, 2**53 - 1), default=0, show_default=True, help="Another seed gives other records.")
@click.option(
    "--dirty",
    "dirty",
    multiple=True,
    metavar="CODE[=ROWS]",
    help="Make this fault, and no other; may stand several times. ROWS: how many records it concerns.",
)
@click.option(
    "--out", "out", type=click.Path(path_type=Path, dir_okay=False), help="The file [default: synthetic-ID-VERSION.csv]."
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.option(
    "--schema-path", "schema_path", type=click.Path(path_type=Path), multiple=True, help="A further schema folder; several times."
)
@format_option
def synthesise(
    name: str,
    count: int,
    seed: int,
    dirty: tuple[str, ...],
    out: Path | None,
    force: bool,  # noqa: FBT001  (click's)
    schema_path: tuple[Path, ...],
    form: str,
) -> None:
    """Make up records that obey a schema, or break it in exactly the ways that are named. NAME is an id, id@version or a file.

    The same seed gives the same file on every machine. The records are a CSV in shared form, and serve to try things; no
    figure on them says anything about patients. Their patient keys bear a mark by which silo check and silo review know them.
    """
    from wardround.contract.synthetic.faults import spoiled
    from wardround.contract.synthetic.records import synthesise as make
    from wardround.contract.synthetic.sheet import sheet_of
    from wardround.contract.synthetic.texts import all_synthetic

    contract = library.find(name, schema_path)
    wanted = _wanted(dirty)
    path = out or Path(f"synthetic-{contract.id}-{contract.version}.csv")
    if path.exists() and not force:
        raise _there(path)
    made: tuple[Made, ...] = ()
    if wanted:
        found = spoiled(contract, count, seed, wanted)
        sheet, made = found.sheet, found.made
        marked = None
    else:
        records = make(contract, count, seed)
        sheet = sheet_of(contract, records)
        marked = all_synthetic(str(record[contract.patient_key]) for record in records)
    _write(path, sheet.encoded(), force=force)
    if form == "json":
        print_json(
            {
                "synthetic": True,
                "schema": f"{contract.id}@{contract.version}",
                "contract_hash": contract.contract_hash(),
                "file": str(path),
                "records": len(sheet.cells),
                "seed": seed,
                "marked": marked,
                "faults": [
                    {"code": each.code, "field": each.field, "rule": each.rule, "lines": list(each.lines)} for each in made
                ],
            }
        )
        return
    say(f"Wrote {path}: {len(sheet.cells)} SYNTHETIC records of {contract.id} {contract.version}, {MADE_UP}.")
    for each in made:
        about = each.field or each.rule
        where = f", lines {', '.join(map(str, each.lines))}" if each.lines else ""
        say(f"  {each.code}{f' in {about}' if about else ''}{where}")
    if marked is False:
        say("  Too few patients, or too narrow a pattern of their keys: silo check cannot know these records as synthetic.")


def _wanted(dirty: tuple[str, ...]) -> Mapping[str, int | None]:
    """Read ``CODE`` and ``CODE=ROWS``; every mistake at once."""
    wanted: dict[str, int | None] = {}
    problems: list[Problem] = []
    for word in dirty:
        code, equals, rows = word.partition("=")
        if equals and not (rows.isascii() and rows.isdigit() and 0 < len(rows) < 8 and int(rows) > 0):  # noqa: PLR2004
            finding, next_step = f"{word!r} gives no such number", "write it like T-RANGE=5"
            problems.append(_usage("The rows of a fault are a whole number from 1", finding, next_step))
        elif code in wanted:
            problems.append(_usage("A fault is named once", f"{code} stands twice", "remove one"))
        else:
            wanted[code] = int(rows) if equals else None
    raise_all(problems)
    return wanted


def _usage(rule: str, finding: str, next_step: str) -> Problem:
    return Problem("X-USAGE", "wardround schema synthesise", rule, finding, next_step)


def _write(path: Path, data: bytes, *, force: bool) -> None:
    if force:
        write_atomic(path, data)
        return
    try:
        write_new(path, data)
    except FileExistsError:
        raise _there(path) from None


def _there(path: Path) -> Refused:
    return refuse(
        "O-EXISTS",
        str(path),
        "A file is replaced only when that was asked for",
        "there is a file already",
        "use --force or another --out",
    )

"""``wardround schema synthesise``: made-up records of a schema, in order or with faults on purpose, and made-up images."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, Protocol

import click

from wardround.console import format_option, print_json, say
from wardround.contract import library
from wardround.contract.imaging import ImagingContract
from wardround.errors import Problem, Refused, raise_all, refuse
from wardround.files import write_atomic, write_new

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from wardround.canonical import Json
    from wardround.contract.model import Contract
    from wardround.contract.rules import Cell
    from wardround.contract.synthetic.spoiling import Made

SITE_FILE: Final = "site.yaml"
SITE_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")
MADE_UP: Final = "made up from the schema alone; no record of a patient was read"
PARQUET, WRITERS = ".parquet", "wardround.table_writers"
"""The ending of a Parquet file, and the entry points that write tables: whoever reads tables writes them, not the platform."""
IMAGES, IMAGE_WRITERS = "images", "wardround.image_writers"
"""The folder of images in a made-up hospital, and the entry points that write them."""
USUAL_RECORDS, USUAL_IMAGES = 1000, 40


@click.command()
@click.argument("name")
@click.option("-n", "count", type=int, help=f"How many records [default: {USUAL_RECORDS}]; of images examples [{USUAL_IMAGES}].")
@click.option("--seed", type=click.IntRange(0, 2**53 - 1), default=0, show_default=True, help="Another seed gives other records.")
@click.option(
    "--dirty",
    "dirty",
    multiple=True,
    metavar="CODE[=ROWS]",
    help="Make this fault, and no other; may stand several times. ROWS: how many records it concerns.",
)
@click.option(
    "--out",
    "out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file; one that ends in .parquet is a Parquet file [default: synthetic-ID-VERSION.csv].",
)
@click.option(
    "--site", "site", metavar="NAME", help="Make a folder of this name instead, with the file and the site.yaml that maps it."
)
@click.option("--parquet", is_flag=True, help="Write a Parquet file: where --out does not say so.")
@click.option("--force", is_flag=True, help="Replace files that are there.")
@click.option(
    "--schema-path", "schema_path", type=click.Path(path_type=Path), multiple=True, help="A further schema folder; several times."
)
@format_option
def synthesise(  # noqa: PLR0913, PLR0917  (click's)
    name: str,
    count: int | None,
    seed: int,
    dirty: tuple[str, ...],
    out: Path | None,
    site: str | None,
    parquet: bool,  # noqa: FBT001  (click's)
    force: bool,  # noqa: FBT001  (click's)
    schema_path: tuple[Path, ...],
    form: str,
) -> None:
    """Make up records that obey a schema, or break it in exactly the ways that are named. NAME is an id, id@version or a file.

    The same seed gives the same records on every machine. They are a table in shared form, a CSV or a Parquet file, and serve to
    try things; no figure on them says anything about patients. Their patient keys bear a mark by which silo check, silo review
    and the release of a study know them.

    Of a schema of images, --site makes a hospital with them: a folder of images that obey it, and the table that it names.
    """
    found = library.find_any(name, schema_path)
    wanted = _wanted(dirty)
    if isinstance(found, ImagingContract):
        _no_table(wanted, out, site, parquet=parquet, force=force)
        _hospital_of_images(found, library.table_or_implied(found, schema_path), count or USUAL_IMAGES, seed, str(site), form)
        return
    contract, count = found, USUAL_RECORDS if count is None else count
    files = {_path(contract, out, site, parquet=parquet): b""}
    if site is not None:
        files[Path(site) / SITE_FILE] = _site_file(contract, site, next(iter(files)))
    there = [path for path in files if path.exists()]
    if there and not force:
        raise _there(there[0])
    path = next(iter(files))
    write = _writer(wanted) if path.suffix == PARQUET else None
    table = _make(contract, count, seed, wanted)
    files[path] = table.text if write is None else write(table.text, contract, _metadata(contract, seed))
    for each, data in files.items():
        _write(each, data, force=force)
    if form == "json":
        print_json({**_as_json(contract, table), "seed": seed, "files": [str(each) for each in files]})
    else:
        _tell(contract, table, path)


def _no_table(wanted: Mapping[str, int | None], out: Path | None, site: str | None, *, parquet: bool, force: bool) -> None:
    """Refuse what is of tables alone."""
    rule, problems = "Images are made up in order, for a hospital's folder", []
    if site is None:
        problems.append(_usage(rule, "--site was not given", "name the folder to make, such as --site made-up"))
    for option, given in (("--dirty", wanted), ("--out", out), ("--parquet", parquet), ("--force", force)):
        if given:
            problems.append(_usage(rule, f"{option} is of tables alone", "leave it out"))
    raise_all(problems)


def _hospital_of_images(contract: ImagingContract, table: Contract, count: int, seed: int, site: str, form: str) -> None:
    """Make a hospital's folder: images, the table that names them, and the ``site.yaml`` that maps both; whole or not at all."""
    folder = Path(site)
    path = _path(table, None, site, parquet=False)
    if folder.exists():
        raise _there(folder)
    made, text = _write_images(folder, contract, table, count, seed, path.name)
    images = folder / IMAGES
    files = [images, folder / SITE_FILE] if text is None else [images, path, folder / SITE_FILE]
    if form == "json":
        print_json(
            {
                "synthetic": True,
                "schema": f"{contract.id}@{contract.version}",
                "contract_hash": contract.contract_hash(),
                "examples": made.examples,
                "image_files": made.files,
                "seed": seed,
                "files": [str(each) for each in files],
            }
        )
        return
    what = f"{made.files} files of {made.examples} SYNTHETIC examples of {contract.id} {contract.version}"
    say(f"Wrote {images}: {what}, {MADE_UP}.")


def _write_images(
    folder: Path, contract: ImagingContract, table: Contract, count: int, seed: int, name: str
) -> tuple[ImagesMade, bytes | None]:
    """Make everything beside the folder, which then gets its name; gives what was made, and the table if there is one."""
    from wardround.contract.synthetic.sheet import in_shared_form

    write = _image_writer()
    with TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as beside:
        place = Path(beside) / folder.name
        made = write(place / IMAGES, contract, table, count, seed)
        text = None if made.records is None else in_shared_form(table, iter(made.records))
        if text is not None:
            write_atomic(place / name, text)
        write_atomic(place / SITE_FILE, _site_of_images(contract, table, folder.name, None if text is None else name, made))
        place.rename(folder)
    return made, text


def _image_writer() -> Callable[[Path, ImagingContract, Contract, int, int], ImagesMade]:
    found = next(iter(entry_points(group=IMAGE_WRITERS, name=IMAGES)), None)
    rule = "Images are written where they can be read"
    if found is None:
        next_step = "install wardround-silo-node beside this, with its extra 'imaging'"
        raise refuse("X-USAGE", "wardround schema synthesise", rule, "no package that reads them is installed", next_step)
    try:
        write: Callable[[Path, ImagingContract, Contract, int, int], ImagesMade] = found.load()
    except ModuleNotFoundError as missing:
        finding = f"the module {missing.name} is not installed"
        raise refuse(
            "X-EXTRA", "wardround schema synthesise", rule, finding, "pip install 'wardround-silo-node[imaging]'"
        ) from None
    return write


def _site_of_images(contract: ImagingContract, table: Contract, site: str, name: str | None, made: ImagesMade) -> bytes:
    """Give a ``site.yaml`` that maps images, and the table beside them."""
    kind = "dicom" if contract.format == "dicom" else "images"
    looks = "" if made.pseudonym is None else f", pseudonym: {json.dumps(made.pseudonym)}"
    lines = [
        f"site: {site}",
        f"name: Synthetic hospital {site}",
        "sources:",
        f"  images: {{format: {kind}, path: {IMAGES}{looks}}}",
    ]
    if name is not None:
        lines.append(f"  synthetic: {{format: csv, path: {json.dumps(name)}}}")
    lines += ["schemas:", f"  {contract.id}: {{source: images}}"]
    if name is not None:
        lines += _mapped(table)
    return "\n".join([*lines, ""]).encode()


class ImagesMade(Protocol):
    """What a writer of images says of what it made."""

    @property
    def records(self) -> list[dict[str, Cell]] | None:
        """The table's records; None where the schema names no table."""
        ...

    @property
    def pseudonym(self) -> str | None:
        """What Patient IDs look like; None of images that have none."""
        ...

    @property
    def examples(self) -> int:
        """How many there are."""
        ...

    @property
    def files(self) -> int:
        """How many were written."""
        ...


@dataclass(frozen=True)
class _Table:
    """What was made, as the text of a CSV; ``marked``: whether a check knows it as synthetic, None where nobody looked."""

    text: bytes
    records: int
    made: tuple[Made, ...] = ()
    marked: bool | None = None


def _make(contract: Contract, count: int, seed: int, wanted: Mapping[str, int | None]) -> _Table:
    from wardround.contract.synthetic.faults import spoiled
    from wardround.contract.synthetic.records import one_by_one
    from wardround.contract.synthetic.sheet import in_shared_form
    from wardround.contract.synthetic.texts import ENOUGH_KEYS, bears_mark

    if wanted:
        found = spoiled(contract, count, seed, wanted)
        return _Table(found.sheet.encoded(), len(found.sheet.cells), found.made)
    keys: dict[str, bool] = {}

    def noted() -> Iterator[dict[str, Cell]]:
        for record in one_by_one(contract, count, seed):
            key = str(record[contract.patient_key])
            if key not in keys:
                keys[key] = bears_mark(key)
            yield record

    text = in_shared_form(contract, noted())
    return _Table(text, count, marked=len(keys) >= ENOUGH_KEYS and all(keys.values()))


def _writer(wanted: Mapping[str, int | None]) -> Callable[[bytes, Contract, Mapping[str, str]], bytes]:
    """Give what writes Parquet files, of the package that reads them."""
    from wardround.contract.synthetic.faults import OF_TEXT_FILES

    rule = "Faults are such as the file can have"
    of_text = [code for code in wanted if code in OF_TEXT_FILES]
    raise_all([_usage(rule, f"{code} is a fault of text files", "leave it out, or write a CSV") for code in of_text])
    found = next(iter(entry_points(group=WRITERS, name=PARQUET.removeprefix("."))), None)
    if found is None:
        next_step = "write a CSV, or install wardround-silo-node beside this"
        rule, finding = "Parquet files are written where they can be read", "no package that reads them is installed"
        raise refuse("X-USAGE", "wardround schema synthesise", rule, finding, next_step)
    write: Callable[[bytes, Contract, Mapping[str, str]], bytes] = found.load()
    return write


def _metadata(contract: Contract, seed: int) -> dict[str, str]:
    """Give what a file that has room for it says of itself."""
    return {
        "wardround.synthetic": f"SYNTHETIC, NO PATIENTS: {MADE_UP}",
        "wardround.schema": f"{contract.id}@{contract.version}",
        "wardround.contract_hash": contract.contract_hash(),
        "wardround.seed": str(seed),
    }


def _path(contract: Contract, out: Path | None, site: str | None, *, parquet: bool) -> Path:
    name = f"synthetic-{contract.id}-{contract.version}{PARQUET if parquet else '.csv'}"
    problems: list[Problem] = []
    if parquet and out is not None and out.suffix != PARQUET:
        rule = f"A Parquet file's name ends in {PARQUET}"
        problems.append(_usage(rule, "that after --out does not", "rename it, or leave one out"))
    if site is None:
        raise_all(problems)
        return out or Path(name)
    if out is not None:
        problems.append(_usage("A table goes into one place", "both --out and --site were given", "give one of the two"))
    if not SITE_NAME.fullmatch(site):
        rule = "A hospital's short name is lower case letters, digits, - and _, and begins with a letter"
        problems.append(_usage(rule, "the name after --site is none", "choose another, such as made-up-1"))
    raise_all(problems)
    return Path(site) / name


def _site_file(contract: Contract, site: str, table: Path) -> bytes:
    """Give a ``site.yaml`` that maps the table as it is; every text in quotes, so that none has another meaning in YAML."""
    lines = [
        f"site: {site}",
        f"name: Synthetic hospital {site}",
        "sources:",
        f"  synthetic: {{format: {table.suffix.removeprefix('.')}, path: {json.dumps(table.name)}}}",
        "schemas:",
        *_mapped(contract),
    ]
    return "\n".join([*lines, ""]).encode()


def _mapped(contract: Contract) -> list[str]:
    columns = (f"      {json.dumps(name)}: {json.dumps(name)}" for name in contract.names)
    return [f"  {contract.id}:", "    source: synthetic", "    columns:", *columns]


def _as_json(contract: Contract, table: _Table) -> dict[str, Json]:
    faults: list[Json] = [
        {"code": each.code, "field": each.field, "rule": each.rule, "lines": list(each.lines)} for each in table.made
    ]
    return {
        "synthetic": True,
        "schema": f"{contract.id}@{contract.version}",
        "contract_hash": contract.contract_hash(),
        "records": table.records,
        "marked": table.marked,
        "faults": faults,
    }


def _tell(contract: Contract, table: _Table, path: Path) -> None:
    say(f"Wrote {path}: {table.records} SYNTHETIC records of {contract.id} {contract.version}, {MADE_UP}.")
    for each in table.made:
        about = each.field or each.rule
        where = f", lines {', '.join(map(str, each.lines))}" if each.lines else ""
        say(f"  {each.code}{f' in {about}' if about else ''}{where}")
    if table.marked is False:
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

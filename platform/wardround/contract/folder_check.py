"""Whether schema files are in order beside each other: in a whole schema folder, and towards the versions before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

from pydantic import RootModel, StringConstraints

from wardround.contract import library
from wardround.contract.compatibility import Comparison, version_key
from wardround.contract.imaging_compatibility import compare_any
from wardround.contract.library import FOLDERS, SUFFIX, AnyContract, Listing, Registry
from wardround.contract.model import Contract
from wardround.errors import Problem, Refused, raise_all, refuse
from wardround.strict_yaml import parse, parse_text, read_text
from wardround.values import Count, Value

EXPECTED: Final = "expected.yaml"
_COMMAND: Final = "wardround schema check"
_MEND: Final = "write them (docs/reference/schema.md), or leave the version a draft"


class Fault(Value):
    """What a check must find in one bad table: its code, the field or the rule, and the lines of the records."""

    code: Annotated[str, StringConstraints(pattern=r"^T-[A-Z-]{2,20}$")]
    field: str | None = None
    rule: str | None = None
    rows: tuple[Count, ...] = ()


class Expected(RootModel[dict[str, Fault]]):
    """``bad/expected.yaml``: the fault of each file beside it."""


def before(contract: AnyContract, path: Path | None = None, schema_path: Sequence[Path] = ()) -> Comparison | None:
    """Compare a contract with the version before it, where one is at hand: installed, on the schema path or beside its file.

    Raises:
        Refused: what is wrong with the version before.
    """
    older: list[AnyContract] = []
    if path is not None and path.resolve().parent.name == contract.id:
        beside = [each for each in path.resolve().parent.iterdir() if library.is_version_file(each.name)]
        older = [library.load_any(each, schema_path) for each in _newest_before(contract.version, beside)]
    listings = [each for each in library.available_any(schema_path) if each.id == contract.id]
    raise_all(library.of_two_kinds([*listings, *(replace(each, kind=contract.kind) for each in listings[:1])]))
    before = [each for each in listings if version_key(each.version) < version_key(contract.version)]
    older += [library.open_any(each, schema_path) for each in before[-1:]]
    older = [each for each in older if each.id == contract.id and version_key(each.version) < version_key(contract.version)]
    return compare_any(max(older, key=lambda each: version_key(each.version)), contract, _COMMAND) if older else None


def _newest_before(version: str, files: Sequence[Path]) -> list[Path]:
    keys = {file: version_key(file.name.removesuffix(SUFFIX)) for file in files}
    return sorted((file for file in files if keys[file] < version_key(version)), key=lambda file: keys[file])[-1:]


def check_folder(folder: Path, schema_path: Sequence[Path] = ()) -> list[AnyContract]:
    """Check every file of a schema folder, and give its contracts by id and version.

    Raises:
        Refused: Y-FILE when it is no schema folder; else all that is wrong with any of its files, at once.
    """
    if not any((folder / name).is_dir() for name in FOLDERS.values()):
        rule = "A schema folder holds tables/<id>/<version>.yaml, imaging/<id>/<version>.yaml, or both"
        next_step = "name the folder that holds tables or imaging, or one file"
        raise refuse("Y-FILE", str(folder), rule, "it has no folder tables", next_step)
    found: list[AnyContract] = []
    problems: list[Problem] = []
    try:
        book = library.registry(folder)
    except Refused as refused:
        book, problems = None, list(refused.problems)
    for name in FOLDERS.values():
        problems += _misplaced(folder / name)
    listings = sorted((each for kind in FOLDERS for each in library.in_folder(folder, kind)), key=lambda each: each.order)
    problems += library.of_two_kinds([*library.available_any(schema_path), *listings])
    for listing in listings:
        try:
            found.append(library.open_any(listing, schema_path))
        except Refused as refused:
            problems += refused.problems
    if book is not None:
        problems += _absent(book, listings)
    problems += _against_older(found, schema_path)
    problems += _examples(folder / "examples", found, {(each.id, each.version) for each in listings if each.kind == "table"})
    raise_all(list(dict.fromkeys(problems)))
    return found


def _misplaced(contracts: Path) -> Iterator[Problem]:
    if not contracts.is_dir():
        return
    rule = f"A schema file lies at {contracts.name}/<id>/<version>.yaml"
    for entry in sorted(contracts.iterdir()):
        if entry.name.startswith("."):
            continue
        for file in sorted(entry.iterdir()) if entry.is_dir() else [entry]:
            if file.name.startswith(".") or (entry.is_dir() and file.is_file() and library.is_version_file(file.name)):
                continue
            place = file.relative_to(contracts.parent).as_posix()
            next_step = "move it away, or name it by its version, like 1.0.0.yaml"
            yield Problem("S-VERSION", place, rule, "it is no such file", next_step)


def _absent(book: Registry, listings: Sequence[Listing]) -> Iterator[Problem]:
    there = {(listing.id, listing.version) for listing in listings}
    for name, versions in book.contracts.items():
        for version in versions:
            if (name, version) not in there:
                yield Problem(
                    "S-HASH",
                    f"{name}@{version}",
                    "A published schema never changes",
                    "the registry holds this version, and its file is not there",
                    "put the file back: studies were built on it",
                )


def _against_older(contracts: Sequence[AnyContract], schema_path: Sequence[Path]) -> Iterator[Problem]:
    for at, contract in enumerate(contracts):
        beside = [each for each in contracts[:at] if (each.id, each.kind) == (contract.id, contract.kind)]
        if beside:
            yield from compare_any(beside[-1], contract, _COMMAND).problems()
            continue
        try:
            comparison = before(contract, schema_path=schema_path)
        except Refused as refused:
            yield from refused.problems
            continue
        yield from [] if comparison is None else comparison.problems()


def _examples(examples: Path, contracts: Sequence[AnyContract], versions: set[tuple[str, str]]) -> Iterator[Problem]:
    """Tables have examples; images have none, since no patient's may be shipped."""
    for contract in contracts:
        folder = examples / contract.id / contract.version
        if isinstance(contract, Contract) and (contract.status != "draft" or folder.is_dir()):
            yield from _of_one(folder, f"examples/{contract.id}/{contract.version}")
    for folder in sorted(examples.glob("*/*")):
        if folder.is_dir() and (folder.parent.name, folder.name) not in versions:
            place = folder.relative_to(examples.parent).as_posix()
            rule = "Examples belong to a version of a table that is there"
            yield Problem("S-EXAMPLE", place, rule, "there is no such version", "move them to the version that they show")


def _of_one(folder: Path, place: str) -> Iterator[Problem]:
    rule = "A version has records that are in order and records that are not, each of these with what is found in them"
    if not any(folder.glob("good/*.csv")):
        yield Problem("S-EXAMPLE", place, rule, "no table lies in good/", _MEND)
    bad = {file.name for file in folder.glob("bad/*.csv")}
    if not bad:
        yield Problem("S-EXAMPLE", place, rule, "no table lies in bad/", _MEND)
        return
    file = folder / "bad" / EXPECTED
    if not file.is_file():
        yield Problem("S-EXAMPLE", f"{place}/bad", rule, f"there is no {EXPECTED}", _MEND)
        return
    try:
        expected = parse(Expected, parse_text(read_text(file), f"{place}/bad/{EXPECTED}")).root
    except Refused as refused:
        yield from refused.problems
        return
    for name in sorted(bad ^ set(expected)):
        finding = f"{EXPECTED} says nothing of {name}" if name in bad else f"{EXPECTED} names {name}, which is not there"
        yield Problem("S-EXAMPLE", f"{place}/bad/{EXPECTED}", rule, finding, "name exactly the tables of the folder")

"""Where contracts come from: the shipped schemas, further schema folders, and single files.

A schema folder holds ``tables/<id>/<version>.yaml`` and may hold a ``registry.yaml``, which gives the contract hash of each
version; the shipped folder always does. A published version never changes: a file that differs from its registry is
refused. Further folders add schemas; they cannot replace one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal

from wardround.contract import semantics
from wardround.contract.model import Contract
from wardround.errors import Problem, Refused, raise_all, refuse
from wardround.strict_yaml import Document, nearest, parse, parse_text, read_text
from wardround.values import SchemaId, Sha256, Value, Version

SUFFIX = ".yaml"
_VERSION = re.compile(r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)")


class RegistryEntry(Value):
    """What the registry holds of one version."""

    status: Literal["draft", "active", "deprecated"]
    contract_hash: Sha256


class Registry(Value):
    """``registry.yaml`` of a schema folder: id, version, entry."""

    kind: Literal["registry"]
    contracts: dict[SchemaId, dict[Version, RegistryEntry]]


@dataclass(frozen=True)
class Listing:
    """One version of one schema that is there, not yet opened."""

    id: str
    version: str
    file: Traversable
    folder: Traversable
    shipped: bool

    @property
    def order(self) -> tuple[str, tuple[int, ...]]:
        """Sort key: by id, then by semantic version."""
        return self.id, _numbers(self.version)

    @property
    def name(self) -> str:
        """The full name, ``id@version``."""
        return f"{self.id}@{self.version}"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def shipped() -> Traversable:
    """Give the schema folder that is installed with Wardround."""
    return files("wardround_schemas")


def is_version_file(name: str) -> bool:
    """Say whether a file's name is that of a version: ``1.0.0.yaml``."""
    return name.endswith(SUFFIX) and _VERSION.fullmatch(name.removesuffix(SUFFIX)) is not None


def in_folder(folder: Path) -> list[Listing]:
    """List every version of every schema of one folder, by id and version."""
    return sorted(_in_folder(folder, shipped=False), key=lambda listing: listing.order)


def available(schema_path: Sequence[Path] = ()) -> list[Listing]:
    """List every version of every schema, by id and version; the shipped folder first, then ``schema_path`` in order.

    Raises:
        Refused: Y-FILE for a schema folder that is not there.
    """
    found = list(_in_folder(shipped(), shipped=True))
    for folder in schema_path:
        if not folder.is_dir():
            raise refuse("Y-FILE", str(folder), "A schema folder must exist", "there is no such folder", "check the path")
        found += _in_folder(folder, shipped=False)
    return sorted(found, key=lambda listing: listing.order)


def _in_folder(folder: Traversable, *, shipped: bool) -> Iterator[Listing]:
    tables = folder.joinpath("tables")
    if not tables.is_dir():
        return
    for schema in tables.iterdir():
        if not schema.is_dir():
            continue
        for file in schema.iterdir():
            if is_version_file(file.name):
                yield Listing(schema.name, file.name.removesuffix(SUFFIX), file, folder, shipped)


def find(name: str, schema_path: Sequence[Path] = ()) -> Contract:
    """Give a contract by ``id`` (its newest version), ``id@version`` or the path of its file.

    Raises:
        Refused: S-UNKNOWN, S-VERSION, S-HASH, and all that ``load`` finds.
    """
    if _is_path(name):
        return load(Path(name))
    return _only(_listings(name, schema_path))


def text_of(name: str, schema_path: Sequence[Path] = ()) -> str:
    """Give the text of a contract's file as its author wrote it, by the same names as ``find``.

    Raises:
        Refused: as ``find``.
    """
    find(name, schema_path)
    return read_text(Path(name)) if _is_path(name) else _text(_listings(name, schema_path)[0].file)


def _is_path(name: str) -> bool:
    return name.endswith(SUFFIX) or "/" in name or "\\" in name


def _listings(name: str, schema_path: Sequence[Path]) -> list[Listing]:
    """Give the one version that is meant, in every folder that holds it."""
    schema, _, version = name.partition("@")
    listings = available(schema_path)
    same = [listing for listing in listings if listing.id == schema]
    if not same:
        raise _unknown(schema, {listing.id for listing in listings})
    wanted = [listing for listing in same if listing.version == (version or same[-1].version)]
    if not wanted:
        raise refuse(
            "S-VERSION",
            schema,
            "A schema is named in a version that is there",
            f"there is no version {version!r}",
            f"versions: {', '.join(dict.fromkeys(listing.version for listing in same))}",
        )
    return wanted


def _unknown(schema: str, known: set[str]) -> Refused:
    guess = nearest(schema, known)
    return refuse(
        "S-UNKNOWN",
        "schema",
        "A schema is named by its id, id@version or the path of its file",
        f"there is no schema {schema!r}",
        f"did you mean {guess!r}?" if guess else f"schemas: {', '.join(sorted(known))}; more by --schema-path",
    )


def _only(listings: Sequence[Listing]) -> Contract:
    """Open the version; where several folders hold it, they must agree."""
    contracts = [open_listing(listing) for listing in listings]
    if len({contract.contract_hash() for contract in contracts}) > 1:
        raise refuse(
            "S-HASH",
            listings[0].name,
            "A version of a schema is the same everywhere",
            f"{len(listings)} schema folders hold it with different content",
            "give the changed one a new version, or remove it from the schema path",
        )
    return contracts[0]


def open_listing(listing: Listing) -> Contract:
    """Open one listed version and hold it against its name and its folder's registry.

    Raises:
        Refused: S-VERSION when the file says another id or version than its path, S-HASH when the registry differs.
    """
    name = f"{listing.id}/{listing.file.name}"
    contract = _contract(parse_text(_text(listing.file), name))
    if (contract.id, contract.version) != (listing.id, listing.version):
        raise refuse(
            "S-VERSION",
            name,
            "A schema file lies at tables/<id>/<version>.yaml",
            f"the file says {contract.id} {contract.version}",
            "move the file, or correct its id and version",
        )
    raise_all(_against_registry(contract, listing, name))
    return contract


def _text(file: Traversable) -> str:
    return read_text(file) if isinstance(file, Path) else file.read_text(encoding="utf-8")


def registry(folder: Traversable) -> Registry | None:
    """Give a schema folder's registry, if it has one."""
    file = folder.joinpath("registry.yaml")
    return parse(Registry, parse_text(_text(file), "registry.yaml")) if file.is_file() else None


def _against_registry(contract: Contract, listing: Listing, name: str) -> list[Problem]:
    book = registry(listing.folder)
    if book is None and not listing.shipped:
        return []
    entry = book.contracts.get(contract.id, {}).get(contract.version) if book is not None else None
    if entry is None:
        finding = "the registry does not hold this version"
    elif entry.contract_hash != contract.contract_hash():
        finding = "the file's contract hash is not the registered one"
    elif entry.status != contract.status:
        finding = f"the file says {contract.status}, the registry {entry.status}"
    else:
        return []
    return [
        Problem(
            "S-HASH",
            name,
            "A published schema never changes",
            finding,
            "restore the file, or publish it as a new version and register that (docs/reference/schema.md)",
        )
    ]


def load(path: Path) -> Contract:
    """Read one contract file, wherever it lies; the registry is not asked.

    Raises:
        Refused: Y-* for what is not strict YAML or not of the contract's shape, S-UNIT, S-FIELD, S-RANGE and S-RULE for
            what does not make sense; all at once, each with its line.
    """
    return _contract(parse_text(read_text(path), path.name))


def check(contract: Contract, place: str) -> None:
    """Hold a contract that came as a value (in a study bundle) to the same rules as one that came as a file.

    Raises:
        Refused: S-UNIT, S-FIELD, S-RANGE, S-RULE; ``place`` stands in messages.
    """
    raise_all(semantics.problems(contract, Document(place, {}, {})))


def _contract(document: Document) -> Contract:
    contract = parse(Contract, document)
    raise_all(semantics.problems(contract, document))
    return contract

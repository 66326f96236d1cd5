"""Where contracts come from: the shipped schemas, further schema folders, and single files.

A schema folder holds ``tables/<id>/<version>.yaml`` and ``imaging/<id>/<version>.yaml``, and may hold a ``registry.yaml``,
which gives the contract hash of each version of both kinds; the shipped folder always does. A published version never
changes: a file that differs from its registry is refused. Further folders add schemas; they cannot replace one. An id is of
one kind.

``find``, ``load`` and ``available`` are about tables; ``find_imaging`` and ``load_imaging`` about images; those on ``any``
about both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final, Literal, TypeAlias, TypeVar

from wardround.contract import imaging_semantics, semantics
from wardround.contract.imaging import ImagingContract
from wardround.contract.implied_table import implied_table
from wardround.contract.model import Contract
from wardround.errors import Problem, Refused, raise_all, refuse
from wardround.strict_yaml import Document, nearest, parse, parse_text, read_text
from wardround.values import SchemaId, Sha256, Value, Version

SUFFIX = ".yaml"
_VERSION = re.compile(r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)")

Kind: TypeAlias = Literal["table", "imaging"]
AnyContract: TypeAlias = Contract | ImagingContract
OneContract = TypeVar("OneContract", bound=AnyContract)

FOLDERS: Final[dict[Kind, str]] = {"table": "tables", "imaging": "imaging"}
"""The folder of a schema folder that holds the contracts of a kind."""
_WHAT: Final[dict[Kind, str]] = {"table": "a table", "imaging": "images"}


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
    kind: Kind = "table"

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


def in_folder(folder: Path, kind: Kind = "table") -> list[Listing]:
    """List every version of every schema of one folder and kind, by id and version."""
    return sorted(_in_folder(folder, kind, shipped=False), key=lambda listing: listing.order)


def available(schema_path: Sequence[Path] = (), kind: Kind = "table") -> list[Listing]:
    """List every version of every schema of a kind, by id and version; the shipped folder first, then ``schema_path`` in order.

    Raises:
        Refused: Y-FILE for a schema folder that is not there.
    """
    found = list(_in_folder(shipped(), kind, shipped=True))
    for folder in schema_path:
        if not folder.is_dir():
            raise refuse("Y-FILE", str(folder), "A schema folder must exist", "there is no such folder", "check the path")
        found += _in_folder(folder, kind, shipped=False)
    return sorted(found, key=lambda listing: listing.order)


def available_any(schema_path: Sequence[Path] = ()) -> list[Listing]:
    """List every version of every schema of both kinds, as ``available``."""
    found = [listing for kind in FOLDERS for listing in available(schema_path, kind)]
    return sorted(found, key=lambda listing: listing.order)


def _in_folder(folder: Traversable, kind: Kind, *, shipped: bool) -> Iterator[Listing]:
    contracts = folder.joinpath(FOLDERS[kind])
    if not contracts.is_dir():
        return
    for schema in contracts.iterdir():
        if not schema.is_dir():
            continue
        for file in schema.iterdir():
            if is_version_file(file.name):
                yield Listing(schema.name, file.name.removesuffix(SUFFIX), file, folder, shipped, kind)


def of_two_kinds(listings: Sequence[Listing]) -> list[Problem]:
    """Give S-KIND for each id that stands for a table and for images."""
    kinds: dict[str, set[Kind]] = {}
    for listing in listings:
        kinds.setdefault(listing.id, set()).add(listing.kind)
    rule, finding = "An id is of one kind", "there are contracts of a table and of images under it"
    return [Problem("S-KIND", schema, rule, finding, "rename one of them") for schema, found in kinds.items() if len(found) > 1]


def find(name: str, schema_path: Sequence[Path] = ()) -> Contract:
    """Give a table contract by ``id`` (its newest version), ``id@version`` or the path of its file.

    Raises:
        Refused: S-UNKNOWN, S-KIND, S-VERSION, S-HASH, and all that ``load`` finds.
    """
    if _is_path(name):
        return load(Path(name))
    return _only([open_listing(listing) for listing in _listings(name, schema_path, "table")])


def find_imaging(name: str, schema_path: Sequence[Path] = ()) -> ImagingContract:
    """Give a contract of images by the same names as ``find``.

    Raises:
        Refused: as ``find``, and all that ``load_imaging`` finds.
    """
    if _is_path(name):
        return load_imaging(Path(name), schema_path)
    return _only([open_imaging(listing, schema_path) for listing in _listings(name, schema_path, "imaging")])


def find_any(name: str, schema_path: Sequence[Path] = ()) -> AnyContract:
    """Give a contract of either kind by the same names as ``find``.

    Raises:
        Refused: as ``find`` and ``find_imaging``, but for S-KIND.
    """
    if _is_path(name):
        return load_any(Path(name), schema_path)
    return _only([open_any(listing, schema_path) for listing in _listings(name, schema_path, None)])


def table_of(contract: ImagingContract, name: str, schema_path: Sequence[Path] = ()) -> Contract | None:
    """Give the table contract that one of images names, which was found by ``name``; ``None`` where it names none.

    Raises:
        Refused: as ``find_imaging``.
    """
    if _is_path(name):
        tables = _tables_for(Path(name), schema_path)
    else:
        beside = (_in_folder(each.folder, "table", shipped=each.shipped) for each in _listings(name, schema_path, "imaging"))
        tables = [*available(schema_path), *(listing for listings in beside for listing in listings)]
    return _linked(contract, Document(contract.id, {}, {}), tables)


def text_of(name: str, schema_path: Sequence[Path] = ()) -> str:
    """Give the text of a contract's file as its author wrote it, by the same names as ``find_any``.

    Raises:
        Refused: as ``find_any``.
    """
    find_any(name, schema_path)
    return read_text(Path(name)) if _is_path(name) else _text(_listings(name, schema_path, None)[0].file)


def _is_path(name: str) -> bool:
    return name.endswith(SUFFIX) or "/" in name or "\\" in name


def _listings(name: str, schema_path: Sequence[Path], kind: Kind | None) -> list[Listing]:
    """Give the one version that is meant, in every folder that holds it."""
    schema, _, version = name.partition("@")
    listings = available_any(schema_path)
    same = [listing for listing in listings if listing.id == schema]
    if not same:
        raise _unknown(schema, {listing.id for listing in listings if kind in (None, listing.kind)})
    raise_all(of_two_kinds(same))
    if kind is not None and same[0].kind != kind:
        raise _other_kind(schema, same[0].kind, kind)
    return _of_version(same, version or same[-1].version, schema)


def _of_version(same: Sequence[Listing], version: str, place: str) -> list[Listing]:
    wanted = [listing for listing in same if listing.version == version]
    if not wanted:
        raise refuse(
            "S-VERSION",
            place,
            "A schema is named in a version that is there",
            f"there is no version {version!r}",
            f"versions: {', '.join(dict.fromkeys(listing.version for listing in same))}",
        )
    return wanted


def _other_kind(place: str, found: Kind, wanted: Kind) -> Refused:
    rule, finding = f"A contract of {_WHAT[wanted]} is wanted here", f"this is one of {_WHAT[found]}"
    next_step = f"name one of {_WHAT[wanted]}; wardround schema list shows of which kind each is"
    return refuse("S-KIND", place, rule, finding, next_step)


def _unknown(schema: str, known: set[str], place: str = "schema") -> Refused:
    guess = nearest(schema, known)
    return refuse(
        "S-UNKNOWN",
        place,
        "A schema is named by its id, id@version or the path of its file",
        f"there is no schema {schema!r}",
        f"did you mean {guess!r}?" if guess else f"schemas: {', '.join(sorted(known))}; more by --schema-path",
    )


def _only(contracts: Sequence[OneContract]) -> OneContract:
    """Give the version; where several folders hold it, they must agree."""
    first = contracts[0]
    if len({contract.contract_hash() for contract in contracts}) > 1:
        raise refuse(
            "S-HASH",
            f"{first.id}@{first.version}",
            "A version of a schema is the same everywhere",
            f"{len(contracts)} schema folders hold it with different content",
            "give the changed one a new version, or remove it from the schema path",
        )
    return first


def open_listing(listing: Listing) -> Contract:
    """Open one listed version of a table contract and hold it against its name and its folder's registry.

    Raises:
        Refused: S-VERSION when the file says another id or version than its path, S-HASH when the registry differs.
    """
    contract = _contract(parse_text(_text(listing.file), _name(listing)))
    _belongs(contract, listing)
    return contract


def open_imaging(listing: Listing, schema_path: Sequence[Path] = ()) -> ImagingContract:
    """Open one listed version of a contract of images, as ``open_listing``; its table contract is looked for beside it, too."""
    beside = _in_folder(listing.folder, "table", shipped=listing.shipped)
    tables = [*available(schema_path), *beside]
    contract = _imaging(parse_text(_text(listing.file), _name(listing)), tables)
    _belongs(contract, listing)
    return contract


def open_any(listing: Listing, schema_path: Sequence[Path] = ()) -> AnyContract:
    """Open one listed version of either kind."""
    return open_listing(listing) if listing.kind == "table" else open_imaging(listing, schema_path)


def _name(listing: Listing) -> str:
    return f"{listing.id}/{listing.file.name}"


def _belongs(contract: AnyContract, listing: Listing) -> None:
    """Hold a contract against the path and the registry under which it lies."""
    name = _name(listing)
    if (contract.id, contract.version) != (listing.id, listing.version):
        raise refuse(
            "S-VERSION",
            name,
            f"A schema file lies at {FOLDERS[listing.kind]}/<id>/<version>.yaml",
            f"the file says {contract.id} {contract.version}",
            "move the file, or correct its id and version",
        )
    raise_all(_against_registry(contract, listing, name))


def _text(file: Traversable) -> str:
    return read_text(file) if isinstance(file, Path) else file.read_text(encoding="utf-8")


def registry(folder: Traversable) -> Registry | None:
    """Give a schema folder's registry, if it has one."""
    file = folder.joinpath("registry.yaml")
    return parse(Registry, parse_text(_text(file), "registry.yaml")) if file.is_file() else None


def _against_registry(contract: AnyContract, listing: Listing, name: str) -> list[Problem]:
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
    """Read one file of a table contract, wherever it lies; the registry is not asked.

    Raises:
        Refused: Y-* for what is not strict YAML or not of the contract's shape, S-KIND for a contract of images, S-UNIT,
            S-FIELD, S-RANGE and S-RULE for what does not make sense; all at once, each with its line.
    """
    return _contract(parse_text(read_text(path), path.name))


def load_imaging(path: Path, schema_path: Sequence[Path] = ()) -> ImagingContract:
    """Read one file of a contract of images, wherever it lies; the registry is not asked.

    The table contract that it names is looked for where it is installed, on the schema path, and in the schema folder in which
    the file lies.

    Raises:
        Refused: as ``load``; S-DICOM for words that DICOM does not have; S-UNKNOWN and S-VERSION for its table contract.
    """
    return _imaging(parse_text(read_text(path), path.name), _tables_for(path, schema_path))


def load_any(path: Path, schema_path: Sequence[Path] = ()) -> AnyContract:
    """Read one contract file of either kind, by the ``kind`` that it says.

    Raises:
        Refused: as ``load`` and ``load_imaging``, but for S-KIND.
    """
    document = parse_text(read_text(path), path.name)
    kind = document.data.get("kind") if isinstance(document.data, dict) else None
    if kind == "imaging":
        return _imaging(document, _tables_for(path, schema_path))
    if kind not in (None, "table"):
        guess = nearest(str(kind), FOLDERS)
        next_step = f"did you mean {guess!r}?" if guess else f"choose one of: {', '.join(FOLDERS)}"
        rule = f"It is one of: {', '.join(FOLDERS)}"
        raise refuse("Y-VALUE", document.place(("kind",)), rule, "the value of 'kind' is not accepted", next_step)
    return _contract(document)


def check(contract: Contract, place: str) -> None:
    """Hold a contract that came as a value (in a study bundle) to the same rules as one that came as a file.

    Raises:
        Refused: S-UNIT, S-FIELD, S-RANGE, S-RULE; ``place`` stands in messages.
    """
    raise_all(semantics.problems(contract, Document(place, {}, {})))


def check_imaging(contract: ImagingContract, table: Contract | None, place: str) -> None:
    """Hold a contract of images that came as a value, with the table contract that it names, to the same rules as a file.

    Raises:
        Refused: S-DICOM, S-FIELD, S-RANGE; S-VERSION when the table contract is not the one that it names.
    """
    link = contract.table
    if link is None and table is not None and table == implied_table(contract):
        table = None
    named = None if link is None else (link.id, link.version)
    if named != (None if table is None else (table.id, table.version)):
        rule = "A contract of images comes with the table contract that it names, or implies"
        finding = f"it names {'none' if link is None else f'{link.id} {link.version}'}"
        raise refuse("S-VERSION", place, rule, finding, "give the two together")
    raise_all(imaging_semantics.problems(contract, Document(place, {}, {}), table))


def table_or_implied(contract: ImagingContract, schema_path: Sequence[Path] = ()) -> Contract:
    """Give the table contract that belongs to images: the one that their contract names, or the one that it implies.

    Raises:
        Refused: as ``find``.
    """
    link = contract.table
    return implied_table(contract) if link is None else find(f"{link.id}@{link.version}", schema_path)


def _contract(document: Document) -> Contract:
    _of_kind(document, "table")
    contract = parse(Contract, document)
    raise_all(semantics.problems(contract, document))
    return contract


def _imaging(document: Document, tables: Sequence[Listing]) -> ImagingContract:
    _of_kind(document, "imaging")
    contract = parse(ImagingContract, document)
    problems: list[Problem] = []
    table = None
    try:
        table = _linked(contract, document, tables)
    except Refused as refused:
        problems += refused.problems
    raise_all([*problems, *imaging_semantics.problems(contract, document, table)])
    return contract


def _of_kind(document: Document, wanted: Kind) -> None:
    """Refuse a file that says that it is of the other kind, before each of its keys is called unknown."""
    other: Kind = "imaging" if wanted == "table" else "table"
    if isinstance(document.data, dict) and document.data.get("kind") == other:
        raise _other_kind(document.place(("kind",)), other, wanted)


def _tables_for(path: Path, schema_path: Sequence[Path]) -> list[Listing]:
    """List where the table contract of a file may be; the folder counts when the file lies in it as it should."""
    tables = available(schema_path)
    parents = path.resolve().parents
    if len(parents) > _DEPTH and parents[1].name == FOLDERS["imaging"]:
        tables += _in_folder(parents[_DEPTH], "table", shipped=False)
    return tables


_DEPTH: Final = 2
"""How many folders above its own the schema folder of a contract file is."""


def _linked(contract: ImagingContract, document: Document, tables: Sequence[Listing]) -> Contract | None:
    """Give the table contract that is named, in its very version."""
    link = contract.table
    if link is None:
        return None
    same = [listing for listing in dict.fromkeys(tables) if listing.id == link.id]
    if not same:
        raise _unknown(link.id, {listing.id for listing in tables}, document.place(("table", "id")))
    same.sort(key=lambda listing: listing.order)
    listings = _of_version(same, link.version, document.place(("table", "version")))
    return _only([open_listing(listing) for listing in listings])

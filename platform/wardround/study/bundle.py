"""The study bundle ``NAME.wardround``: one deterministic zip with everything that a hospital is asked to approve.

Members, and nothing else: ``study.json``, ``contract.json``, ``roster.json``, ``versions.json`` (canonical JSON),
``weights.safetensors`` (initial weights, as bytes: a seed is no promise on another machine) and ``manifest.json`` (the
SHA-256 of each, and the ``study_hash`` over all). Reading is strict and never unpacks to disk.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, TypeVar

import numpy as np
from pydantic import StringConstraints, ValidationError

from wardround import PROTOCOL
from wardround.canonical import Json, digest, is_canonical, model_bytes, model_json, sha256
from wardround.contract import library
from wardround.contract.model import Contract
from wardround.errors import Problem, Refused, raise_all, refuse
from wardround.files import write_atomic
from wardround.identity.roster import Roster
from wardround.study import check
from wardround.study.model import Study
from wardround.values import Sha256, Value
from wardround.weights.packing import Manifest, Vector, from_safetensors, to_bytes, to_safetensors

SUFFIX = ".wardround"
PLACE = "study bundle"
MAXIMUM_BYTES = 4 * 1024**3
MAXIMUM_JSON_BYTES = 16 * 1024**2
ALGORITHMS: dict[str, Json] = {"exact_sum": 1, "encoding": 1, "split": 1, "score_histogram": 1, "randomness": 1}
"""Versions of everything that decides shared numbers; another version is another study."""
_MEMBERS = ("contract.json", "manifest.json", "roster.json", "study.json", "versions.json", "weights.safetensors")
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)

PackageVersion = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z.+_-]{1,60}$")]
SomeValue = TypeVar("SomeValue", bound=Value)


class Versions(Value):
    """What made the bundle, for information: package versions by name."""

    protocol: int
    packages: dict[str, PackageVersion]


class BundleManifest(Value):
    """The bundle's table of contents."""

    protocol: int
    study_hash: Sha256
    files: dict[str, Sha256]


@dataclass(frozen=True)
class Bundle:
    """A study with all that it needs, checked."""

    study: Study
    contract: Contract
    roster: Roster
    versions: Versions
    weights: Vector
    manifest: Manifest

    @property
    def study_hash(self) -> str:
        """The identity that everybody signs: study, contract, initial weights, roster, protocol, algorithms."""
        return _study_hash(self)

    def write(self, path: Path) -> None:
        """Write the bundle; the same bundle gives the same bytes on every machine."""
        write_atomic(path, bundle_bytes(self))


def _study_hash(bundle: Bundle) -> str:
    return digest(
        "study",
        1,
        {
            "protocol": PROTOCOL,
            "algorithms": ALGORITHMS,
            "study": model_json(bundle.study),
            "contract": model_json(bundle.contract),
            "roster": model_json(bundle.roster),
            "tensors": model_json(bundle.manifest),
            "weights": sha256(to_bytes(bundle.weights)),
        },
    )


def bundle_bytes(bundle: Bundle) -> bytes:
    """Give the bundle's zip: stored, dated 1980, members in order of name."""
    members = {
        "study.json": model_bytes(bundle.study),
        "contract.json": model_bytes(bundle.contract),
        "roster.json": model_bytes(bundle.roster),
        "versions.json": model_bytes(bundle.versions),
        "weights.safetensors": to_safetensors(bundle.weights, bundle.manifest),
    }
    table = BundleManifest(
        protocol=PROTOCOL,
        study_hash=bundle.study_hash,
        files={name: sha256(data) for name, data in sorted(members.items())},
    )
    members["manifest.json"] = model_bytes(table)
    return _zip(members)


def _zip(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            entry = zipfile.ZipInfo(name, _ZIP_DATE)
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, members[name])
    return stream.getvalue()


def _refused(finding: str, code: str = "B-READ") -> Refused:
    return refuse(
        code,
        PLACE,
        "A bundle holds exactly what `wardround study build` wrote",
        finding,
        "ask the study's author for the bundle again",
    )


def read_bundle(path: Path) -> Bundle:
    """Read a bundle from a file.

    Raises:
        Refused: B-READ, B-HASH, P-PROTOCOL and everything that ``study.check`` finds.
    """
    try:
        if path.stat().st_size > MAXIMUM_BYTES:
            raise _refused("the file is larger than any bundle")
        data = path.read_bytes()
    except OSError:
        raise _refused(f"{path.name} is missing or cannot be read") from None
    try:
        return parse_bundle(data)
    except Refused as error:
        raise Refused([_at(problem, path) for problem in error.problems]) from None


def _at(problem: Problem, path: Path) -> Problem:
    return replace(problem, place=path.name) if problem.place == PLACE else problem


def parse_bundle(data: bytes) -> Bundle:
    """Read a bundle from bytes, strictly; see ``read_bundle``."""
    members = _members(data)
    if _zip(members) != data:
        raise _refused("it is not in the one form that a bundle has, or it is damaged")
    table = _value(BundleManifest, members, "manifest.json")
    if table.protocol != PROTOCOL:
        raise _refused(f"it is of protocol {table.protocol}, this is protocol {PROTOCOL}", "P-PROTOCOL")
    found = {name: sha256(content) for name, content in members.items() if name != "manifest.json"}
    changed = sorted(name for name, value in found.items() if table.files.get(name) != value)
    if changed or set(table.files) != set(found):
        raise _refused(f"changed after it was built: {', '.join(changed) or 'manifest.json'}", "B-HASH")
    packed = from_safetensors(members["weights.safetensors"])
    if packed is None:
        raise _refused("the initial weights cannot be read")
    if not np.isfinite(packed[0]).all():
        raise _refused("the initial weights are not all numbers")
    bundle = Bundle(
        study=_value(Study, members, "study.json"),
        contract=_value(Contract, members, "contract.json"),
        roster=_value(Roster, members, "roster.json"),
        versions=_value(Versions, members, "versions.json"),
        weights=packed[0],
        manifest=packed[1],
    )
    if bundle.study_hash != table.study_hash:
        raise _refused("the study hash does not fit the contents", "B-HASH")
    library.check(bundle.contract, "contract.json")
    raise_all(check.problems(bundle.study, bundle.contract))
    return bundle


def _members(data: bytes) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if sorted(entry.filename for entry in entries) != sorted(_MEMBERS):
                raise _refused("its members are not those of a bundle")
            for entry in entries:
                limit = MAXIMUM_BYTES if entry.filename == "weights.safetensors" else MAXIMUM_JSON_BYTES
                if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > limit:
                    raise _refused(f"{entry.filename} is compressed or too large")
            return {entry.filename: archive.read(entry) for entry in entries}
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError, EOFError):
        raise _refused("it is not a bundle, or it is damaged") from None


def _value(model: type[SomeValue], members: dict[str, bytes], name: str) -> SomeValue:
    data = members[name]
    if not is_canonical(data):
        raise _refused(f"{name} is not in canonical form")
    try:
        return model.model_validate_json(data)
    except ValidationError:
        raise _refused(f"{name} has unknown or wrong contents") from None

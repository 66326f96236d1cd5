"""The study bundle ``NAME.wardround``: one deterministic zip with everything that a hospital is asked to approve.

Members, and nothing else: ``study.json``, ``contract.json``, ``roster.json``, ``versions.json`` (canonical JSON), for studies of
images ``imaging.json``,
``weights.safetensors`` (initial weights, as bytes: a seed is no promise on another machine) and ``manifest.json`` (the
SHA-256 of each, and the ``study_hash`` over what is approved); and, where they signed, ``author.json`` and
``coordinator.json`` (``wardround.identity.author``), whose signatures are over the study hash. Reading is strict, verifies
each signature that is there, and never unpacks to disk.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, BinaryIO, TypeVar

import numpy as np
from pydantic import StringConstraints, ValidationError

from wardround import PROTOCOL
from wardround.canonical import Json, digest, is_canonical, model_bytes, model_json, sha256
from wardround.contract import library
from wardround.contract.imaging import ImagingContract
from wardround.contract.model import Contract
from wardround.errors import Problem, Refused, raise_all, refuse
from wardround.files import write_atomic
from wardround.identity.author import Author, SignedAuthorship, SignedSubmission, sign_authorship, sign_submission
from wardround.identity.keys import PublicKey, SigningKey
from wardround.identity.roster import Roster
from wardround.study import check
from wardround.study.model import Study
from wardround.values import Sha256, Value
from wardround.weights.packing import Manifest, Vector, all_finite, as_wire, from_safetensors, to_safetensors

SUFFIX = ".wardround"
PLACE = "study bundle"
MAXIMUM_BYTES = 4 * 1024**3
MAXIMUM_JSON_BYTES = 16 * 1024**2
ALGORITHMS: dict[str, Json] = {"exact_sum": 1, "encoding": 1, "split": 1, "score_histogram": 1, "randomness": 1}
"""Versions of everything that decides shared numbers; another version is another study."""
_MEMBERS = {"contract.json", "manifest.json", "roster.json", "study.json", "versions.json", "weights.safetensors"}
IMAGING_MEMBER = "imaging.json"
"""Member that is there where the study reads images."""
AUTHOR_MEMBER, COORDINATOR_MEMBER = "author.json", "coordinator.json"
_SIGNATURES = {AUTHOR_MEMBER, COORDINATOR_MEMBER}
"""Members that are there where somebody signed."""
BLOCK_BYTES = 1024**2
"""How much of a bundle is compared at once."""
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)
_ZIP_START = b"PK\x03\x04"
_BUILD = "give the bundle, NAME.wardround; of a study file it is made by: wardround study build"

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
    """A study with all that it needs, checked.

    Attributes:
        contract: of the records; of a study of images, of the table that belongs to them.
        authorship: the author's signature; None where nobody signed.
        submission: the signature of the roster's coordinator; None where it has not signed.
        imaging: the contract of the images; None where the study reads none.
    """

    study: Study
    contract: Contract
    roster: Roster
    versions: Versions
    weights: Vector
    manifest: Manifest
    authorship: SignedAuthorship | None = None
    submission: SignedSubmission | None = None
    imaging: ImagingContract | None = None

    @property
    def schema(self) -> Contract | ImagingContract:
        """The schema that the study names."""
        return self.contract if self.imaging is None else self.imaging

    @cached_property
    def study_hash(self) -> str:
        """The identity that everybody signs: study, contract, initial weights, roster, protocol, algorithms."""
        return _study_hash(self)

    @property
    def author(self) -> Author | None:
        """Who signed as the author; None where nobody did, whatever name stands in the study."""
        return None if self.authorship is None else self.authorship.author

    @property
    def author_key(self) -> PublicKey | None:
        """The key of who signed as the author."""
        return None if self.author is None else self.author.signing_key

    def signed(self, author: Author, key: SigningKey) -> Bundle:
        """Give the same study with its author's signature; a coordinator that signed before asks for it anew.

        Raises:
            Refused: P-AUTHOR when the study states another author, or somebody has signed it already.
        """
        finding, following = None, "let the two agree, and build the bundle anew"
        if self.authorship is not None:
            signed = self.authorship.author
            finding = f"it is signed already, by {signed.stated} (fingerprint {signed.fingerprint})"
            following = "use it as it is; for the signature of another key, build the bundle anew"
        elif not author.is_stated(self.study.author):
            finding = f"the study says {self.study.author!r}, the key is of {author.stated!r}"
        if finding is not None:
            raise refuse(
                "P-AUTHOR",
                f"{self.study.name}.author",
                "A study is signed once, by the author that it names: NAME, or NAME, INSTITUTION",
                finding,
                following,
            )
        return self._with_signatures(sign_authorship(self.study_hash, author, key), None)

    def countersigned(self, key: SigningKey) -> Bundle:
        """Give the same study with the signature of its coordinator, over the author's key too."""
        return self._with_signatures(self.authorship, sign_submission(self.study_hash, self.author_key, key))

    def _with_signatures(self, authorship: SignedAuthorship | None, submission: SignedSubmission | None) -> Bundle:
        signed = replace(self, authorship=authorship, submission=submission)
        signed.__dict__["study_hash"] = self.study_hash  # signatures are no part of it
        return signed

    def lightened(self) -> Bundle:
        """Give the bundle without its initial weights, for who needs all but them; its study hash is the same."""
        light = replace(self, weights=np.empty(0, dtype=np.float32))
        light.__dict__["study_hash"] = self.study_hash  # what cached_property keeps: it is not computed from the copy
        return light

    def write(self, path: Path) -> None:
        """Write the bundle; the same bundle gives the same bytes on every machine."""
        write_atomic(path, bundle_bytes(self))


def _study_hash(bundle: Bundle) -> str:
    imaging: dict[str, Json] = {} if bundle.imaging is None else {"imaging": model_json(bundle.imaging)}
    return digest(
        "study",
        1,
        {
            **imaging,
            "protocol": PROTOCOL,
            "algorithms": ALGORITHMS,
            "study": model_json(bundle.study),
            "contract": model_json(bundle.contract),
            "roster": model_json(bundle.roster),
            "tensors": model_json(bundle.manifest),
            "weights": sha256(as_wire(bundle.weights)),
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
    optional = {AUTHOR_MEMBER: bundle.authorship, COORDINATOR_MEMBER: bundle.submission, IMAGING_MEMBER: bundle.imaging}
    members |= {name: model_bytes(value) for name, value in optional.items() if value is not None}
    table = BundleManifest(
        protocol=PROTOCOL,
        study_hash=bundle.study_hash,
        files={name: sha256(data) for name, data in sorted(members.items())},
    )
    members["manifest.json"] = model_bytes(table)
    return _zip(members)


def _zip(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    _write_zip(members, stream)
    return stream.getvalue()


def _write_zip(members: dict[str, bytes], stream: io.BytesIO | _Written) -> None:
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            entry = zipfile.ZipInfo(name, _ZIP_DATE)
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, members[name])


def _refused(finding: str, code: str = "B-READ", following: str = "ask the study's author for the bundle again") -> Refused:
    return refuse(
        code,
        PLACE,
        "A bundle holds exactly what `wardround study build` wrote",
        finding,
        following,
    )


def read_bundle(path: Path) -> Bundle:
    """Read a bundle from a file.

    Raises:
        Refused: B-READ, B-HASH, B-SIGNATURE, P-PROTOCOL and everything that ``study.check`` finds.
    """
    try:
        with path.open("rb") as file:
            return _parse(file, path.stat().st_size)
    except OSError:
        raise _refused(f"{path.name} is missing or cannot be read") from None
    except Refused as error:
        raise Refused([_at(problem, path) for problem in error.problems]) from None


def _at(problem: Problem, path: Path) -> Problem:
    return replace(problem, place=path.name) if problem.place == PLACE else problem


def parse_bundle(data: bytes) -> Bundle:
    """Read a bundle from bytes, strictly; see ``read_bundle``."""
    return _parse(io.BytesIO(data), len(data))


def _parse(file: BinaryIO, size: int) -> Bundle:
    if size > MAXIMUM_BYTES:
        raise _refused("the file is larger than any bundle")
    members = _members(file)
    if not _in_the_one_form(members, file, size):
        raise _refused("it is not in the one form that a bundle has, or it is damaged")
    table = _value(BundleManifest, members, "manifest.json")
    if table.protocol != PROTOCOL:
        raise _refused(f"it is of protocol {table.protocol}, this is protocol {PROTOCOL}", "P-PROTOCOL")
    found = {name: sha256(content) for name, content in members.items() if name != "manifest.json"}
    changed = sorted(name for name, value in found.items() if table.files.get(name) != value)
    if changed or set(table.files) != set(found):
        raise _refused(f"changed after it was built: {', '.join(changed) or 'manifest.json'}", "B-HASH")
    packed = from_safetensors(members.pop("weights.safetensors"))
    if packed is None:
        raise _refused("the initial weights cannot be read")
    if not all_finite(packed[0]):
        raise _refused("the initial weights are not all numbers")
    bundle = Bundle(
        study=_value(Study, members, "study.json"),
        contract=_value(Contract, members, "contract.json"),
        roster=_value(Roster, members, "roster.json"),
        versions=_value(Versions, members, "versions.json"),
        weights=packed[0],
        manifest=packed[1],
        authorship=_value(SignedAuthorship, members, AUTHOR_MEMBER) if AUTHOR_MEMBER in members else None,
        submission=_value(SignedSubmission, members, COORDINATOR_MEMBER) if COORDINATOR_MEMBER in members else None,
        imaging=_value(ImagingContract, members, IMAGING_MEMBER) if IMAGING_MEMBER in members else None,
    )
    if bundle.study_hash != table.study_hash:
        raise _refused("the study hash does not fit the contents", "B-HASH")
    _require_signatures(bundle)
    library.check(bundle.contract, "contract.json")
    if bundle.imaging is not None:
        library.check_imaging(bundle.imaging, bundle.contract, IMAGING_MEMBER)
    raise_all(check.problems(bundle.study, bundle.contract, bundle.imaging))
    return bundle


def _require_signatures(bundle: Bundle) -> None:
    """Refuse a bundle with a signature that is not of this study by who it says; one that is absent is no fault here."""
    authorship, submission = bundle.authorship, bundle.submission
    if authorship is not None:
        if authorship.authorship.study_hash != bundle.study_hash or not authorship.holds():
            raise _refused(f"{AUTHOR_MEMBER} is not the signature of its key on this study", "B-SIGNATURE")
        if not authorship.author.is_stated(bundle.study.author):
            raise _refused("who signed as the author is not who the study names", "B-SIGNATURE")
    if submission is not None:
        told = submission.submission
        if told.study_hash != bundle.study_hash or not submission.holds(bundle.roster.coordinator.signing_key):
            raise _refused(f"{COORDINATOR_MEMBER} is not the signature of the roster's coordinator on this study", "B-SIGNATURE")
        if told.author != bundle.author_key:
            raise _refused("the author's signature is not the one that the coordinator submitted", "B-SIGNATURE")


def _in_the_one_form(members: dict[str, bytes], file: BinaryIO, size: int) -> bool:
    """Say whether a file holds exactly the bytes that these members are written as, without making them a second time."""
    written = _Written()
    _write_zip(members, written)
    file.seek(0)
    end = 0
    for start, part in sorted(written.parts.items()):
        if start != end or any(file.read(len(block)) != block for block in _blocks(part)):
            return False
        end = start + len(part)
    return end == size


def _blocks(part: bytes) -> Iterator[memoryview]:
    view = memoryview(part)
    return (view[start : start + BLOCK_BYTES] for start in range(0, len(view), BLOCK_BYTES))


class _Written(io.RawIOBase):
    """Takes what is written to it as it is, by its place: the writer goes back to a place to write as much there again."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: dict[int, bytes] = {}
        self._position = 0

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET:
            raise io.UnsupportedOperation
        self._position = offset
        return offset

    def write(self, data: bytes) -> int:  # type: ignore[override]
        if data:
            self.parts[self._position] = data
            self._position += len(data)
        return len(data)


def _members(file: BinaryIO) -> dict[str, bytes]:
    try:
        if file.read(len(_ZIP_START)) != _ZIP_START:
            raise _refused("it is no bundle, but a file of another kind: a study file, perhaps", following=_BUILD)
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            names = [entry.filename for entry in entries]
            if set(names) - _SIGNATURES - {IMAGING_MEMBER} != _MEMBERS or len(set(names)) != len(names):
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

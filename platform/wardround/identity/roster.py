"""The roster: exactly who takes part in a study, by name and key. It is part of the study's hash."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, ValidationError, model_validator

from wardround.canonical import canonical_bytes, model_json
from wardround.errors import refuse
from wardround.identity.keys import PublicKey, fingerprint
from wardround.identity.tls import NodeKey
from wardround.values import PersonName, Slug, Value

LARGEST_PARTY_BYTES = 65536
"""Of a ``request.json`` or ``coordinator.json``; what comes from strangers is not read without end."""

Party = TypeVar("Party", bound=Value)


class Coordinator(Value):
    """The trusted centre and its public keys.

    Attributes:
        signing_key: signs its tasks and receipts.
        encryption_key: hospitals encrypt their changes of weights to it.
    """

    kind: Literal["coordinator"] = "coordinator"
    name: PersonName
    signing_key: PublicKey
    encryption_key: PublicKey

    @property
    def keys(self) -> tuple[str, str]:
        """All its public keys."""
        return self.signing_key, self.encryption_key

    @property
    def fingerprint(self) -> str:
        """What an operator reads over the phone."""
        return fingerprint(*self.keys)


class Member(Value):
    """One hospital and its public keys.

    Attributes:
        signing_key: signs its replies.
        encryption_key: the centre encrypts weights and bundles to it.
        approval_key: of the person who approves studies there.
        node_key: its SuperNode signs in with it (OpenSSH line, P-384).
    """

    kind: Literal["silo"] = "silo"
    site: Slug
    name: PersonName
    signing_key: PublicKey
    encryption_key: PublicKey
    approval_key: PublicKey
    node_key: NodeKey

    @property
    def keys(self) -> tuple[str, str, str, str]:
        """All its public keys; who has other ones is somebody else, whatever the name."""
        return self.signing_key, self.encryption_key, self.approval_key, self.node_key

    @property
    def fingerprint(self) -> str:
        """What hospital IT reads over the phone."""
        return fingerprint(*self.keys)


class Request(Member):
    """What a hospital sends to its centre: itself, and whom to call there. No roster holds the latter two, and no study.

    Attributes:
        city: where the hospital is.
        contact: whom the centre's operator calls, as the hospital writes it.
    """

    city: PersonName | None = None
    contact: PersonName | None = None

    @property
    def member(self) -> Member:
        """The hospital as rosters name it."""
        return Member.model_validate({name: getattr(self, name) for name in Member.model_fields})

    def file_bytes(self) -> bytes:
        """Give the file's bytes: what was not said is left out."""
        return canonical_bytes({name: value for name, value in model_json(self).items() if value is not None})


class Roster(Value):
    """The coordinator and the hospitals of a study, hospitals in the order of their site names."""

    coordinator: Coordinator
    silos: Annotated[tuple[Member, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _distinct(self) -> Roster:
        sites = [member.site for member in self.silos]
        if sites != sorted(set(sites)):
            msg = "hospitals stand once each, in the order of their site names"
            raise ValueError(msg)
        keys = [*self.coordinator.keys, *(key for member in self.silos for key in member.keys)]
        if len(set(keys)) != len(keys):
            msg = "every key belongs to one party and one purpose"
            raise ValueError(msg)
        return self

    @property
    def sites(self) -> tuple[str, ...]:
        """The hospitals' site names, in order."""
        return tuple(member.site for member in self.silos)

    def member(self, site: str) -> Member | None:
        """Give a hospital by its site name, if it is on the roster."""
        return next((member for member in self.silos if member.site == site), None)


def read_party(path: Path, model: type[Party]) -> Party:
    """Read a ``request.json`` or ``coordinator.json``.

    Raises:
        Refused: Y-FILE, K-FORMAT.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_PARTY_BYTES + 1)
    except OSError:
        raise refuse("Y-FILE", str(path), "The file must exist", "it is missing or cannot be read", "check the path") from None
    try:
        return model.model_validate_json(data if len(data) <= LARGEST_PARTY_BYTES else b"")
    except ValidationError:
        raise refuse(
            "K-FORMAT",
            str(path),
            "The file is as the init command wrote it",
            "it is not such a file",
            "ask its owner for it again",
        ) from None


def read_member(path: Path) -> Member:
    """Read the hospital of a ``request.json``, as rosters name it.

    Raises:
        Refused: Y-FILE, K-FORMAT.
    """
    return read_party(path, Request).member

"""The roster: exactly who takes part in a study, by name and key. It is part of the study's hash."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from wardround.identity.keys import PublicKey, fingerprint
from wardround.values import Slug, Value

PersonName = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Coordinator(Value):
    """The trusted centre and the key that signs its tasks and receipts."""

    kind: Literal["coordinator"] = "coordinator"
    name: PersonName
    signing_key: PublicKey

    @property
    def fingerprint(self) -> str:
        """What an operator reads over the phone."""
        return fingerprint(self.signing_key)


class Member(Value):
    """One hospital: the key that signs its replies, and the key of the person who approves studies there."""

    kind: Literal["silo"] = "silo"
    site: Slug
    name: PersonName
    signing_key: PublicKey
    approval_key: PublicKey

    @property
    def fingerprint(self) -> str:
        """What hospital IT reads over the phone."""
        return fingerprint(self.signing_key, self.approval_key)


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
        keys = [self.coordinator.signing_key, *(key for m in self.silos for key in (m.signing_key, m.approval_key))]
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

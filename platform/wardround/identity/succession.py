"""A succession: a hospital gets new keys and stays the same hospital, in every study whose roster names the old ones.

The statement is signed with the old signing key (who was this hospital until now says so), with the approval key (a person
with a passphrase says so: whoever has only the node's keys cannot), and with the new signing key (whose holder has it). The
approval key stays: every approval that was given holds. Rosters and study hashes do not change; both sides follow a roster's
member through its successions to the keys that it has now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import ValidationError, model_validator

from wardround.canonical import canonical_bytes, model_bytes, model_json
from wardround.errors import Refused, refuse
from wardround.identity.keys import Signature, SigningKey, verify
from wardround.identity.roster import LARGEST_PARTY_BYTES, Member
from wardround.values import Instant, Value, instant

KIND = "succession"

Current = Callable[[Member], Member]
"""Gives a roster's hospital with the keys that it has now."""


def as_on_roster(member: Member) -> Member:
    """Give a hospital as its roster names it: none has renewed its keys."""
    return member


class Succession(Value):
    """What is said: from when on (UTC) a hospital has which keys in the place of which."""

    protocol: Literal[1] = 1
    kind: Literal["succession"] = "succession"
    before: Member
    after: Member
    made_at: Instant

    @model_validator(mode="after")
    def _same_hospital(self) -> Succession:
        before, after = self.before, self.after
        if (before.site, before.name, before.approval_key) != (after.site, after.name, after.approval_key):
            msg = "a hospital keeps its names and its approval key"
            raise ValueError(msg)
        if {*before.keys} & {*after.keys} != {after.approval_key} or len({*after.keys}) != len(after.keys):
            msg = "every other key is a new one"
            raise ValueError(msg)
        return self


class SignedSuccession(Value):
    """The file: a succession and its three signatures."""

    succession: Succession
    old: Signature
    approval: Signature
    new: Signature

    @property
    def before(self) -> Member:
        """The hospital with its old keys."""
        return self.succession.before

    @property
    def after(self) -> Member:
        """The hospital with its new keys."""
        return self.succession.after

    def holds(self) -> bool:
        """Say whether all three signed it."""
        said = model_bytes(self.succession)
        signed = (
            (self.before.signing_key, self.old),
            (self.before.approval_key, self.approval),
            (self.after.signing_key, self.new),
        )
        return all(verify(public, signature, KIND, said) for public, signature in signed)

    def file_bytes(self) -> bytes:
        """Give the file's bytes."""
        return canonical_bytes(model_json(self))


def succeed(
    before: Member, after: Member, now: datetime, *, old: SigningKey, approval: SigningKey, new: SigningKey
) -> SignedSuccession:
    """Sign a succession with the three keys."""
    succession = Succession(before=before, after=after, made_at=instant(now))
    said = model_bytes(succession)
    signatures = {name: key.sign(KIND, said) for name, key in (("old", old), ("approval", approval), ("new", new))}
    return SignedSuccession.model_validate({"succession": succession, **signatures})


def follow(member: Member, successions: Iterable[SignedSuccession]) -> Member:
    """Give a roster's member with the keys that it has after some successions; itself where there are none of it."""
    following = {each.before.keys: each.after for each in successions if each.holds()}
    while (after := following.pop(member.keys, None)) is not None:  # taken out, so that no circle goes on for ever
        member = after
    return member


def parse_succession(path: Path) -> SignedSuccession | None:
    """Read a succession's file; None when it is none, whatever else it is. Whether it is signed, ``holds`` says."""
    try:
        with path.open("rb") as file:
            return SignedSuccession.model_validate_json(file.read(LARGEST_PARTY_BYTES))
    except (OSError, ValidationError):
        return None


def read_successions(paths: Iterable[Path]) -> tuple[SignedSuccession, ...]:
    """Read successions that were kept, in the order in which they are named.

    Raises:
        Refused: I-SUCCESSION when one is not as it was written: a hospital would be taken for another.
    """
    found = []
    for path in paths:
        signed = parse_succession(path)
        if signed is None or not signed.holds():
            raise not_signed(path.name)
        found.append(signed)
    return tuple(found)


def not_signed(place: str) -> Refused:
    """Say that a succession is not whole."""
    return refuse(
        "I-SUCCESSION",
        place,
        "New keys of a hospital are signed with its old key, its approver's and the new one",
        "the file was changed, or a signature does not hold",
        "take the file as `wardround silo rekey` wrote it, or restore it from a backup",
    )

"""Hospitals on paper that renew their keys: true signatures, one succession after the other."""

from __future__ import annotations

from datetime import UTC, datetime

from studies_on_paper import Party, party

from wardround.identity.keys import SigningKey
from wardround.identity.succession import SignedSuccession, succeed

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


def renewed(before: Party, keys: str) -> Party:
    """Give a hospital with other keys, but for its approver's."""
    other = party(before.member.site, keys)
    member = other.member.model_copy(update={"approval_key": before.approval_key.public})
    return Party(member, other.key, before.approval_key, other.encryption)


def succession(before: Party, after: Party, **other: SigningKey) -> SignedSuccession:
    """Sign a succession; with another key in the place of one of the three, if it is given."""
    keys = {"old": before.key, "approval": before.approval_key, "new": after.key, **other}
    return succeed(before.member, after.member, NOON, **keys)

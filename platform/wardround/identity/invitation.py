"""The invitation: what a centre gives a hospital so that its node finds the centre and knows it again.

It is for exactly one hospital with exactly its keys, and is signed by the centre's key. It holds nothing secret; it
expires so that an old one does not lead to a centre that has moved.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import StringConstraints, ValidationError, model_validator

from wardround import PROTOCOL, __version__
from wardround.canonical import canonical_bytes, model_bytes, model_json
from wardround.errors import Problem, Refused, raise_all, refuse
from wardround.identity.address import Address
from wardround.identity.keys import Signature, SigningKey, verify
from wardround.identity.roster import Coordinator, Member
from wardround.identity.tls import CLOCK_ALLOWANCE, authority_fault
from wardround.values import Instant, Value, Version, instant, moment

KIND = "invitation"
LARGEST_INVITATION_BYTES = 65536
PLACE = "invitation"

CertificateText = Annotated[
    str,
    StringConstraints(
        pattern=r"^-----BEGIN CERTIFICATE-----\n([A-Za-z0-9+/=]{1,64}\n){1,60}-----END CERTIFICATE-----\n$", max_length=4096
    ),
]
"""Exactly one certificate in PEM, of at most 60 lines."""

OTHER_KINDS = {
    "silo": "it is a hospital's request.json, which goes to the centre",
    "coordinator": "it is a centre's coordinator.json, which goes to study authors",
}


class Invitation(Value):
    """What the centre says to one hospital. Times are UTC.

    Attributes:
        member: the hospital as it was enrolled, with all its public keys.
        coordinator: who invites; its key signs this, and later every task.
        address: ``host:port`` that the hospital's node connects to.
        authority: the certificate that the node pins; the centre's server certificate is signed by it.
        wardround: the centre's version of Wardround; None in invitations of earlier releases.
    """

    protocol: Literal[1] = 1
    kind: Literal["invitation"] = "invitation"
    member: Member
    coordinator: Coordinator
    address: Address
    authority: CertificateText
    issued_at: Instant
    expires_at: Instant
    wardround: Version | None = None

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Invitation:
        if self.expires_at <= self.issued_at:
            raise ValueError("an invitation ends after it begins")
        return self


class SignedInvitation(Value):
    """The file: an invitation and the centre's signature over it."""

    invitation: Invitation
    signature: Signature

    def file_bytes(self) -> bytes:
        """Give the file's bytes."""
        return canonical_bytes(model_json(self))


def invite(
    member: Member, coordinator: Coordinator, key: SigningKey, address: str, authority: str, now: datetime, valid: timedelta
) -> SignedInvitation:
    """Sign an invitation of a hospital."""
    invitation = Invitation(
        member=member,
        coordinator=coordinator,
        address=address,
        authority=authority,
        issued_at=instant(now),
        expires_at=instant(now + valid),
        wardround=__version__,
    )
    return SignedInvitation(invitation=invitation, signature=key.sign(KIND, model_bytes(invitation)))


def read_invitation(path: Path) -> SignedInvitation:
    """Read an invitation's file; who signed it and for whom it is, ``verify_invitation`` says.

    Raises:
        Refused: Y-FILE, I-READ, P-PROTOCOL, I-SIGNATURE.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_INVITATION_BYTES + 1)
    except OSError:
        raise refuse("Y-FILE", path.name, "The file must exist", "it is missing or cannot be read", "check the path") from None
    if len(data) > LARGEST_INVITATION_BYTES:
        raise _not_one(path, "it is larger than any invitation")
    try:
        signed = SignedInvitation.model_validate_json(data)
    except ValidationError:
        raise _why_not(path, data) from None
    invitation = signed.invitation
    if not verify(invitation.coordinator.signing_key, signed.signature, KIND, model_bytes(invitation)):
        raise refuse(
            "I-SIGNATURE",
            path.name,
            "An invitation is signed by the centre that it names",
            "the signature does not hold: it was changed on its way, or somebody else wrote it",
            "ask the centre's operator for it again",
        )
    return signed


def _why_not(path: Path, data: bytes) -> Refused:
    """Say what a file is instead of an invitation, as far as that can be seen."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return _not_one(path, "it is not JSON, or was cut off")
    outer = found if isinstance(found, dict) else {}
    kind = outer.get("kind")
    if isinstance(kind, str) and kind in OTHER_KINDS:
        return _not_one(path, OTHER_KINDS[kind])
    inner = outer.get("invitation")
    protocol = inner.get("protocol") if isinstance(inner, dict) else None
    if isinstance(protocol, int) and protocol != PROTOCOL:
        return refuse(
            "P-PROTOCOL",
            path.name,
            f"This software speaks protocol {PROTOCOL}",
            f"the invitation is of protocol {protocol}",
            "install the same version of Wardround as the centre",
        )
    return _not_one(path, "its contents are not those of an invitation")


def _not_one(path: Path, finding: str) -> Refused:
    return refuse(
        "I-READ",
        path.name,
        "The file is as `wardround coordinator enrol` wrote it",
        finding,
        "give the file from the centre's folder invitations/, unchanged; if it was, ask the operator for it again",
    )


def verify_invitation(invitation: Invitation, member: Member, now: datetime, place: str = PLACE) -> None:
    """Check that a signed invitation is for exactly this hospital, and that it can be followed now.

    Raises:
        Refused: I-SITE, I-EXPIRED, I-EARLY, I-AUTHORITY; all at once.
    """
    problems = belonging_problems(invitation, member, place)
    if instant(now) >= invitation.expires_at:
        problems.append(
            Problem(
                "I-EXPIRED",
                place,
                "Invitations end",
                f"it ended at {invitation.expires_at}; here it is {instant(now)}",
                "check this machine's clock; if it is right, ask the operator to enrol this site again, which renews it",
            )
        )
    if now + CLOCK_ALLOWANCE < moment(invitation.issued_at):
        problems.append(
            Problem(
                "I-EARLY",
                place,
                "An invitation is followed after it was written",
                f"it was written at {invitation.issued_at}; here it is {instant(now)}",
                "set this machine's clock (NTP); if it is right, the centre's is wrong",
            )
        )
    raise_all([*problems, *authority_problems(invitation, now, place)])


def belonging_problems(invitation: Invitation, member: Member, place: str = PLACE) -> list[Problem]:
    """Say whether an invitation is for another hospital, or for other keys; no problem if it is for this one."""
    if invitation.member.site != member.site:
        finding = f"it is for the site {invitation.member.site!r}"
    elif invitation.member.keys != member.keys:
        finding = f"it is for other keys of {member.site!r}"
    else:
        return []
    return [
        Problem(
            "I-SITE",
            place,
            "A hospital follows an invitation to itself, with its own keys",
            finding,
            f"ask the operator to enrol the request.json of {member.site!r} as it is now",
        )
    ]


def authority_problems(invitation: Invitation, now: datetime, place: str = PLACE) -> list[Problem]:
    """Say whether an invitation's authority is none, or not valid now; no problem if it is in order."""
    fault = authority_fault(invitation.authority.encode(), now)
    if fault is None:
        return []
    return [
        Problem(
            "I-AUTHORITY",
            place,
            "The centre's authority is a certificate authority and valid now",
            fault,
            "check this machine's clock; if it is right, tell the operator, who must make a new authority and invite again",
        )
    ]

"""Which centre the hospital joined: its address, its authority and its key, pinned by ``wardround silo join``.

config/invitation.json    as the centre signed it; it is verified again whenever it is read
config/authority.pem      the authority in it, as the SuperNode reads it
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from silo_node.identity import load_identity
from wardround.errors import Problem, Refused, raise_all, refuse
from wardround.files import write_atomic
from wardround.identity.invitation import (
    SignedInvitation,
    authority_problems,
    belonging_problems,
    read_invitation,
    verify_invitation,
)
from wardround.identity.roster import Coordinator, Member

CONFIG = "config"
INVITATION = "invitation.json"
AUTHORITY = "authority.pem"


@dataclass(frozen=True)
class Joined:
    """The centre that this hospital joined.

    Attributes:
        address: ``host:port`` that the node connects to.
        authority: path of the pinned authority certificate.
        coordinator: the centre, whose key signs every task.
        invited_at: when the invitation was written (UTC).
    """

    address: str
    authority: Path
    coordinator: Coordinator
    invited_at: str


def join(folder: Path, path: Path, fingerprint: str | None = None, now: datetime | None = None) -> Joined:
    """Verify an invitation for the hospital in a folder and pin its centre; the same centre may be joined again.

    Args:
        folder: where ``site.yaml`` lies.
        path: the invitation's file.
        fingerprint: what the operator read over the phone, if it is to be compared here; spaces do not matter.
        now: the time here; the clock's when not given.

    Raises:
        Refused: as ``check_invitation``. Nothing is changed then.
    """
    return pin(folder, check_invitation(folder, load_identity(folder), path, fingerprint, now))


def check_invitation(
    folder: Path, member: Member, path: Path, fingerprint: str | None = None, now: datetime | None = None
) -> SignedInvitation:
    """Read an invitation that must be for a hospital with some keys, of the centre that it joined before, if any.

    Raises:
        Refused: Y-FILE, I-READ, P-PROTOCOL, I-SIGNATURE; then all at once I-SITE, I-EXPIRED, I-EARLY, I-AUTHORITY,
            I-FINGERPRINT, I-JOINED.
    """
    signed = read_invitation(path)
    coordinator = signed.invitation.coordinator
    problems: list[Problem] = []
    try:
        verify_invitation(signed.invitation, member, now or datetime.now(UTC), path.name)
    except Refused as error:
        problems += error.problems
    if fingerprint is not None and _digits(fingerprint) != _digits(coordinator.fingerprint):
        problems.append(
            Problem(
                "I-FINGERPRINT",
                path.name,
                "The fingerprint is the one that the centre's operator read over the phone",
                f"the centre in the invitation has the fingerprint {coordinator.fingerprint}",
                "read the two aloud to the operator again; if they differ, do not join: somebody changed the invitation",
            )
        )
    raise_all([*problems, *_other_centre(folder, coordinator)])
    return signed


def _digits(fingerprint: str) -> str:
    return "".join(fingerprint.replace("-", " ").split())


def _other_centre(folder: Path, coordinator: Coordinator) -> list[Problem]:
    """Say whether another centre was joined before; no problem if none or the same was."""
    before = folder / CONFIG / INVITATION
    if not before.exists():
        return []
    try:
        known = read_invitation(before).invitation.coordinator
    except Refused:
        finding = "what was joined before cannot be read"
    else:
        if known.signing_key == coordinator.signing_key:
            return []
        finding = f"it has joined {known.name} (fingerprint {known.fingerprint})"
    return [
        Problem(
            "I-JOINED",
            f"{CONFIG}/{INVITATION}",
            "A node has one centre",
            finding,
            f"to leave that centre, stop the node and move {CONFIG}/ away first",
        )
    ]


def pin(folder: Path, signed: SignedInvitation) -> Joined:
    """Write down which centre the hospital joined, once its invitation was checked.

    Raises:
        Refused: O-WRITE.
    """
    config = folder / CONFIG
    try:
        config.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise refuse(
            "O-WRITE",
            CONFIG,
            "What was joined is written beside the site file",
            f"the folder cannot be made ({type(error).__name__})",
            "check the folder's rights and the free space",
        ) from None
    write_atomic(config / AUTHORITY, signed.invitation.authority.encode(), mode=0o600)
    write_atomic(config / INVITATION, signed.file_bytes(), mode=0o600)
    return _joined(folder, signed)


def _joined(folder: Path, signed: SignedInvitation) -> Joined:
    invitation = signed.invitation
    return Joined(invitation.address, folder / CONFIG / AUTHORITY, invitation.coordinator, invitation.issued_at)


def load_joined(folder: Path, now: datetime | None = None) -> Joined:
    """Give the centre that the hospital in a folder joined, verified again. An invitation's end is for joining only.

    Raises:
        Refused: I-MISSING; I-READ, I-SIGNATURE when a file was changed since; I-SITE when the hospital's keys are
            others now; I-AUTHORITY when the pinned authority is not valid any more; K- codes of the hospital's keys.
    """
    member, path = load_identity(folder), folder / CONFIG / INVITATION
    if not path.exists():
        raise refuse(
            "I-MISSING",
            f"site {member.site}",
            "A node runs for the centre that its hospital joined",
            "this hospital has joined no centre",
            "send request.json to the centre's operator, then run: wardround silo join INVITATION --site site.yaml",
        )
    signed, place = read_invitation(path), f"{CONFIG}/{INVITATION}"
    moment = now or datetime.now(UTC)
    raise_all([*belonging_problems(signed.invitation, member, place), *authority_problems(signed.invitation, moment, place)])
    joined = _joined(folder, signed)
    if not _holds(joined.authority, signed.invitation.authority):
        raise refuse(
            "I-AUTHORITY",
            f"{CONFIG}/{AUTHORITY}",
            "The pinned authority is the one in the invitation",
            "the file is missing, or another certificate stands in it",
            "join again with the invitation, or with a new one if it has expired",
        )
    return joined


def pinned_centre(folder: Path) -> list[Coordinator]:
    """Give the centre that the hospital in a folder has joined, none if it has joined none; its keys, whatever has ended since.

    Raises:
        Refused: I-READ, I-SIGNATURE when the file was changed since.
    """
    path = folder / CONFIG / INVITATION
    return [read_invitation(path).invitation.coordinator] if path.exists() else []


def _holds(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() == text.encode()
    except OSError:
        return False

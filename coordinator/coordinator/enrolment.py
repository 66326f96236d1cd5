"""Enrolment: a hospital's ``request.json`` becomes an entry of the centre and an invitation for the hospital.

silos/SITE.json          who is enrolled: the hospital of the request, canonical; ``coordinator.removal`` says who is not any more
contacts/SITE.json       where it is and whom to call, of the request or the operator; never leaves the centre
invitations/SITE.json    what goes back to the hospital
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from coordinator.identity import centre_files, enrolled, entry_path, load_centre, load_centre_file, removal_path
from coordinator.removal import end_removal, find_enrolled, removals, when
from coordinator.successions import keep, kept_successions
from wardround.canonical import canonical_bytes, model_json
from wardround.errors import Problem, raise_all, refuse
from wardround.files import write_atomic
from wardround.identity.invitation import Invitation, invite
from wardround.identity.roster import Coordinator, Member
from wardround.identity.succession import SignedSuccession, not_signed
from wardround.values import Instant, PersonName, Slug, Value, instant

CONTACTS = "contacts"
INVITATIONS = "invitations"


class Contact(Value):
    """The operator's note about a hospital; of its request, or of the operator's own knowledge.

    Attributes:
        city: for lists and maps of the centre.
        contact: whom to call, as hospital or operator wrote it.
        enrolled_at: when the hospital was first enrolled (UTC).
    """

    site: Slug
    city: PersonName | None = None
    contact: PersonName | None = None
    enrolled_at: Instant


@dataclass(frozen=True)
class Enrolment:
    """What was done.

    Attributes:
        again: the same hospital was enrolled before; its invitation was written anew.
        let_in: it was removed before, and is let in again.
    """

    member: Member
    invitation: Invitation
    silo_path: Path
    invitation_path: Path
    again: bool
    let_in: bool = False


def check_enrolment(folder: Path, member: Member, *, again: bool = False) -> bool:
    """Check that a hospital can be enrolled; says whether it is enrolled already, with the same keys.

    One that was removed is not, unless it is let in ``again``, with the same keys or with new ones.

    Raises:
        Refused: I-ENROLLED, I-KEYS, I-REMOVED, all at once; K-FORMAT when an entry of the centre cannot be read.
    """
    coordinator = load_centre(folder).coordinator
    known = {other.site: other for other in enrolled(folder)}
    before = known.pop(member.site, None)
    problems: list[Problem] = []
    if removal_path(folder, member.site).exists() and not again:
        problems.append(
            Problem(
                "I-REMOVED",
                f"site {member.site}",
                "A hospital that was removed is let in again only if somebody says so",
                when(folder, member.site),
                "ask who removed it, and why; then, to let it in again, add --again",
            )
        )
    if before is not None and before.keys != member.keys:
        problems.append(
            Problem(
                "I-ENROLLED",
                f"site {member.site}",
                "A site's name stands for the same hospital, whose keys only it renews",
                f"it is enrolled with other keys (fingerprint {before.fingerprint})",
                "ask the hospital by phone; to renew its keys it runs wardround silo rekey, and sends what that writes; if it "
                f"made all anew, run: wardround coordinator remove {member.site}, then enrol with --again; if it is another "
                "hospital, it needs another site name",
            )
        )
    problems += _key_problems(folder, coordinator, tuple(known.values()), member)
    raise_all(problems)
    return before is not None


def _key_problems(folder: Path, coordinator: Coordinator, others: Sequence[Member], member: Member) -> list[Problem]:
    """Say which keys of a hospital are not its own alone: held against the centre's, other hospitals', and those removed."""
    problems = []
    if len({*coordinator.keys, *member.keys}) != len(coordinator.keys) + len(member.keys):
        problems.append(_used_twice(member, "a key stands twice in it, or is the centre's own"))
    problems += [
        _used_twice(member, f"a key in it is enrolled for the site {other.site!r}")
        for other in others
        if set(other.keys) & set(member.keys)
    ]
    in_use = {key for other in others for key in other.keys}
    problems += [
        _used_twice(member, f"a key in it was removed with the site {gone.site!r}")
        for gone in removals(folder)
        if gone.site != member.site and ({*gone.member.keys} - in_use) & {*member.keys}
    ]
    problems += [
        _used_twice(member, f"a key in it is an older one of the site {each.site!r}")
        for each in kept_successions(folder)
        if each.site != member.site and ({*each.signed.before.keys} - in_use) & {*member.keys}
    ]
    return problems


def check_succession(folder: Path, signed: SignedSuccession) -> bool:
    """Check that a hospital can go over to new keys; says whether it was accepted before.

    Raises:
        Refused: I-SUCCESSION, I-UNKNOWN, I-REMOVED, I-KEYS; K-FORMAT when an entry of the centre cannot be read.
    """
    before, after = signed.before, signed.after
    if not signed.holds():
        raise not_signed(f"site {after.site}")
    entry, mine = find_enrolled(folder, after.site), [each for each in kept_successions(folder) if each.site == after.site]
    if any(each.signed == signed for each in mine) and entry.keys in {before.keys, after.keys}:
        return True
    if entry.keys != before.keys:
        raise refuse(
            "I-SUCCESSION",
            f"site {after.site}",
            "New keys follow the ones that are enrolled",
            f"they follow others (fingerprint {before.fingerprint}); enrolled are those with fingerprint {entry.fingerprint}",
            "ask the hospital by phone which keys it has; it may have restored an old backup",
        )
    if any(not each.taken for each in mine):
        raise refuse(
            "I-SUCCESSION",
            f"site {after.site}",
            "Keys are renewed once the ones before are in use",
            "its node has not come with the keys that were enrolled last",
            "have the hospital start its node with them, with the centre running, then enrol these",
        )
    others = tuple(other for other in enrolled(folder) if other.site != after.site)
    problems = _key_problems(folder, load_centre(folder).coordinator, others, after)
    if {key for each in mine for key in each.signed.before.keys} & {*after.keys} - {after.approval_key}:
        problems.append(_used_twice(after, "a key in it is an older one of this hospital"))
    raise_all(problems)
    return False


def enrol_succession(folder: Path, signed: SignedSuccession, valid: timedelta, now: datetime | None = None) -> Enrolment:
    """Accept new keys of an enrolled hospital, and write the invitation of them; the same again writes a new invitation.

    The centre goes over to them when the hospital's node comes with them; until then the old ones are in use.

    Raises:
        Refused: as ``check_succession``; K-, Y- codes when the centre's own files are not in order; O-WRITE.
    """
    again, member, centre = check_succession(folder, signed), signed.after, load_centre(folder)
    address, authority = load_centre_file(folder).address, centre_files(folder).authority.read_text()
    invited = invite(member, centre.coordinator, centre.key, address, authority, now or datetime.now(UTC), valid)
    silo, invitation = entry_path(folder, member.site), folder / INVITATIONS / f"{member.site}.json"
    keep(folder, signed)  # first: who asks for the old keys is led to the new ones
    write_atomic(silo, canonical_bytes(model_json(member)), mode=0o600)
    _make_folder(invitation.parent)
    write_atomic(invitation, invited.file_bytes(), mode=0o600)
    return Enrolment(member, invited.invitation, silo, invitation, again)


def _used_twice(member: Member, finding: str) -> Problem:
    return Problem(
        "I-KEYS",
        f"site {member.site}",
        "Every key belongs to one party and one purpose",
        finding,
        "ask the hospital by phone: it makes keys of its own with `wardround silo init`",
    )


def enrol(
    folder: Path,
    member: Member,
    valid: timedelta,
    *,
    city: str | None = None,
    contact: str | None = None,
    now: datetime | None = None,
    again: bool = False,
) -> Enrolment:
    """Enrol a hospital and write its invitation; the same request again writes a new invitation.

    A hospital that was removed is let in ``again`` once all its files are written; the record of its removal stays.

    Raises:
        Refused: I-ENROLLED, I-KEYS, I-REMOVED; K-, Y- codes when the centre's own files are not in order; O-WRITE.
    """
    moment = now or datetime.now(UTC)
    before, removal = check_enrolment(folder, member, again=again), removal_path(folder, member.site).exists()
    centre = load_centre(folder)
    address, authority = load_centre_file(folder).address, centre_files(folder).authority.read_text()
    signed = invite(member, centre.coordinator, centre.key, address, authority, moment, valid)
    note = _note(folder, member, city, contact, moment)
    silo, invitation = entry_path(folder, member.site), folder / INVITATIONS / f"{member.site}.json"
    for path, data in (
        (silo, canonical_bytes(model_json(member))),  # first: who follows an invitation is let in
        (folder / CONTACTS / f"{member.site}.json", canonical_bytes(model_json(note))),
        (invitation, signed.file_bytes()),
    ):
        _make_folder(path.parent)
        write_atomic(path, data, mode=0o600)
    if removal:
        end_removal(folder, member.site)
    return Enrolment(member, signed.invitation, silo, invitation, before, removal)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise refuse(
            "O-WRITE",
            folder.name,
            "Outputs are written whole or not at all",
            f"the folder cannot be made ({type(error).__name__})",
            "check the folder's rights and the free space",
        ) from None


def _note(folder: Path, member: Member, city: str | None, contact: str | None, now: datetime) -> Contact:
    before = load_contact(folder, member.site)
    try:
        return Contact(
            site=member.site,
            city=city if city is not None or before is None else before.city,
            contact=contact if contact is not None or before is None else before.contact,
            enrolled_at=instant(now) if before is None else before.enrolled_at,
        )
    except ValidationError:
        raise refuse(
            "Y-VALUE",
            "--city, --contact",
            "City and contact are lines of 1 to 200 printable characters",
            "one of them is not",
            "give another text",
        ) from None


def load_contact(folder: Path, site: str) -> Contact | None:
    """Give the operator's note about a hospital; None when there is none that can be read."""
    try:
        return Contact.model_validate_json((folder / CONTACTS / f"{site}.json").read_bytes())
    except (OSError, ValidationError):
        return None

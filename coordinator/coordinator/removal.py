"""Removal: a hospital that the centre lets in no longer, and the record of it. Nothing is deleted.

silos/SITE.json              stays as it is: whom the centre had enrolled
silos/SITE.removed.json      who removed it, when and why; the hospital is out from the moment that this file is there
silos/SITE.removed-N.json    the same of the N-th removal, once the hospital was let in again
"""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from coordinator.identity import REMOVED_SUFFIX, SILOS, read_entry, removal_path
from coordinator.successions import kept_successions
from wardround.canonical import model_bytes
from wardround.directory import check_format
from wardround.errors import Refused, refuse
from wardround.files import sync_folder, write_new
from wardround.identity.roster import Member
from wardround.identity.succession import SignedSuccession
from wardround.strict_yaml import nearest
from wardround.values import Instant, PersonName, Slug, Value, instant


class Removal(Value):
    """The record of a removal.

    Attributes:
        member: the entry as it was, with all its keys: they are known as long as this record is there.
        removed_at: when (UTC).
        removed_by: who typed the command, by the name of the account on the centre's machine.
        reason: as the operator gave it; it never leaves the centre.
    """

    site: Slug
    member: Member
    removed_at: Instant
    removed_by: PersonName
    reason: PersonName | None = None


@dataclass(frozen=True)
class Removed:
    """Who is out: ``sites`` by name, and ``keys`` that no hospital may use though its name is let in again with other keys."""

    sites: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()

    def bars(self, member: Member) -> bool:
        """Whether a hospital, as a roster names it, is removed."""
        return member.site in self.sites or not self.keys.isdisjoint(member.keys)


def remove(folder: Path, member: Member, reason: str | None = None, now: datetime | None = None) -> Removal:
    """Remove a hospital: from the moment that the record is on the disk it is out, also after any restart.

    Raises:
        Refused: I-REMOVED when it is removed already; Y-VALUE when the reason is no line of text; O-WRITE.
    """
    try:
        removal = Removal(
            site=member.site, member=member, removed_at=instant(now or datetime.now(UTC)), removed_by=_account(), reason=reason
        )
    except ValidationError:
        raise refuse(
            "Y-VALUE",
            "--reason",
            "A reason is a line of 1 to 200 printable characters",
            "this one is not",
            "give another text, or none",
        ) from None
    try:
        write_new(removal_path(folder, member.site), model_bytes(removal), mode=0o600)
    except FileExistsError:
        raise _removed_already(folder, member.site) from None
    return removal


def _account() -> str:
    """Give the account's name, or its number where it has none."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def find_enrolled(folder: Path, site: str) -> Member:
    """Give the entry of one hospital that may be removed; whatever else of the centre is damaged does not matter.

    Raises:
        Refused: I-UNKNOWN with the nearest name, I-REMOVED, K-FORMAT, V-FORMAT.
    """
    check_format(folder)
    entries = {path.stem for path in (folder / SILOS).glob("[a-z]*.json") if "." not in path.stem}
    if site not in entries:
        guess = nearest(site, entries)
        raise refuse(
            "I-UNKNOWN",
            f"site {site}",
            "A hospital is named by its site, as it was enrolled",
            "no hospital of this name is enrolled",
            f"see the names in {SILOS}/" if guess is None else f"did you mean {guess}?",
        )
    if removal_path(folder, site).exists():
        raise _removed_already(folder, site)
    member = read_entry(folder, site)
    if member is None:
        raise refuse(
            "K-FORMAT",
            f"{SILOS}/{site}.json",
            "The file is as enrol wrote it",
            "it was changed, or cannot be read",
            "enrol the hospital's request.json again, then remove it",
        )
    return member


def read_removal(path: Path) -> Removal | None:
    """Read the record of a removal; None when it cannot be read."""
    try:
        removal = Removal.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    return removal if removal.site == removal.member.site == _site(path) else None


def _site(path: Path) -> str:
    return path.name.partition(".")[0]


def _records(folder: Path) -> list[Path]:
    """Give the records of all removals, also of those that are over."""
    return sorted((folder / SILOS).glob(f"[a-z]*{REMOVED_SUFFIX.removesuffix('.json')}*.json"))


def removals(folder: Path) -> tuple[Removal, ...]:
    """Give the record of every removal that can be read, also of those that are over."""
    return tuple(removal for path in _records(folder) if (removal := read_removal(path)) is not None)


def removed(folder: Path) -> Removed:
    """Say who is out. A record that cannot be read keeps its hospital out by name: damage lets in nobody."""
    sites, keys, kept = set(), set(), _successions(folder)
    for path in _records(folder):
        site, removal = _site(path), read_removal(path)
        if removal is None or path == removal_path(folder, site):
            sites.add(site)
        else:
            entry = read_entry(folder, site)
            same = {*(() if entry is None else entry.keys)}
            for each in reversed(kept):  # the keys that those of now follow are the hospital's own, too
                if same.issuperset(each.after.keys):
                    same |= {*each.before.keys}
            keys |= {*removal.member.keys} - same
    return Removed(frozenset(sites), frozenset(keys))


def _successions(folder: Path) -> tuple[SignedSuccession, ...]:
    """Give what hospitals signed of new keys; none where a file was changed: then older keys that were removed stay out."""
    try:
        return tuple(each.signed for each in kept_successions(folder))
    except Refused:
        return ()


def end_removal(folder: Path, site: str) -> None:
    """Let a removed hospital in again, by the entry that it has now; the record of its removal stays, under another name.

    Raises:
        Refused: O-WRITE.
    """
    path, number = removal_path(folder, site), 1
    while (over := path.with_name(f"{path.name.removesuffix('.json')}-{number}.json")).exists():
        number += 1
    try:
        path.rename(over)
        sync_folder(path.parent)
    except OSError as error:
        raise refuse(
            "O-WRITE",
            f"{SILOS}/{path.name}",
            "Outputs are written whole or not at all",
            f"the record cannot be renamed ({type(error).__name__})",
            "check the folder's rights and the free space",
        ) from None


def _removed_already(folder: Path, site: str) -> Refused:
    return refuse("I-REMOVED", f"site {site}", "A hospital is removed once", when(folder, site), "nothing has to be done")


def when(folder: Path, site: str) -> str:
    """Say in a few words since when a hospital is removed, for messages."""
    removal = read_removal(removal_path(folder, site))
    return (
        "it was removed"
        if removal is None
        else f"it was removed at {removal.removed_at} (fingerprint {removal.member.fingerprint})"
    )

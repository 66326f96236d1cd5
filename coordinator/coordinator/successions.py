"""Hospitals that renewed their keys: what they signed, and since when the new keys are in use.

silos/SITE.json                       the hospital with its newest keys
silos/SITE.succession-N.json          its N-th succession, as it came and as a person here accepted it
silos/SITE.succession-N.taken.json    since when the new keys are in use: its node was seen with them, and not with the old ones

Until the new node was seen, a running study goes on with the old keys, and both nodes may connect. Then the old keys are out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from coordinator.identity import SILOS, entry_path
from wardround.canonical import canonical_bytes
from wardround.files import write_atomic
from wardround.identity.roster import Member
from wardround.identity.succession import SignedSuccession, follow, read_successions
from wardround.values import instant

_NUMBERED = re.compile(r"([a-z][a-z0-9_-]*)\.succession-([1-9][0-9]{0,8})\.json")


@dataclass(frozen=True)
class Kept:
    """A succession that was accepted here. ``taken``: the new keys are in use."""

    path: Path
    signed: SignedSuccession
    taken: bool

    @property
    def site(self) -> str:
        """The hospital's site name."""
        return self.signed.after.site


def kept_successions(folder: Path) -> tuple[Kept, ...]:
    """Give every succession that was accepted, each hospital's in their order.

    Raises:
        Refused: I-SUCCESSION when a file was changed.
    """
    named = [
        (found[1], int(found[2]), path) for path in (folder / SILOS).glob("*.json") if (found := _NUMBERED.fullmatch(path.name))
    ]
    paths = [path for *_, path in sorted(named)]
    return tuple(
        Kept(path, signed, _taken_path(path).exists()) for path, signed in zip(paths, read_successions(paths), strict=True)
    )


def newest(member: Member, kept: Iterable[Kept]) -> Member:
    """Give a hospital of a roster with the newest keys that were accepted, in use or not."""
    return follow(member, [each.signed for each in kept])


def in_use(member: Member, kept: Iterable[Kept]) -> Member:
    """Give a hospital of a roster with the keys that are in use now."""
    return follow(member, [each.signed for each in kept if each.taken])


def keep(folder: Path, signed: SignedSuccession) -> Path:
    """Keep a succession that a person accepted; one that is there already stays as it is. Gives its path.

    Raises:
        Refused: O-WRITE; I-SUCCESSION.
    """
    mine = [each for each in kept_successions(folder) if each.site == signed.after.site]
    known = next((each.path for each in mine if each.signed == signed), None)
    if known is not None:
        return known
    path = entry_path(folder, signed.after.site).with_name(f"{signed.after.site}.succession-{len(mine) + 1}.json")
    write_atomic(path, signed.file_bytes(), mode=0o600)
    return path


def take(kept: Kept, now: datetime | None = None) -> None:
    """Write down that new keys are in use: from now on the old ones are not.

    Raises:
        Refused: O-WRITE.
    """
    record = {"site": kept.site, "taken_at": instant(now or datetime.now(UTC))}
    write_atomic(_taken_path(kept.path), canonical_bytes(record), mode=0o600)


def _taken_path(path: Path) -> Path:
    return path.with_name(f"{path.name.removesuffix('.json')}.taken.json")

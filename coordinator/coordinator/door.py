"""The centre's door at Flower: who may connect, kept in step with who is enrolled and who is removed."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Protocol

from coordinator.identity import enrolled
from coordinator.removal import removed
from wardround.errors import Refused
from wardround.identity.roster import Member, Roster

log = logging.getLogger("conductor")

LOOK_SECONDS = 0.5
"""How old what the door knows of the directory may be."""


class Register(Protocol):
    """What Flower's Control API does for us."""

    def register(self, public_key: bytes) -> int:
        """Let a node in; gives its id."""
        ...

    def unregister(self, node_id: int) -> None:
        """Let a node in no longer."""
        ...


class Door:
    """Registers the nodes of those who are enrolled, again at every start, and strikes off those who are removed.

    Flower takes no key again that it struck off, for as long as its SuperLink lives: such a hospital stays out until the
    centre is started again, for Flower and for us.
    """

    def __init__(self, folder: Path, control: Register) -> None:
        """Take the centre's directory and Flower's Control API."""
        self._folder = folder
        self._control = control
        self._known: dict[str, tuple[Member, int]] = {}
        self._struck: set[str] = set()
        self._removed = removed(folder)
        self._looked = 0.0

    def look(self) -> None:
        """Let in who was enrolled since, and strike off who was removed since. Goes by what is on the disk now."""
        self._removed = removed(self._folder)
        self._looked = time.monotonic()
        for key, (member, node_id) in list(self._known.items()):
            if self._removed.bars(member):
                self._control.unregister(node_id)
                self._struck.add(key)
                del self._known[key]
                log.warning("site %s is removed: its node is let in no longer", member.site)
        try:
            members = enrolled(self._folder)
        except Refused as error:  # a damaged entry keeps out nobody who is in
            log.error("%s", error)  # noqa: TRY400  (a coded error, not a trace)
            return
        for member in members:
            if member.node_key not in self._known and not self._out(member):
                self._let_in(member)
                log.info("site %s may connect", member.site)

    def removed(self, roster: Roster) -> frozenset[str]:
        """Give the hospitals of a roster that are removed; what is known of them is never older than a moment."""
        if time.monotonic() - self._looked > LOOK_SECONDS:
            self.look()
        return frozenset(member.site for member in roster.silos if self._out(member))

    def node_ids(self, roster: Roster) -> dict[str, int]:
        """Give Flower's ids of a roster's nodes, but for those of hospitals that are removed."""
        self.look()
        return {member.site: self._let_in(member) for member in roster.silos if not self._out(member)}

    def _out(self, member: Member) -> bool:
        return member.node_key in self._struck or self._removed.bars(member)

    def _let_in(self, member: Member) -> int:
        if member.node_key not in self._known:
            self._known[member.node_key] = member, self._control.register(member.node_key.encode())
        return self._known[member.node_key][1]

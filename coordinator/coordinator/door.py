"""The centre's door at Flower: who may connect, kept in step with who is enrolled and who is removed."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from coordinator.identity import enrolled
from coordinator.removal import removed
from coordinator.successions import Kept, in_use, kept_successions, take
from wardround.errors import Refused
from wardround.identity.roster import Member, Roster

log = logging.getLogger("conductor")

LOOK_SECONDS = 0.5
"""How old what the door knows of the directory may be."""


class RegisteredNode(Protocol):
    """A node as Flower's Control API tells of it: its id, and whether it is connected."""

    @property
    def node_id(self) -> int:
        """Flower's id of it."""
        ...

    @property
    def online(self) -> bool:
        """Whether it is connected now."""
        ...


class KeysTaken(Exception):
    """A hospital's node came with its new keys: whoever conducts begins anew, with those."""


class Register(Protocol):
    """What Flower's Control API does for us."""

    def nodes(self) -> Sequence[RegisteredNode]:
        """Give all nodes that are let in."""
        ...

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
        self._kept = kept_successions(folder)

    def current(self, member: Member) -> Member:
        """Give a roster's hospital with the keys that are in use, by what was known when this door was made."""
        return in_use(member, self._kept)

    def look(self) -> None:
        """Let in who was enrolled since, and strike off who was removed since. Goes by what is on the disk now.

        Raises:
            KeysTaken: when a hospital's node has come with new keys. They are in use from then on.
        """
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
        self._look_for_new_keys()

    def _look_for_new_keys(self) -> None:
        """Let in both nodes of a hospital whose new keys are not in use yet; once the new one has come, say so."""
        try:
            waiting = [each for each in kept_successions(self._folder) if not each.taken]
        except Refused as error:
            log.error("%s", error)  # noqa: TRY400  (a coded error, not a trace)
            return
        ids = {self._let_in(each.signed.after): each for each in waiting if self._both_in(each)}
        if not ids:
            return
        for node in self._control.nodes():
            if node.online and node.node_id in ids:
                come = ids[node.node_id]
                take(come)
                log.warning("site %s has come with its new keys: the old ones are out", come.site)
                raise KeysTaken

    def _both_in(self, kept: Kept) -> bool:
        """Let the old node in beside the new one; neither of a hospital that is removed."""
        if self._out(kept.signed.after) or self._out(kept.signed.before):
            return False
        self._let_in(kept.signed.before)
        return True

    def removed(self, roster: Roster) -> frozenset[str]:
        """Give the hospitals of a roster that are removed; what is known of them is never older than a moment."""
        if time.monotonic() - self._looked > LOOK_SECONDS:
            self.look()
        return frozenset(member.site for member in roster.silos if self._out(member))

    def node_ids(self, roster: Roster) -> dict[str, int]:
        """Give Flower's ids of a roster's nodes, but for those of hospitals that are removed."""
        self.look()
        current = [self.current(member) for member in roster.silos]
        return {member.site: self._let_in(member) for member in current if not self._out(member)}

    def _out(self, member: Member) -> bool:
        member = self.current(member)
        return member.node_key in self._struck or self._removed.bars(member)

    def _let_in(self, member: Member) -> int:
        if member.node_key not in self._known:
            self._known[member.node_key] = member, self._control.register(member.node_key.encode())
        return self._known[member.node_key][1]

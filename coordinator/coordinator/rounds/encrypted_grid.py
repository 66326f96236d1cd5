"""A grid whose bodies nobody reads on the way: encrypted to each hospital, decrypted with the centre's own key."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from coordinator.rounds.grid import Grid, Incoming, Outgoing
from wardround.identity.encryption import EncryptionKey
from wardround.identity.keys import PublicKey
from wardround.identity.roster import Roster
from wardround.identity.succession import Current, as_on_roster
from wardround.messages.confidential import EncryptedArrays, addressed, decrypted, encrypt_arrays, encrypted_size
from wardround.messages.envelope import Array, Envelope
from wardround.study.bundle import Bundle

MARGIN_BYTES = 64 * 1024
"""A reply may be larger than a good one by this: it is then refused for its shape, as somebody's mistake."""


def encryption_keys(roster: Roster, current: Current = as_on_roster) -> dict[str, PublicKey]:
    """Give the key of each hospital on a roster to which its bodies are encrypted: the one that it has now."""
    return {member.site: current(member).encryption_key for member in roster.silos}


def largest_reply(bundle: Bundle) -> int:
    """Give the most bytes of arrays that an answer in a study can have: one encrypted change of weights.

    What announces more is fetched by nobody. Answers to offers and statistics have no array at all.
    """
    return encrypted_size(bundle.manifest.byte_count) + MARGIN_BYTES


class EncryptedGrid:
    """Wraps a grid; what several hospitals get in one push (the weights of a round) is encrypted once."""

    def __init__(self, grid: Grid, receivers: Mapping[str, PublicKey], key: EncryptionKey) -> None:
        """Take the transport, the hospitals' encryption keys by site, and the centre's own."""
        self._grid = grid
        self._receivers = dict(receivers)
        self._key = key
        self._waiting: dict[str, Incoming] = {}

    def push_messages(self, messages: Sequence[Outgoing]) -> list[str]:
        """Encrypt and send messages; gives their ids, in order."""
        known: dict[tuple[int, ...], tuple[tuple[Array, ...], EncryptedArrays]] = {}
        return self._grid.push_messages([self._encrypt(message, known) for message in messages])

    def _encrypt(self, message: Outgoing, known: dict[tuple[int, ...], tuple[tuple[Array, ...], EncryptedArrays]]) -> Outgoing:
        """Encrypt one message's arrays; the same objects were encrypted before, and are held so that their ids stay theirs."""
        arrays, receiver = message.envelope.arrays, self._receivers.get(message.site)
        if not arrays or receiver is None:  # nobody on the roster: the transport does not send it either
            return replace(message, envelope=replace(message.envelope, arrays=()))
        name = tuple(id(array) for array in arrays)
        if name not in known:
            known[name] = (arrays, encrypt_arrays(arrays))
        return replace(message, envelope=addressed(message.envelope, known[name][1], receiver))

    def pull_messages(self, message_ids: Collection[str], wait_seconds: float) -> list[Incoming]:
        """Give what came back, decrypted: one message at a time, so that no two changes of weights are in memory.

        What was not encrypted to the centre comes without its arrays: nobody admits it.
        """
        ready = self._ready(message_ids)
        if ready is None:
            found = self._grid.pull_messages(message_ids, wait_seconds)
            self._waiting |= {incoming.reply_to: incoming for incoming in found}
            ready = self._ready(message_ids)
        return [] if ready is None else [self._decrypt(self._waiting.pop(ready))]

    def _ready(self, message_ids: Collection[str]) -> str | None:
        return next((message_id for message_id in message_ids if message_id in self._waiting), None)

    def _decrypt(self, incoming: Incoming) -> Incoming:
        if incoming.envelope is None:
            return incoming
        return replace(incoming, envelope=decrypted(incoming.envelope, self._key) or _stripped(incoming.envelope))


def _stripped(envelope: Envelope) -> Envelope:
    return replace(envelope, arrays=(), body_key="")

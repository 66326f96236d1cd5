"""How the conductor reaches the hospitals: push messages, pull what came back.

Flower in deployment, memory in a simulation; the conductor knows no difference.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from wardround.messages.envelope import Envelope


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to one hospital, and how long it is worth delivering."""

    site: str
    envelope: Envelope
    seconds_to_live: float


@dataclass(frozen=True, slots=True)
class Incoming:
    """What came back to a pushed message.

    Attributes:
        envelope: None when the transport says that the hospital could not be reached.
        final: whether that will not change, since the transport does not know the hospital at all.
    """

    reply_to: str
    envelope: Envelope | None
    final: bool = False


class Grid(Protocol):
    """The transport."""

    def push_messages(self, messages: Sequence[Outgoing]) -> list[str]:
        """Send messages; gives their ids, in order."""
        ...

    def pull_messages(self, message_ids: Collection[str], wait_seconds: float) -> list[Incoming]:
        """Give what came back to some messages, each once; waits for the first up to ``wait_seconds``."""
        ...

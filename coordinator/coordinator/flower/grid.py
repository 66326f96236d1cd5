"""The grid over Flower: pushes envelopes to SuperNodes through the SuperLink, and pulls what comes back.

One thread, no callbacks. Replies that are being uploaded are fetched object by object, in turn, so that a slow hospital
holds nobody up. Stock Flower polls every 3 s and inflates all replies at once; this asks more often the shorter the wait.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from flwr.common.constant import SUPERLINK_NODE_ID
from flwr.proto.message_pb2 import Message, Metadata, ObjectTree

from coordinator.rounds.grid import Incoming, Outgoing
from wardround.messages.envelope import Envelope
from wardround.transport.channel import Rejected, RuntimeChannel, TransportFault
from wardround.transport.pace import Pace
from wardround.transport.parcel import LARGEST_BYTES, Malformed, Packer, Steps, announcement, unpack

MESSAGE_TYPE = "query"
SHORTEST_PAUSE_SECONDS = 0.02
LONGEST_PAUSE_SECONDS = 0.25


@dataclass
class _Arrival:
    """A reply whose objects are being fetched."""

    message: Message
    steps: Steps
    wanted: str


class FlowerGrid:
    """The conductor's grid over one run."""

    def __init__(
        self,
        channel: RuntimeChannel,
        run_id: int,
        nodes: Mapping[str, int],
        *,
        spool: Path | None = None,
        largest_reply: int = LARGEST_BYTES,
    ) -> None:
        """Take the run's channel and id, and the node ids by site.

        Args:
            channel: authorised by the run's task token.
            run_id: the run.
            nodes: Flower's node id of each site on the roster; nobody else is ever sent anything.
            spool: a folder for replies while they arrive; the system's temporary one when not given.
            largest_reply: the most bytes of arrays in one reply.
        """
        self._channel = channel
        self._run_id = run_id
        self._nodes = dict(nodes)
        self._spool = spool
        self._largest_reply = largest_reply
        self._unsendable = itertools.count(1)
        self._ends: dict[str, float] = {}
        self._arriving: dict[str, _Arrival] = {}
        self._arrived: dict[str, Incoming] = {}
        self._pace = Pace(SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)

    def push_messages(self, messages: Sequence[Outgoing]) -> list[str]:
        """Send messages; gives their ids, in order. What cannot be sent comes back at once as unreachable."""
        packer, parcels, sites = Packer(), [], []
        for message in messages:
            if message.site in self._nodes:
                metadata = self._metadata(self._nodes[message.site], message.seconds_to_live)
                stored = packer.pack(metadata, message.envelope)
                parcels.append((announcement(metadata, stored), stored))
                sites.append(message.site)
        given = iter(self._channel.push_messages(self._run_id, parcels) if parcels else [])
        ids = [next(given) if message.site in self._nodes else "" for message in messages]
        for index, (message_id, message) in enumerate(zip(ids, messages, strict=True)):
            if message_id:
                self._ends[message_id] = time.monotonic() + message.seconds_to_live
            else:  # not on the roster, or Flower does not know the node (any more)
                ids[index] = f"unsendable-{next(self._unsendable)}"
                self._arrived[ids[index]] = Incoming(ids[index], None, final=message.site not in self._nodes)
        self._pace.reset()
        return ids

    def _metadata(self, node_id: int, seconds_to_live: float) -> Metadata:
        return Metadata(
            run_id=self._run_id,
            src_node_id=SUPERLINK_NODE_ID,
            dst_node_id=node_id,
            ttl=seconds_to_live,
            created_at=time.time(),
            message_type=MESSAGE_TYPE,
        )

    def pull_messages(self, message_ids: Collection[str], wait_seconds: float) -> list[Incoming]:
        """Give what came back to some messages, each once; waits for the first up to ``wait_seconds``.

        Raises:
            TransportFault: when the SuperLink cannot be reached for long, or has ended the run.
        """
        end = time.monotonic() + wait_seconds
        while True:
            moved = self._ask([message_id for message_id in message_ids if message_id in self._ends]) + self._fetch()
            ready = [self._arrived.pop(message_id) for message_id in message_ids if message_id in self._arrived]
            if moved or ready:
                self._pace.reset()
            if ready or time.monotonic() >= end:
                return ready
            if not moved:
                time.sleep(max(0.0, min(self._pace.pause(), end - time.monotonic())))

    def _ask(self, waiting: list[str]) -> int:
        """Ask for announcements of replies; gives how many came."""
        if not waiting:
            return 0
        found = self._channel.pull_messages(waiting)
        for message, tree in found:
            self._take(message, tree)
        return len(found)

    def _take(self, message: Message, tree: ObjectTree) -> None:
        message_id = message.metadata.reply_to_message_id
        end = self._ends.pop(message_id, None)
        if end is None:
            return
        if message.HasField("error"):
            with suppress(TransportFault):  # else the SuperLink keeps what the hospital never fetched, for as long as it runs
                self._channel.confirm(self._run_id, message_id)
            if time.monotonic() < end:  # after its time, Flower only says that the message is gone
                self._arrived[message_id] = Incoming(message_id, None)
            return
        steps = unpack(tree, largest=self._largest_reply, spool=self._spool)
        arrival = self._arriving[message_id] = _Arrival(message, steps, "")
        try:
            arrival.wanted = next(steps)
        except Malformed:
            self._end(message_id, _garbage())

    def _fetch(self) -> int:
        """Fetch the next object of every reply that is arriving; gives how many came."""
        moved = 0
        for message_id, arrival in list(self._arriving.items()):
            try:
                content = self._channel.pull_object(self._run_id, arrival.wanted)
                if content is None:
                    continue
                arrival.wanted = arrival.steps.send(content)
            except Rejected:  # the upload broke off and Flower dropped it
                self._end(message_id, None)
            except Malformed:
                self._end(message_id, _garbage())
            except OSError:  # there is no room to put the parts together: as if it had broken off
                self._end(message_id, None)
            except StopIteration as done:
                self._end(message_id, done.value)
            moved += 1
        return moved

    def _end(self, message_id: str, envelope: Envelope | None) -> None:
        arrival = self._arriving.pop(message_id)
        self._arrived[message_id] = Incoming(message_id, envelope)
        with suppress(Rejected):  # whatever else it is, it is not needed any more
            self._channel.confirm(self._run_id, arrival.message.metadata.message_id)


def _garbage() -> Envelope:
    """Give what no receiver admits: the hospital answered, and what it sent is nothing that we read."""
    return Envelope(message=b"", signature="")

"""The one run of Flower's that the conductor serves: started by us, acquired by us, kept alive, ended.

A task's input can be pulled once only, so after any death the old run is stopped and a new one started: the same
studies, another run. Nothing of a study is in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from flwr.common.constant import SUPERLINK_NODE_ID, SubStatus
from flwr.proto.runtime_pb2 import PullTaskInputResponse
from flwr.supercore.constant import TaskType

from coordinator.flower.control import Control
from wardround.errors import Broken
from wardround.transport.channel import RuntimeChannel, Secret, TransportFault
from wardround.transport.flower_app import build_fab, is_ours
from wardround.transport.heartbeat import Heartbeat


@dataclass(frozen=True)
class SuperLinkAddress:
    """Where the SuperLink's private listener is, and what it takes to speak to it.

    Attributes:
        address: ``host:port`` on loopback.
        authority: the certificate (PEM) that signed the server's.
        token: for the Control API.
        secret: for the Runtime API.
    """

    address: str
    authority: bytes
    token: str
    secret: Secret

    def __repr__(self) -> str:
        """Show no token."""
        return f"SuperLinkAddress({self.address})"

    def control(self) -> Control:
        """Connect to the Control API."""
        return Control(self.address, self.authority, self.token)


@dataclass(frozen=True)
class Run:
    """A run in our hands."""

    run_id: int
    channel: RuntimeChannel
    heartbeat: Heartbeat


@contextmanager
def serve_run(link: SuperLinkAddress) -> Iterator[Run]:
    """Start a run, take its task, and keep it alive for the length of the block.

    Raises:
        TransportFault: when the SuperLink cannot be reached, or refuses us.
    """
    with link.control() as control:
        run_id = control.start_run(build_fab())
        try:
            with RuntimeChannel.open(link.address, link.secret, node_id=SUPERLINK_NODE_ID, authority=link.authority) as channel:
                token = channel.acquire(TaskType.SERVER_APP)
                channel.hold(token or "")
                given = channel.pull_input()
                _check(given, run_id)
                with Heartbeat(channel) as heartbeat:
                    yield Run(run_id, channel, heartbeat)
                channel.finish(SubStatus.COMPLETED)
        except BaseException:
            with suppress(TransportFault):
                control.stop_run(run_id)
            raise


def _check(given: PullTaskInputResponse, run_id: int) -> None:
    if given.run.run_id != run_id or not is_ours(given.fab.content, given.run.fab_hash):
        msg = "the task that we acquired is not of the run that we started"
        raise Broken(msg)

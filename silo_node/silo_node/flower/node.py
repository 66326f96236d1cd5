"""Takes Flower's tasks from the SuperNode on this machine, and answers them: in place of Flower's own executor.

Stock Flower would unpack the bundle that the centre sent and run it, in a fresh process for every message. Here the
bundle is compared with the one of this release, by its hash, and never opened; Flower's run_config is not looked at;
an envelope goes to the porter, and what the gate made of its answer goes back. Whatever goes wrong leaves as one of the
bare codes below.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from flwr.common.constant import ErrorCode, SubStatus
from flwr.proto.error_pb2 import Error
from flwr.proto.message_pb2 import Metadata, ObjectTree
from flwr.supercore.constant import TaskType

from silo_node.porter.gate import Release
from wardround.messages.envelope import Envelope
from wardround.reference import new_reference, referred
from wardround.transport.channel import Rejected, RuntimeChannel, Secret, Unauthorised, Unreachable
from wardround.transport.flower_app import is_ours
from wardround.transport.heartbeat import Heartbeat
from wardround.transport.pace import Pace
from wardround.transport.parcel import LARGEST_BYTES, Malformed, Packer, announcement, object_ids, pack_error, unpack

SHORTEST_PAUSE_SECONDS = 0.02
LONGEST_PAUSE_SECONDS = 0.5
OBJECT_PATIENCE_SECONDS = 60.0
"""How long one object of an announced message may be on its way: the SuperNode makes the task before it has them all."""
PATIENCE_SECONDS = 5.0
"""The SuperNode is on this machine: when it is away for longer, its supervisor starts it anew, and the task is gone."""
NO_SENDER = 0

Visit = Callable[[Envelope], Release]


class Fault(StrEnum):
    """Why there is no envelope in return: all that ever leaves of it."""

    BUNDLE = "bundle"
    FORM = "form"
    FAILED = "failed"


_FLOWERS_CODE = {
    Fault.BUNDLE: ErrorCode.INVALID_FAB,
    Fault.FORM: ErrorCode.MOD_FAILED_PRECONDITION,
    Fault.FAILED: ErrorCode.CLIENT_APP_RAISED_EXCEPTION,
}


class Unanswered(Exception):
    """A task ended without an answer. The SuperNode would wait for one for ever: it has to be started anew."""


@dataclass(frozen=True)
class SuperNodeAddress:
    """Where the SuperNode's Runtime API is (loopback), and the secret that it asks for."""

    address: str
    secret: Secret


class NodeLoop:
    """Takes one task at a time until it is told to stop."""

    def __init__(
        self,
        supernode: SuperNodeAddress,
        visit: Visit,
        log: logging.Logger,
        *,
        spool: Path | None = None,
        largest_message: int = LARGEST_BYTES,
    ) -> None:
        """Take the SuperNode's address, the porter's door, and the hospital's own log."""
        self._supernode = supernode
        self._visit = visit
        self._log = log
        self._spool = spool
        self._largest_message = largest_message
        self._pace = Pace(SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)

    def run(self, stop: threading.Event) -> None:
        """Serve until ``stop`` is set. A SuperNode that is away is waited for.

        Raises:
            Unauthorised: when the SuperNode does not accept our secret.
            Unanswered: when an answer could not be handed to the SuperNode. Whoever starts the two starts both anew,
                as after any death of this process: a SuperNode waits for the answer to a task without end.
        """
        address, secret = self._supernode.address, self._supernode.secret
        with RuntimeChannel.open(address, secret, node_id=NO_SENDER, patience=PATIENCE_SECONDS) as channel:
            while not stop.is_set():
                try:
                    token = channel.acquire(TaskType.CLIENT_APP)
                except Unreachable:
                    token = None
                if token is None:
                    stop.wait(self._pace.pause())
                    continue
                channel.hold(token)
                self._take(channel)
                channel.hold("")
                self._pace.reset()

    def _take(self, channel: RuntimeChannel) -> None:
        """Do one task."""
        with Heartbeat(channel):
            try:
                fault = self._answer(channel)
                channel.finish(SubStatus.COMPLETED if fault is None else SubStatus.FAILED, fault or "")
            except Unauthorised:
                self._log.warning("the SuperNode took a task back")
            except Exception as error:
                self._log.exception("a task was not answered")
                raise Unanswered from error

    def _answer(self, channel: RuntimeChannel) -> Fault | None:
        given = channel.pull_input()
        approved_bundle = is_ours(given.fab.content, given.run.fab_hash)
        messages = channel.pull_messages()
        if not messages:
            self._log.warning("a task without a message")
            return Fault.FORM
        message, tree = messages[0]
        reply, run_id = _reply_to(message.metadata), message.metadata.run_id
        if approved_bundle:
            fault, release = self._visited(channel, run_id, tree)
        else:
            _drop(channel, run_id, tree)
            fault, release = Fault.BUNDLE, None
        if release is None:
            fault = fault or Fault.FAILED
            self._log.warning("a message was answered with the bare code %s", fault)
            error = Error(code=_FLOWERS_CODE[fault], reason=str(fault))
            stored = pack_error(reply, error.code, error.reason)
            channel.push_messages(run_id, [(announcement(reply, stored, error), stored)])
            return fault
        stored = Packer().pack(reply, release.envelope)
        channel.push_messages(run_id, [(announcement(reply, stored), stored)])
        return None

    def _visited(self, channel: RuntimeChannel, run_id: int, tree: ObjectTree) -> tuple[Fault | None, Release | None]:
        try:
            envelope = self._receive(channel, run_id, tree)
        except (Malformed, Rejected):
            _drop(channel, run_id, tree)
            return Fault.FORM, None
        channel.confirm(run_id, tree.object_id)
        try:
            release = self._visit(envelope)
        except BaseException as error:  # whatever is raised, of any kind, only a bare code leaves
            if isinstance(error, KeyboardInterrupt):
                raise
            with referred(new_reference()):
                self._log.exception("a visit failed outside of the porter")
            return Fault.FAILED, None
        if type(release) is not Release:
            self._log.error("the porter answered with something that the gate did not make")
            return Fault.FAILED, None
        return None, release

    def _receive(self, channel: RuntimeChannel, run_id: int, tree: ObjectTree) -> Envelope:
        steps = unpack(tree, largest=self._largest_message, spool=self._spool)
        wanted = next(steps)
        while True:
            try:
                wanted = steps.send(_wait_for(channel, run_id, wanted))
            except StopIteration as done:
                envelope: Envelope = done.value
                return envelope


def _wait_for(channel: RuntimeChannel, run_id: int, object_id: str) -> bytes:
    """Give an object that is on its way."""
    pace, end = Pace(SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS), time.monotonic() + OBJECT_PATIENCE_SECONDS
    while (content := channel.pull_object(run_id, object_id)) is None:
        if time.monotonic() > end:
            raise Unreachable
        time.sleep(pace.pause())
    return content


def _drop(channel: RuntimeChannel, run_id: int, tree: ObjectTree) -> None:
    """Have the SuperNode drop a message's objects, but not before it has them all: it would lose the message, and us."""
    for object_id in object_ids(tree):
        _wait_for(channel, run_id, object_id)
    channel.confirm(run_id, tree.object_id)


def _reply_to(asked: Metadata) -> Metadata:
    """Address the answer. Its time and life are the question's own, so that no clock of the hospital's counts."""
    reply = Metadata(
        run_id=asked.run_id,
        src_node_id=asked.dst_node_id,
        dst_node_id=asked.src_node_id,
        reply_to_message_id=asked.message_id,
        group_id=asked.group_id,
        ttl=asked.ttl,
        created_at=asked.created_at,
        message_type=asked.message_type,
    )
    if asked.HasField("src_task_id"):
        reply.dst_task_id = asked.src_task_id
    return reply

"""The hospital's node: what it answers, and that nothing but bare codes leaves when something is wrong."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from flower_processes import SuperLink, SuperNode, eventually, start_supernode
from flwr.common.constant import SUPERLINK_NODE_ID, ErrorCode
from flwr.supercore.constant import TaskType

from coordinator.flower.grid import FlowerGrid
from coordinator.flower.run import serve_run
from coordinator.rounds.grid import Outgoing
from silo_node.flower.node import NodeLoop, Unanswered
from silo_node.porter.gate import Release
from wardround.messages.envelope import Envelope
from wardround.transport.channel import RuntimeChannel, Secret, Unauthorised, Unreachable
from wardround.transport.flower_app import FAB_FILES, build_fab

QUESTION = Envelope(b'{"question":1}', "ab" * 64, (b"\x01" * 4000,))
ANSWER = Envelope(b'{"answer":1}', "cd" * 64, (b"\x02" * 4000,))
ROUND_TRIP_LIMIT_SECONDS = 1.5
PRIVATE = "Meyer-4711"


@contextmanager
def serving(supernode: SuperNode, visit: Callable[[Envelope], Release]) -> Iterator[None]:
    """Have the node's loop serve in a thread."""
    stop = threading.Event()
    loop = NodeLoop(supernode.address, visit, logging.getLogger("test.node"))
    thread = threading.Thread(target=loop.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


def first_reply(channel: RuntimeChannel, message_id: str):
    """Give the raw reply to a message."""
    return eventually(lambda: channel.pull_messages([message_id]), 20, "a reply")[0][0]


def test_a_round_trip_is_quick(superlink: SuperLink, supernode: SuperNode, capsys: pytest.CaptureFixture[str]):
    """There and back in much less than Flower's own polls of 3 s take, and bit by bit."""
    seen: list[Envelope] = []

    def visit(envelope: Envelope) -> Release:
        seen.append(envelope)
        return Release(ANSWER)

    seconds = []
    with serve_run(superlink.link) as run, serving(supernode, visit):
        grid = FlowerGrid(run.channel, run.run_id, {"north": supernode.node_id})
        for _ in range(6):
            begun = time.monotonic()
            (message_id,) = grid.push_messages([Outgoing("north", QUESTION, 30)])
            (incoming,) = eventually(lambda: grid.pull_messages([message_id], 1), 20)  # noqa: B023
            seconds.append(time.monotonic() - begun)
            assert incoming.envelope == ANSWER
    assert seen == [QUESTION] * 6
    with capsys.disabled():
        print(f"\nround trips in ms: {', '.join(f'{1000 * each:.0f}' for each in seconds)}")
    assert sorted(seconds)[2] < ROUND_TRIP_LIMIT_SECONDS


def test_an_edited_bundle_is_refused(superlink: SuperLink, supernode: SuperNode, monkeypatch: pytest.MonkeyPatch):
    """Whatever comes with another bundle than this release's is answered by a bare code, and the porter never sees it."""
    seen: list[Envelope] = []
    with monkeypatch.context() as patch:
        patch.setitem(FAB_FILES, "wardround_app/client.py", b"print('my code')\n")
        edited = build_fab()
    link = superlink.link
    with link.control() as control, serving(supernode, lambda envelope: seen.append(envelope) or Release(ANSWER)):
        run_id = control.start_run(edited)
        with RuntimeChannel.open(link.address, link.secret, node_id=SUPERLINK_NODE_ID, authority=link.authority) as door:
            token = door.acquire(TaskType.SERVER_APP)
        with RuntimeChannel.open(link.address, token or "", node_id=SUPERLINK_NODE_ID, authority=link.authority) as channel:
            channel.pull_input()
            grid = FlowerGrid(channel, run_id, {"north": supernode.node_id})
            (message_id,) = grid.push_messages([Outgoing("north", QUESTION, 30)])
            error = first_reply(channel, message_id).error
        control.stop_run(run_id)
    assert (error.code, error.reason) == (ErrorCode.INVALID_FAB, "bundle")
    assert seen == []


@pytest.mark.parametrize("answer", ["raises", "an envelope", "nothing"])
def test_what_goes_wrong_leaves_as_a_bare_code(superlink: SuperLink, supernode: SuperNode, answer):
    """No text of an exception, and nothing that the gate did not make, ever leaves; and the next visit works."""

    def visit(envelope: Envelope) -> Release:
        if envelope != QUESTION:
            return Release(ANSWER)
        if answer == "raises":
            raise ValueError(PRIVATE)
        return Envelope(PRIVATE.encode(), "00" * 64) if answer == "an envelope" else None  # type: ignore[return-value]

    with serve_run(superlink.link) as run, serving(supernode, visit):
        grid = FlowerGrid(run.channel, run.run_id, {"north": supernode.node_id})
        (message_id,) = grid.push_messages([Outgoing("north", QUESTION, 30)])
        reply = first_reply(run.channel, message_id)
        assert (reply.error.code, reply.error.reason) == (ErrorCode.CLIENT_APP_RAISED_EXCEPTION, "failed")
        assert PRIVATE.encode() not in reply.SerializeToString()
        (message_id,) = grid.push_messages([Outgoing("north", ANSWER, 30)])
        (incoming,) = eventually(lambda: grid.pull_messages([message_id], 1), 20)
        assert incoming.envelope == ANSWER
    assert PRIVATE not in superlink.processes.log("superlink") + superlink.processes.log("north")


def test_a_message_that_is_no_envelope_is_refused(superlink: SuperLink, supernode: SuperNode):
    """A stranger's objects are not handed to the porter."""
    import dataclasses

    from flwr.app import ConfigRecord

    from wardround.transport import parcel

    seen: list[Envelope] = []
    with serve_run(superlink.link) as run, serving(supernode, lambda envelope: seen.append(envelope) or Release(ANSWER)):
        grid = FlowerGrid(run.channel, run.run_id, {"north": supernode.node_id})
        metadata = grid._metadata(supernode.node_id, 30)
        record = parcel._stored(ConfigRecord({"x": 1}).deflate())
        body = f'{{"envelope": "{record.object_id}"}}'.encode()
        content = parcel._stored(parcel._content("RecordDict", (record,), body), (record,))
        message = parcel._message(parcel.Message(metadata=metadata), (content,))
        assert dataclasses.is_dataclass(message)
        (message_id,) = run.channel.push_messages(run.run_id, [(parcel.announcement(metadata, message), message)])
        assert first_reply(run.channel, message_id).error.reason == "form"
    assert seen == []


def test_an_answer_that_cannot_be_handed_over_ends_the_loop(superlink: SuperLink, monkeypatch: pytest.MonkeyPatch):
    """The SuperNode would wait for it for ever, and whoever supervises the two has to know."""
    supernode = start_supernode(superlink, "stuck")
    push = RuntimeChannel.push_messages

    def sometimes(self, run_id, parcels):
        if threading.current_thread() is not threading.main_thread():
            raise Unreachable
        return push(self, run_id, parcels)

    monkeypatch.setattr(RuntimeChannel, "push_messages", sometimes)
    ended: list[BaseException] = []

    def run() -> None:
        try:
            NodeLoop(supernode.address, lambda _: Release(ANSWER), logging.getLogger("test.node")).run(threading.Event())
        except Unanswered as error:
            ended.append(error)

    with serve_run(superlink.link) as flower_run:
        grid = FlowerGrid(flower_run.channel, flower_run.run_id, {"north": supernode.node_id})
        grid.push_messages([Outgoing("north", QUESTION, 30)])
        thread = threading.Thread(target=run)
        thread.start()
        thread.join(30)
    assert [type(error.__cause__) for error in ended] == [Unreachable]
    supernode.process.terminate()
    assert supernode.process.wait(30) == 0, "a SuperNode that waits for an answer ends when it is told to"


def test_a_wrong_secret_ends_the_loop(supernode: SuperNode):
    """A node that its own SuperNode does not know stops and says so; it does not ask for ever."""
    address = type(supernode.address)(supernode.address.address, Secret(b"another"))
    with pytest.raises(Unauthorised):
        NodeLoop(address, lambda _: Release(ANSWER), logging.getLogger("test.node")).run(threading.Event())

"""Seams: AcquireTask, PullTaskInput, PushMessages and PullObject, at the SuperLink and at the SuperNode."""

import os
import time

import pytest
from flower_processes import SuperLink, SuperNode, eventually
from flwr.common.constant import SUPERLINK_NODE_ID
from flwr.proto.message_pb2 import Metadata
from flwr.supercore.constant import TaskType
from flwr.supercore.protobuf.constants import PROTOBUF_MEDIA_TYPE

from coordinator.flower.grid import FlowerGrid
from coordinator.flower.run import Run, serve_run
from coordinator.rounds.grid import Incoming, Outgoing
from wardround.messages.envelope import Envelope
from wardround.transport.channel import Rejected, RuntimeChannel, Secret, TransportFault, Unauthorised
from wardround.transport.flower_app import FAB_HASH, build_fab
from wardround.transport.parcel import Packer, announcement, unpack

SIGNATURE = "ab" * 64
LARGE = Envelope(b'{"large":1}', SIGNATURE, (os.urandom(12_000_000),))
SMALL = Envelope(b'{"small":1}', SIGNATURE, (b"\x00" * 1000, b"xyz"))
BARE = Envelope(b'{"bare":1}', SIGNATURE)


def door(superlink: SuperLink, secret: Secret | None = None) -> RuntimeChannel:
    link = superlink.link
    return RuntimeChannel.open(
        link.address, secret or link.secret, node_id=SUPERLINK_NODE_ID, authority=link.authority, patience=5
    )


def receive(channel: RuntimeChannel) -> tuple[Metadata, Envelope]:
    """Take the one message of a task at a SuperNode."""
    message, tree = channel.pull_messages()[0]
    steps = unpack(tree)
    wanted = next(steps)
    while True:
        object_id = wanted  # a SuperNode makes a task of a message before it has the message's objects
        content = eventually(lambda: channel.pull_object(message.metadata.run_id, object_id), 10, "an object")  # noqa: B023
        try:
            wanted = steps.send(content)
        except StopIteration as done:
            channel.confirm(message.metadata.run_id, message.metadata.message_id)
            return message.metadata, done.value


def reply(channel: RuntimeChannel, asked: Metadata, envelope: Envelope) -> None:
    """Answer it."""
    metadata = Metadata(
        run_id=asked.run_id,
        src_node_id=asked.dst_node_id,
        dst_node_id=asked.src_node_id,
        reply_to_message_id=asked.message_id,
        ttl=asked.ttl,
        created_at=asked.created_at,
        message_type=asked.message_type,
    )
    stored = Packer().pack(metadata, envelope)
    channel.push_messages(asked.run_id, [(announcement(metadata, stored), stored)])
    channel.finish()


def acquired(supernode: SuperNode) -> str:
    with supernode.door() as channel:
        return eventually(lambda: channel.acquire(TaskType.CLIENT_APP), 15, "a task")


def grid(run: Run, supernode: SuperNode) -> FlowerGrid:
    return FlowerGrid(run.channel, run.run_id, {"north": supernode.node_id})


def pull_one(flower: FlowerGrid, message_id: str, seconds: float = 20) -> Incoming:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = flower.pull_messages([message_id], 1)
        if found:
            return found[0]
    raise AssertionError("nothing came back")


def test_acquiring_asks_for_the_secret_at_the_superlink(superlink: SuperLink):
    """With the secret a task is there or not; with another one, or none, 401."""
    with door(superlink) as channel:
        assert channel.acquire(TaskType.SERVER_APP) is None
    with door(superlink, Secret(b"another secret")) as channel, pytest.raises(Unauthorised):
        channel.acquire(TaskType.SERVER_APP)
    headers = {"content-type": PROTOBUF_MEDIA_TYPE, "accept": PROTOBUF_MEDIA_TYPE}
    assert superlink.status(superlink.link.address, "POST", "/v1/runtime/acquire-task", b"", headers) == 401


def test_acquiring_asks_for_the_secret_at_the_supernode(supernode: SuperNode):
    """The hospital's local Runtime API is not open to other users of the machine."""
    with supernode.door() as channel:
        assert channel.acquire(TaskType.CLIENT_APP) is None
    with supernode.door(Secret(b"another secret")) as channel, pytest.raises(Unauthorised):
        channel.acquire(TaskType.CLIENT_APP)
    import urllib.error
    import urllib.request

    url = f"http://{supernode.address.address}/v1/runtime/acquire-task"
    request = urllib.request.Request(url, data=b"", headers={"content-type": PROTOBUF_MEDIA_TYPE}, method="POST")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5)
    assert refused.value.code == 401
    refused.value.close()


def test_a_made_up_token_opens_nothing(superlink: SuperLink, supernode: SuperNode):
    """Everything but acquiring asks for a task's token."""
    link = superlink.link
    with RuntimeChannel.open(link.address, "made-up", node_id=1, authority=link.authority) as channel:
        for refused in (channel.pull_input, lambda: channel.pull_messages(["x"]), lambda: channel.pull_object(1, "0" * 64)):
            with pytest.raises(Unauthorised):
                refused()
    with supernode.channel("made-up") as channel, pytest.raises(Unauthorised):
        channel.pull_input()


def test_the_input_of_a_task_is_given_once(superlink: SuperLink):
    """A second pull on one token fails, so a task cannot be taken twice; after that it is the run that has to go."""
    with superlink.link.control() as control:
        run_id = control.start_run(build_fab())
        with door(superlink) as channel:
            token = channel.acquire(TaskType.SERVER_APP)
            assert channel.acquire(TaskType.SERVER_APP) is None, "a task is given to one only"
        assert token
        link = superlink.link
        with RuntimeChannel.open(link.address, token, node_id=1, authority=link.authority) as channel:
            given = channel.pull_input()
            assert (given.run.run_id, given.run.fab_hash, given.fab.content) == (run_id, FAB_HASH, build_fab())
            with pytest.raises(TransportFault):
                channel.pull_input()
            assert channel.heartbeat()
        control.stop_run(run_id)


@pytest.mark.parametrize("envelope", [LARGE, SMALL, BARE], ids=["12 MB", "small", "bare"])
def test_an_envelope_goes_both_ways_bit_by_bit(superlink: SuperLink, supernode: SuperNode, envelope):
    """What a hospital receives, and what comes back, is what was sent, and the reply is told by its message's id."""
    with serve_run(superlink.link) as run:
        flower = grid(run, supernode)
        (message_id,) = flower.push_messages([Outgoing("north", envelope, 60)])
        with supernode.channel(acquired(supernode)) as channel:
            given = channel.pull_input()
            assert given.run.run_id == run.run_id
            asked, received = receive(channel)
            assert received == envelope
            reply(channel, asked, envelope)
        assert pull_one(flower, message_id) == Incoming(message_id, envelope)
        assert flower.pull_messages([message_id], 0) == [], "each once"


def test_a_message_to_nobody_comes_back_at_once(superlink: SuperLink, supernode: SuperNode):
    """A site without a node, a node that was struck off, and one that never connected are unreachable, and nobody waits."""
    from wardround.identity.tls import make_node_key

    with superlink.link.control() as control, serve_run(superlink.link) as run:
        gone, never = control.register(make_node_key().public), control.register(make_node_key().public)
        control.unregister(gone)
        flower = FlowerGrid(run.channel, run.run_id, {"gone": gone, "never": never})
        sent = [Outgoing(site, BARE, 30) for site in ("nowhere", "gone", "never")]
        ids = flower.push_messages(sent)
        assert len(set(ids)) == 3
        begun = time.monotonic()
        assert flower.pull_messages(ids, 5) == [Incoming(each, None, final=each == ids[0]) for each in ids]
        assert time.monotonic() - begun < 1


def test_after_its_time_a_message_is_not_delivered(superlink: SuperLink, supernode: SuperNode):
    """The seconds to live are Flower's too: what nobody waits for any more reaches no hospital, and is no reply."""
    with serve_run(superlink.link) as run:
        flower = grid(run, supernode)
        (first,) = flower.push_messages([Outgoing("north", BARE, 60)])
        token = acquired(supernode)  # while this one is open the SuperNode asks for no other
        (second,) = flower.push_messages([Outgoing("north", SMALL, 1)])
        time.sleep(1.1)
        with supernode.channel(token) as channel:
            channel.pull_input()
            reply(channel, receive(channel)[0], BARE)
        assert pull_one(flower, first).envelope == BARE
        assert flower.pull_messages([second], 0.5) == []
        with supernode.door() as channel:
            assert channel.acquire(TaskType.CLIENT_APP) is None


def test_objects_of_another_run_are_not_given(superlink: SuperLink):
    """A task's token opens its own run's objects only."""
    with serve_run(superlink.link) as run, pytest.raises((Rejected, Unauthorised)):
        run.channel.pull_object(run.run_id, "0" * 64)


def test_garbage_from_a_hospital_is_an_answer_that_nobody_admits(superlink: SuperLink, supernode: SuperNode):
    """Objects that are no envelope, or that are larger than asked for, end the wait at once; the next message works."""
    with serve_run(superlink.link) as run:
        flower = FlowerGrid(run.channel, run.run_id, {"north": supernode.node_id}, largest_reply=1_000_000)
        for sent, expected in ((LARGE, Envelope(b"", "")), (SMALL, SMALL)):
            (message_id,) = flower.push_messages([Outgoing("north", BARE, 60)])
            with supernode.channel(acquired(supernode)) as channel:
                channel.pull_input()
                reply(channel, receive(channel)[0], sent)
            assert pull_one(flower, message_id) == Incoming(message_id, expected)

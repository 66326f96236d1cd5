"""Flower has no way by which a text of a hospital's leaves: not as a log, not as an error, not in a heartbeat.

What its SuperNode can send is listed here, field by field; when this fails, look at the new field before anything else.
"""

from __future__ import annotations

import inspect
import json
import logging
import re
from pathlib import Path

import flwr.supernode
import pytest
from flwr.common.constant import ErrorCode, SubStatus
from flwr.proto import fleet_pb2
from flwr.proto.message_pb2 import Message as ProtoMessage
from flwr.proto.message_pb2 import ObjectTree
from flwr.supernode import start_client_internal
from flwr.supernode.fleet_http_client import FleetHttpClient

from silo_node.flower import node as node_module
from silo_node.flower.node import Fault, NodeLoop, SuperNodeAddress
from silo_node.porter.gate import Release
from wardround.json_log import close_log, open_log
from wardround.messages.envelope import Envelope
from wardround.transport.channel import Secret

ROOT = Path(__file__).parents[2]
TOKEN = "Qz5KanarieFehlertext"  # noqa: S105  (a canary, no secret)
CONTENT = {
    "Array.dtype",
    "Array.stype",
    "ArrayRecord.Item.key",
    "ConfigRecord.Item.key",
    "ConfigRecordValue.string",
    "MetricRecord.Item.key",
    "RecordDict.Item.key",
    "StringList.vals",
}
"""Of a message's content, which our own packer makes of what the gate let out."""
TEXTS = {
    "ActivateNode": set(),
    "ConfirmMessageReceived": {"ConfirmMessageReceivedRequest.message_object_id"},
    "DeactivateNode": set(),
    "GetFab": {"GetFabRequest.hash_str"},
    "GetRun": set(),
    "PullMessages": {"PullMessagesRequest.message_ids"},
    "PullObject": {"PullObjectRequest.object_id"},
    "PushMessages": {
        "Error.reason",
        "Metadata.group_id",
        "Metadata.message_id",
        "Metadata.message_type",
        "Metadata.reply_to_message_id",
        "ObjectTree.object_id",
        *CONTENT,
    },
    "PushObject": {"PushObjectRequest.object_id", "PushObjectRequest.session_id"},
    "RegisterNode": set(),
    "SendNodeHeartbeat": set(),
    "UnregisterNode": set(),
}


def texts_of(descriptor, path=()):
    """Give every field of a message that holds a free text, through all messages in it."""
    if descriptor.full_name in path:
        return
    for field in descriptor.fields:
        if field.message_type is not None:
            yield from texts_of(field.message_type, (*path, descriptor.full_name))
        elif field.type == field.TYPE_STRING:
            yield f"{descriptor.full_name.removeprefix('flwr.proto.')}.{field.name}"


def test_what_a_supernode_can_send_has_no_place_for_a_log():
    """Of all that the Fleet API takes, a free text has a place only as an id, a name that the centre gave, or an error."""
    methods = fleet_pb2.DESCRIPTOR.services_by_name["Fleet"].methods
    calls = {name for name, _ in inspect.getmembers(FleetHttpClient, inspect.isfunction) if name[0].isupper()}
    assert calls <= {method.name for method in methods}
    found = {method.name: set(texts_of(method.input_type)) for method in methods}
    assert found == TEXTS


def test_a_supernode_makes_no_error_from_what_was_raised():
    """The errors that Flower's SuperNode makes itself are constants; logs go to its memory alone, and are asked by nobody."""
    package = Path(flwr.supernode.__file__).parent
    sources = {path: path.read_text() for path in package.rglob("*.py") if path.parent.name != "runtime"}
    made = [(path.name, text) for path, source in sources.items() for text in re.findall(r"\bError\((.*)\)", source)]
    assert sorted(made) == [
        ("in_memory_nodestate.py", 'ErrorCode.UNKNOWN, "AgentApp failed before replying."'),
        ("start_client_internal.py", 'ErrorCode.INVALID_FAB, "The FAB could not be verified."'),
    ]
    assert start_client_internal.FAB_VERIFICATION_ERROR.reason == "The FAB could not be verified."
    assert [path.name for path, source in sources.items() if "start_log_uploader" in source] == []
    own = {path: path.read_text() for part in ("platform", "silo_node") for path in (ROOT / part).rglob("*.py")}
    for word in (
        "PushLogs",
        "start_log_uploader",
        "run_clientapp",
    ):  # of Flower's own runner, which sends str(error) as the reason
        assert [path.name for path, source in own.items() if word in source] == []


class Unspeakable(Exception):
    """An error whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError(TOKEN)

    __repr__ = __str__


class Foreign(BaseException):
    """As Rust's panics come: no Exception."""


RAISED = [
    ValueError(TOKEN),
    MemoryError(TOKEN),
    RecursionError(TOKEN),
    SystemExit(TOKEN),
    GeneratorExit(TOKEN),
    Foreign(TOKEN),
    Unspeakable(),
    ExceptionGroup(TOKEN, [ValueError(TOKEN)]),
    UnicodeDecodeError("utf-8", TOKEN.encode(), 0, 1, TOKEN),
    ValueError(TOKEN * 500_000),
]


class Channel:
    """A SuperNode that has one message, and keeps what it gets."""

    def __init__(self) -> None:
        self.sent: list[ProtoMessage] = []
        self.objects: list[bytes] = []

    def pull_input(self):
        class Given:
            class fab:  # noqa: N801
                content = b""

            class run:  # noqa: N801
                fab_hash = ""

        return Given

    def pull_messages(self):
        return [(ProtoMessage(), ObjectTree(object_id="a" * 64))]

    def confirm(self, *_):
        pass

    def push_messages(self, _run_id, parcels):
        for announced, stored in parcels:
            self.sent.append(announced)
            self.objects.append(stored.content())


@pytest.mark.parametrize("raised", RAISED, ids=[type(each).__name__ for each in RAISED])
def test_whatever_is_raised_leaves_as_a_code(tmp_path, monkeypatch, raised):
    """Every kind of error, with a text that cannot be had or is huge: what leaves is Flower's number and one of our words."""
    monkeypatch.setattr(node_module, "is_ours", lambda *_: True)
    monkeypatch.setattr(NodeLoop, "_receive", lambda *_: Envelope(b"{}", "00" * 64))

    def visit(_envelope: Envelope) -> Release:
        raise raised

    log = open_log(tmp_path / "node.log", "test.no_way")
    channel = Channel()
    fault = NodeLoop(SuperNodeAddress("127.0.0.1:1", Secret(b"s")), visit, log)._answer(channel)  # type: ignore[arg-type]
    close_log(log)
    assert fault == Fault.FAILED
    (announced,) = channel.sent
    assert (announced.error.code, announced.error.reason) == (ErrorCode.CLIENT_APP_RAISED_EXCEPTION, "failed")
    out = announced.SerializeToString() + b"".join(channel.objects)
    assert TOKEN.encode() not in out
    assert len(out) < 2000
    lines = [json.loads(line) for line in (tmp_path / "node.log").read_text().splitlines()]
    assert any(line.get("exception") and line.get("reference") for line in lines), "the trace stays, and has its number"


def test_a_person_at_the_terminal_still_stops_it(monkeypatch):
    monkeypatch.setattr(node_module, "is_ours", lambda *_: True)
    monkeypatch.setattr(NodeLoop, "_receive", lambda *_: Envelope(b"{}", "00" * 64))

    def visit(_envelope: Envelope) -> Release:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        NodeLoop(SuperNodeAddress("127.0.0.1:1", Secret(b"s")), visit, logging.getLogger("x"))._answer(Channel())  # type: ignore[arg-type]


def test_how_a_task_ended_is_a_word_too():
    """What the SuperNode is told of a task's end is one of our words."""
    assert {str(fault) for fault in Fault} == {"bundle", "form", "failed"}
    assert SubStatus.FAILED

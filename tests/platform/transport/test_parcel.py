"""Envelopes as Flower's objects: what goes in comes out, and nothing else is read."""

import json
from pathlib import Path

import pytest
from flwr.app import ArrayRecord, ConfigRecord, RecordDict
from flwr.app.message.message import make_message
from flwr.app.metadata import Metadata as FlowerMetadata
from flwr.proto.message_pb2 import Metadata, ObjectTree
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from hypothesis import given
from hypothesis import strategies as st

from wardround.canonical import sha256
from wardround.messages.envelope import Envelope
from wardround.messages.filed import FiledArray
from wardround.transport import parcel
from wardround.transport.parcel import INLINE_BYTES, PART_BYTES, Malformed, Packer, StoredObject, unpack

METADATA = Metadata(run_id=3, src_node_id=1, dst_node_id=7, ttl=4.0, message_type="query", created_at=1.8e9)
SIGNATURE = "ab" * 64
LARGE = bytes(range(256)) * (PART_BYTES // 256 * 2) + b"tail"
SIZES = [0, 1, INLINE_BYTES, INLINE_BYTES + 1, PART_BYTES, PART_BYTES + 1]


def drive(
    tree: ObjectTree, contents: dict[str, bytes], largest: int = parcel.LARGEST_BYTES, spool: Path | None = None
) -> Envelope:
    """Put an envelope together from contents at hand."""
    steps = unpack(tree, largest=largest, spool=spool)
    try:
        wanted = next(steps)
        while True:
            wanted = steps.send(contents[wanted])
    except StopIteration as done:
        return done.value


def contents_of(stored: StoredObject) -> dict[str, bytes]:
    return {each.object_id: each.content() for each in stored.walk()}


@pytest.mark.parametrize("sizes", [[], *([size] for size in SIZES), [5, PART_BYTES + 1], [len(LARGE), 0]])
def test_what_goes_in_comes_out(sizes):
    """Any number and size of arrays, on both sides of both limits."""
    envelope = Envelope(b'{"a":1}', SIGNATURE, tuple(LARGE[:size] for size in sizes))
    stored = Packer().pack(METADATA, envelope)
    assert drive(stored.tree(), contents_of(stored)) == envelope
    assert all(sha256(content) == name and len(content) < PART_BYTES + 1024 for name, content in contents_of(stored).items())


@given(st.binary(max_size=300), st.lists(st.binary(max_size=40), max_size=2))
def test_any_bytes_come_out(message, arrays):
    """Whatever the bytes are."""
    envelope = Envelope(message, SIGNATURE, tuple(arrays))
    stored = Packer().pack(METADATA, envelope)
    assert drive(stored.tree(), contents_of(stored)) == envelope


def test_flower_reads_what_we_write():
    """Flower's own classes give the same message, the same ids and the same tree."""
    stored = Packer().pack(METADATA, Envelope(b'{"a":1}', SIGNATURE, (LARGE, b"small")))
    message = inflate_object_from_contents(stored.object_id, contents_of(stored))
    assert message.object_id == stored.object_id
    assert get_object_tree(message) == stored.tree()
    assert message.content["envelope"]["message"] == b'{"a":1}'


GOOD = {"message": b"{}", "signature": SIGNATURE, "body_key": "0123", "sizes": [3], "array-0": b"abc"}


def test_we_read_what_flower_writes():
    """A message made by Flower's own classes of the same records is the same envelope to us."""
    records = {"envelope": ConfigRecord(GOOD)}
    metadata = FlowerMetadata(
        run_id=1,
        message_id="",
        src_node_id=1,
        dst_node_id=2,
        reply_to_message_id="",
        group_id="",
        created_at=1.8e9,
        ttl=1.0,
        message_type="query",
    )
    message = make_message(metadata, RecordDict(records))
    contents = {name: each.deflate() for name, each in get_all_nested_objects(message).items()}
    assert drive(get_object_tree(message), contents) == Envelope(b"{}", SIGNATURE, (b"abc",), "0123")


def test_a_broadcast_is_cut_once():
    """Four hospitals' messages with the same weights share their parts."""
    packer = Packer()
    packed = [packer.pack(METADATA, Envelope(b"%d" % site, SIGNATURE, (LARGE,))) for site in range(4)]
    headers_apart = [{id(each) for each in stored.children[0].children[1:]} for stored in packed]
    assert all(parts == headers_apart[0] for parts in headers_apart)
    assert len(headers_apart[0]) == 2, "two equal parts are one object"


def announce(records: dict[str, ConfigRecord], names: object = None) -> tuple[ObjectTree, dict[str, bytes]]:
    """Make the objects of a message by hand."""
    stored = {name: parcel._stored(record.deflate()) for name, record in records.items()}
    children = tuple({each.object_id: each for each in stored.values()}.values())
    body = json.dumps({name: each.object_id for name, each in stored.items()} if names is None else names).encode()
    content = parcel._stored(parcel._content("RecordDict", children, body), children)
    message = parcel._message(parcel.Message(metadata=METADATA), (content,))
    return message.tree(), contents_of(message)


@pytest.mark.parametrize(
    "header",
    [
        {**GOOD, "extra": 1},
        {key: value for key, value in GOOD.items() if key != "signature"},
        {**GOOD, "message": "text"},
        {**GOOD, "signature": b"bytes"},
        {**GOOD, "body_key": b"bytes"},
        {**GOOD, "body_key": "0" * 1024},
        {key: value for key, value in GOOD.items() if key != "body_key"},
        {**GOOD, "sizes": [4]},
        {**GOOD, "sizes": [-1]},
        {**GOOD, "sizes": [3.0]},
        {**GOOD, "sizes": [True]},
        {**GOOD, "sizes": 3},
        {**GOOD, "sizes": [3, 0]},
        {**GOOD, "sizes": [3, 0, 0], "array-1": b"", "array-2": b""},
        {**GOOD, "sizes": [INLINE_BYTES + 3]},
        {**GOOD, "array-0": "abc"},
        {**GOOD, "message": b"x" * (16 * 1024**2 + 1)},
    ],
)
def test_a_strange_header_is_malformed(header):
    """One thing too many, too few, of another type or size."""
    assert drive(*announce({"envelope": ConfigRecord(GOOD)})).arrays == (b"abc",)
    with pytest.raises(Malformed):
        drive(*announce({"envelope": ConfigRecord(header)}))


@pytest.mark.parametrize(
    ("records", "names"),
    [
        ({"other": ConfigRecord(GOOD)}, None),
        ({"envelope": ConfigRecord(GOOD), "array-0.0": ConfigRecord({"data": b"x"})}, None),
        ({"envelope": ConfigRecord(GOOD)}, [1]),
        ({"envelope": ConfigRecord(GOOD)}, {"envelope": 1}),
        ({"envelope": ConfigRecord(GOOD)}, {"envelope": "../../etc"}),
        ({"envelope": ArrayRecord({})}, None),
        ({}, None),
    ],
)
def test_strange_records_are_malformed(records, names):
    """Other names, other kinds, no names."""
    with pytest.raises(Malformed):
        drive(*announce(records, names))


def test_a_part_of_another_size_is_malformed():
    """The size that was announced is the size that comes."""
    header = {**{key: value for key, value in GOOD.items() if key != "array-0"}, "sizes": [INLINE_BYTES + 1]}
    for data in (b"x" * INLINE_BYTES, b"x" * (INLINE_BYTES + 2), "x"):
        with pytest.raises(Malformed):
            drive(*announce({"envelope": ConfigRecord(header), "array-0.0": ConfigRecord({"data": data})}))


def test_an_object_is_what_its_id_says():
    """Every single object, one bit changed."""
    stored = Packer().pack(METADATA, Envelope(b'{"a":1}', SIGNATURE, (b"abc",)))
    contents = contents_of(stored)
    for name, content in contents.items():
        with pytest.raises(Malformed):
            drive(stored.tree(), {**contents, name: content[:-1] + bytes([content[-1] ^ 1])})


def test_more_than_the_receiver_takes_is_refused_before_it_is_fetched():
    """Sizes first: nothing of an array is asked for when the arrays are too large together."""
    stored = Packer().pack(METADATA, Envelope(b'{"a":1}', SIGNATURE, (LARGE,)))
    first_two = {each.object_id: each.content() for each in stored.walk() if len(each.content()) < INLINE_BYTES}
    with pytest.raises(Malformed):
        drive(stored.tree(), first_two, largest=len(LARGE) - 1)
    content = ObjectTree(object_id="b" * 64, children=[ObjectTree(object_id="c" * 64)] * 9)
    many = ObjectTree(object_id="a" * 64, children=[content])
    with pytest.raises(Malformed):
        drive(many, {}, largest=PART_BYTES)


@pytest.mark.parametrize(
    "tree", [ObjectTree(object_id="a" * 64), ObjectTree(object_id="a" * 64, children=[ObjectTree(), ObjectTree()])]
)
def test_a_strange_tree_is_malformed(tree):
    """A message has one content."""
    with pytest.raises(Malformed):
        drive(tree, {})


@pytest.mark.parametrize("size", [parcel.LARGEST_BYTES + 1, 2**40, 2**62])
def test_a_huge_size_is_refused_when_it_is_declared(size):
    """A header that announces more than anybody takes ends it: no part is asked for, and no file is made."""
    asked: list[str] = []
    header = {**{key: value for key, value in GOOD.items() if key != "array-0"}, "sizes": [size]}
    tree, contents = announce({"envelope": ConfigRecord(header), "array-0.0": ConfigRecord({"data": b"x"})})
    steps = unpack(tree)
    wanted = next(steps)
    try:
        while len(asked) < len(contents):
            asked.append(wanted)
            wanted = steps.send(contents[wanted])
    except Malformed:
        wanted = ""
    assert wanted == ""
    assert len(asked) == 2, "the names, and the header"


def test_a_large_array_is_held_on_the_disk(tmp_path):
    """While an array comes and when it is there, no more than a part of it is in memory, and nothing is left in the folder."""
    stored = Packer().pack(METADATA, Envelope(b"{}", SIGNATURE, (LARGE,)))
    (array,) = drive(stored.tree(), contents_of(stored), spool=tmp_path).arrays
    assert isinstance(array, FiledArray)
    assert array == LARGE
    assert list(tmp_path.iterdir()) == []

"""Messages on the wire: one form, one signature, and arrays that the signature covers."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from studies_on_paper import encoding, paper

from wardround.canonical import canonical_bytes
from wardround.identity.keys import SigningKey
from wardround.messages.envelope import MAXIMUM_MESSAGE_BYTES, Envelope, bodies_hold, digests, read, seal, signed_by
from wardround.messages.round import ANSWER, ORDER, SiloRefusal, Task

KEY = SigningKey.generate()
PAPER = paper()
ARRAYS = (b"one", b"two")


def task(arrays: tuple[bytes, ...] = ARRAYS) -> Task:
    core = PAPER.core("closing", 2)
    return Task(
        to="alpha",
        study_hash=core.study_hash,
        task_id=core.task_id(),
        core=core,
        encoding=encoding(),
        records=12,
        deadline_seconds=30.0,
        bodies=digests(arrays),
    )


SEALED = seal("task", task(), KEY, ARRAYS)


def with_message(message: bytes, arrays: tuple[bytes, ...] = ARRAYS) -> Envelope:
    return Envelope(message, KEY.sign("task", message), arrays)


def test_a_message_comes_back():
    """What was sealed is what is read; its signature and its arrays hold."""
    read_task = read(SEALED, ORDER)
    assert read_task == task()
    assert read_task is not None
    assert signed_by(SEALED, "task", KEY.public)
    assert bodies_hold(SEALED, read_task.bodies)
    assert SEALED.byte_count == len(SEALED.message) + 64 + 6


def test_a_signature_is_of_one_kind_and_one_key():
    """A task's signature does not hold as a reply's, nor by another key, nor over another message."""
    assert not signed_by(SEALED, "reply", KEY.public)
    assert not signed_by(SEALED, "task", SigningKey.generate().public)
    assert not signed_by(Envelope(SEALED.message + b" ", SEALED.signature, ARRAYS), "task", KEY.public)


@pytest.mark.parametrize(
    "arrays", [(), (b"one",), (b"two", b"one"), (b"one", b"two", b""), (b"one", b"twO"), (b"onetwo",), (b"one", b"two", b"two")]
)
def test_the_signature_covers_the_arrays(arrays):
    """Dropped, swapped, added, changed or joined arrays are not those that the message names."""
    assert not bodies_hold(Envelope(SEALED.message, SEALED.signature, arrays), task().bodies)


VALUE = json.loads(SEALED.message)


@pytest.mark.parametrize(
    "message",
    [
        json.dumps(VALUE).encode(),
        json.dumps(dict(reversed(VALUE.items())), separators=(",", ":")).encode(),
        SEALED.message + b"\n",
        b" " + SEALED.message,
        b"\xef\xbb\xbf" + SEALED.message,
        SEALED.message.decode().encode("utf-16"),
        SEALED.message.replace(b'"attempt":0', b'"attempt":0,"attempt":0'),
        SEALED.message.replace(b'"attempt":0', b'"attempt":0.0'),
        SEALED.message.replace(b'"attempt":0', b'"attempt":-0'),
        SEALED.message.replace(b'"attempt":0', b'"attempt":NaN'),
        SEALED.message.replace(b'"deadline_seconds":30', b'"deadline_seconds":3e1'),
        SEALED.message.replace(b'"alpha"', b'"\\u0061lpha"'),
    ],
)
def test_only_the_canonical_form_is_read(message):
    """White space, key order, escapes, doubled keys, other numbers or encodings: not a message, however well signed."""
    assert message != SEALED.message
    assert read(with_message(message), ORDER) is None


@pytest.mark.parametrize(
    "change",
    [
        {"protocol": 2},
        {"protocol": "1"},
        {"kind": "reply"},
        {"to": "Alpha"},
        {"to": None},
        {"attempt": -1},
        {"attempt": True},
        {"attempt": 0.5},
        {"records": 0},
        {"records": 2**33},
        {"deadline_seconds": 0},
        {"deadline_seconds": "30"},
        {"task_id": "A" * 64},
        {"bodies": ["0" * 64] * 3},
        {"bodies": "0" * 64},
        {"core": None},
        {"core": {**VALUE["core"], "purpose": "train"}},
        {"core": {**VALUE["core"], "plan": {"bits": 63, "exponents": []}}},
        {"encoding": {**VALUE["encoding"], "columns": [{**VALUE["encoding"]["columns"][0], "deviation": 0}]}},
        {"unknown": 1},
    ],
)
def test_unknown_and_wrong_values_are_refused(change):
    """Unknown protocol, kind, key or type: not a message; nothing is converted or filled in silently."""
    assert read(with_message(canonical_bytes({**VALUE, **change})), ORDER) is None


def test_missing_values_are_refused():
    """A message without a required key is none."""
    for key in ("to", "study_hash", "task_id", "core", "deadline_seconds"):
        assert read(with_message(canonical_bytes({k: v for k, v in VALUE.items() if k != key})), ORDER) is None


def test_a_task_is_not_an_answer():
    """Kinds do not pass for each other."""
    refusal = SiloRefusal(site="alpha", study_hash=None, task_id=None, code="H-FAILED")
    assert read(SEALED, ANSWER) is None
    assert read(seal("task", refusal, KEY), ORDER) is None
    assert read(seal("reply", refusal, KEY), ANSWER) == refusal


def test_a_huge_message_is_refused_at_once():
    """Above 16 MiB nothing is parsed, and a third array is one too many."""
    begun = time.monotonic()
    assert read(Envelope(b"[" * (MAXIMUM_MESSAGE_BYTES + 1), "0" * 128), TypeAdapter(Task)) is None
    assert time.monotonic() - begun < 0.5
    assert read(with_message(SEALED.message, (b"", b"", b"")), ORDER) is None


@pytest.mark.parametrize(
    "message", [b"", b"null", b"[]", b"{", b"\xff\xfe", b"[" * 200_000, b"1" * 10_000, b'"\\ud800"', b"1e999"]
)
def test_garbage_is_none(message):
    """Whatever arrives, reading gives None and no exception."""
    assert read(with_message(message), ORDER) is None
    assert read(with_message(message), ANSWER) is None


@given(st.data())
def test_any_mutation_is_refused(data):
    """One changed byte in message, signature or arrays: unread, unsigned or other arrays."""
    part = data.draw(st.sampled_from(["message", "signature", "arrays"]))
    message, signature, arrays = SEALED.message, SEALED.signature, SEALED.arrays
    if part == "signature":
        place = data.draw(st.integers(0, len(signature) - 1))
        letter = data.draw(st.characters(max_codepoint=255).filter(lambda c: c != signature[place]))
        signature = signature[:place] + letter + signature[place + 1 :]
    elif part == "message":
        place, byte = data.draw(st.integers(0, len(message) - 1)), data.draw(st.integers(0, 255))
        message = message[:place] + bytes([byte]) + message[place + 1 :]
    else:
        arrays = (data.draw(st.binary(max_size=4)), data.draw(st.binary(max_size=4)))
    envelope = Envelope(message, signature, arrays)
    found = read(envelope, ORDER)
    whole = found is not None and signed_by(envelope, "task", KEY.public) and bodies_hold(envelope, found.bodies)
    assert whole == (envelope == SEALED)

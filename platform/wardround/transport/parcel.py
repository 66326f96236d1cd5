"""An envelope as Flower's content-addressed objects, and back.

    Message ── RecordDict ──┬── ConfigRecord "envelope"     message, signature, sizes of the arrays, small arrays
                            └── ConfigRecord "array-0.3"    4 MiB of a large array

Every object is a request of its own on each of the four legs of a visit, so there are as few as can be. Parts are cut
and put together here and not by Flower's array classes: those hold a model three times. What a test asks of Flower is
that its own classes read these objects and write ones that we read.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

from flwr.app import ConfigRecord
from flwr.proto.error_pb2 import Error
from flwr.proto.message_pb2 import Message, Metadata, ObjectTree
from flwr.proto.recorddict_pb2 import RecordDict
from flwr.supercore.constant import HEAD_BODY_DIVIDER, HEAD_VALUE_DIVIDER

from wardround.canonical import sha256
from wardround.messages.envelope import MAXIMUM_ARRAYS, MAXIMUM_MESSAGE_BYTES, Array, Envelope
from wardround.messages.filed import FiledArray

PART_BYTES = 7 * 1024**2
INLINE_BYTES = 256 * 1024
"""Arrays up to this size ride in the envelope's own record: three requests fewer on each leg."""
LARGEST_BYTES = 4 * 1024**3
"""Arrays of one envelope together, unless a receiver says less."""

LONGEST_KEYS = 1024
"""Characters of signature and body key together; they have 128 and 160."""
HEADER = "envelope"
_OBJECT_ID = re.compile(r"[0-9a-f]{64}")
_OVERHEAD_BYTES = 1024
"""What an object has around its data, at most."""

Steps: TypeAlias = Generator[str, bytes, Envelope]
"""Yields the id of the next object that is needed, is sent its content, returns the envelope."""


class Malformed(Exception):
    """What came is not an envelope as we send them. Holds nothing of what came."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object: its id is the SHA-256 of its content, which is made when it is asked for."""

    object_id: str
    content: Callable[[], bytes]
    children: tuple[StoredObject, ...] = ()

    def tree(self) -> ObjectTree:
        """Give the tree of ids, as Flower announces a message."""
        return ObjectTree(object_id=self.object_id, children=[child.tree() for child in self.children])

    def walk(self) -> Iterator[StoredObject]:
        """Give the object's descendants, then the object."""
        for child in self.children:
            yield from child.walk()
        yield self


def _content(kind: str, children: tuple[StoredObject, ...], body: bytes) -> bytes:
    ids = ",".join(child.object_id for child in children)
    head = HEAD_VALUE_DIVIDER.join((kind, ids, str(len(body))))
    return b"".join((head.encode(), HEAD_BODY_DIVIDER, body))


def _stored(content: bytes, children: tuple[StoredObject, ...] = ()) -> StoredObject:
    return StoredObject(sha256(content), lambda: content, children)


@dataclass
class Packer:
    """Makes the objects of envelopes; an array that several envelopes share (the broadcast weights) is cut once."""

    _parts: dict[int, tuple[Array, tuple[StoredObject, ...]]] = field(default_factory=dict)

    def pack(self, metadata: Metadata, envelope: Envelope) -> StoredObject:
        """Make the objects of a message that carries an envelope."""
        values: dict[str, bytes | str | list[int]] = {
            "message": envelope.message,
            "signature": envelope.signature,
            "body_key": envelope.body_key,
            "sizes": [len(array) for array in envelope.arrays],
        }
        records: dict[str, StoredObject] = {}
        for index, array in enumerate(envelope.arrays):
            if len(array) <= INLINE_BYTES:
                values[_name(index)] = bytes(array)
            else:
                records |= {_name(index, part): stored for part, stored in enumerate(self._cut(array))}
        records = {HEADER: _stored(ConfigRecord(dict(values)).deflate()), **records}
        names = json.dumps({name: stored.object_id for name, stored in records.items()}).encode()
        children = tuple({stored.object_id: stored for stored in records.values()}.values())
        content = _stored(_content("RecordDict", children, names), children)
        return _message(Message(metadata=metadata), (content,))

    def _cut(self, array: Array) -> tuple[StoredObject, ...]:
        known = self._parts.get(id(array))
        if known is None:
            known = (array, tuple(_part(array, start) for start in range(0, len(array), PART_BYTES)))
            self._parts[id(array)] = known
        return known[1]


def pack_error(metadata: Metadata, code: int, reason: str) -> StoredObject:
    """Make the single object of a message that carries an error instead."""
    return _message(Message(metadata=metadata, error=Error(code=code, reason=reason)), ())


def announcement(metadata: Metadata, stored: StoredObject, error: Error | None = None) -> Message:
    """Give the message as it is announced before its objects are sent: with its id, without its content."""
    announced = Message(metadata=metadata, error=error) if error is not None else Message(metadata=metadata, content=RecordDict())
    announced.metadata.message_id = stored.object_id
    return announced


def _name(index: int, part: int | None = None) -> str:
    return f"array-{index}" if part is None else f"array-{index}.{part}"


def _part(array: Array, start: int) -> StoredObject:
    head = _part_head(min(PART_BYTES, len(array) - start))

    def content() -> bytes:
        return b"".join((head, array[start : start + PART_BYTES]))

    digest = hashlib.sha256(head)
    digest.update(array[start : start + PART_BYTES])
    return StoredObject(digest.hexdigest(), content)


@lru_cache
def _part_head(size: int) -> bytes:
    """Give what Flower writes before the data in ``ConfigRecord({"data": ...})``; behind it, it writes nothing.

    Its own class would copy a part four times each way, most of what a conductor or porter does in a round of large
    weights. ConfigRecord.proto: items = 1, of each key = 1 and value = 2, of that bytes = 6; lengths are varints.
    """
    value = b"\x32" + _varint(size)
    item = b"\x0a\x04data\x12" + _varint(len(value) + size) + value
    items = b"\x0a" + _varint(len(item) + size) + item
    head = HEAD_VALUE_DIVIDER.join(("ConfigRecord", "", str(len(items) + size)))
    return head.encode() + HEAD_BODY_DIVIDER + items


def _varint(number: int) -> bytes:
    """Encode a length as protobuf does: seven bits a byte, the lowest first."""
    digits = bytearray()
    while number > 0x7F:  # noqa: PLR2004  (seven bits)
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)


def _message(message: Message, children: tuple[StoredObject, ...]) -> StoredObject:
    return _stored(_content("Message", children, message.SerializeToString(deterministic=True)), children)


def unpack(tree: ObjectTree, *, largest: int = LARGEST_BYTES, spool: Path | None = None) -> Steps:
    """Put an envelope together from the objects of an announced message, strictly.

    An array of several parts is gathered in an unnamed file in ``spool``, and stays there. Sizes are looked at before
    anything is fetched.
    The message itself, which says nothing new, is fetched last: its sender is then through with all of them, and they
    may be dropped.

    Raises:
        Malformed: when the objects are not those of an envelope, or their arrays are larger than ``largest`` bytes.
    """
    if len(tree.children) != 1 or len(tree.children[0].children) > 1 + largest // PART_BYTES + MAXIMUM_ARRAYS:
        raise Malformed
    names = _names((yield from _fetch(tree.children[0].object_id, len(tree.children[0].children))))
    header = _record((yield from _fetch(names.get(HEADER, ""), 0)))
    message, signature, sizes = header.pop("message", None), header.pop("signature", None), header.pop("sizes", None)
    body_key = header.pop("body_key", None)
    if not isinstance(message, bytes) or not isinstance(sizes, list):
        raise Malformed
    if not isinstance(signature, str) or not isinstance(body_key, str) or len(signature) + len(body_key) > LONGEST_KEYS:
        raise Malformed
    whole = [size for size in sizes if isinstance(size, int) and not isinstance(size, bool) and size >= 0]
    if len(whole) != len(sizes) or len(sizes) > MAXIMUM_ARRAYS or sum(whole) > largest or len(message) > MAXIMUM_MESSAGE_BYTES:
        raise Malformed
    if names.keys() != _record_names(whole) or header.keys() != {
        _name(i) for i, size in enumerate(whole) if size <= INLINE_BYTES
    }:
        raise Malformed
    arrays: list[Array] = []
    for index, size in enumerate(whole):
        array = header[_name(index)] if size <= INLINE_BYTES else (yield from _gather(names, index, size, spool))
        if not isinstance(array, bytes | FiledArray) or len(array) != size:
            raise Malformed
        arrays.append(array)
    if sha256((yield tree.object_id)) != tree.object_id:
        raise Malformed
    return Envelope(message=message, signature=signature, arrays=tuple(arrays), body_key=body_key)


def object_ids(tree: ObjectTree) -> Iterator[str]:
    """Give the ids of a message's objects, the message last."""
    for child in tree.children:
        yield from object_ids(child)
    yield tree.object_id


def _record_names(sizes: list[int]) -> set[str]:
    large = ((index, size) for index, size in enumerate(sizes) if size > INLINE_BYTES)
    return {HEADER, *(_name(index, part) for index, size in large for part in range(-(-size // PART_BYTES)))}


def _gather(names: dict[str, str], index: int, size: int, spool: Path | None) -> Generator[str, bytes, Array]:
    """Fetch the parts of an array; of several, no more than one is in memory."""
    if size <= PART_BYTES:
        return bytes((yield from _fetch_part(names[_name(index, 0)], size)))
    with tempfile.TemporaryFile(dir=None if spool is None else str(spool)) as file:
        for part in range(-(-size // PART_BYTES)):
            file.write((yield from _fetch_part(names[_name(index, part)], min(PART_BYTES, size - part * PART_BYTES))))
        return FiledArray(file)


def _fetch_part(object_id: str, size: int) -> Generator[str, bytes, memoryview]:
    content, head = (yield from _fetch_content(object_id)), _part_head(size)
    if len(content) != len(head) + size or not content.startswith(head):
        raise Malformed
    return memoryview(content)[len(head) :]


def _fetch_content(object_id: str) -> Generator[str, bytes, bytes]:
    """Ask for one object; gives its content when it is what its id says."""
    if not _OBJECT_ID.fullmatch(object_id):
        raise Malformed
    content = yield object_id
    if sha256(content) != object_id:
        raise Malformed
    return content


def _fetch(object_id: str, children: int) -> Generator[str, bytes, bytes]:
    """Ask for one object; gives its body when its head is in order, too."""
    content = yield from _fetch_content(object_id)
    head, divider, body = content.partition(HEAD_BODY_DIVIDER)
    words = head.decode("ascii", "replace").split(HEAD_VALUE_DIVIDER)
    if not divider or len(words) != 3 or words[2] != str(len(body)):  # noqa: PLR2004  (kind, children, length)
        raise Malformed
    kind = "RecordDict" if children else "ConfigRecord"
    if words[0] != kind or len([word for word in words[1].split(",") if word]) != children:
        raise Malformed
    return content if kind == "ConfigRecord" else body


def _names(body: bytes) -> dict[str, str]:
    try:
        names = json.loads(body)
    except ValueError:
        raise Malformed from None
    if not isinstance(names, dict) or not all(isinstance(value, str) for value in names.values()):
        raise Malformed
    return names


def _record(content: bytes) -> dict[str, object]:
    try:
        return dict(ConfigRecord.inflate(content))
    except Exception:  # noqa: BLE001  (whatever Flower's reader makes of a stranger's bytes)
        raise Malformed from None

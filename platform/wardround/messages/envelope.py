"""A message on the wire: canonical JSON, a signature over it, and at most two packed arrays.

The signature is by Wardround's own Ed25519 keys, on top of whatever the transport does. The JSON names the digests of
the arrays, so the signature covers them too. Only canonical JSON is accepted: one value has one form.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from pydantic import TypeAdapter, ValidationError

from wardround.canonical import is_canonical, model_bytes
from wardround.identity.keys import PublicKey, Signature, SigningKey, verify
from wardround.messages.filed import FiledArray
from wardround.values import Value

MAXIMUM_ARRAYS = 2
MAXIMUM_MESSAGE_BYTES = 16 * 1024**2

SomeValue = TypeVar("SomeValue", bound=Value)
DIGESTED_BYTES = 4 * 1024**2
"""How much of an array is digested at once."""

Body: TypeAlias = bytes | memoryview
"""A packed array in memory; a view is one that cannot be written to."""
Array: TypeAlias = Body | FiledArray
"""A packed array, wherever it lies."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """Immutable bytes only, so that no transport can share memory between two parties.

    Attributes:
        message: canonical JSON of one message value.
        signature: Ed25519 signature over it, 128 hexadecimal digits.
        arrays: packed arrays; the SHA-256 of their plain form stand in the message's ``bodies``.
        body_key: the key of encrypted arrays, encrypted to the receiver; empty where they are plain, which they are on
            one machine only (``wardround.messages.confidential``).
    """

    message: bytes
    signature: Signature
    arrays: tuple[Array, ...] = ()
    body_key: str = ""

    @property
    def byte_count(self) -> int:
        """The bytes that travel, without the transport's own."""
        keys = (len(self.signature) + len(self.body_key)) // 2
        return len(self.message) + keys + sum(len(array) for array in self.arrays)


def seal(kind: str, value: Value, key: SigningKey, arrays: tuple[Array, ...] = ()) -> Envelope:
    """Sign a value as a message of a kind; the value must already name the arrays' digests."""
    message = model_bytes(value)
    return Envelope(message=message, signature=key.sign(kind, message), arrays=arrays)


def signed_by(envelope: Envelope, kind: str, public: PublicKey) -> bool:
    """Say whether an envelope's message is signed as this kind by this key."""
    return verify(public, envelope.signature, kind, envelope.message)


def read(envelope: Envelope, adapter: TypeAdapter[SomeValue]) -> SomeValue | None:
    """Parse a message strictly; None when it is not canonical JSON of the adapter's type. Says nothing of who sent it."""
    if len(envelope.message) > MAXIMUM_MESSAGE_BYTES or len(envelope.arrays) > MAXIMUM_ARRAYS:
        return None
    if not is_canonical(envelope.message):
        return None
    try:
        return adapter.validate_json(envelope.message)
    except ValidationError:
        return None


def digests(arrays: tuple[Array, ...]) -> tuple[str, ...]:
    """Give the arrays' SHA-256, as messages name them."""
    return tuple(_digest(array) for array in arrays)


def _digest(array: Array) -> str:
    digest, source = hashlib.sha256(), sliceable(array)
    for start in range(0, len(array), DIGESTED_BYTES):
        digest.update(source[start : start + DIGESTED_BYTES])
    return digest.hexdigest()


def sliceable(array: Array) -> memoryview | FiledArray:
    """Give an array of which a part is taken without a copy of more than that part."""
    return array if isinstance(array, FiledArray) else memoryview(array)


def in_memory(array: Array) -> Body:
    """Give an array's bytes; one that lies in a file is read whole."""
    return bytes(array) if isinstance(array, FiledArray) else array


def bodies_hold(envelope: Envelope, bodies: tuple[str, ...]) -> bool:
    """Say whether an envelope's arrays are those that its message names."""
    return digests(envelope.arrays) == bodies

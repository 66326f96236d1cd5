r"""Bodies of messages, encrypted from end to end: no relay, proxy or SuperLink between centre and hospital reads weights.

The arrays of a message are encrypted with a fresh AES-256-GCM key of their own, and that key to the receiver's X25519
key (HPKE, RFC 9180). So the weights of a round are encrypted once for all hospitals, and stored once on the way. The
key is bound to the signed message that it belongs to; the digests in that message are of the plain arrays.

    array      blocks of 4 MiB, each with its tag of 16 bytes; nonce: array (1 byte), last block or not (1), number (10)
    key        HPKE over 32 bytes, info ``wardround/1/body key\0`` and the SHA-256 of the message: 160 hexadecimal digits
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from wardround.identity.encryption import EncryptionKey, encrypt_to
from wardround.identity.keys import PublicKey
from wardround.messages.envelope import Array, Body, Envelope, sliceable
from wardround.messages.filed import FiledArray

KIND = "body key"
KEY_BYTES = 32
TAG_BYTES = 16
BLOCK_BYTES = 4 * 1024**2


@dataclass(frozen=True, slots=True)
class EncryptedArrays:
    """Some arrays under one fresh key, for as many receivers as there are."""

    key: bytes
    arrays: tuple[Body, ...]

    def __repr__(self) -> str:
        """Show no key."""
        return f"EncryptedArrays({len(self.arrays)})"


def encrypt_arrays(arrays: tuple[Array, ...]) -> EncryptedArrays:
    """Encrypt arrays with a fresh key; nothing else is ever encrypted with it."""
    key = secrets.token_bytes(KEY_BYTES)
    cipher = AESGCM(key)
    return EncryptedArrays(key, tuple(_encrypt(cipher, index, array) for index, array in enumerate(arrays)))


def _encrypt(cipher: AESGCM, index: int, array: Array) -> memoryview:
    """Encrypt an array into one copy; the result cannot be written to."""
    view, end = memoryview(bytearray(encrypted_size(len(array)))), 0
    for nonce, block in _blocks(index, sliceable(array), BLOCK_BYTES):
        end += cipher.encrypt_into(nonce, block, None, view[end : end + len(block) + TAG_BYTES])
    return view.toreadonly()


def _blocks_of(length: int, size: int) -> int:
    return max(1, -(-length // size))


def _blocks(index: int, data: memoryview | FiledArray, size: int) -> Iterator[tuple[bytes, Body]]:
    """Give an array's blocks with their nonces; an empty array has one empty block."""
    number = _blocks_of(len(data), size)
    for position in range(number):
        last = position == number - 1
        yield bytes((index, last)) + position.to_bytes(10), data[position * size : (position + 1) * size]


def encrypted_size(length: int) -> int:
    """Give the bytes of an array of some length once it is encrypted."""
    return length + _blocks_of(length, BLOCK_BYTES) * TAG_BYTES


def addressed(envelope: Envelope, encrypted: EncryptedArrays, receiver: PublicKey) -> Envelope:
    """Give a signed envelope with its arrays in their encrypted form, readable by one receiver."""
    sealed = encrypt_to(receiver, KIND, encrypted.key, sha256(envelope.message).digest())
    return replace(envelope, arrays=encrypted.arrays, body_key=sealed.hex())


def encrypted_for(envelope: Envelope, receiver: PublicKey) -> Envelope:
    """Encrypt an envelope's arrays to one receiver; an envelope without arrays stays as it is."""
    return addressed(envelope, encrypt_arrays(envelope.arrays), receiver) if envelope.arrays else envelope


def decrypted(envelope: Envelope, key: EncryptionKey) -> Envelope | None:
    """Give an envelope with its arrays in their plain form; None when they were not encrypted to this key, or changed."""
    if not envelope.arrays and not envelope.body_key:
        return envelope
    try:
        sealed = bytes.fromhex(envelope.body_key)
    except ValueError:
        return None
    if sealed.hex() != envelope.body_key:  # capital letters and spaces would be a second spelling of the same key
        return None
    secret = key.decrypt(KIND, sealed, sha256(envelope.message).digest())
    if secret is None or len(secret) != KEY_BYTES:
        return None
    cipher = AESGCM(secret)
    try:
        plain = tuple(_decrypt(cipher, index, sliceable(array)) for index, array in enumerate(envelope.arrays))
    except (InvalidTag, ValueError):
        return None
    return replace(envelope, arrays=plain, body_key="")


def _decrypt(cipher: AESGCM, index: int, data: memoryview | FiledArray) -> memoryview:
    """Decrypt an array in place of one copy; the result cannot be written to."""
    sizes = len(data) - _blocks_of(len(data), BLOCK_BYTES + TAG_BYTES) * TAG_BYTES
    if sizes < 0:
        raise InvalidTag
    plain = bytearray(sizes)
    view, end = memoryview(plain), 0
    for nonce, block in _blocks(index, data, BLOCK_BYTES + TAG_BYTES):
        end += cipher.decrypt_into(nonce, block, None, view[end : end + len(block) - TAG_BYTES])
    return view.toreadonly()

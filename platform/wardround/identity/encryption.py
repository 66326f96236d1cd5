"""X25519 keys (RFC 7748) to which the bodies of messages are encrypted: made where they live, kept 0600, never sent.

They are apart from the signing keys: one key has one purpose. A public key is written as 64 hexadecimal digits.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from wardround.errors import refuse
from wardround.identity.keys import PublicKey, domain, private_pem, read_private, write_key

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
"""HPKE (RFC 9180), base mode: who sent something is said by its signature, not by this."""


class EncryptionKey:
    """A private key; its text form never shows it."""

    def __init__(self, private: X25519PrivateKey) -> None:
        """Wrap a private key."""
        self._private = private
        self.public: PublicKey = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()

    def __repr__(self) -> str:
        """Show the public half only."""
        return f"EncryptionKey(public={self.public[:8]}…)"

    @classmethod
    def generate(cls) -> EncryptionKey:
        """Make a new key from the operating system's randomness."""
        return cls(X25519PrivateKey.generate())

    def save(self, path: Path) -> None:
        """Write the key (PKCS 8, PEM), readable by its owner only.

        Raises:
            Refused: K-EXISTS when there is one already: keys are never overwritten.
        """
        write_key(path, private_pem(self._private))

    def decrypt(self, kind: str, sealed: bytes, bound: bytes) -> bytes | None:
        """Give what was encrypted to this key as being of a kind and bound to some bytes; None when it was not."""
        try:
            return _SUITE.decrypt(sealed, self._private, info=domain(kind) + bound)
        except (InvalidTag, ValueError):  # a public key of low order gives no shared secret
            return None


def encrypt_to(public: PublicKey, kind: str, secret: bytes, bound: bytes) -> bytes:
    """Encrypt a few bytes to a public key, as being of a kind and bound to some other bytes that the receiver knows."""
    return _SUITE.encrypt(secret, X25519PublicKey.from_public_bytes(bytes.fromhex(public)), info=domain(kind) + bound)


def load_encryption_key(path: Path) -> EncryptionKey:
    """Read a private key.

    Raises:
        Refused: K-MISSING, K-MODE (others could read it), K-FORMAT.
    """
    data = read_private(path)
    try:
        private = load_pem_private_key(data, password=None)
    except (ValueError, TypeError):
        private = None
    if not isinstance(private, X25519PrivateKey):
        raise refuse(
            "K-FORMAT", path.name, "Encryption keys are X25519 in PEM", "the file is not such a key", "restore the key file"
        )
    return EncryptionKey(private)

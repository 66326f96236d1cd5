r"""Ed25519 signing keys (RFC 8032): made where they live, kept 0600, never sent.

A public key is written as 64 hexadecimal digits. Signatures are over ``wardround/1/<kind>\0`` and the bytes, so that a
signature on one kind of value never passes for another's.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Annotated

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from pydantic import StringConstraints

from wardround import PROTOCOL
from wardround.canonical import sha256
from wardround.errors import Refused, refuse
from wardround.files import write_new

PublicKey = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Signature = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{128}$")]
FINGERPRINT_GROUPS = 6
"""Groups of five digits in a fingerprint: 10**30 values, short enough to read over the phone."""


_PROTECTED = b"ENCRYPTED PRIVATE KEY"
"""In the first line of a PKCS 8 key that has a passphrase (RFC 7468, section 11)."""


def domain(kind: str) -> bytes:
    """Give the bytes that stand before everything of a kind that is signed or encrypted."""
    return f"wardround/{PROTOCOL}/{kind}\0".encode()


class SigningKey:
    """A private key; its text form never shows it."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        """Wrap a private key."""
        self._private = private
        self.public: PublicKey = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()

    def __repr__(self) -> str:
        """Show the public half only."""
        return f"SigningKey(public={self.public[:8]}…)"

    @classmethod
    def generate(cls) -> SigningKey:
        """Make a new key from the operating system's randomness."""
        return cls(Ed25519PrivateKey.generate())

    def sign(self, kind: str, data: bytes) -> Signature:
        """Sign bytes as being of a kind."""
        return self._private.sign(domain(kind) + data).hex()

    def save(self, path: Path, passphrase: bytes | None = None) -> None:
        """Write the key (PKCS 8, PEM), readable by its owner only, and with a passphrase by who knows it.

        Raises:
            Refused: K-EXISTS when there is one already: keys are never overwritten.
        """
        write_key(path, self.pem(passphrase))

    def pem(self, passphrase: bytes | None = None) -> bytes:
        """Give the key as PKCS 8 in PEM."""
        return private_pem(self._private, passphrase)


def private_pem(private: PrivateKeyTypes, passphrase: bytes | None = None) -> bytes:
    """Give a private key as PKCS 8 in PEM; what protects it is the file's mode, and a passphrase where there is one."""
    protection = NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase)
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection)


def write_key(path: Path, pem: bytes) -> None:
    """Write a private key's file, readable by its owner only.

    Raises:
        Refused: K-EXISTS when there is one already: keys are never overwritten.
    """
    try:
        write_new(path, pem, mode=0o600)
    except FileExistsError:
        raise refuse(
            "K-EXISTS", path.name, "Keys are never overwritten", "a key stands there already", "use it, or move it away first"
        ) from None


def load_key(path: Path, passphrase: bytes | None = None) -> SigningKey:
    """Read a private key.

    Raises:
        Refused: K-MISSING, K-MODE (others could read it), K-FORMAT; K-PASSPHRASE when it is not this passphrase that opens it.
    """
    data = read_private(path)
    if (_PROTECTED in data) != (passphrase is not None):
        given = "it has none" if passphrase is not None else "none was given"
        raise passphrase_problem(path.name, "A key that has a passphrase is opened by it, and no other key is", given)
    try:
        private = load_pem_private_key(data, password=passphrase)
    except ValueError:
        if passphrase is not None:
            raise passphrase_problem(path.name, "A key is opened by its own passphrase", "this one does not open it") from None
        private = None
    except TypeError:
        private = None
    if not isinstance(private, Ed25519PrivateKey):
        raise refuse("K-FORMAT", path.name, "Keys are Ed25519 in PEM", "the file is not such a key", "restore the key file")
    return SigningKey(private)


def passphrase_problem(place: str, rule: str, finding: str) -> Refused:
    """Say what is wrong with a passphrase; never the passphrase."""
    return refuse("K-PASSPHRASE", place, rule, finding, "type it again, or give its file: --passphrase-file FILE")


def read_private(path: Path) -> bytes:
    """Read a file that nobody but its owner may touch.

    Raises:
        Refused: K-MISSING, K-MODE.
    """
    try:
        mode = path.stat().st_mode
        data = path.read_bytes()
    except OSError:
        raise refuse(
            "K-MISSING",
            path.name,
            "The key must exist",
            "the key file is missing or cannot be read",
            "make keys with the init command",
        ) from None
    if stat.S_IMODE(mode) & 0o077:
        raise refuse(
            "K-MODE",
            path.name,
            "Private keys are readable by their owner only",
            "others may read this key",
            f"run: chmod 600 {path.name}",
        )
    return data


def verify(public: PublicKey, signature: Signature, kind: str, data: bytes) -> bool:
    """Say whether a signature over bytes of a kind holds."""
    try:
        key, signed = bytes.fromhex(public), bytes.fromhex(signature)
        if (key.hex(), signed.hex()) != (public, signature):  # fromhex also takes spaces and capitals: one form only
            return False
        Ed25519PublicKey.from_public_bytes(key).verify(signed, domain(kind) + data)
    except (InvalidSignature, ValueError):
        return False
    return True


def fingerprint(*publics: PublicKey) -> str:
    """Give one fingerprint over some public keys: six groups of five digits, to be read over the phone."""
    number = int(sha256("\n".join(publics).encode()), 16)
    groups = [str(number // 10 ** (5 * index) % 10**5).zfill(5) for index in range(FINGERPRINT_GROUPS)]
    return " ".join(groups)

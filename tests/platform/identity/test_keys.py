"""Signing keys: made where they live, 0600, and a signature that passes for one thing only."""

import hashlib
import os

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from wardround.errors import Refused
from wardround.identity.keys import SigningKey, fingerprint, load_key, verify

KEY = SigningKey.generate()


def codes(call) -> tuple[str, ...]:
    with pytest.raises(Refused) as caught:
        call()
    return caught.value.codes


def test_a_key_comes_back_from_its_file(tmp_path):
    """A saved key is the same key, readable by its owner only, whatever the umask."""
    before = os.umask(0)
    try:
        KEY.save(tmp_path / "k.pem")
    finally:
        os.umask(before)
    assert (tmp_path / "k.pem").stat().st_mode & 0o777 == 0o600
    assert load_key(tmp_path / "k.pem").public == KEY.public
    assert list(tmp_path.iterdir()) == [tmp_path / "k.pem"]


def test_keys_are_never_overwritten(tmp_path):
    """Saving over a key is K-EXISTS, and the old key stays."""
    KEY.save(tmp_path / "k.pem")
    before = (tmp_path / "k.pem").read_bytes()
    assert codes(lambda: SigningKey.generate().save(tmp_path / "k.pem")) == ("K-EXISTS",)
    assert (tmp_path / "k.pem").read_bytes() == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o601, 0o610, 0o620])
def test_a_key_that_others_may_touch_is_refused(tmp_path, mode):
    """Any right of group or others, even one bit, is K-MODE."""
    KEY.save(tmp_path / "k.pem")
    (tmp_path / "k.pem").chmod(mode)
    assert codes(lambda: load_key(tmp_path / "k.pem")) == ("K-MODE",)


def test_a_missing_key_is_named(tmp_path):
    """No file, or a folder in its place, is K-MISSING."""
    assert codes(lambda: load_key(tmp_path / "k.pem")) == ("K-MISSING",)
    assert codes(lambda: load_key(tmp_path)) == ("K-MISSING",)


def _other_files() -> dict[str, bytes]:
    ours = Ed25519PrivateKey.generate()
    other = generate_private_key(SECP256R1())
    return {
        "empty": b"",
        "not text": b"\xff\x00",
        "no key inside": b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        "another kind": other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        "encrypted": ours.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")),
        "public": ours.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "DER": ours.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
    }


OTHER_FILES = _other_files()


@pytest.mark.parametrize("case", OTHER_FILES)
def test_other_files_are_not_keys(tmp_path, case):
    """Another kind of key, a public one, DER or garbage is K-FORMAT; one that has a passphrase is K-PASSPHRASE without it."""
    path = tmp_path / "k.pem"
    path.write_bytes(OTHER_FILES[case])
    path.chmod(0o600)
    assert codes(lambda: load_key(path)) == ("K-PASSPHRASE" if case == "encrypted" else "K-FORMAT",)


@given(st.binary(max_size=40), st.text(max_size=5), st.text(max_size=5))
def test_a_signature_is_of_one_kind(data, kind, other):
    """A signature over bytes of one kind never holds for another kind, nor for other bytes, nor by another key."""
    signature = KEY.sign(kind, data)
    assert verify(KEY.public, signature, kind, data)
    assert verify(KEY.public, signature, other, data) == (kind == other)
    assert not verify(KEY.public, signature, kind, data + b"x")
    assert not verify(SigningKey.generate().public, signature, kind, data)


@pytest.mark.parametrize(
    "change", [str.upper, lambda s: s[:2] + " " + s[2:], lambda s: s + "\n", lambda s: s[:-2], lambda s: "zz" + s[2:]]
)
def test_a_signature_has_one_form(change):
    """Upper case, spaces, a line end or a missing byte: not a signature, though Python's hex reader takes some of them."""
    key = SigningKey.generate()
    signature = key.sign("task", b"x")
    assert verify(key.public, signature, "task", b"x")
    assert not verify(key.public, change(signature), "task", b"x")
    assert not verify(change(key.public), signature, "task", b"x")


@given(st.integers(0, 511))
def test_every_bit_of_a_signature_counts(bit):
    """One flipped bit and the signature does not hold."""
    raw = bytearray.fromhex(KEY.sign("task", b"x"))
    raw[bit // 8] ^= 1 << bit % 8
    assert not verify(KEY.public, raw.hex(), "task", b"x")


def test_the_private_half_is_never_shown():
    """Neither repr nor str of a key holds its private bytes."""
    private = Ed25519PrivateKey.generate()
    secret = private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()).hex()
    for text in (repr(SigningKey(private)), str(SigningKey(private)), f"{SigningKey(private)}"):
        assert secret[:16] not in text


def test_fingerprints_are_stable():
    """The same keys read the same over the phone in every version: six groups of five digits."""
    number = int(hashlib.sha256(b"a" * 64 + b"\n" + b"b" * 64).hexdigest(), 16) % 10**30
    digits = f"{number:030d}"
    assert fingerprint("a" * 64, "b" * 64).split() == [digits[start : start + 5] for start in range(25, -1, -5)]
    assert fingerprint("b" * 64, "a" * 64) != fingerprint("a" * 64, "b" * 64)
    assert all(len(group) == 5 and group.isdigit() for group in fingerprint(KEY.public).split())

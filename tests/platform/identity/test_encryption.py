"""Encryption keys: who can read what was encrypted to one, and how they lie on disk."""

import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st
from studies_on_paper import encryption_key, signing_key

from wardround.errors import Refused
from wardround.identity.encryption import EncryptionKey, encrypt_to, load_encryption_key

KEY, OTHER = encryption_key("one"), encryption_key("other")


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_the_receiver_reads_what_was_encrypted(secret, bound):
    """The right key, kind and binding give the secret; any other gives nothing."""
    sealed = encrypt_to(KEY.public, "test", secret, bound)
    assert KEY.decrypt("test", sealed, bound) == secret
    assert OTHER.decrypt("test", sealed, bound) is None
    assert KEY.decrypt("another kind", sealed, bound) is None
    assert KEY.decrypt("test", sealed, bound + b"x") is None


@given(st.data())
def test_one_changed_byte_and_nothing_is_read(data):
    """Changed, cut or added bytes are no secret, and no exception."""
    sealed = encrypt_to(KEY.public, "test", b"0123456789abcdef", b"")
    place, byte = data.draw(st.integers(0, len(sealed) - 1)), data.draw(st.integers(1, 255))
    changed = sealed[:place] + bytes([sealed[place] ^ byte]) + sealed[place + 1 :]
    for each in (changed, sealed[:place], sealed + b"x"):
        assert KEY.decrypt("test", each, b"") is None


def test_two_encryptions_of_the_same_are_unlike():
    """Nobody on the way sees that the same secret was sent again."""
    assert encrypt_to(KEY.public, "test", b"same", b"") != encrypt_to(KEY.public, "test", b"same", b"")


@pytest.mark.parametrize("point", [bytes(32), bytes([1]) + bytes(31)])
def test_a_point_of_low_order_opens_nothing(point):
    """An encapsulated key that would give everybody the same secret is refused (RFC 7748, section 6.1)."""
    sealed = point + encrypt_to(KEY.public, "test", b"secret", b"")[32:]
    assert KEY.decrypt("test", sealed, b"") is None


def test_a_key_comes_back_from_its_file(tmp_path):
    """Written 0600, read back whole, never overwritten; its text form does not show it."""
    path, key = tmp_path / "encryption.pem", EncryptionKey.generate()
    key.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_encryption_key(path).public == key.public
    with pytest.raises(Refused, match="K-EXISTS"):
        OTHER.save(path)
    assert repr(key) == f"EncryptionKey(public={key.public[:8]}…)"


def test_another_kind_of_key_is_none(tmp_path):
    """A signing key in its place is K-FORMAT; a file that others may read is K-MODE."""
    path = tmp_path / "encryption.pem"
    signing_key("one").save(path)
    with pytest.raises(Refused, match="K-FORMAT"):
        load_encryption_key(path)
    path.chmod(0o644)
    with pytest.raises(Refused, match="K-MODE"):
        load_encryption_key(path)

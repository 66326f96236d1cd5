"""Bodies are read by their receiver alone, whole and in order, or not at all."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from studies_on_paper import encryption_key

from wardround.messages import confidential
from wardround.messages.confidential import BLOCK_BYTES, addressed, decrypted, encrypt_arrays, encrypted_for
from wardround.messages.envelope import Envelope

KEY, OTHER = encryption_key("one"), encryption_key("other")
PLAIN = Envelope(b'{"a":1}', "0" * 128, (b"first array", b"second"))


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=200), max_size=2), st.sampled_from([16, 50, 200, BLOCK_BYTES]))
def test_what_is_encrypted_comes_back(arrays, block):
    """Any arrays, whatever the size of the blocks: the receiver has them bit by bit, nobody else has anything."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(confidential, "BLOCK_BYTES", block)
        envelope = Envelope(b'{"a":1}', "0" * 128, tuple(arrays))
        sent = encrypted_for(envelope, KEY.public)
        assert decrypted(sent, KEY) == envelope
        assert decrypted(sent, OTHER) is None or not arrays
        assert all(len(plain) < 8 or plain not in bytes(cipher) for plain, cipher in zip(arrays, sent.arrays, strict=True))


@settings(max_examples=60)
@given(st.data())
def test_blocks_stay_whole_and_in_order(data):
    """A block that is changed, cut off, left out, doubled, swapped or moved to the other array: nothing is read."""
    size, tag = 16, confidential.TAG_BYTES
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(confidential, "BLOCK_BYTES", size)
        sent = encrypted_for(Envelope(b"{}", "0" * 128, (bytes(range(80)), bytes(48))), KEY.public)
        first, second = sent.arrays
        blocks = [first[start : start + size + tag] for start in range(0, len(first), size + tag)]
        place = data.draw(st.integers(0, len(blocks) - 1))
        flipped = bytes(first[:place]) + bytes([first[place] ^ 1]) + bytes(first[place + 1 :])
        attempts = [
            (flipped, second),
            (b"".join(blocks[:-1]), second),
            (b"".join(blocks[:place] + blocks[place + 1 :]), second),
            (b"".join([*blocks[: place + 1], *blocks[place:]]), second),
            (b"".join([*blocks[1:2], *blocks[:1], *blocks[2:]]), second),
            (second, first),
            (first, first),
            (first[:-1], second),
            (b"", second),
        ]
        for arrays in attempts:
            assert decrypted(replace(sent, arrays=arrays), KEY) is None
        assert decrypted(sent, KEY) is not None


def test_a_broadcast_is_encrypted_once():
    """Every hospital gets the same encrypted bytes, which are stored once on the way, and reads them with its own key."""
    encrypted = encrypt_arrays(PLAIN.arrays)
    one, other = (
        addressed(replace(PLAIN, message=b'{"to":%d}' % index), encrypted, key.public) for index, key in enumerate((KEY, OTHER))
    )
    assert one.arrays[0] is other.arrays[0]
    assert decrypted(one, KEY) == replace(PLAIN, message=b'{"to":0}')
    assert decrypted(other, OTHER) == replace(PLAIN, message=b'{"to":1}')
    assert decrypted(one, OTHER) is None


def test_a_key_belongs_to_one_message():
    """Under another message, the same bodies and key are nothing: they cannot be moved."""
    sent = encrypted_for(PLAIN, KEY.public)
    assert decrypted(replace(sent, message=b'{"a":2}'), KEY) is None


@pytest.mark.parametrize("key", ["", "zz", "00", "0" * 160, "0" * 162])
def test_a_strange_key_opens_nothing(key):
    """No key, no hexadecimal digits, too short, none at all."""
    assert decrypted(replace(encrypted_for(PLAIN, KEY.public), body_key=key), KEY) is None


@pytest.mark.parametrize("respelt", [str.upper, lambda key: key[:2] + " " + key[2:], lambda key: key + "\n"])
def test_a_key_has_one_spelling(respelt):
    """Capital letters and spaces, which Python reads as the same number, are another message."""
    sent = encrypted_for(PLAIN, KEY.public)
    assert decrypted(replace(sent, body_key=respelt(sent.body_key)), KEY) is None


def test_without_bodies_nothing_is_encrypted():
    """An envelope without arrays stays as it is; a key without arrays to open is none."""
    bare = replace(PLAIN, arrays=())
    assert encrypted_for(bare, KEY.public) is bare
    assert decrypted(bare, KEY) is bare
    assert decrypted(replace(bare, body_key="0" * 160), KEY) is None


def test_what_was_decrypted_cannot_be_written_to():
    """No receiver changes a body under another's hands."""
    opened = decrypted(encrypted_for(PLAIN, KEY.public), KEY)
    assert opened is not None
    with pytest.raises(TypeError):
        opened.arrays[0][0] = 1

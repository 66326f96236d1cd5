"""An array in a file is the bytes that were written, read in any parts, and nobody can change it."""

import gc
import os
import tempfile
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from studies_on_paper import encryption_key

from wardround.canonical import sha256
from wardround.messages import filed
from wardround.messages.confidential import BLOCK_BYTES, decrypted, encrypted_for
from wardround.messages.envelope import Envelope, digests, in_memory
from wardround.messages.filed import FiledArray


def put(data: bytes) -> FiledArray:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        return FiledArray(file)


def open_files() -> int | None:
    """Count this process's open files, where the system shows them."""
    shown = Path("/proc/self/fd")
    return len(list(shown.iterdir())) if shown.is_dir() else None


@given(st.binary(max_size=300), st.data())
def test_any_part_is_that_of_the_bytes(data, draws):
    """Length, slices (also beyond the ends, and from behind), equality and digest are those of a byte string."""
    array = put(data)
    place = st.none() | st.integers(-310, 310)
    part = slice(draws.draw(place), draws.draw(place))
    assert (len(array), array[part], bytes(array), in_memory(array)) == (len(data), data[part], data, data)
    assert array == data
    assert data == array
    assert array == put(data)
    assert digests((array,)) == (sha256(data),)


@pytest.mark.parametrize("size", [1, filed.BLOCK_BYTES, filed.BLOCK_BYTES + 1])
def test_one_changed_bit_is_another_array(size):
    """Equality reads all of it, in blocks."""
    data = os.urandom(size)
    for place in {0, size // 2, size - 1}:
        other = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        assert put(data) != other
    assert put(data) != data + b"\0"
    assert put(data) != "text"


def test_it_is_opened_as_the_bytes_are():
    """What was encrypted and lies in a file is decrypted block by block, to the same bytes, or refused when it was changed."""
    key, plain = encryption_key("one"), os.urandom(2 * BLOCK_BYTES + 7)
    sent = encrypted_for(Envelope(b"{}", "0" * 128, (plain, b"")), key.public)
    lying = Envelope(sent.message, sent.signature, tuple(put(bytes(each)) for each in sent.arrays), sent.body_key)
    opened = decrypted(lying, key)
    assert opened is not None
    assert opened == Envelope(b"{}", "0" * 128, (plain, b""))
    assert lying.byte_count == sent.byte_count
    changed = bytes(sent.arrays[0][:-1]) + bytes([sent.arrays[0][-1] ^ 1])
    assert decrypted(Envelope(sent.message, sent.signature, (put(changed), sent.arrays[1]), sent.body_key), key) is None


def test_it_cannot_be_written_to():
    """There is no way to put anything into it, and no step through it."""
    array = put(b"abc")
    with pytest.raises(TypeError):
        array[0:1] = b"x"
    with pytest.raises(AttributeError):
        array.name = "x"
    with pytest.raises(ValueError, match="runs"):
        array[::2]
    with pytest.raises(TypeError):
        hash(array)


def test_its_file_ends_with_it():
    """The last user closes the file, without a warning, and not before."""
    before = open_files()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        array = put(b"abc")
        kept = [array]
        del array
        gc.collect()
        assert kept[0][:] == b"abc"
        kept.clear()
        gc.collect()
    assert open_files() == before


def test_a_file_that_was_cut_is_no_shorter_array(tmp_path):
    """A file that somebody cuts short gives an error, never other bytes in silence."""
    path = tmp_path / "weights"
    path.write_bytes(b"abcdef")
    array = FiledArray.of(path)
    os.truncate(path, 3)
    with pytest.raises(OSError, match="shorter"):
        bytes(array)

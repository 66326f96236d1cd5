"""The whole state as one buffer, in the manifest's order."""

import json
import struct

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import ValidationError

from wardround.errors import Broken
from wardround.weights.packing import (
    Manifest,
    Tensor,
    from_bytes,
    from_safetensors,
    manifest_of,
    pack,
    safetensors_parts,
    to_bytes,
    to_safetensors,
    unpack,
)

names = st.from_regex(r"[A-Za-z0-9_.]{1,12}", fullmatch=True)
arrays = hnp.arrays(np.float32, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4), elements=st.floats(width=32))
states = st.dictionaries(names, arrays, min_size=1, max_size=5)


@given(states)
def test_packing_returns_what_was_packed(state):
    """Every tensor comes back bit by bit, NaN and -0 included, through vector, bytes and safetensors."""
    manifest = manifest_of(state)
    vector = pack(state, manifest)
    received = from_bytes(to_bytes(vector), manifest)
    assert received is not None
    read = from_safetensors(to_safetensors(vector, manifest))
    assert read is not None
    assert read[1] == manifest
    for found in (unpack(vector, manifest), unpack(received, manifest), unpack(*read)):
        assert {name: (array.shape, array.tobytes()) for name, array in found.items()} == {
            name: (array.shape, array.tobytes()) for name, array in state.items()
        }


@given(states)
def test_safetensors_are_written_as_the_library_writes_them(state):
    """The file is byte for byte the library's: hashes of bundles and releases do not depend on who wrote it."""
    manifest = manifest_of(state)
    assert to_safetensors(pack(state, manifest), manifest) == safetensors.numpy.save({n: a.copy() for n, a in state.items()})


def test_safetensors_are_not_copied_to_be_written():
    """The body is the vector's own memory."""
    manifest = Manifest(tensors=(Tensor(name="w", shape=(3,)),))
    vector = np.arange(3, dtype=np.float32)
    assert np.shares_memory(np.frombuffer(safetensors_parts(vector, manifest)[1], np.float32), vector)
    with pytest.raises(Broken):
        safetensors_parts(vector[:2], manifest)


@given(states, st.randoms(use_true_random=False))
def test_the_order_of_a_state_does_not_matter(state, random):
    """Tensors travel in the order of their names, whatever the order in the network."""
    items = list(state.items())
    random.shuffle(items)
    manifest = manifest_of(dict(items))
    assert manifest == manifest_of(state)
    assert [tensor.name for tensor in manifest.tensors] == sorted(state)
    assert to_bytes(pack(dict(items), manifest)) == to_bytes(pack(state, manifest))
    assert to_safetensors(pack(dict(items), manifest), manifest) == to_safetensors(pack(state, manifest), manifest)


def test_bytes_are_little_endian_float32():
    """One is 00 00 80 3f on every machine."""
    assert to_bytes(np.array([1.0], dtype=np.float32)) == b"\x00\x00\x80\x3f"


@pytest.mark.parametrize("size", [0, 1, 11, 13, 16, 1000])
def test_wrong_sizes_are_refused(size):
    """A buffer of any other size is refused, never reshaped."""
    manifest = Manifest(tensors=(Tensor(name="w", shape=(3,)),))
    assert from_bytes(bytes(size), manifest) is None
    with pytest.raises(Broken):
        unpack(np.zeros(size + 4, dtype=np.float32), manifest)


def test_received_weights_cannot_be_written():
    """A vector over received bytes is read-only: nobody can change what was signed."""
    vector = from_bytes(bytes(12), Manifest(tensors=(Tensor(name="w", shape=(3,)),)))
    assert vector is not None
    with pytest.raises(ValueError, match="read-only"):
        vector[0] = 1


@pytest.mark.parametrize("other", [{"w": np.zeros((3, 2), np.float32)}, {"v": np.zeros((2, 3), np.float32)}, {}])
def test_another_state_is_not_packed(other):
    """Names and shapes are the manifest's, transposed tensors included."""
    manifest = manifest_of({"w": np.zeros((2, 3), np.float32)})
    with pytest.raises((Broken, ValidationError)):
        pack(other, manifest)


@pytest.mark.parametrize("dtype", [np.float64, np.int64, np.float16, np.bool_])
def test_only_float32_travels(dtype):
    """Integer buffers and other floats are not transported."""
    with pytest.raises(Broken):
        manifest_of({"w": np.zeros(2, dtype)})
    assert from_safetensors(safetensors.numpy.save({"w": np.zeros(2, dtype)})) is None


def _file(header: object, body: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 8,
        struct.pack("<Q", 2**62) + b"{}",
        _file({}, b""),
        _file({"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}, bytes(4)),
        _file({"w": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}, bytes(4)),
        _file({"w": {"dtype": "F4", "shape": [8], "data_offsets": [0, 4]}}, bytes(4)),
        _file({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, bytes(4)),
        _file({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, bytes(8)),
        _file({"a b": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, bytes(4)),
        _file({"../w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, bytes(4)),
        _file({"w": {"dtype": "F32", "shape": [1] * 9, "data_offsets": [0, 4]}}, bytes(4)),
        _file({"w": {"dtype": "F32", "shape": [2**53, 0], "data_offsets": [0, 0]}}, b""),
    ],
)
def test_other_safetensors_files_are_none(data):
    """A file that is not one of named float32 tensors is told as such, never by a foreign exception."""
    assert from_safetensors(data) is None


@given(st.binary(max_size=64), st.integers(0, 200), st.integers(0, 255))
def test_damaged_safetensors_files_are_none_or_whole(noise, place, byte):
    """Whatever happens to a file, reading gives a float32 state or None."""
    good = bytearray(to_safetensors(np.arange(3, dtype=np.float32), Manifest(tensors=(Tensor(name="w", shape=(3,)),))))
    good[place % len(good)] = byte
    for data in (noise, bytes(good)):
        found = from_safetensors(data)
        assert found is None or (found[0].dtype == np.float32 and found[0].shape == (found[1].size,))


@pytest.mark.parametrize("tensors", [(), ("b", "a"), ("a", "a")])
def test_a_manifest_is_sorted_and_has_no_name_twice(tensors):
    """One state has one manifest."""
    with pytest.raises(ValidationError):
        Manifest(tensors=tuple(Tensor(name=name, shape=()) for name in tensors))

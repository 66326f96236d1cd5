"""The whole state of a network as one buffer.

Transport costs are paid per tensor, so the state travels as one little-endian float32 buffer, tensors in the order of
their names; the manifest says where each begins. Both sides hold the manifest from the study bundle: a buffer of any
other size is refused, never reshaped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from math import prod
from typing import Annotated, TypeAlias

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from pydantic import Field, StringConstraints, model_validator
from safetensors import SafetensorError

from wardround.errors import Broken
from wardround.values import Count, Value

Vector: TypeAlias = NDArray[np.float32]
"""A whole packed state, shape ``(parameters,)``."""
State: TypeAlias = Mapping[str, NDArray[np.float32]]
"""A network's tensors by name."""

WIRE = np.dtype("<f4")
_HEAD_LENGTH_BYTES = _HEAD_ALIGNMENT = 8
"""Of a safetensors file: it begins with the length of its head, which spaces fill up."""


class Tensor(Value):
    """One tensor of a state: its name in the network, and its shape (``()`` is a scalar)."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.]{1,200}$")]
    shape: Annotated[tuple[Count, ...], Field(max_length=8)]

    @property
    def size(self) -> int:
        """The number of elements."""
        return prod(self.shape)


class Manifest(Value):
    """The tensors of a packed state, in the order of their names."""

    tensors: Annotated[tuple[Tensor, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _sorted(self) -> Manifest:
        names = [tensor.name for tensor in self.tensors]
        if names != sorted(set(names)):
            msg = "tensors stand once each, in the order of their names"
            raise ValueError(msg)
        return self

    @property
    def size(self) -> int:
        """The number of elements of the whole state."""
        return sum(tensor.size for tensor in self.tensors)

    @property
    def byte_count(self) -> int:
        """The bytes of the packed state."""
        return self.size * WIRE.itemsize

    def slices(self) -> Iterator[tuple[Tensor, slice]]:
        """Give each tensor with its place in the packed vector."""
        start = 0
        for tensor in self.tensors:
            yield tensor, slice(start, start + tensor.size)
            start += tensor.size


def manifest_of(state: State) -> Manifest:
    """Describe a state. Every tensor must be float32: integer buffers are not transported."""
    for name, array in state.items():
        if array.dtype != np.float32:
            msg = f"tensor {name} is {array.dtype}, not float32"
            raise Broken(msg)
    return Manifest(tensors=tuple(Tensor(name=name, shape=tuple(state[name].shape)) for name in sorted(state)))


def pack(state: State, manifest: Manifest) -> Vector:
    """Copy a state into one vector.

    Raises:
        Broken: when the state is not the one that the manifest describes.
    """
    if manifest_of(state) != manifest:
        msg = "the state is not the one that the manifest describes"
        raise Broken(msg)
    vector = np.empty(manifest.size, dtype=np.float32)
    for tensor, part in manifest.slices():
        vector[part] = state[tensor.name].reshape(-1)
    return vector


def unpack(vector: Vector, manifest: Manifest) -> dict[str, NDArray[np.float32]]:
    """Give views of the vector by tensor name."""
    if vector.shape != (manifest.size,):
        msg = f"a vector of {vector.shape} elements for a manifest of {manifest.size}"
        raise Broken(msg)
    return {tensor.name: vector[part].reshape(tensor.shape) for tensor, part in manifest.slices()}


def all_finite(vector: Vector) -> bool:
    """Say whether a vector has no NaN and no infinity, without a copy of it."""
    return vector.size == 0 or bool(np.isfinite(vector.min()) and np.isfinite(vector.max()))


def as_wire(vector: Vector) -> memoryview:
    """Give the bytes that travel as a view that cannot be written to, without a copy where the machine is little-endian.

    Whoever changes the vector afterwards changes what is seen: for weights that nobody changes any more.
    """
    return np.ascontiguousarray(vector.astype(WIRE, copy=False)).data.cast("B").toreadonly()


def to_bytes(vector: Vector) -> bytes:
    """Give the bytes that travel: little-endian float32."""
    return vector.astype(WIRE, copy=False).tobytes()


def from_bytes(data: bytes | memoryview, manifest: Manifest) -> Vector | None:
    """Give a read-only vector over received bytes, or None when their number is not the manifest's."""
    if len(data) != manifest.byte_count:
        return None
    return np.frombuffer(data, dtype=WIRE).astype(np.float32, copy=False)


def to_safetensors(vector: Vector, manifest: Manifest) -> bytes:
    """Give the state as a safetensors file's bytes."""
    return b"".join(safetensors_parts(vector, manifest))


def safetensors_parts(vector: Vector, manifest: Manifest) -> tuple[bytes, memoryview]:
    """Give the state as a safetensors file's head and body, the body without a copy.

    The format has tensors of one type in the order of their names, as a packed state has; the library writes the same bytes, from
    two copies of all tensors. Format: huggingface.co/docs/safetensors, "Format".
    """
    if vector.shape != (manifest.size,):
        msg = f"a vector of {vector.shape} elements for a manifest of {manifest.size}"
        raise Broken(msg)
    offsets = ((part.start * WIRE.itemsize, part.stop * WIRE.itemsize) for _, part in manifest.slices())
    told = {
        tensor.name: {"dtype": "F32", "shape": tensor.shape, "data_offsets": place}
        for tensor, place in zip(manifest.tensors, offsets, strict=True)
    }
    words = json.dumps(told, separators=(",", ":")).encode()
    words += b" " * (-len(words) % _HEAD_ALIGNMENT)
    return len(words).to_bytes(_HEAD_LENGTH_BYTES, "little") + words, as_wire(vector)


def from_safetensors(data: bytes) -> tuple[Vector, Manifest] | None:
    """Read a state from a safetensors file's bytes, or None when they are not one of float32 tensors only."""
    try:
        state = safetensors.numpy.load(data)
        del data  # where nobody else holds it, it is not needed beside what was read from it
        manifest = manifest_of(state)
    except (SafetensorError, Broken, ValueError, KeyError):
        return None
    return pack(state, manifest), manifest

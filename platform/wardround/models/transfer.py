"""Initial weights from a safetensors file (transfer learning): strict, and every misfit at once.

What a file holds for a network are exactly its tensors, by name, shape and float32. Only the last layer may be left to the
seed, on demand: the tensors whose shapes follow from the number of outputs.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from safetensors import SafetensorError, safe_open

from wardround.errors import Problem, Refused, raise_all, refuse
from wardround.models.build import describe, initial_weights
from wardround.strict_yaml import nearest
from wardround.study.model import Network
from wardround.study.shape import Shape
from wardround.weights.packing import Manifest, Tensor, Vector, all_finite

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

MOST_GUESSES = 50
"""Names for which a near one is looked for; a file with more that do not fit is one of another network."""
_RULE = "Initial weights have the tensors of the study's network, by name and shape, in float32, all of them numbers"


class _File(Protocol):
    """What of an open safetensors file is used."""

    def keys(self) -> list[str]: ...
    def get_slice(self, name: str) -> _Slice: ...
    def get_tensor(self, name: str) -> NDArray[np.float32]: ...


class _Slice(Protocol):
    def get_shape(self) -> list[int]: ...
    def get_dtype(self) -> str: ...


def weights_from_file(
    path: Path, network: Network, shape: Shape, seed: int, *, new_head: bool = False
) -> tuple[Vector, Manifest]:
    """Read a network's initial weights from a file.

    Args:
        path: the safetensors file.
        network: the study's network.
        shape: what it takes and gives.
        seed: from which the last layer is drawn, if it is.
        new_head: draw the last layer, whatever the file holds for it.

    Raises:
        Refused: P-WEIGHTS, for every tensor that does not fit.
    """
    head = _head(network, shape) if new_head else frozenset()
    with _opened(path) as file:
        manifest = describe(network, shape)
        wanted = {tensor.name: tensor for tensor in manifest.tensors if tensor.name not in head}
        raise_all(_misfits(path, file, wanted, head))
        vector = initial_weights(network, shape, seed)[0] if head else np.empty(manifest.size, dtype=np.float32)
        problems = []
        for tensor, part in manifest.slices():
            if tensor.name in wanted:
                vector[part] = file.get_tensor(tensor.name).reshape(-1)
                if not all_finite(vector[part]):
                    problems.append(_problem(path, f"{tensor.name} holds values that are no numbers", "get the file again"))
        raise_all(problems)
    return vector, manifest


def _head(network: Network, shape: Shape) -> frozenset[str]:
    """Give the names of the tensors whose shapes follow from the number of outputs."""
    other = {tensor.name: tensor for tensor in describe(network, shape.model_copy(update={"outputs": shape.outputs + 1})).tensors}
    return frozenset(tensor.name for tensor in describe(network, shape).tensors if other[tensor.name] != tensor)


@contextmanager
def _opened(path: Path) -> Iterator[_File]:
    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except (SafetensorError, OSError):
        raise _unreadable(path) from None


def _unreadable(path: Path) -> Refused:
    finding, step = "the file is missing, damaged or none of safetensors", "name a safetensors file"
    return refuse("P-WEIGHTS", str(path), _RULE, finding, step)


def _problem(path: Path, finding: str, next_step: str) -> Problem:
    return Problem("P-WEIGHTS", str(path), _RULE, finding, next_step)


def _misfits(path: Path, file: _File, wanted: dict[str, Tensor], head: Iterable[str]) -> list[Problem]:
    """Say all that does not fit, from the file's head alone: no tensor is read."""
    held = set(file.keys())
    absent, unknown = sorted(wanted.keys() - held), sorted(held - wanted.keys() - set(head))
    guesses = absent if len(absent) + len(unknown) <= MOST_GUESSES else []
    found = [_problem(path, f"{name} of the network is not in the file", "take the weights of this network") for name in absent]
    for name in unknown:
        guess = nearest(name, guesses)
        step = f"did you mean {guess}?" if guess else "leave it out, or take the weights of this network"
        found.append(_problem(path, f"{name} of the file is not of the network", step))
    for name in sorted(wanted.keys() & held):
        part = file.get_slice(name)
        shape, kind = tuple(part.get_shape()), part.get_dtype()
        if shape != wanted[name].shape:
            finding = f"{name} is {_size(shape)}, not {_size(wanted[name].shape)}"
            found.append(_problem(path, finding, "take other arguments or weights; for the last layer alone, say --new-head"))
        if kind != "F32":
            found.append(_problem(path, f"{name} is of type {kind}, not F32", "write the file anew in float32"))
    return found


def _size(shape: tuple[int, ...]) -> str:
    return " × ".join(str(edge) for edge in shape) if shape else "one number"

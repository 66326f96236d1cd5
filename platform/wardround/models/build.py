"""Build an allow-listed network, and carry its weights between torch and packed vectors."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from wardround.errors import Broken
from wardround.models.from_monai import nets
from wardround.study.architectures.base import groups_of
from wardround.study.model import Network, Normalisation
from wardround.study.networks import arguments_of
from wardround.study.randomness import derive_seed
from wardround.study.shape import Shape
from wardround.weights.packing import Manifest, Tensor, Vector, manifest_of, pack, unpack

_BATCH = (nn.BatchNorm2d, nn.BatchNorm3d)


def build_network(network: Network, shape: Shape) -> nn.Module:
    """Build a network: ``shape.taken(n)`` in, ``shape.given(n)`` out. Nothing is ever fetched: weights come from a bundle.

    Raises:
        Broken: when the network does not serve this kind of shape, which the study's check has refused before.
    """
    arguments = arguments_of(network)
    if shape.dimensions not in arguments.DIMENSIONS or shape.dense != arguments.DENSE:
        msg = f"{network.name} does not serve {shape}"
        raise Broken(msg)
    built: nn.Module = getattr(nets, arguments.MONAI)(**arguments.keywords(shape))
    if arguments.NORMALISES:
        _normalise(built, network.normalisation)
    return built


def _normalise(module: nn.Module, normalisation: Normalisation) -> None:
    """Put the study's normalisation in the place of every batch normalisation, with its constant in the denominator.

    Not by MONAI's own arguments: one number of groups does not divide every width, and ``ResNet`` does not pass its argument
    on to its stages. What stands in two places of a network stays one module.
    """
    new: dict[nn.Module, nn.Module] = {}
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, _BATCH):
                if child not in new:
                    new[child] = _in_place_of(child, normalisation)
                setattr(parent, name, new[child])


def _in_place_of(batch: nn.BatchNorm2d | nn.BatchNorm3d, normalisation: Normalisation) -> nn.Module:
    channels = batch.num_features
    if normalisation == "group":
        return nn.GroupNorm(groups_of(channels), channels, eps=batch.eps)
    if normalisation == "instance":
        kind = nn.InstanceNorm3d if isinstance(batch, nn.BatchNorm3d) else nn.InstanceNorm2d
        return kind(channels, eps=batch.eps, affine=True)
    return batch


def describe(network: Network, shape: Shape) -> Manifest:
    """Give the tensors of a network without its memory: it is built on the device on which tensors have a shape and no values."""
    with torch.device("meta"):
        state = _state(build_network(network, shape))
    return Manifest(tensors=tuple(Tensor(name=name, shape=tuple(state[name].shape)) for name in sorted(state)))


def initial_weights(network: Network, shape: Shape, seed: int) -> tuple[Vector, Manifest]:
    """Draw a network's initial weights; they travel as bytes, since a seed promises nothing on another machine."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "", 0, "initial weights"))
        return read_weights(build_network(network, shape))


def _state(module: nn.Module) -> dict[str, torch.Tensor]:
    """Give all that travels: every parameter and float buffer once, under its first name (``DynUNet`` has two for each).

    Integer buffers stay behind: batch normalisation counts its batches, and reads the count nowhere.
    """
    once: dict[int, tuple[str, torch.Tensor]] = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        if tensor.is_floating_point():
            once.setdefault(id(tensor), (name, tensor))
    return dict(once.values())


def read_weights(module: nn.Module) -> tuple[Vector, Manifest]:
    """Copy a network's whole state into one packed vector: parameters, and the moments of batch normalisation."""
    state = {name: tensor.detach().cpu().numpy() for name, tensor in _state(module).items()}
    manifest = manifest_of(state)
    return pack(state, manifest), manifest


def write_weights(module: nn.Module, vector: Vector, manifest: Manifest) -> None:
    """Load a packed vector into a network; every tensor must fit by name and shape, and none is written where one does not."""
    state = _state(module)
    given = unpack(vector, manifest)
    if {name: tuple(tensor.shape) for name, tensor in state.items()} != {name: array.shape for name, array in given.items()}:
        msg = "the weights are not those of this network"
        raise RuntimeError(msg)
    with torch.no_grad():
        for name, tensor in state.items():
            tensor.copy_(torch.from_numpy(np.array(given[name])))

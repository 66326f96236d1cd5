"""Build an allow-listed network, and carry its weights between torch and packed vectors."""

from __future__ import annotations

import numpy as np
import torch
from monai.networks.nets import FullyConnectedNet as MonaiFullyConnectedNet
from torch import nn

from wardround.errors import Broken
from wardround.study.model import Network
from wardround.study.networks import FullyConnectedNet, arguments_of
from wardround.study.randomness import derive_seed
from wardround.weights.packing import Manifest, Vector, manifest_of, pack, unpack


def build_network(network: Network, inputs: int) -> nn.Module:
    """Build a network from ``inputs`` columns to one logit: ``(n_records, inputs)`` to ``(n_records, 1)``."""
    arguments = arguments_of(network)
    if isinstance(arguments, FullyConnectedNet):
        built: nn.Module = MonaiFullyConnectedNet(
            in_channels=inputs,
            out_channels=1,
            hidden_channels=list(arguments.hidden_channels),
            dropout=arguments.dropout or None,
            act=arguments.act.upper(),
            bias=arguments.bias,
        )
        return built
    msg = f"no builder for the network {network.name}"
    raise Broken(msg)


def initial_weights(network: Network, inputs: int, seed: int) -> tuple[Vector, Manifest]:
    """Draw a network's initial weights; they travel as bytes, since a seed promises nothing on another machine."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "", 0, "initial weights"))
        return read_weights(build_network(network, inputs))


def read_weights(module: nn.Module) -> tuple[Vector, Manifest]:
    """Copy a network's whole state into one packed vector."""
    state = {name: tensor.detach().cpu().numpy() for name, tensor in module.state_dict().items()}
    manifest = manifest_of(state)
    return pack(state, manifest), manifest


def write_weights(module: nn.Module, vector: Vector, manifest: Manifest) -> None:
    """Load a packed vector into a network; every tensor must fit by name and shape."""
    state = {name: torch.from_numpy(np.array(array)) for name, array in unpack(vector, manifest).items()}
    module.load_state_dict(state, strict=True)

"""A training at the end of an epoch, as bytes: network, optimiser, and both random states; nothing that could run.

The optimiser's settings are the study's and are not in it: only what it has gathered is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from wardround.errors import Broken

Tensors: TypeAlias = Mapping[str, torch.Tensor]

NETWORK, OPTIMISER = "network/", "optimiser/"
ORDER, GENERATOR, DEVICE_GENERATOR = "order", "generator", "device_generator"
CPU = torch.device("cpu")


class Unfit(Exception):
    """A snapshot is not one of this training."""


def take(network: nn.Module, optimiser: torch.optim.Optimizer, order: torch.Generator, device: torch.device = CPU) -> bytes:
    """Give the state of a training as safetensors bytes; torch's global generator is part of it, and that of a GPU."""
    tensors = {f"{NETWORK}{name}": tensor for name, tensor in network.state_dict().items()}
    for index, gathered in optimiser.state_dict()["state"].items():
        for name, value in gathered.items():
            if isinstance(value, torch.Tensor):
                tensors[f"{OPTIMISER}{index}/{name}"] = value
            elif value is not None:  # momentum that is not used is None
                msg = f"an optimiser's {name} that is no tensor cannot be kept"
                raise Broken(msg)
    tensors[ORDER], tensors[GENERATOR] = order.get_state(), torch.random.get_rng_state()
    if device.type == "cuda":
        tensors[DEVICE_GENERATOR] = torch.cuda.get_rng_state(device)
    return safetensors.torch.save({name: tensor.detach().contiguous() for name, tensor in tensors.items()})


def put(
    data: bytes, network: nn.Module, optimiser: torch.optim.Optimizer, order: torch.Generator, device: torch.device = CPU
) -> None:
    """Put a training back to where it was taken; torch's global generator too, and that of a GPU.

    Raises:
        Unfit: when the bytes are not a snapshot of such a training; then nothing is certain about its state.
    """
    try:
        # copies, in memory of torch's own: its kernels then see what they saw before
        tensors = {name: tensor.clone() for name, tensor in safetensors.torch.load(data).items()}
        network.load_state_dict(_part(tensors, NETWORK), strict=True)
        gathered: dict[int, dict[str, torch.Tensor]] = {}
        for path, value in _part(tensors, OPTIMISER).items():
            index, _, name = path.partition("/")
            gathered.setdefault(int(index), {})[name] = value
        optimiser.load_state_dict({"state": gathered, "param_groups": optimiser.state_dict()["param_groups"]})
        order.set_state(tensors[ORDER])
        torch.random.set_rng_state(tensors[GENERATOR])
        if device.type == "cuda":
            torch.cuda.set_rng_state(tensors[DEVICE_GENERATOR], device)
    except (SafetensorError, KeyError, ValueError, RuntimeError, TypeError) as error:
        raise Unfit from error


def _part(tensors: Tensors, prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}

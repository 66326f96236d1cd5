"""The network: MONAI's class, the normalisation of the study in place of MONAI's, and the weights of the release."""

from __future__ import annotations

from collections.abc import Mapping
from math import gcd
from typing import Any

import torch
from monai.networks import nets
from safetensors.torch import load_file
from torch import nn

GROUPS = 8
"""Groups of a group normalisation, or the largest number that divides both this and the channels."""
_BATCH = (nn.BatchNorm2d, nn.BatchNorm3d)


def build(name: str, arguments: Mapping[str, Any], normalisation: str, weights: str) -> nn.Module:
    """Build the network, ready to predict.

    Args:
        name: of a class of ``monai.networks.nets``.
        arguments: of it; its normalisation is ``batch``.
        normalisation: ``group`` or ``instance``, which is put in the place of each batch normalisation, or ``batch``.
        weights: a safetensors file; it has every tensor once, under its first name.

    Raises:
        ValueError: the weights are not those of this network.
    """
    built: nn.Module = getattr(nets, name)(**arguments)
    if normalisation != "batch":
        _normalise(built, normalisation)
    _load(built, load_file(weights))
    return built.eval()


def _normalise(module: nn.Module, normalisation: str) -> None:
    """Replace every batch normalisation; what stands in two places of a network stays one module."""
    new: dict[nn.Module, nn.Module] = {}
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, _BATCH):
                if child not in new:
                    new[child] = _in_place_of(child, normalisation)
                setattr(parent, name, new[child])


def _in_place_of(batch: nn.BatchNorm2d | nn.BatchNorm3d, normalisation: str) -> nn.Module:
    channels = batch.num_features
    if normalisation == "group":
        return nn.GroupNorm(gcd(GROUPS, channels), channels, eps=batch.eps)
    kind = nn.InstanceNorm3d if isinstance(batch, nn.BatchNorm3d) else nn.InstanceNorm2d
    return kind(channels, eps=batch.eps, affine=True)


def _load(module: nn.Module, given: Mapping[str, torch.Tensor]) -> None:
    once: dict[int, tuple[str, torch.Tensor]] = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        if tensor.is_floating_point():  # batch normalisation counts its batches in whole numbers, and reads the count nowhere
            once.setdefault(id(tensor), (name, tensor))
    state = dict(once.values())
    if {name: each.shape for name, each in state.items()} != {name: each.shape for name, each in given.items()}:
        msg = "the weights are not those of this network"
        raise ValueError(msg)
    with torch.no_grad():
        for name, tensor in state.items():
            tensor.copy_(given[name])

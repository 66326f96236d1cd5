"""The network of the benchmark's study: 13-64-32-1 with tanh, in plain torch."""

from __future__ import annotations

from torch import nn


def network(inputs: int) -> nn.Module:
    """Give the network; its parameters have the shapes of the study's."""
    return nn.Sequential(nn.Linear(inputs, 64), nn.Tanh(), nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 1))

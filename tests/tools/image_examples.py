"""Tiny images in memory as examples, and networks that see them: what training on images is tested with."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from silo_node.training.examples import Draw

EDGE = 8


@dataclass
class ImagesInMemory:
    """Some volumes of ``EDGE`` voxels a side, each with a bright cube: its mask, or whether it has one, is what is predicted.

    Attributes:
        kind: of the target.
        noise: how much is added at random in training.
        asked: how many examples were asked for, each time.
    """

    count: int
    kind: Literal["binary", "classes", "mask"] = "mask"
    noise: float = 0.0
    edge: int = EDGE
    asked: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the volumes from a fixed seed."""
        random = np.random.default_rng(3)
        self.images = random.normal(scale=0.1, size=(self.count, 1, *(self.edge,) * 3)).astype(np.float32)
        self.masks = np.zeros((self.count, *(self.edge,) * 3), np.int64)
        self.labels = np.arange(self.count) % 3
        for index, label in enumerate(self.labels):
            low = index % (self.edge - 4)
            self.masks[index, low : low + 3, 1:4, 2:5] = 1
            self.images[index, 0][self.masks[index] == 1] += float(label)

    @property
    def size(self) -> int:
        """The number of volumes."""
        return self.count

    def digest(self) -> str:
        """Give the SHA-256 of the voxels."""
        return hashlib.sha256(self.images.tobytes()).hexdigest()

    def batch(self, indexes: NDArray[np.int64], draw: Draw | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Give some volumes; with a draw, each with noise of its own."""
        self.asked.append(len(indexes))
        inputs = self.images[indexes].copy()
        if draw is not None:
            for at, index in enumerate(indexes):
                random = np.random.default_rng((draw.seed, draw.epoch, int(index)))
                inputs[at] += self.noise * random.normal(size=inputs[at].shape).astype(np.float32)
        return torch.from_numpy(inputs), self._targets(indexes)

    def _targets(self, indexes: NDArray[np.int64]) -> torch.Tensor:
        if self.kind == "mask":
            return torch.from_numpy(self.masks[indexes])
        labels = self.labels[indexes]
        return torch.from_numpy(labels if self.kind == "classes" else (labels > 0).astype(np.float32))

    def whole(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Give one volume and its mask."""
        return torch.from_numpy(self.images[index]), torch.from_numpy(self.masks[index])

    def spacing(self, index: int) -> tuple[float, ...]:
        """Give a spacing that tells the volumes apart."""
        return (1.0, 1.0, 1.0 + index)


def drawing(outputs: int = 2, norm: nn.Module | None = None, dropout: float = 0.0) -> nn.Module:
    """Give a small network from a volume to a class for each voxel, with the same weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        middle = norm or nn.GroupNorm(2, 4)
        return nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), middle, nn.ReLU(), nn.Dropout(dropout), nn.Conv3d(4, outputs, 1))


def telling(outputs: int) -> nn.Module:
    """Give a small network from a volume to a score for each class, with the same weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return nn.Sequential(
            nn.Conv3d(1, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(4, outputs)
        )


def weights_of(network: nn.Module) -> NDArray[np.float32]:
    """Give all weights of a network in a row."""
    return torch.cat([tensor.detach().reshape(-1).float() for tensor in network.state_dict().values()]).numpy()

"""What the training loop trains on: examples, whatever they are made of.

The loop knows no table and no image. It asks for examples by their index, as tensors, and moves them to its device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray


@dataclass(frozen=True)
class Draw:
    """From where the randomness of augmentation comes, so that it is the same whenever an epoch is begun anew.

    What is drawn for an example follows from these two numbers and its index, and from nothing else: no generator whose
    state would have to be kept, no dependence on the order or on how many examples are taken at once.

    Attributes:
        seed: of this hospital's training in this round.
        epoch: the local epoch, from 1.
    """

    seed: int
    epoch: int


class UnfitExampleError(Exception):
    """An example that the check found fit cannot be loaded or prepared; nothing says which file it is, or what it shows.

    Attributes:
        index: its number among the examples.
        finding: what is wrong with it, in our words.
    """

    def __init__(self, index: int, finding: str) -> None:
        """Take its number and what is wrong."""
        self.index, self.finding = index, finding
        super().__init__(f"an example cannot be used: {finding}")


class UnpreparedExampleError(UnfitExampleError):
    """An example is what it was when it was checked, and cannot be prepared as the study asks: only its pixels tell."""


class Examples(Protocol):
    """Some records or images, with what is to be predicted of them."""

    @property
    def size(self) -> int:
        """The number of examples."""
        ...

    def digest(self) -> str:
        """Give a SHA-256 that changes with any example. It stays in the hospital: a digest of records can be guessed."""
        ...

    def batch(self, indexes: NDArray[np.int64], draw: Draw | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Give some examples, in this order, on the processor.

        Args:
            indexes: of shape ``(n,)``, each from 0 to ``size - 1``.
            draw: for augmentation; None in evaluation, where nothing is random.

        Returns:
            Inputs, float32, ``(n, ...)``, and targets: float32 ``(n,)`` of zeros and ones where one class is positive, float32
            ``(n,)`` from -1 to 1 where a number is predicted, float32 ``(n, labels)`` with NaN for what is not known,
            int64 ``(n,)`` for several classes, int64 ``(n, *window)`` for masks, each number a class, 0 the background.
        """
        ...

    def give_way(self) -> bool:
        """Let go of some of what is only kept so that it need not be made again; says whether there was any."""
        ...


class DenseExamples(Examples, Protocol):
    """Images with a mask: training sees windows of them, evaluation the whole."""

    def whole(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Give a whole prepared image, float32 ``(channels, *spatial)``, and its label map, int64 ``(*spatial)``."""
        ...

    def spacing(self, index: int) -> tuple[float, ...]:
        """Give the distance between pixels or voxels of a whole prepared image, in mm, one number for each axis."""
        ...

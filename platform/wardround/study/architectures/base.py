"""What is said of a network without building it; one class for each network, and one entry in ``study.networks``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import gcd
from typing import Annotated, ClassVar

from pydantic import Field

from wardround.study.model import Normalisation
from wardround.study.shape import Shape
from wardround.values import Value

GROUPS = 8
"""Groups of a group normalisation, where they divide the channels."""

Dropout = Annotated[float, Field(ge=0, lt=1)]
"""A share that training sets to zero."""


def groups_of(channels: int) -> int:
    """Give the number of groups for a group normalisation: 8, or the largest number that divides both 8 and the channels."""
    return gcd(GROUPS, channels)


@dataclass(frozen=True)
class Count:
    """Counts the weights of layers.

    Attributes:
        dimensions: of the images: a kernel of 3 has 9 places in two dimensions, 27 in three.
        normalisation: what follows the convolutions. Each kind has a factor and an offset a channel; batch normalisation has
            two moments a channel besides, which travel as weights do.
    """

    dimensions: int
    normalisation: Normalisation = "group"

    def convolution(self, inputs: int, outputs: int, kernel: int, *, bias: bool = False) -> int:
        """Count a convolution, transposed or not; with ``inputs`` 1, one that sees each channel alone."""
        places: int = kernel**self.dimensions
        return inputs * outputs * places + (outputs if bias else 0)

    def norm(self, channels: int) -> int:
        """Count a normalisation."""
        return channels * (4 if self.normalisation == "batch" else 2)


class Architecture(Value, ABC):
    """A network's arguments, and what follows from them.

    Every network is one of MONAI's, built by name with ``keywords``: plain values, made here, never from the study as they
    stand there. Those that normalise are built with batch normalisation; the builder then puts the study's in its place.
    """

    MONAI: ClassVar[str]
    """The class of ``monai.networks.nets``."""
    DIMENSIONS: ClassVar[tuple[int, ...]] = (2, 3)
    """What it can take: 0 is a table."""
    DENSE: ClassVar[bool] = False
    """Whether it gives outputs for each voxel; its window then is divisible by ``step``."""
    NORMALISES: ClassVar[bool] = True

    @property
    @abstractmethod
    def step(self) -> int:
        """How many voxels along an axis become one in the network's smallest layer; 1 for a table."""

    @property
    @abstractmethod
    def deepest(self) -> int:
        """The fewest channels that are normalised in the smallest layer; 0 without normalisation."""

    @abstractmethod
    def keywords(self, shape: Shape) -> dict[str, object]:
        """Give the arguments of MONAI's class for a shape that the network serves."""

    @abstractmethod
    def weights(self, shape: Shape, count: Count) -> int:
        """Count all that travels: parameters, and the moments of batch normalisation."""

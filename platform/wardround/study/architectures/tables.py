"""Networks for tables."""

from __future__ import annotations

import itertools
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from wardround.study.architectures.base import Architecture, Count, Dropout
from wardround.study.shape import Shape

Width = Annotated[int, Field(ge=1, le=65_536)]


class FullyConnectedNet(Architecture):
    """MONAI's ``FullyConnectedNet``: linear layers with dropout and activation between them.

    Attributes:
        hidden_channels: widths of the hidden layers; empty means logistic regression.
        dropout: share of a hidden layer's outputs that training sets to zero.
        act: activation between the layers.
        bias: whether the linear layers have a bias.
    """

    MONAI: ClassVar[str] = "FullyConnectedNet"
    DIMENSIONS: ClassVar[tuple[int, ...]] = (0,)
    NORMALISES: ClassVar[bool] = False

    hidden_channels: Annotated[tuple[Width, ...], Field(max_length=32)] = ()
    dropout: Dropout = 0.0
    act: Literal["relu", "prelu", "leakyrelu", "gelu", "tanh", "sigmoid", "elu"] = "relu"
    bias: bool = True

    @property
    def step(self) -> int:
        """Nothing is made smaller."""
        return 1

    @property
    def deepest(self) -> int:
        """Nothing is normalised."""
        return 0

    def keywords(self, shape: Shape) -> dict[str, object]:
        """Give the arguments of MONAI's class."""
        return {
            "in_channels": shape.inputs,
            "out_channels": shape.outputs,
            "hidden_channels": list(self.hidden_channels),
            "dropout": self.dropout or None,
            "act": self.act.upper(),
            "bias": self.bias,
        }

    def weights(self, shape: Shape, count: Count) -> int:  # noqa: ARG002  (nothing here has dimensions or is normalised)
        """Count the linear layers, and the one weight of each ``prelu``."""
        widths = [shape.inputs, *self.hidden_channels, shape.outputs]
        linear = sum((before + self.bias) * after for before, after in itertools.pairwise(widths))
        return linear + (len(self.hidden_channels) if self.act == "prelu" else 0)

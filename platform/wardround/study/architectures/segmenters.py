"""Networks that give one vector for each voxel: UNet, SegResNet, DynUNet; in two and three dimensions."""

from __future__ import annotations

import itertools
from math import prod
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from wardround.study.architectures.base import Architecture, Count, Dropout
from wardround.study.shape import Shape

LevelWidth = Annotated[int, Field(ge=2, le=4096)]


def _one_step_less(levels: int, others: int, name: str, of: str) -> None:
    if others != levels - 1:
        msg = f"{name} has one entry less than {of}: {levels} levels have {levels - 1} steps between them, not {others}"
        raise ValueError(msg)


class UNet(Architecture):
    """MONAI's ``UNet`` with residual units (Kerfoot et al. 2018, doi 10.1007/978-3-030-12029-0_40).

    Attributes:
        channels: channels of each level, the top one first.
        strides: steps from each level to the next, the same along every axis.
        num_res_units: convolutions of a level's residual unit; 0: one plain convolution.
        kernel_size: size of the convolutions.
        act: activation.
        dropout: share of a layer's outputs that training sets to zero.
    """

    MONAI: ClassVar[str] = "UNet"
    DENSE: ClassVar[bool] = True

    channels: Annotated[tuple[LevelWidth, ...], Field(min_length=2, max_length=8)] = (16, 32, 64, 128, 256)
    strides: tuple[Annotated[int, Field(ge=1, le=4)], ...] = (2, 2, 2, 2)
    num_res_units: Annotated[int, Field(ge=0, le=8)] = 2
    kernel_size: Literal[3, 5, 7] = 3
    act: Literal["prelu", "relu", "leakyrelu", "gelu", "elu"] = "prelu"
    dropout: Dropout = 0.0

    @model_validator(mode="after")
    def _fits(self) -> UNet:
        _one_step_less(len(self.channels), len(self.strides), "strides", "channels")
        return self

    @property
    def step(self) -> int:
        """All steps together."""
        return prod(self.strides)

    @property
    def deepest(self) -> int:
        """The channels of the last level."""
        return self.channels[-1]

    def keywords(self, shape: Shape) -> dict[str, object]:
        """Give the arguments of MONAI's class."""
        return {
            "spatial_dims": shape.dimensions,
            "in_channels": shape.inputs,
            "out_channels": shape.outputs,
            "channels": self.channels,
            "strides": self.strides,
            "kernel_size": self.kernel_size,
            "up_kernel_size": self.kernel_size,
            "num_res_units": self.num_res_units,
            "act": self.act.upper(),
            "norm": "batch",
            "dropout": self.dropout,
        }

    def weights(self, shape: Shape, count: Count) -> int:
        """Count level by level: down, what is below, up."""
        total, inputs = 0, shape.inputs
        for level, (channels, below) in enumerate(itertools.pairwise(self.channels)):
            total += self._down(inputs, channels, self.strides[level], count)
            joined = channels + (below if level == len(self.strides) - 1 else channels)
            total += self._up(joined, inputs if level else shape.outputs, count, top=level == 0)
            inputs = channels
        return total + self._down(inputs, self.channels[-1], 1, count)

    def _down(self, inputs: int, outputs: int, stride: int, count: Count) -> int:
        total = self._layer(inputs, outputs, count)
        if not self.num_res_units:
            return total
        total += (self.num_res_units - 1) * self._layer(outputs, outputs, count)
        if stride == 1 and inputs == outputs:
            return total
        return total + count.convolution(inputs, outputs, self.kernel_size if stride > 1 else 1, bias=True)

    def _up(self, inputs: int, outputs: int, count: Count, *, top: bool) -> int:
        """Count the way up; the network's last convolution has neither normalisation nor activation."""
        last = count.convolution(outputs if self.num_res_units else inputs, outputs, self.kernel_size, bias=True)
        if not self.num_res_units:
            return last if top else self._layer(inputs, outputs, count)
        return self._layer(inputs, outputs, count) + (last if top else self._layer(outputs, outputs, count))

    def _layer(self, inputs: int, outputs: int, count: Count) -> int:
        convolution = count.convolution(inputs, outputs, self.kernel_size, bias=True)
        return convolution + count.norm(outputs) + (1 if self.act == "prelu" else 0)


class SegResNet(Architecture):
    """MONAI's ``SegResNet`` (Myronenko 2018, arXiv 1810.11654), without its autoencoder.

    Attributes:
        init_filters: channels of the first level; each further one has twice as many.
        blocks_down: residual blocks of each level on the way down.
        blocks_up: and on the way up, where the last level has none.
        dropout: share of the first convolution's channels that training sets to zero.
        upsample: ``deconv`` learns how to enlarge; ``nontrainable`` interpolates, and is not the same to the bit on a GPU.
    """

    MONAI: ClassVar[str] = "SegResNet"
    DENSE: ClassVar[bool] = True

    init_filters: Annotated[int, Field(ge=4, le=256)] = 8
    blocks_down: Annotated[tuple[Annotated[int, Field(ge=1, le=16)], ...], Field(min_length=2, max_length=7)] = (1, 2, 2, 4)
    blocks_up: tuple[Annotated[int, Field(ge=1, le=16)], ...] = (1, 1, 1)
    dropout: Dropout = 0.0
    upsample: Literal["deconv", "nontrainable"] = "deconv"

    @model_validator(mode="after")
    def _fits(self) -> SegResNet:
        _one_step_less(len(self.blocks_down), len(self.blocks_up), "blocks_up", "blocks_down")
        return self

    @property
    def step(self) -> int:
        """Every level but the first halves."""
        return 1 << len(self.blocks_up)

    @property
    def deepest(self) -> int:
        """The channels of the last level."""
        return self.init_filters * self.step

    def keywords(self, shape: Shape) -> dict[str, object]:
        """Give the arguments of MONAI's class."""
        return {
            "spatial_dims": shape.dimensions,
            "in_channels": shape.inputs,
            "out_channels": shape.outputs,
            "init_filters": self.init_filters,
            "blocks_down": self.blocks_down,
            "blocks_up": self.blocks_up,
            "dropout_prob": self.dropout or None,
            "upsample_mode": self.upsample,
            "norm": "batch",
        }

    def weights(self, shape: Shape, count: Count) -> int:
        """Count the way down, the way up and the last layer."""
        filters = [self.init_filters << level for level in range(len(self.blocks_down))]
        total = count.convolution(shape.inputs, filters[0], 3)
        for level, blocks in enumerate(self.blocks_down):
            total += count.convolution(filters[level - 1], filters[level], 3) if level else 0
            total += blocks * self._block(filters[level], count)
        for (below, above), blocks in zip(itertools.pairwise(reversed(filters)), self.blocks_up, strict=True):
            total += count.convolution(below, above, 1) + blocks * self._block(above, count)
            total += count.convolution(above, above, 2, bias=True) if self.upsample == "deconv" else 0
        return total + count.norm(filters[0]) + count.convolution(filters[0], shape.outputs, 1, bias=True)

    @staticmethod
    def _block(channels: int, count: Count) -> int:
        return 2 * (count.norm(channels) + count.convolution(channels, channels, 3))


class DynUNet(Architecture):
    """MONAI's ``DynUNet``, the network of nnU-Net (Isensee et al. 2021, arXiv 1904.08128), without deep supervision.

    Attributes:
        filters: channels of each level, the top one first.
        strides: steps from each level to the next, the same along every axis.
        kernel_size: size of the convolutions.
        residual: whether the levels on the way down have a residual connection.
    """

    MONAI: ClassVar[str] = "DynUNet"
    DENSE: ClassVar[bool] = True

    filters: Annotated[tuple[LevelWidth, ...], Field(min_length=3, max_length=8)] = (32, 64, 128, 256)
    strides: tuple[Annotated[int, Field(ge=1, le=2)], ...] = (2, 2, 2)
    kernel_size: Literal[3, 5, 7] = 3
    residual: bool = False

    @model_validator(mode="after")
    def _fits(self) -> DynUNet:
        _one_step_less(len(self.filters), len(self.strides), "strides", "filters")
        return self

    @property
    def step(self) -> int:
        """All steps together."""
        return prod(self.strides)

    @property
    def deepest(self) -> int:
        """The channels of the last level."""
        return self.filters[-1]

    def keywords(self, shape: Shape) -> dict[str, object]:
        """Give the arguments of MONAI's class, whose first stride is that of the input: what comes out is as large as that."""
        return {
            "spatial_dims": shape.dimensions,
            "in_channels": shape.inputs,
            "out_channels": shape.outputs,
            "kernel_size": [self.kernel_size] * len(self.filters),
            "strides": [1, *self.strides],
            "upsample_kernel_size": list(self.strides),
            "filters": list(self.filters),
            "norm_name": "batch",
            "res_block": self.residual,
        }

    def weights(self, shape: Shape, count: Count) -> int:
        """Count the way down, the way up and the last layer."""
        total, inputs = 0, shape.inputs
        for filters, stride in zip(self.filters, (1, *self.strides), strict=True):
            total += self._block(inputs, filters, count)
            if self.residual and (inputs != filters or stride > 1):
                total += count.convolution(inputs, filters, 1) + count.norm(filters)
            inputs = filters
        for (above, below), stride in zip(itertools.pairwise(self.filters), self.strides, strict=True):
            total += count.convolution(below, above, stride) + self._block(2 * above, above, count)
        return total + count.convolution(self.filters[0], shape.outputs, 1, bias=True)

    def _block(self, inputs: int, outputs: int, count: Count) -> int:
        first, second = (count.convolution(channels, outputs, self.kernel_size) for channels in (inputs, outputs))
        return first + second + 2 * count.norm(outputs)

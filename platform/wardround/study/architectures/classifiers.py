"""Networks that give one vector for an image: DenseNet, ResNet, EfficientNet; in two and three dimensions."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from wardround.study.architectures.base import Architecture, Count, Dropout
from wardround.study.shape import Shape

STAGES = 4
"""Stages of a ResNet; each but the first halves the image."""


class DenseNet121(Architecture):
    """MONAI's ``DenseNet`` with blocks of 6, 12, 24 and 16 layers (Huang et al. 2017, arXiv 1608.06993).

    Attributes:
        init_features: channels of the first convolution.
        growth_rate: channels that each layer adds.
        dropout: share of a layer's channels that training sets to zero.
    """

    MONAI: ClassVar[str] = "DenseNet"
    BLOCKS: ClassVar[tuple[int, ...]] = (6, 12, 24, 16)
    BOTTLENECK: ClassVar[int] = 4
    """Channels between the two convolutions of a layer, in growth rates."""

    init_features: Annotated[int, Field(ge=8, le=512)] = 64
    growth_rate: Annotated[int, Field(ge=4, le=256)] = 32
    dropout: Dropout = 0.0

    @property
    def step(self) -> int:
        """The first convolution, the pool after it, and three transitions: each halves."""
        return 32

    @property
    def deepest(self) -> int:
        """The channels between the convolutions of a layer."""
        return self.BOTTLENECK * self.growth_rate

    def keywords(self, shape: Shape) -> dict[str, object]:
        """Give the arguments of MONAI's class."""
        return {
            "spatial_dims": shape.dimensions,
            "in_channels": shape.inputs,
            "out_channels": shape.outputs,
            "init_features": self.init_features,
            "growth_rate": self.growth_rate,
            "block_config": self.BLOCKS,
            "bn_size": self.BOTTLENECK,
            "norm": "batch",
            "dropout_prob": self.dropout,
        }

    def weights(self, shape: Shape, count: Count) -> int:
        """Count block by block; a transition between two halves the channels."""
        channels, between = self.init_features, self.BOTTLENECK * self.growth_rate
        total = count.convolution(shape.inputs, channels, 7) + count.norm(channels)
        for block, layers in enumerate(self.BLOCKS):
            if block:
                total += count.norm(channels) + count.convolution(channels, channels // 2, 1)
                channels //= 2
            for _ in range(layers):
                total += count.norm(channels) + count.convolution(channels, between, 1)
                total += count.norm(between) + count.convolution(between, self.growth_rate, 3)
                channels += self.growth_rate
        return total + count.norm(channels) + (channels + 1) * shape.outputs


class _ResNet(Architecture):
    """MONAI's ``ResNet`` with convolutions on the shortcuts (He et al. 2016, arXiv 1512.03385).

    Attributes:
        first_kernel: size of the first convolution.
        first_stride: its step. 1, and no max pool, keep more of small images.
        max_pool: whether a pool after the first convolution halves the image.
        width: factor on the channels of every layer.
    """

    MONAI: ClassVar[str] = "ResNet"
    BLOCK: ClassVar[str]
    LAYERS: ClassVar[tuple[int, ...]]
    PLANES: ClassVar[tuple[int, ...]] = (64, 128, 256, 512)

    first_kernel: Literal[3, 5, 7] = 7
    first_stride: Annotated[int, Field(ge=1, le=4)] = 2
    max_pool: bool = True
    width: Annotated[float, Field(ge=0.125, le=4)] = 1.0

    @property
    def step(self) -> int:
        """First convolution, pool, and the stages after the first."""
        return self.first_stride * (2 if self.max_pool else 1) << (STAGES - 1)

    @property
    def deepest(self) -> int:
        """The channels of the last stage."""
        return self._planes[-1]

    @property
    def _planes(self) -> tuple[int, ...]:
        return tuple(int(planes * self.width) for planes in self.PLANES)  # as MONAI does

    def keywords(self, shape: Shape) -> dict[str, object]:
        """Give the arguments of MONAI's class; a bias before a normalisation would say nothing, so that there is none."""
        return {
            "spatial_dims": shape.dimensions,
            "n_input_channels": shape.inputs,
            "num_classes": shape.outputs,
            "block": self.BLOCK,
            "layers": list(self.LAYERS),
            "block_inplanes": list(self.PLANES),
            "conv1_t_size": self.first_kernel,
            "conv1_t_stride": self.first_stride,
            "no_max_pool": not self.max_pool,
            "shortcut_type": "B",
            "bias_downsample": False,
            "widen_factor": self.width,
            "norm": "batch",
        }

    def weights(self, shape: Shape, count: Count) -> int:
        """Count block by block; the first of a stage has a convolution on its shortcut where the sizes change."""
        channels = self._planes[0]
        total = count.convolution(shape.inputs, channels, self.first_kernel) + count.norm(channels)
        for stage, (planes, layers) in enumerate(zip(self._planes, self.LAYERS, strict=True)):
            outputs = planes * (4 if self.BLOCK == "bottleneck" else 1)
            if stage or channels != outputs:
                total += count.convolution(channels, outputs, 1) + count.norm(outputs)
            for _ in range(layers):
                total += self._block(channels, planes, outputs, count)
                channels = outputs
        return total + (channels + 1) * shape.outputs

    def _block(self, channels: int, planes: int, outputs: int, count: Count) -> int:
        if self.BLOCK == "basic":
            return count.convolution(channels, planes, 3) + count.convolution(planes, planes, 3) + 2 * count.norm(planes)
        middle = count.convolution(channels, planes, 1) + count.convolution(planes, planes, 3) + 2 * count.norm(planes)
        return middle + count.convolution(planes, outputs, 1) + count.norm(outputs)


class ResNet18(_ResNet):
    """ResNet with 18 layers, two convolutions a block."""

    BLOCK: ClassVar[str] = "basic"
    LAYERS: ClassVar[tuple[int, ...]] = (2, 2, 2, 2)


class ResNet50(_ResNet):
    """ResNet with 50 layers, three convolutions a block."""

    BLOCK: ClassVar[str] = "bottleneck"
    LAYERS: ClassVar[tuple[int, ...]] = (3, 4, 6, 3)


class EfficientNetB0(Architecture):
    """MONAI's ``EfficientNet`` of size B0 (Tan and Le 2019, arXiv 1905.11946).

    Attributes:
        dropout: share of the features before the last layer that training sets to zero.
        drop_connect: share of the examples for which training skips the last block; earlier ones are skipped less often.
    """

    MONAI: ClassVar[str] = "EfficientNet"
    BLOCKS: ClassVar[tuple[tuple[int, int, int, int, int, int], ...]] = (
        (1, 3, 1, 1, 32, 16),
        (2, 3, 2, 6, 16, 24),
        (2, 5, 2, 6, 24, 40),
        (3, 3, 2, 6, 40, 80),
        (3, 5, 1, 6, 80, 112),
        (4, 5, 2, 6, 112, 192),
        (1, 3, 1, 6, 192, 320),
    )
    """Of each stage: repeats, kernel, step, expansion, channels in, channels out."""
    STEM: ClassVar[int] = 32
    HEAD: ClassVar[int] = 1280
    SQUEEZE: ClassVar[float] = 0.25
    IMAGE: ClassVar[int] = 224
    """The size that paddings are laid out for; a window of any size gets the same."""

    dropout: Dropout = 0.2
    drop_connect: Dropout = 0.2

    @property
    def step(self) -> int:
        """The stem and four of the stages: each halves."""
        return 32

    @property
    def deepest(self) -> int:
        """The channels of the last stage but one."""
        return self.BLOCKS[-1][4]

    def keywords(self, shape: Shape) -> dict[str, object]:
        """Give the arguments of MONAI's class."""
        return {
            "blocks_args_str": [
                f"r{repeats}_k{kernel}_s{step}{step}_e{expansion}_i{inputs}_o{outputs}_se{self.SQUEEZE}"
                for repeats, kernel, step, expansion, inputs, outputs in self.BLOCKS
            ],
            "spatial_dims": shape.dimensions,
            "in_channels": shape.inputs,
            "num_classes": shape.outputs,
            "dropout_rate": self.dropout,
            "drop_connect_rate": self.drop_connect,
            "image_size": self.IMAGE,
        }

    def weights(self, shape: Shape, count: Count) -> int:
        """Count stage by stage."""
        total = count.convolution(shape.inputs, self.STEM, 3) + count.norm(self.STEM)
        for repeats, kernel, _, expansion, inputs, outputs in self.BLOCKS:
            total += self._block(inputs, outputs, kernel, expansion, count)
            total += (repeats - 1) * self._block(outputs, outputs, kernel, expansion, count)
        total += count.convolution(outputs, self.HEAD, 1) + count.norm(self.HEAD)
        return total + (self.HEAD + 1) * shape.outputs

    def _block(self, inputs: int, outputs: int, kernel: int, expansion: int, count: Count) -> int:
        """Count one block: expand, each channel alone, squeeze and excite, project."""
        wide, squeezed = inputs * expansion, int(inputs * self.SQUEEZE)
        total = count.convolution(inputs, wide, 1) + count.norm(wide) if expansion > 1 else 0
        total += count.convolution(1, wide, kernel) + count.norm(wide)
        total += count.convolution(wide, squeezed, 1, bias=True) + count.convolution(squeezed, wide, 1, bias=True)
        return total + count.convolution(wide, outputs, 1) + count.norm(outputs)

"""The allow-list of random transforms that training changes examples by, as data: see ``transforms``.

Each draw follows from the study's seed, the site, the round, the epoch and the example, and from nothing else.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from wardround.study.transforms import Intensity, Transform, by_channel, comma, rising, several
from wardround.values import Fraction

Axis: TypeAlias = Literal[0, 1, 2]
Probability = Annotated[float, Field(gt=0, le=1)]
"""How often a random transform changes an example."""
Angle = Annotated[float, Field(ge=0, le=180)]
"""The largest angle of a rotation, either way, in degrees."""
Border: TypeAlias = Literal["border", "zeros", "reflection"]
"""What stands where the image has nothing: its nearest pixel, zero, or its mirror image."""
_BORDERS = {"border": "edges repeated", "zeros": "edges zero", "reflection": "edges mirrored"}


class RandomTransform(Transform):
    """A transform that changes an example with a probability, and by a drawn amount."""

    probability: Probability

    def describe(self) -> str:
        """Say in one line what it does."""
        return f"{self.change()}, with probability {self.probability:g}"

    def change(self) -> str:
        """Say what it does where it changes an example."""
        raise NotImplementedError


class RandFlip(RandomTransform):
    """Mirror an axis."""

    spatial = True
    name: Literal["RandFlip"] = "RandFlip"
    spatial_axis: Axis

    def change(self) -> str:
        """Say what it does."""
        return f"mirror axis {self.spatial_axis}"


class RandRotate90(RandomTransform):
    """Rotate by one to ``max_k`` quarter turns in the plane of two axes."""

    spatial = True
    name: Literal["RandRotate90"] = "RandRotate90"
    max_k: Annotated[int, Field(ge=1, le=3)] = 3
    spatial_axes: tuple[Axis, Axis] = (0, 1)

    @model_validator(mode="after")
    def _plane(self) -> RandRotate90:
        if self.spatial_axes[0] == self.spatial_axes[1]:
            msg = "spatial_axes are two different axes"
            raise ValueError(msg)
        return self

    def change(self) -> str:
        """Say what it does."""
        first, second = self.spatial_axes
        return f"rotate by up to {self.max_k} quarter turns in the plane of axes {first} and {second}"


class RandRotate(RandomTransform):
    """Rotate about the middle by a drawn angle; the size stays.

    Attributes:
        degrees: the largest angle, one in the plane of an image, three of a volume, one about each axis.
    """

    spatial = True
    name: Literal["RandRotate"] = "RandRotate"
    degrees: Annotated[tuple[Angle, ...], several(1, 3)]
    padding_mode: Border = "border"

    def change(self) -> str:
        """Say what it does."""
        return f"rotate by up to {comma(self.degrees)} degrees ({_BORDERS[self.padding_mode]})"


class RandZoom(RandomTransform):
    """Enlarge or shrink by a drawn factor, the same for all axes; the size stays: edges are cut off or repeated."""

    spatial = True
    name: Literal["RandZoom"] = "RandZoom"
    min_zoom: Annotated[float, Field(ge=0.25, le=4)] = 0.9
    max_zoom: Annotated[float, Field(ge=0.25, le=4)] = 1.1

    @model_validator(mode="after")
    def _in_order(self) -> RandZoom:
        rising(self.min_zoom, self.max_zoom, "min_zoom and max_zoom")
        return self

    def change(self) -> str:
        """Say what it does."""
        return f"zoom by {self.min_zoom:g} to {self.max_zoom:g}"


class RandAffine(RandomTransform):
    """Rotate, shear, shift and scale at once, each by a drawn amount; the size stays.

    Attributes:
        shear: largest factors, two of an image, six of a volume, in MONAI's order.
        translate: largest shifts along each axis, in pixels.
        scale: largest changes of scale along each axis, as shares: 0.1 is 0.9 to 1.1.
    """

    spatial = True
    name: Literal["RandAffine"] = "RandAffine"
    degrees: Annotated[tuple[Angle, ...], several(0, 3)] = ()
    shear: Annotated[tuple[Annotated[float, Field(ge=0, le=1)], ...], several(0, 6)] = ()
    translate: Annotated[tuple[Annotated[float, Field(ge=0, le=1000)], ...], several(0, 3)] = ()
    scale: Annotated[tuple[Annotated[float, Field(ge=0, le=0.75)], ...], several(0, 3)] = ()
    padding_mode: Border = "border"

    @model_validator(mode="after")
    def _does_something(self) -> RandAffine:
        if not any((self.degrees, self.shear, self.translate, self.scale)):
            msg = "at least one of degrees, shear, translate and scale is given"
            raise ValueError(msg)
        return self

    def change(self) -> str:
        """Say what it does."""
        parts = (
            ("rotate by up to {} degrees", self.degrees),
            ("shear by up to {}", self.shear),
            ("shift by up to {} pixels", self.translate),
            ("scale by up to {} either way", self.scale),
        )
        said = ", ".join(words.format(comma(numbers)) for words, numbers in parts if numbers)
        return f"{said} ({_BORDERS[self.padding_mode]})"


class RandSpatialCrop(Transform):
    """Take a part of the window's size at a random place."""

    spatial = True
    name: Literal["RandSpatialCrop"] = "RandSpatialCrop"

    def describe(self) -> str:
        """Say in one line what it does."""
        return "take a part of the window's size at a random place"


class RandCropByPosNegLabel(Transform):
    """Take a part of the window's size around a random pixel: one of the mask's classes, or one of the background.

    Attributes:
        pos, neg: how often the one, how often the other: 1 and 1 is half and half. An image without a mark is cut anywhere.
    """

    spatial = True
    name: Literal["RandCropByPosNegLabel"] = "RandCropByPosNegLabel"
    pos: Annotated[float, Field(ge=0, le=1000)] = 1.0
    neg: Annotated[float, Field(ge=0, le=1000)] = 1.0

    @model_validator(mode="after")
    def _some(self) -> RandCropByPosNegLabel:
        if self.pos + self.neg == 0:
            msg = "one of pos and neg is above 0"
            raise ValueError(msg)
        return self

    def describe(self) -> str:
        """Say in one line what it does."""
        share = self.pos / (self.pos + self.neg)
        return f"take a part of the window's size around a random pixel, which {share:.0%} of times is one of the mask's classes"


class RandGaussianNoise(RandomTransform):
    """Add Gaussian noise.

    Attributes:
        std: the largest standard deviation; it is drawn from 0 to this.
    """

    name: Literal["RandGaussianNoise"] = "RandGaussianNoise"
    mean: Intensity = 0.0
    std: Annotated[float, Field(gt=0, le=1e6)] = 0.1

    def change(self) -> str:
        """Say what it does."""
        about = f" about {self.mean:g}" if self.mean else ""
        return f"add Gaussian noise{about} of a deviation of up to {self.std:g}"


class RandGaussianSmooth(RandomTransform):
    """Blur with a Gaussian, of a width that is drawn for each axis.

    Attributes:
        sigma: lowest and highest standard deviation, in pixels.
    """

    name: Literal["RandGaussianSmooth"] = "RandGaussianSmooth"
    sigma: tuple[Annotated[float, Field(gt=0, le=20)], Annotated[float, Field(gt=0, le=20)]] = (0.25, 1.5)

    @model_validator(mode="after")
    def _in_order(self) -> RandGaussianSmooth:
        rising(*self.sigma, "sigma")
        return self

    def change(self) -> str:
        """Say what it does."""
        return f"blur by {self.sigma[0]:g} to {self.sigma[1]:g} pixels"


class RandScaleIntensity(RandomTransform):
    """Multiply intensities by 1 plus a number drawn between −``factors`` and ``factors``."""

    name: Literal["RandScaleIntensity"] = "RandScaleIntensity"
    factors: Annotated[float, Field(gt=0, le=1)]
    channel_wise: bool = False

    def change(self) -> str:
        """Say what it does."""
        return f"multiply intensities by {1 - self.factors:g} to {1 + self.factors:g}{by_channel(self.channel_wise)}"


class RandShiftIntensity(RandomTransform):
    """Add a number drawn between −``offsets`` and ``offsets`` to all intensities."""

    name: Literal["RandShiftIntensity"] = "RandShiftIntensity"
    offsets: Annotated[float, Field(gt=0, le=1e6)]
    channel_wise: bool = False

    def change(self) -> str:
        """Say what it does."""
        return f"add {-self.offsets:g} to {self.offsets:g} to intensities{by_channel(self.channel_wise)}"


class RandAdjustContrast(RandomTransform):
    """Raise intensities, as shares of the image's own range, to a drawn power.

    Attributes:
        gamma: lowest and highest power; below 1 brightens.
    """

    name: Literal["RandAdjustContrast"] = "RandAdjustContrast"
    gamma: tuple[Annotated[float, Field(gt=0, le=10)], Annotated[float, Field(gt=0, le=10)]] = (0.7, 1.5)

    @model_validator(mode="after")
    def _in_order(self) -> RandAdjustContrast:
        rising(*self.gamma, "gamma")
        return self

    def change(self) -> str:
        """Say what it does."""
        return f"change contrast by a gamma of {self.gamma[0]:g} to {self.gamma[1]:g}"


class RandBiasField(RandomTransform):
    """Multiply by a smooth field, as an MR coil's uneven sensitivity does.

    Attributes:
        degree: of the polynomial.
        coeff_range: lowest and highest coefficient of its terms; the field is e to the power of the polynomial.
    """

    name: Literal["RandBiasField"] = "RandBiasField"
    degree: Annotated[int, Field(ge=1, le=5)] = 3
    coeff_range: tuple[Fraction, Fraction] = (0.0, 0.1)

    @model_validator(mode="after")
    def _in_order(self) -> RandBiasField:
        rising(*self.coeff_range, "coeff_range")
        return self

    def change(self) -> str:
        """Say what it does."""
        low, high = self.coeff_range
        return f"multiply by a smooth field of degree {self.degree}, coefficients {low:g} to {high:g}"


class RandSimulateLowResolution(RandomTransform):
    """Shrink by a drawn factor and enlarge again, so that the image looks as if it were of a coarser scanner.

    Attributes:
        zoom_range: lowest and highest factor; 0.5 is half as many pixels along each axis.
    """

    name: Literal["RandSimulateLowResolution"] = "RandSimulateLowResolution"
    zoom_range: tuple[Annotated[float, Field(ge=0.1, le=1)], Annotated[float, Field(ge=0.1, le=1)]] = (0.5, 1.0)

    @model_validator(mode="after")
    def _in_order(self) -> RandSimulateLowResolution:
        rising(*self.zoom_range, "zoom_range")
        return self

    def change(self) -> str:
        """Say what it does."""
        return f"coarsen to {self.zoom_range[0]:g} to {self.zoom_range[1]:g} of the resolution"


Augmentation = Annotated[
    RandFlip
    | RandRotate90
    | RandRotate
    | RandZoom
    | RandAffine
    | RandSpatialCrop
    | RandCropByPosNegLabel
    | RandGaussianNoise
    | RandGaussianSmooth
    | RandScaleIntensity
    | RandShiftIntensity
    | RandAdjustContrast
    | RandBiasField
    | RandSimulateLowResolution,
    Field(discriminator="name"),
]
"""Transforms that change training examples at random, anew in each epoch."""

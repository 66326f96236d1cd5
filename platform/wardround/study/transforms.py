"""The allow-list of transforms that prepare images, and their typed arguments, as data: nothing of MONAI is imported here.

The random ones of training are in ``random_transforms``.
They bear MONAI's names, without the ``d`` of its dictionary versions, and MONAI's names of arguments where these mean the
same. Axes are those of a volume's array: 0 the columns, 1 the rows, 2 the slices, or what ``Orientation`` makes of them.
Masks follow every transform that moves pixels, by their nearest pixel, and no other. ``silo_node.imaging`` builds them.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from wardround.values import Value

MOST_PIXELS = 2**27
"""Pixels or voxels of a size that a study names, at most: 512 × 512 × 512, 512 MB of one channel."""
_SIDES = ("LR", "PA", "IS")


def several(least: int, most: int) -> AfterValidator:
    """Ask for so many entries; looked at when each is in order, so that one that is not gives no second message."""

    def validate(entries: tuple[float, ...]) -> tuple[float, ...]:
        if not least <= len(entries) <= most:
            msg = f"{least} to {most} numbers"
            raise ValueError(msg)
        return entries

    return AfterValidator(validate)


def _affordable(size: tuple[int, ...]) -> tuple[int, ...]:
    if math.prod(size) > MOST_PIXELS:
        msg = f"a size has at most {MOST_PIXELS} pixels or voxels"
        raise ValueError(msg)
    return size


def _one_of_each(axcodes: str) -> str:
    if sorted(next((sides for sides in _SIDES if letter in sides), letter) for letter in axcodes) != sorted(_SIDES):
        msg = "three letters name where the axes lead to: one of L and R, one of P and A, one of I and S, as in RAS"
        raise ValueError(msg)
    return axcodes


def rising(low: float, high: float, names: str) -> None:
    """Refuse two ends of a range that are the wrong way round; ``ValueError``."""
    if low >= high:
        msg = f"{names}: the first is below the second"
        raise ValueError(msg)


Size = Annotated[tuple[Annotated[int, Field(ge=1, le=4096)], ...], several(2, 3), AfterValidator(_affordable)]
"""Pixels or voxels along each axis."""
Intensity = Annotated[float, Field(ge=-1e6, le=1e6)]


def times(numbers: tuple[float, ...]) -> str:
    """Write a size: ``96 × 96 × 32``."""
    return " × ".join(f"{number:g}" for number in numbers)


def comma(numbers: tuple[float, ...]) -> str:
    """Write numbers in a row."""
    return ", ".join(f"{number:g}" for number in numbers)


def by_channel(each: bool) -> str:  # noqa: FBT001  (the setting as it stands)
    """Say that each channel is changed by itself, where it is."""
    return ", each channel by itself" if each else ""


class Transform(Value):
    """One transform.

    Attributes:
        spatial: whether it moves pixels, so that masks follow.
    """

    spatial: ClassVar[bool] = False

    def describe(self) -> str:
        """Say in one line what it does, for who reviews a study."""
        raise NotImplementedError


class Orientation(Transform):
    """Turn and flip a volume's axes, without any interpolation, until they lead where ``axcodes`` says.

    Attributes:
        axcodes: where the first, second and third axis lead to: left or right, posterior or anterior, inferior or superior.
    """

    spatial = True
    name: Literal["Orientation"] = "Orientation"
    axcodes: Annotated[str, StringConstraints(pattern=r"^[LRPAIS]{3}$"), AfterValidator(_one_of_each)] = "RAS"

    def describe(self) -> str:
        """Say in one line what it does."""
        return f"turn the axes to {self.axcodes}"


class Spacing(Transform):
    """Resample to a distance of pixels, so that all scanners' images show a lesion at one size.

    Attributes:
        pixdim: millimetres from pixel to pixel along each axis, after ``Orientation``.
        mode: between the pixels, linear (``bilinear``), or the nearest one.
    """

    spatial = True
    name: Literal["Spacing"] = "Spacing"
    pixdim: Annotated[tuple[Annotated[float, Field(ge=0.05, le=50)], ...], several(2, 3)]
    mode: Literal["bilinear", "nearest"] = "bilinear"

    def describe(self) -> str:
        """Say in one line what it does."""
        return f"resample to {times(self.pixdim)} mm ({self.mode})"


class ScaleIntensityRange(Transform):
    """Scale so that ``a_min`` becomes ``b_min`` and ``a_max`` becomes ``b_max``: a window, in Hounsfield units for CT.

    Attributes:
        clip: whether what lies outside is set to the nearer end.
    """

    name: Literal["ScaleIntensityRange"] = "ScaleIntensityRange"
    a_min: Intensity
    a_max: Intensity
    b_min: Intensity = 0.0
    b_max: Intensity = 1.0
    clip: bool = True

    @model_validator(mode="after")
    def _in_order(self) -> ScaleIntensityRange:
        rising(self.a_min, self.a_max, "a_min and a_max")
        rising(self.b_min, self.b_max, "b_min and b_max")
        return self

    def describe(self) -> str:
        """Say in one line what it does."""
        clipped = ", what lies outside clipped" if self.clip else ""
        return f"scale intensities {self.a_min:g} to {self.a_max:g} to {self.b_min:g} to {self.b_max:g}{clipped}"


class ScaleIntensityRangePercentiles(Transform):
    """As ``ScaleIntensityRange``, from two percentiles of each image's own intensities.

    Attributes:
        lower, upper: percentiles, 0 to 100.
        channel_wise: whether each channel is scaled by its own percentiles.
    """

    name: Literal["ScaleIntensityRangePercentiles"] = "ScaleIntensityRangePercentiles"
    lower: Annotated[float, Field(ge=0, le=100)]
    upper: Annotated[float, Field(ge=0, le=100)]
    b_min: Intensity = 0.0
    b_max: Intensity = 1.0
    clip: bool = True
    channel_wise: bool = False

    @model_validator(mode="after")
    def _in_order(self) -> ScaleIntensityRangePercentiles:
        rising(self.lower, self.upper, "lower and upper")
        rising(self.b_min, self.b_max, "b_min and b_max")
        return self

    def describe(self) -> str:
        """Say in one line what it does."""
        clipped = ", what lies outside clipped" if self.clip else ""
        between = f"scale each image's percentiles {self.lower:g} to {self.upper:g}"
        return f"{between} to {self.b_min:g} to {self.b_max:g}{clipped}{by_channel(self.channel_wise)}"


class NormalizeIntensity(Transform):
    """Take a mean away and divide by a standard deviation.

    Attributes:
        mean, deviation: the same for all images, one for all channels or one for each; without them each image's own.
        nonzero: whether pixels that are zero stay so, and count for neither (a background that somebody blanked).
        channel_wise: whether each channel has its own mean and deviation, where they are the image's own.
    """

    name: Literal["NormalizeIntensity"] = "NormalizeIntensity"
    mean: Annotated[tuple[Intensity, ...], several(1, 3)] | None = None
    deviation: Annotated[tuple[Annotated[float, Field(ge=1e-6, le=1e6)], ...], several(1, 3)] | None = None
    nonzero: bool = False
    channel_wise: bool = False

    @model_validator(mode="after")
    def _both(self) -> NormalizeIntensity:
        if (self.mean is None) != (self.deviation is None) or len(self.mean or ()) != len(self.deviation or ()):
            msg = "mean and deviation are given both, and as many of each, or neither"
            raise ValueError(msg)
        return self

    def describe(self) -> str:
        """Say in one line what it does."""
        own = f"normalise by each image's own mean and deviation{by_channel(self.channel_wise)}"
        fixed = f"normalise by mean {comma(self.mean or ())} and deviation {comma(self.deviation or ())}"
        return (own if self.mean is None else fixed) + (", pixels that are zero left out" if self.nonzero else "")


class ScaleIntensity(Transform):
    """Scale each image so that its lowest intensity becomes ``minv``, its highest ``maxv``."""

    name: Literal["ScaleIntensity"] = "ScaleIntensity"
    minv: Intensity = 0.0
    maxv: Intensity = 1.0
    channel_wise: bool = False

    @model_validator(mode="after")
    def _in_order(self) -> ScaleIntensity:
        rising(self.minv, self.maxv, "minv and maxv")
        return self

    def describe(self) -> str:
        """Say in one line what it does."""
        return f"scale each image's lowest to highest to {self.minv:g} to {self.maxv:g}{by_channel(self.channel_wise)}"


class Resize(Transform):
    """Stretch or shrink to a size, whatever becomes of the proportions.

    Attributes:
        mode: ``area`` averages what falls into a new pixel (for shrinking), ``bilinear`` interpolates, or the nearest pixel.
    """

    spatial = True
    name: Literal["Resize"] = "Resize"
    spatial_size: Size
    mode: Literal["area", "bilinear", "nearest"] = "area"

    def describe(self) -> str:
        """Say in one line what it does."""
        return f"resize to {times(self.spatial_size)} ({self.mode})"


class ResizeWithPadOrCrop(Transform):
    """Cut off or fill up evenly at both ends of each axis, to a size; nothing is stretched.

    Attributes:
        value: what is filled up with, in intensities as they are at this place of the preparation; masks with background.
    """

    spatial = True
    name: Literal["ResizeWithPadOrCrop"] = "ResizeWithPadOrCrop"
    spatial_size: Size
    value: Intensity = 0.0

    def describe(self) -> str:
        """Say in one line what it does."""
        return f"cut or fill evenly to {times(self.spatial_size)}, filled with {self.value:g}"


class CenterSpatialCrop(Transform):
    """Keep the middle of an image; an axis that is shorter stays whole."""

    spatial = True
    name: Literal["CenterSpatialCrop"] = "CenterSpatialCrop"
    roi_size: Size

    def describe(self) -> str:
        """Say in one line what it does."""
        return f"keep the middle {times(self.roi_size)}"


class SpatialPad(Transform):
    """Fill up evenly at both ends of each axis to at least a size; an axis that is longer stays.

    Attributes:
        value: as of ``ResizeWithPadOrCrop``.
    """

    spatial = True
    name: Literal["SpatialPad"] = "SpatialPad"
    spatial_size: Size
    value: Intensity = 0.0

    def describe(self) -> str:
        """Say in one line what it does."""
        return f"fill up with {self.value:g} to at least {times(self.spatial_size)}"


class CropForeground(Transform):
    """Keep the smallest box around all pixels above a threshold in any channel; an image without such pixels stays whole.

    Attributes:
        threshold: in intensities as they are at this place of the preparation.
        margin: pixels that are kept around the box.
    """

    spatial = True
    name: Literal["CropForeground"] = "CropForeground"
    threshold: Intensity = 0.0
    margin: Annotated[int, Field(ge=0, le=1000)] = 0

    def describe(self) -> str:
        """Say in one line what it does."""
        return f"keep the box around intensities above {self.threshold:g}, and {self.margin} pixels around it"


Preparation = Annotated[
    Orientation
    | Spacing
    | ScaleIntensityRange
    | ScaleIntensityRangePercentiles
    | NormalizeIntensity
    | ScaleIntensity
    | Resize
    | ResizeWithPadOrCrop
    | CenterSpatialCrop
    | SpatialPad
    | CropForeground,
    Field(discriminator="name"),
]
"""Transforms that give the same of an image each time, at all hospitals; what they give is kept in memory."""

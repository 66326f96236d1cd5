"""What a study asks of images: how they are prepared, how training changes them at random, and what the network sees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from wardround.errors import Problem
from wardround.study.random_transforms import Augmentation, RandAffine, RandRotate, RandRotate90
from wardround.study.transforms import (
    CenterSpatialCrop,
    CropForeground,
    NormalizeIntensity,
    Orientation,
    Preparation,
    Resize,
    ResizeWithPadOrCrop,
    Size,
    SpatialPad,
    Transform,
    times,
)
from wardround.study.transforms import Spacing as SpacingTransform
from wardround.values import Value

CROPS = ("RandSpatialCrop", "RandCropByPosNegLabel")
"""Random transforms that take a part of the window's size."""
_SIZED = (Resize, ResizeWithPadOrCrop, CenterSpatialCrop, SpatialPad)
_PLANE, _VOLUME = 2, 3
_SHEARS = {_PLANE: 2, _VOLUME: 6}
"""Factors that shear an image, and a volume."""

Place = Callable[..., str]
"""Gives where a part of ``images`` stands: ``place("preparation", 2)``."""


class Images(Value):
    """Images as a network's input, the same at all hospitals.

    Attributes:
        channels: 1 (grey) or 3 (red, green, blue).
        preparation: transforms that are done once, in this order; what they give is kept in memory while it fits.
        augmentation: random transforms of training examples, in this order, after the preparation.
        window: pixels or voxels along each axis that the network sees at once; a segmentation slides it over the image.
        overlap: the share of a window that its neighbour covers too, along each axis, where it slides.
    """

    channels: Literal[1, 3] = 1
    preparation: Annotated[tuple[Preparation, ...], Field(max_length=32)]
    augmentation: Annotated[tuple[Augmentation, ...], Field(max_length=32)] = ()
    window: Size
    overlap: Annotated[float, Field(ge=0, le=0.9)] = 0.25

    def describe(self) -> tuple[str, ...]:
        """Say in lines what is done with images, in order, for who reviews a study."""
        colours = "grey" if self.channels == 1 else "colour"
        seen = f"the network sees {times(self.window)}, {colours}"
        random = tuple(f"in training, {each.describe()}" for each in self.augmentation)
        return (*(each.describe() for each in self.preparation), *random, seen)


def problems_of(images: Images, dimensions: int, dense: bool, place: Place, *, spaced: bool = True) -> list[Problem]:  # noqa: FBT001  (a study's property)
    """Say everything about a study's images that cannot be done, or makes no sense.

    Args:
        images: of the study.
        dimensions: of the contract's examples, 2 or 3.
        dense: whether the target is a mask.
        place: gives where a part of ``images`` stands.
        spaced: whether the contract's images have a spacing in millimetres; photographs have none.
    """
    found = _Found(place)
    if len(images.window) != dimensions:
        found.add(
            f"The window has {dimensions} lengths", f"this one has {len(images.window)}", "give one for each axis", "window"
        )
    for index, each in enumerate(images.preparation):
        found.add_all(_lengths(each, dimensions), "preparation", index)
        found.add_all(_preparation(each, images, index, dimensions, spaced=spaced), "preparation", index)
    for index, random in enumerate(images.augmentation):
        found.add_all(_lengths(random, dimensions), "augmentation", index)
        found.add_all(_augmentation(random, images, index, dense=dense), "augmentation", index)
    if dimensions == _VOLUME and not any(isinstance(each, Orientation) for each in images.preparation):
        rule = "Volumes are turned to one orientation, since scanners write them in many"
        found.add(rule, "the preparation has no Orientation", "begin it with {name: Orientation, axcodes: RAS}", "preparation")
    if not found.problems:  # else sizes cannot be followed
        found.add_all(_sizes(images, dense=dense), "window")
    return found.problems


Trouble = tuple[str, str, str]
"""Rule, finding and next step."""


@dataclass
class _Found:
    """The problems so far."""

    place: Place
    problems: list[Problem] = field(default_factory=list)

    def add(self, rule: str, finding: str, next_step: str, *location: str | int) -> None:
        self.problems.append(Problem("P-TRANSFORM", self.place(*location), rule, finding, next_step))

    def add_all(self, troubles: list[Trouble], *location: str | int) -> None:
        for trouble in troubles:
            self.add(*trouble, *location)


def _lengths(each: Preparation | Augmentation, dimensions: int) -> list[Trouble]:
    """Say which arguments are for images of other dimensions."""
    found: list[Trouble] = []
    name, words = each.name, f"{dimensions} dimensions"
    if dimensions == _PLANE and isinstance(each, Orientation):
        found.append(("Only volumes have an orientation", "the images have 2 dimensions", "leave Orientation out"))
    for key, wanted in _wanted_lengths(each, dimensions):
        given = len(getattr(each, key))
        if given not in (wanted, 0):
            found.append((f"For {words}, {key} of {name} has a length of {wanted}", f"its length is {given}", f"give {wanted}"))
    for key in ("spatial_axis", "spatial_axes"):
        axes = getattr(each, key, ())
        if any(axis >= dimensions for axis in (axes if isinstance(axes, tuple) else (axes,))):
            highest = dimensions - 1
            found.append(
                (f"Axes of images of {words} are 0 to {highest}", f"{key} of {name} is {axes}", f"choose 0 to {highest}")
            )
    return found


def _wanted_lengths(each: Preparation | Augmentation, dimensions: int) -> list[tuple[str, int]]:
    if isinstance(each, SpacingTransform):
        return [("pixdim", dimensions)]
    if isinstance(each, Resize | ResizeWithPadOrCrop | SpatialPad):
        return [("spatial_size", dimensions)]
    if isinstance(each, CenterSpatialCrop):
        return [("roi_size", dimensions)]
    angles = 1 if dimensions == _PLANE else 3
    if isinstance(each, RandRotate):
        return [("degrees", angles)]
    if isinstance(each, RandAffine):
        return [("degrees", angles), ("shear", _SHEARS[dimensions]), ("translate", dimensions), ("scale", dimensions)]
    return []


def _preparation(each: Preparation, images: Images, index: int, dimensions: int, *, spaced: bool) -> list[Trouble]:
    """Say what is wrong with a transform at its place in the preparation."""
    found: list[Trouble] = []
    before = images.preparation[:index]
    if any(other.name == each.name for other in before):
        found.append(("A transform stands once in a preparation", f"{each.name} stands twice", "leave one of the two out"))
    moved = [other.name for other in before if other.spatial]
    if isinstance(each, Orientation) and dimensions == _VOLUME and moved:
        rule = "Orientation stands before all that moves pixels: which axis is which is not known earlier"
        found.append((rule, f"it stands behind {moved[0]}", "put it first"))
    if isinstance(each, SpacingTransform):
        sized = [other.name for other in before if isinstance(other, _SIZED)]
        if sized:
            rule = "Spacing stands before sizes in pixels: before it, a pixel is another length at each scanner"
            found.append((rule, f"it stands behind {sized[0]}", f"put {sized[0]} behind it"))
        if not spaced:
            finding = "the schema's images have no spacing in millimetres"
            found.append(("Spacing is for images that say how large a pixel is", finding, "use Resize instead"))
    if isinstance(each, NormalizeIntensity) and len(each.mean or (0,)) not in (1, images.channels):
        count = len(each.mean or ())
        finding = f"there are {count}, and channels: {images.channels}"
        found.append(("One mean and deviation for all channels, or one for each", finding, f"give 1 or {images.channels}"))
    return found


def _augmentation(each: Augmentation, images: Images, index: int, *, dense: bool) -> list[Trouble]:
    """Say what is wrong with a random transform in this study."""
    found: list[Trouble] = []
    if each.name in CROPS:
        if not dense:
            rule = "A random part of an image is for studies that predict a mask: what a class shows may lie outside of it"
            found.append((rule, f"{each.name}, and the target is no mask", "use RandZoom or RandAffine instead"))
        if any(other.name in CROPS for other in images.augmentation[:index]):
            found.append(("A part is taken once", "two transforms take a part", f"leave {each.name} or the other out"))
    if isinstance(each, RandRotate90):
        first, second = each.spatial_axes
        if max(first, second) < len(images.window) and images.window[first] != images.window[second]:
            finding = f"the window has {images.window[first]} along axis {first}, {images.window[second]} along axis {second}"
            rule = "A quarter turn keeps the window's size, so the axes of its plane are as long"
            found.append((rule, finding, "choose other axes, or RandFlip"))
    return found


def _sizes(images: Images, *, dense: bool) -> list[Trouble]:
    """Say whether what is prepared has the window's size, or, where a part of that size is taken, at least that."""
    least, most = size_after(images)
    window = images.window
    if dense and any(each.name in CROPS for each in images.augmentation):
        if all(low >= length for low, length in zip(least, window, strict=True)):
            return []
        rule = "A part of the window's size can be taken of every image"
        finding = f"images may be smaller than {times(window)} when they are prepared"
        return [(rule, finding, f"add {{name: SpatialPad, spatial_size: [{_list(window)}]}} to the preparation")]
    if tuple(least) == tuple(most) == tuple(window):
        return []
    if not dense:
        rule = "What the network classifies has the window's size after the preparation"
        return [(rule, _size_words(least, most), f"end with Resize or ResizeWithPadOrCrop to [{_list(window)}]")]
    rule = "What training sees of an image has the window's size"
    return [(rule, _size_words(least, most), "add RandCropByPosNegLabel or RandSpatialCrop to the augmentation")]


def _list(size: tuple[int, ...]) -> str:
    return ", ".join(str(length) for length in size)


def _size_words(least: list[int], most: list[int | None]) -> str:
    if any(high is None for high in most) or list(least) != most:
        return "prepared images may be of other sizes"
    return f"prepared images are {times(tuple(least))}"


def size_after(images: Images) -> tuple[list[int], list[int | None]]:
    """Give how long each axis of a prepared image is at least, and at most (None: of any length).

    Assumes that ``problems_of`` found nothing wrong with lengths and order.
    """
    least: list[int] = [1] * len(images.window)
    most: list[int | None] = [None] * len(images.window)
    for each in images.preparation:
        least, most = _after(each, least, most)
    return least, most


def _after(each: Transform, least: list[int], most: list[int | None]) -> tuple[list[int], list[int | None]]:
    if isinstance(each, Resize | ResizeWithPadOrCrop):
        return list(each.spatial_size), list(each.spatial_size)
    if isinstance(each, SpatialPad):
        longer = [None if high is None else max(high, size) for high, size in zip(most, each.spatial_size, strict=True)]
        return [max(low, size) for low, size in zip(least, each.spatial_size, strict=True)], longer
    if isinstance(each, CenterSpatialCrop):
        cropped: list[int | None] = [
            size if high is None else min(high, size) for high, size in zip(most, each.roi_size, strict=True)
        ]
        return [min(low, size) for low, size in zip(least, each.roi_size, strict=True)], cropped
    if isinstance(each, CropForeground):
        return [1] * len(least), most
    return least, most

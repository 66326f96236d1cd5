"""MONAI's transforms for the values of a study (``wardround.study.transforms``), as functions of an example.

Where there is a mask it follows every transform that moves pixels, by its nearest pixel and with the same draw, and no other
transform touches it. Nothing here draws from a global generator: each random transform of each example has one of its own,
made from the training's seed, the epoch, the example and the transform's place. So what is drawn does not depend on the order in
which examples are made, on how many are made at once, or on what is kept in memory; and as transforms are made anew for each
example, threads share none of their state.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from silo_node.imaging.movements import MOVEMENTS, Seen
from silo_node.imaging.preparable import is_too_large
from silo_node.training.examples import Draw
from wardround.models.from_monai import MetaTensor
from wardround.models.from_monai import transforms as monai
from wardround.study import random_transforms as drawn
from wardround.study import transforms as fixed
from wardround.study.images import Images

IMAGE, MASK = "image", "mask"
_LUMA = (0.299, 0.587, 0.114)
"""Grey from red, green and blue (ITU-R BT.601)."""
_PLANE, _COLOURS = 2, 3
_SIDES = (("L", "R"), ("P", "A"), ("I", "S"))
_LINEAR = {2: "bilinear", 3: "trilinear"}
_MASKS = "nearest"
_MASKS_STRETCHED = "nearest-exact"
"""The pixel whose middle is nearest; torch's ``nearest`` is half a pixel aside."""

Sample: TypeAlias = dict[str, Any]
"""``image`` and, where there is one, ``mask``: tensors ``(channels, *spatial)``, with MONAI's affine."""
Step: TypeAlias = Any
"""A function of a sample that gives another; a random one has MONAI's ``set_random_state`` too."""


class UnpreparableError(Exception):
    """An image that cannot be prepared as the study asks; ``finding`` says why, and nothing of what it shows."""

    def __init__(self, finding: str) -> None:
        """Take why."""
        self.finding = finding
        super().__init__(finding)


@dataclass(frozen=True)
class Prepared:
    """An example after the preparation.

    Attributes:
        image: float32 ``(channels, *spatial)``.
        mask: of whole numbers ``(*spatial)``, each a class, 0 the background; None where there is none.
        spacing: millimetres between pixels along each axis; 1 where the image does not say.
        affine: from its pixels to where the image's own affine leads: ``(4, 4)`` of a volume, ``(3, 3)`` of a plane image, of
            which only the spacing counts.
    """

    image: torch.Tensor
    mask: torch.Tensor | None
    spacing: tuple[float, ...]
    affine: NDArray[np.float64]


@dataclass(frozen=True)
class _Asked:
    """What a transform has to know besides its own arguments."""

    keys: tuple[str, ...]
    dimensions: int
    window: tuple[int, ...]

    def modes(self, of_image: str, of_mask: str = _MASKS) -> tuple[str, ...]:
        """Give the interpolation for each key."""
        return (of_image, of_mask)[: len(self.keys)]


def prepare(
    images: Images, dimensions: int, array: NDArray[Any], affine: NDArray[np.float64], mask: NDArray[Any] | None
) -> Prepared:
    """Prepare one example.

    Args:
        images: what the study asks.
        dimensions: of its images, 2 or 3.
        array: ``(columns, rows[, slices])``, in colours with a last axis of 3.
        affine: ``(4, 4)``, from those axes to RAS+ millimetres; the identity where an image does not say.
        mask: of whole numbers, ``(columns, rows[, slices])``.

    Raises:
        UnpreparableError: its axes or colours are not those of the study, or what comes out is too large or not finite.
    """
    channels = channel_first(array, dimensions, images.channels)
    where = torch.from_numpy(affine_of(affine, dimensions))
    sample: Sample = {IMAGE: MetaTensor(torch.from_numpy(channels), affine=where)}
    if mask is not None:
        if mask.shape != channels.shape[1:]:
            raise UnpreparableError("its mask has another size")
        sample[MASK] = MetaTensor(torch.from_numpy(np.ascontiguousarray(mask[None], dtype=np.float32)), affine=where.clone())
    asked = _Asked(tuple(sample), dimensions, images.window)
    for each in images.preparation:
        sample = build(each, asked)(sample)
    image = _plain(sample[IMAGE])
    if not bool(torch.isfinite(image).all()):
        raise UnpreparableError("it has intensities that are not finite")
    spacing = tuple(float(length) for length in np.linalg.norm(_matrix(sample), axis=0))
    return Prepared(image, None if mask is None else _classes(sample[MASK]), spacing, _whole_matrix(sample))


def augment(images: Images, prepared: Prepared, index: int, draw: Draw) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Change a prepared example at random: gives an image and its mask, and leaves the prepared ones as they are.

    Args:
        images: what the study asks.
        prepared: the example.
        index: its number.
        draw: the training's seed and epoch.
    """
    sample: Sample = {IMAGE: prepared.image}
    if prepared.mask is not None:
        sample[MASK] = prepared.mask[None]
    asked = _Asked(tuple(sample), prepared.image.ndim - 1, images.window)
    for place, each in enumerate(images.augmentation):
        random = generator(draw.seed, draw.epoch, index, place)
        if type(each) in MOVEMENTS:
            sample = _moved_by(each, random, sample, asked)
        else:
            step = build(each, asked)
            step.set_random_state(state=random)
            sample = step(_copied(sample))
    return _plain(sample[IMAGE]), None if prepared.mask is None else _classes(sample[MASK])


def _moved_by(each: fixed.Transform, random: np.random.RandomState, sample: Sample, asked: _Asked) -> Sample:
    tensors = {key: _bare(tensor) for key, tensor in sample.items()}
    mask = tensors[MASK][0] if MASK in tensors else None
    move = MOVEMENTS[type(each)](each, random, Seen(tuple(tensors[IMAGE].shape[1:]), mask, asked.window))
    return {key: move(tensor) for key, tensor in tensors.items()}


def _copied(sample: Sample) -> Sample:
    """Give a sample as MONAI has it, for it may change what it is given; as it is where MONAI made it."""
    return {
        key: tensor if isinstance(tensor, MetaTensor) else MetaTensor(tensor.to(torch.float32, copy=True))
        for key, tensor in sample.items()
    }


def _bare(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.as_tensor() if isinstance(tensor, MetaTensor) else tensor


def generator(seed: int, epoch: int, index: int, place: int) -> np.random.RandomState:
    """Make the generator of one transform of one example: numpy keeps its stream the same in all versions (NEP 19)."""
    return np.random.RandomState(np.random.MT19937(np.random.SeedSequence((seed, epoch, index, place))))


def channel_first(array: NDArray[Any], dimensions: int, channels: int) -> NDArray[np.float32]:
    """Give an image anew as ``(channels, *spatial)``: grey repeated where colours are asked, colours weighted where grey is.

    Raises:
        UnpreparableError: the array has other axes.
    """
    numbers = np.asarray(array, dtype=np.float32)
    if numbers.ndim == dimensions:
        return np.array(np.broadcast_to(numbers, (channels, *numbers.shape)), order="C")
    if numbers.ndim != _PLANE + 1 or dimensions != _PLANE or numbers.shape[-1] != _COLOURS:
        raise UnpreparableError("it has other axes than the study's images")
    colours = np.moveaxis(numbers, -1, 0)
    if channels == _COLOURS:
        return np.array(colours, order="C")
    return np.tensordot(np.array(_LUMA, dtype=np.float64), colours, axes=1).astype(np.float32)[None]


def affine_of(affine: NDArray[np.float64], dimensions: int) -> NDArray[np.float64]:
    """Give the affine of an array; of a plane image only its spacing, since it may lie in any plane of the body."""
    if dimensions != _PLANE:
        return np.array(affine, dtype=np.float64)
    along = np.linalg.norm(affine[:3, :_PLANE], axis=0)
    return np.diag([*along, 1.0, 1.0])


def _matrix(sample: Sample) -> NDArray[np.float64]:
    """Give the columns that lead from pixel to pixel along each spatial axis."""
    image = sample[IMAGE]
    axes = image.ndim - 1
    return np.asarray(image.affine.numpy()[:axes, :axes], dtype=np.float64)


def _whole_matrix(sample: Sample) -> NDArray[np.float64]:
    """Give the affine of a prepared image, without the axis that a plane image does not have."""
    image = sample[IMAGE]
    kept = [*range(image.ndim - 1), -1]
    return np.asarray(image.affine.numpy()[kept][:, kept], dtype=np.float64)


def _plain(image: torch.Tensor) -> torch.Tensor:
    """Give a tensor that is no MetaTensor and holds no more memory than it shows."""
    return _bare(image).float().clone(memory_format=torch.contiguous_format)


def _classes(mask: torch.Tensor) -> torch.Tensor:
    """Give a mask as whole numbers, of one byte each where that holds them."""
    numbers = _bare(mask)[0].round()
    small = numbers.numel() == 0 or bool(numbers.max() <= torch.iinfo(torch.uint8).max)
    return numbers.to(torch.uint8 if small else torch.int32).clone(memory_format=torch.contiguous_format)


# ------------------------------------------------------------------------------------------- what MONAI does not have so


class _Spaced:
    """``Spacing``, of what does not become too large by it."""

    def __init__(self, each: fixed.Spacing, asked: _Asked) -> None:
        self._pixdim = each.pixdim
        self._resample = monai.Spacingd(asked.keys, each.pixdim, mode=asked.modes(each.mode), padding_mode="border")

    def __call__(self, sample: Sample) -> Sample:
        millimetres = np.linalg.norm(_matrix(sample), axis=0) * sample[IMAGE].shape[1:]
        if is_too_large(millimetres, self._pixdim):
            raise UnpreparableError("it would be too large at the study's spacing")
        return dict(self._resample(sample))


class _Filled:
    """A transform that fills up: the image with a value of the study, the mask with background."""

    def __init__(self, make: Callable[..., Any], size: tuple[int, ...], value: float, asked: _Asked) -> None:
        values = dict(zip((IMAGE, MASK), (value, 0.0), strict=True))
        self._steps = [make(key, size, mode="constant", value=values[key]) for key in asked.keys]

    def __call__(self, sample: Sample) -> Sample:
        for step in self._steps:
            sample = step(sample)
        return sample


class _Foreground:
    """``CropForeground``; an image without a foreground stays whole, where MONAI leaves nothing of it."""

    def __init__(self, each: fixed.CropForeground, asked: _Asked) -> None:
        self._threshold = each.threshold
        self._crop = monai.CropForegroundd(
            asked.keys,
            IMAGE,
            select_fn=self._above,
            margin=each.margin,
            allow_smaller=True,
            start_coord_key=None,
            end_coord_key=None,
        )

    def _above(self, numbers: torch.Tensor) -> torch.Tensor:
        return numbers > self._threshold

    def __call__(self, sample: Sample) -> Sample:
        return dict(self._crop(sample)) if bool(self._above(sample[IMAGE]).any()) else sample


class _Percentiles:
    """``ScaleIntensityRangePercentiles``, also of an image whose percentiles are one number: all of it becomes ``b_min``."""

    def __init__(self, each: fixed.ScaleIntensityRangePercentiles) -> None:
        self._each = each

    def __call__(self, sample: Sample) -> Sample:
        image = sample[IMAGE]
        parts = list(image) if self._each.channel_wise else [image]
        scaled = [self._scaled(part.as_tensor()) for part in parts]
        image.copy_(torch.stack(scaled) if self._each.channel_wise else scaled[0])
        return sample

    def _scaled(self, part: torch.Tensor) -> torch.Tensor:
        each = self._each
        low, high = (float(found) for found in np.percentile(part.numpy().astype(np.float64), (each.lower, each.upper)))
        if low == high:
            return torch.full_like(part, each.b_min)
        return torch.as_tensor(monai.ScaleIntensityRange(low, high, each.b_min, each.b_max, each.clip)(part)).float()


class _Normalised:
    """``NormalizeIntensity``; an image's own mean and deviation are computed in float64, in one order on every machine.

    (torch adds in as many pieces as there are threads: the last bits, and so the digest of the examples, would follow from them.)
    """

    def __init__(self, each: fixed.NormalizeIntensity) -> None:
        self._each = each

    def __call__(self, sample: Sample) -> Sample:
        image = sample[IMAGE]
        mean, deviation = self._moments(image.as_tensor().numpy())
        each = monai.NormalizeIntensity(mean, deviation, nonzero=self._each.nonzero, channel_wise=True)
        image.copy_(torch.as_tensor(each(image.as_tensor())))
        return sample

    def _moments(self, image: NDArray[np.float32]) -> tuple[list[float], list[float]]:
        """Give mean and deviation of each channel."""
        count = len(image)
        if self._each.mean is not None and self._each.deviation is not None:
            repeat = 1 if len(self._each.mean) == count else count
            return list(self._each.mean) * repeat, list(self._each.deviation) * repeat
        if not self._each.channel_wise:
            mean, deviation = self._own(image)
            return [mean] * count, [deviation] * count
        found = [self._own(channel) for channel in image]
        return [mean for mean, _ in found], [deviation for _, deviation in found]

    def _own(self, numbers: NDArray[np.float32]) -> tuple[float, float]:
        counted = numbers[numbers != 0] if self._each.nonzero else numbers.ravel()
        if counted.size == 0:
            return 0.0, 1.0
        return float(counted.mean(dtype=np.float64)), float(counted.std(dtype=np.float64)) or 1.0


# ------------------------------------------------------------------------------------------------------------- the table


def _radians(degrees: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(math.radians(angle) for angle in degrees)


def _rotated(each: drawn.RandRotate, asked: _Asked) -> Step:
    ranges = dict(zip(("range_x", "range_y", "range_z"), _radians(each.degrees), strict=False))
    modes = asked.modes("bilinear")
    return monai.RandRotated(asked.keys, **ranges, prob=each.probability, mode=modes, padding_mode=each.padding_mode)


def _zoomed(each: drawn.RandZoom, asked: _Asked) -> Step:
    modes = asked.modes(_LINEAR[asked.dimensions], _MASKS_STRETCHED)
    return monai.RandZoomd(asked.keys, each.probability, each.min_zoom, each.max_zoom, mode=modes, padding_mode="edge")


def _moved(each: drawn.RandAffine, asked: _Asked) -> Step:
    return monai.RandAffined(
        asked.keys,
        prob=each.probability,
        rotate_range=_radians(each.degrees) or None,
        shear_range=each.shear or None,
        translate_range=each.translate or None,
        scale_range=each.scale or None,
        mode=asked.modes("bilinear"),
        padding_mode=each.padding_mode,
    )


def _resized(each: fixed.Resize, asked: _Asked) -> Step:
    of_image = {"area": "area", "bilinear": _LINEAR[asked.dimensions], "nearest": _MASKS_STRETCHED}[each.mode]
    return monai.Resized(asked.keys, each.spatial_size, mode=asked.modes(of_image, _MASKS_STRETCHED))


def _coarsened(each: drawn.RandSimulateLowResolution, asked: _Asked) -> Step:
    up = _LINEAR[asked.dimensions]
    return monai.RandSimulateLowResolutiond(IMAGE, each.probability, upsample_mode=up, zoom_range=each.zoom_range)


_BUILDERS: dict[type[fixed.Transform], Callable[[Any, _Asked], Step]] = {
    fixed.Orientation: lambda each, asked: monai.Orientationd(asked.keys, axcodes=each.axcodes, labels=_SIDES),
    fixed.Spacing: _Spaced,
    fixed.ScaleIntensityRange: lambda each, _: monai.ScaleIntensityRanged(
        IMAGE, each.a_min, each.a_max, each.b_min, each.b_max, each.clip
    ),
    fixed.ScaleIntensityRangePercentiles: lambda each, _: _Percentiles(each),
    fixed.NormalizeIntensity: lambda each, _: _Normalised(each),
    fixed.ScaleIntensity: lambda each, _: monai.ScaleIntensityd(IMAGE, each.minv, each.maxv, channel_wise=each.channel_wise),
    fixed.Resize: _resized,
    fixed.ResizeWithPadOrCrop: lambda each, asked: _Filled(monai.ResizeWithPadOrCropd, each.spatial_size, each.value, asked),
    fixed.CenterSpatialCrop: lambda each, asked: monai.CenterSpatialCropd(asked.keys, each.roi_size),
    fixed.SpatialPad: lambda each, asked: _Filled(monai.SpatialPadd, each.spatial_size, each.value, asked),
    fixed.CropForeground: _Foreground,
    drawn.RandRotate: _rotated,
    drawn.RandZoom: _zoomed,
    drawn.RandAffine: _moved,
    drawn.RandGaussianNoise: lambda each, _: monai.RandGaussianNoised(IMAGE, each.probability, each.mean, each.std),
    drawn.RandGaussianSmooth: lambda each, _: monai.RandGaussianSmoothd(IMAGE, *[each.sigma] * 3, prob=each.probability),
    drawn.RandScaleIntensity: lambda each, _: monai.RandScaleIntensityd(
        IMAGE, each.factors, each.probability, channel_wise=each.channel_wise
    ),
    drawn.RandShiftIntensity: lambda each, _: monai.RandShiftIntensityd(
        IMAGE, each.offsets, prob=each.probability, channel_wise=each.channel_wise
    ),
    drawn.RandAdjustContrast: lambda each, _: monai.RandAdjustContrastd(IMAGE, each.probability, each.gamma),
    drawn.RandBiasField: lambda each, _: monai.RandBiasFieldd(IMAGE, each.degree, each.coeff_range, prob=each.probability),
    drawn.RandSimulateLowResolution: _coarsened,
}
"""What makes each transform of the allow-list that is not a movement; a test holds both tables against the list."""


def build(each: fixed.Transform, asked: _Asked) -> Step:
    """Make a transform of its value."""
    return _BUILDERS[type(each)](each, asked)

"""What the study does with an image where MONAI has no transform, or does otherwise in a case that MONAI leaves open.

Each is a function of a sample, the dictionary that MONAI's transforms pass on: ``image`` is a ``MetaTensor``
``(channels, *spatial)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import monai.transforms as monai
import numpy as np
import torch
from monai.data import MetaTensor
from numpy.typing import NDArray

Sample = dict[str, Any]
LUMA = (0.299, 0.587, 0.114)
"""Grey from red, green and blue (ITU-R BT.601)."""
_PLANE, _COLOURS = 2, 3


class Arrange:
    """Give an image as it was read the axes and channels that the study has, and note where its own pixels lie.

    Grey is repeated where the study has colours; colours are weighted where it has grey. Of a plane image only the spacing of
    its pixels counts, for it may lie in any plane of the body.

    Attributes:
        dimensions: 2, or 3 where examples are volumes.
        channels: 1 (grey) or 3 (red, green, blue).
    """

    def __init__(self, dimensions: int, channels: int) -> None:
        self.dimensions, self.channels = dimensions, channels

    def __call__(self, sample: Sample) -> Sample:
        """Arrange the axes."""
        image = sample["image"]
        numbers = np.asarray(image.as_tensor().numpy(), dtype=np.float32)
        while numbers.ndim > self.dimensions and numbers.shape[-1] == 1:
            numbers = numbers[..., 0]
        own = np.asarray(image.affine.numpy(), dtype=np.float64)
        arranged = torch.from_numpy(self._channel_first(numbers))
        placed = MetaTensor(arranged, affine=torch.from_numpy(grid_of(own, self.dimensions)))
        return {**sample, "image": placed, "own_affine": own, "own_size": np.array(arranged.shape[1:])}

    def _channel_first(self, numbers: NDArray[np.float32]) -> NDArray[np.float32]:
        if not np.isfinite(numbers).all():
            msg = "the image has intensities that are not finite"
            raise ValueError(msg)
        if numbers.ndim == self.dimensions:
            return np.array(np.broadcast_to(numbers, (self.channels, *numbers.shape)), order="C")
        if numbers.ndim != _PLANE + 1 or self.dimensions != _PLANE or numbers.shape[-1] != _COLOURS:
            msg = "the image has other axes than the images of the study"
            raise ValueError(msg)
        colours = np.moveaxis(numbers, -1, 0)
        if self.channels == _COLOURS:
            return np.array(colours, order="C")
        return np.tensordot(np.array(LUMA, dtype=np.float64), colours, axes=1).astype(np.float32)[None]


def grid_of(affine: NDArray[np.float64], dimensions: int) -> NDArray[np.float64]:
    """Give the affine ``(4, 4)`` that the preparation starts from: of a plane image only its spacing."""
    if dimensions != _PLANE:
        return np.array(affine)
    along = np.linalg.norm(affine[:3, :_PLANE], axis=0)
    return np.diag([*along, 1.0, 1.0])


class CropForeground:
    """Keep the box around all pixels above a threshold in any channel; an image without such pixels stays whole.

    Attributes:
        threshold: in intensities as they are at this place.
        margin: pixels that are kept around the box.
    """

    def __init__(self, threshold: float, margin: int) -> None:
        self.threshold = threshold
        self._crop = monai.CropForegroundd(
            "image", "image", select_fn=self._above, margin=margin, allow_smaller=True, start_coord_key=None, end_coord_key=None
        )

    def _above(self, numbers: torch.Tensor) -> torch.Tensor:
        return numbers > self.threshold

    def __call__(self, sample: Sample) -> Sample:
        """Crop."""
        return dict(self._crop(sample)) if bool(self._above(sample["image"]).any()) else sample


class ScaleIntensityRangePercentiles:
    """Scale from two percentiles of an image; one whose percentiles are one number becomes ``b_min``."""

    def __init__(self, lower: float, upper: float, b_min: float, b_max: float, *, clip: bool, channel_wise: bool) -> None:
        self.percentiles, self.to = (lower, upper), (b_min, b_max)
        self.clip, self.channel_wise = clip, channel_wise

    def __call__(self, sample: Sample) -> Sample:
        """Scale."""
        image = sample["image"]
        parts = list(image) if self.channel_wise else [image]
        scaled = [self._scaled(part.as_tensor()) for part in parts]
        image.copy_(torch.stack(scaled) if self.channel_wise else scaled[0])
        return sample

    def _scaled(self, part: torch.Tensor) -> torch.Tensor:
        low, high = (float(found) for found in np.percentile(part.numpy().astype(np.float64), self.percentiles))
        if low == high:
            return torch.full_like(part, self.to[0])
        return torch.as_tensor(monai.ScaleIntensityRange(low, high, *self.to, self.clip)(part)).float()


class NormalizeByOwn:
    """Take an image's own mean away and divide by its own standard deviation, computed in float64 in one order.

    Attributes:
        nonzero: whether pixels that are zero stay so, and count for neither.
        channel_wise: whether each channel has its own.
    """

    def __init__(self, *, nonzero: bool, channel_wise: bool) -> None:
        self.nonzero, self.channel_wise = nonzero, channel_wise

    def __call__(self, sample: Sample) -> Sample:
        """Normalise."""
        image = sample["image"]
        numbers = image.as_tensor().numpy()
        found = [self._own(each) for each in (numbers if self.channel_wise else [numbers])]
        moments = found if self.channel_wise else found * len(numbers)
        means, deviations = [mean for mean, _ in moments], [deviation for _, deviation in moments]
        each = monai.NormalizeIntensity(means, deviations, nonzero=self.nonzero, channel_wise=True)
        image.copy_(torch.as_tensor(each(image.as_tensor())))
        return sample

    def _own(self, numbers: NDArray[np.float32]) -> tuple[float, float]:
        counted = numbers[numbers != 0] if self.nonzero else numbers.ravel()
        if counted.size == 0:
            return 0.0, 1.0
        return float(counted.mean(dtype=np.float64)), float(counted.std(dtype=np.float64)) or 1.0


class Check:
    """Refuse a prepared image that the network cannot see: numbers that are not finite, another size than ``size`` if given."""

    def __init__(self, size: Sequence[int] | None = None) -> None:
        self.size = None if size is None else tuple(size)

    def __call__(self, sample: Sample) -> Sample:
        """Look at what came out."""
        image = sample["image"]
        if not bool(torch.isfinite(image.as_tensor()).all()) or self.size not in (None, tuple(image.shape[1:])):
            msg = "the prepared image has numbers that are not finite, or another size than the network's window"
            raise ValueError(msg)
        return sample

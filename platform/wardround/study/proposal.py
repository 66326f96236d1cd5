"""What a new study of images begins with: what its schema says, and for the rest what is customary and cheap to try."""

from __future__ import annotations

import json
from math import sqrt
from typing import Final, NamedTuple

from wardround.contract.imaging import Geometry, ImagingContract, Range
from wardround.study.losses import losses_for
from wardround.study.model import Target

_COLOURS: Final = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")
_PHOTOGRAPHS: Final = ("png", "jpeg")
_PLANE, _VOLUME = 2, 3
_WINDOWS: Final = {(2, False): (128, 128), (2, True): (256, 256), (3, False): (64, 64, 32), (3, True): (96, 96, 64)}
"""By dimensions, and whether a mask is predicted: small enough for a first try without a GPU."""
_UNKNOWN_MM: Final = 1.0
_SOFT_TISSUE: Final = (-160.0, 240.0)
"""In HU."""


class Line(NamedTuple):
    """One transform, and why."""

    text: str
    why: str = ""

    def yaml(self) -> str:
        """Give its line in a list of the file."""
        line = f"    - {self.text}"
        return f"{line:<64} # {self.why}" if self.why else line


def fill(template: str, contract: ImagingContract, target: Target) -> str:
    """Fill the template of a study of images.

    Args:
        template: with words between ``@`` for what is filled in.
        contract: of the images.
        target: what is predicted; fields of the table, or classes of masks.
    """
    dense, dimensions = target.kind == "mask", contract.geometry.dimensions
    window = _WINDOWS[dimensions, dense]
    words = {
        "@target@": _target(target),
        "@channels@": "3" if _coloured(contract) else "1",
        "@preparation@": "\n".join(line.yaml() for line in _preparation(contract, window, dense=dense)),
        "@augmentation@": "\n".join(line.yaml() for line in _augmentation(contract, dense=dense)),
        "@window@": json.dumps(list(window)),
        "@network@": _network(dimensions, dense=dense),
        "@arguments@": _arguments(dense=dense),
        "@loss@": _loss(target),
        "@epochs@": "2" if dense else "1",
        "@batch@": "2" if dimensions == _VOLUME else "16",
    }
    for word, value in words.items():
        template = template.replace(word, value)
    return template


def _target(target: Target) -> str:
    if target.mask:
        classes = json.dumps(list(target.mask), ensure_ascii=False)
        return f"  mask: {classes}   # classes of the schema's masks; those left out count as background"
    if target.labels:
        lines = [
            f"    - {{field: {label.field}, positive: {json.dumps(label.positive, ensure_ascii=False)}}}"
            for label in target.labels
        ]
        return "\n".join(["  labels:   # of those left out nothing is predicted; they may hold together", *lines])
    if target.number:
        return f"  field: {target.field}\n  number: true   # the number itself, in the schema's unit"
    if target.positive is None:
        return f"  field: {target.field}   # which of its values; with positive: whether it is that one"
    return f"  field: {target.field}\n  positive: {json.dumps(target.positive, ensure_ascii=False)}"


def _coloured(contract: ImagingContract) -> bool:
    photometric = () if contract.protocol is None else contract.protocol.photometric
    return contract.format in _PHOTOGRAPHS or any(each in _COLOURS for each in photometric)


def _preparation(contract: ImagingContract, window: tuple[int, ...], *, dense: bool) -> list[Line]:
    lines = []
    if contract.geometry.dimensions == _VOLUME:
        lines.append(Line("{name: Orientation, axcodes: RAS}", "scanners write volumes in many orientations"))
    if dense and contract.format not in _PHOTOGRAPHS:
        spacing = json.dumps(_spacing(contract.geometry))
        lines.append(Line(f"{{name: Spacing, pixdim: {spacing}}}", "mm: one size for all scanners"))
    if contract.intensity.unit == "HU":
        low, high = _SOFT_TISSUE
        why = "HU: soft tissue; lungs -1000 to 400"
        lines.append(Line(f"{{name: ScaleIntensityRange, a_min: {low}, a_max: {high}}}", why))
    elif contract.format in _PHOTOGRAPHS:
        lines.append(Line("{name: ScaleIntensityRange, a_min: 0, a_max: 255}"))
    else:
        lines.append(Line("{name: ScaleIntensityRangePercentiles, lower: 1, upper: 99}", "numbers mean nothing by themselves"))
    name = "SpatialPad" if dense else "Resize"
    return [*lines, Line(f"{{name: {name}, spatial_size: {json.dumps(list(window))}}}")]


def _augmentation(contract: ImagingContract, *, dense: bool) -> list[Line]:
    if dense:
        crop = Line("{name: RandCropByPosNegLabel, pos: 1.0, neg: 1.0}", "half of the windows hold a part of the mask")
        return [crop, Line("{name: RandScaleIntensity, factors: 0.1, probability: 0.5}")]
    degrees = json.dumps([10.0] * (1 if contract.geometry.dimensions == _PLANE else 3))
    turned = Line(f"{{name: RandRotate, degrees: {degrees}, probability: 0.5}}")
    if contract.format in _PHOTOGRAPHS:
        return [turned, Line("{name: RandFlip, spatial_axis: 0, probability: 0.5}", "leave it out where left is not right")]
    return [turned]


def _spacing(geometry: Geometry) -> list[float]:
    """Give millimetres in the middle of what the schema allows."""
    within = _middle(geometry.pixel_spacing)
    return [within, within] if geometry.dimensions == _PLANE else [within, within, _middle(geometry.slice_step)]


def _middle(allowed: Range | None) -> float:
    """Give the geometric middle, to a tenth of a millimetre."""
    return _UNKNOWN_MM if allowed is None else max(0.1, round(sqrt(allowed.low * allowed.high), 1))


def _network(dimensions: int, *, dense: bool) -> str:
    if dense:
        return "UNet                 # from the allow-list; or SegResNet, DynUNet"
    return f"{'DenseNet121' if dimensions == _PLANE else 'ResNet18'}          # from the allow-list; no code travels"


def _arguments(*, dense: bool) -> str:
    if not dense:
        return "  arguments: {}"
    return "  arguments:\n    channels: [16, 32, 64, 128]\n    strides: [2, 2, 2]\n    num_res_units: 2"


def _loss(target: Target) -> str:
    first = "dice_cross_entropy" if target.kind == "mask" else losses_for(target.kind)[0]
    others = [loss for loss in losses_for(target.kind) if loss != first]
    return f"{first}   # or {', '.join(others)}" if others else first

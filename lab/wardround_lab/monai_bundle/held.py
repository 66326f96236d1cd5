"""A bundle is held against the release before it is written: MONAI's parts, made from its files, have to give the same.

Images are made up of random numbers, on grids that are turned, oblique and of other spacings, one of them all of one intensity.
"""

from __future__ import annotations

import importlib
import json
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from silo_node.imaging.transforms import Prepared, prepare
from wardround.contract.imaging import ImagingContract
from wardround.models.from_monai import ConfigParser, MetaTensor
from wardround.study import transforms as fixed
from wardround.study.images import Images
from wardround_lab.monai_bundle.config import ARRANGE, CODE, SAVE, Entry, parts_of
from wardround_lab.onnx_export import SAME_CHANCE, near, near_number
from wardround_lab.predict import Model
from wardround_lab.predict_images import draw, label_map

SAME_PREPARED: Final = 1e-5
"""How far prepared intensities may differ, as a share of the largest one, or of 1 where that is smaller."""
_PLANE, _COLOURS = 2, 3
_TURNED: Final = ((-1.0, 0, 0), (0, -1.0, 0), (0, 0, 1.0))
"""Columns lead to the left, rows to the back: what a scanner writes."""
_OBLIQUE: Final = ((0, 0, 1.0), (0.96, 0.28, 0), (0.28, -0.96, 0))
"""Slices lead to the right, and the others lie aslant."""


@dataclass(frozen=True)
class MadeUp:
    """An image that nobody took: ``(columns, rows[, slices])``, in colours with a last axis of 3, and where it lies."""

    array: NDArray[np.float32]
    affine: NDArray[np.float64]


def same(model: Model, bundle: Path) -> str:
    """Say in what a bundle differs from its release; nothing where it does not."""
    images, imaging = parts_of(model)
    with parts_of_bundle(bundle) as part:
        configuration = json.loads((bundle / "configs" / "inference.json").read_text())
        network, inferer = part("network_def"), part("inferer")
        before = _steps(configuration["preprocessing"]["transforms"], "preprocessing", part)
        after = _steps(configuration["postprocessing"]["transforms"], "postprocessing", part)
        for made in made_up(images, imaging):
            sample: dict[str, Any] = {"image": MetaTensor(torch.from_numpy(made.array), affine=torch.from_numpy(made.affine))}
            for step in before:
                sample = step(sample)
            prepared = prepare(images, imaging.geometry.dimensions, made.array, made.affine, None)
            if not _near(sample["image"].as_tensor(), prepared.image):
                return "its preparation gives other intensities"
            with torch.no_grad():
                logits = inferer(sample["image"].as_tensor()[None], network)
                sample["pred"] = logits[0]
                if not model.shape.dense and not near(model.network(prepared.image[None]), logits, model.said):
                    return "its network gives other figures"
            for step in after:
                sample = step(sample)
            if difference := _apart(model, prepared, sample, made):
                return difference
    return ""


def _apart(model: Model, prepared: Prepared, sample: dict[str, Any], made: MadeUp) -> str:
    """Say in what the end of a bundle differs from that of its release."""
    if not model.shape.dense:
        with torch.no_grad():
            outputs = model.network(prepared.image[None])
        said, ends = model.said(outputs), model.encoding.number
        if ends is not None:
            return "" if near_number(outputs, torch.as_tensor(sample["pred"])[None], ends) else "it gives other numbers"
        found = np.asarray(sample["pred"]).reshape(said[0].shape)
        return "" if np.abs(found - said[0]).max() <= SAME_CHANCE else "it gives other probabilities"
    drawn = draw(model, prepared)
    if not np.abs(np.asarray(sample["pred"]) - drawn).max() <= SAME_CHANCE:
        return "it gives other probabilities"
    mask = label_map(drawn, prepared, (made.array, made.affine, None))
    return "" if np.array_equal(np.asarray(sample["mask"])[0].reshape(mask.shape), mask) else "its masks are others"


def _near(found: torch.Tensor, expected: torch.Tensor) -> bool:
    if found.shape != expected.shape:
        return False
    limit = SAME_PREPARED * max(1.0, float(expected.abs().max()))
    return bool((found - expected).abs().max() <= limit)


def _steps(transforms: list[Entry], place: str, part: Any) -> list[Any]:  # noqa: ANN401  (a function of a name)
    """Make the transforms that neither read nor write a file."""
    names = [each["_target_"] for each in transforms]
    first = names.index(ARRANGE) if ARRANGE in names else 0
    return [part(f"{place}#transforms#{at}") for at, name in enumerate(names) if at >= first and name != SAVE]


@contextmanager
def parts_of_bundle(bundle: Path, settings: Mapping[str, str] = MappingProxyType({})) -> Iterator[Any]:
    """Give what makes a part of a bundle by MONAI, of the bundle's own code and none that was loaded before.

    Args:
        bundle: its folder.
        settings: values in the place of those that stand in it, as on the command line.
    """
    kept = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == CODE}
    for name in kept:
        del sys.modules[name]
    sys.path.insert(0, str(bundle))
    importlib.invalidate_caches()
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MONAI warns that a configuration is code; this one is ours
            parser = ConfigParser()
            parser.read_config(str(bundle / "configs" / "inference.json"))
            parser.read_meta(str(bundle / "configs" / "metadata.json"))
            parser.update({"bundle_root": str(bundle), **settings})
            yield parser.get_parsed_content
    finally:
        sys.dont_write_bytecode = writes
        sys.path.remove(str(bundle))
        for name in [name for name in sys.modules if name.partition(".")[0] == CODE]:
            del sys.modules[name]
        sys.modules.update(kept)


def made_up(images: Images, imaging: ImagingContract) -> Iterator[MadeUp]:
    """Make images that the preparation takes: one smaller than the window, one longer than it, one of one intensity."""
    dimensions, random = imaging.geometry.dimensions, np.random.default_rng(1)
    low, high = _intensities(images, imaging)
    kinds: tuple[tuple[float, float, Any], ...] = ((0.8, 0.9, _TURNED), (1.2, 1.1, _OBLIQUE), (1.0, 1.0, np.eye(3)))
    for place, (longer, coarser, axes) in enumerate(kinds):
        lengths = np.array(_spacing(images, dimensions)) * coarser
        size = [max(2, round(length)) for length in images.window]
        size[0] = max(2, round(size[0] * longer))
        if dimensions == _PLANE and images.channels == _COLOURS and place != 1:
            size.append(_COLOURS)
        array = random.uniform(low, high, size) if place < len(kinds) - 1 else np.full(size, low)
        affine = np.eye(4)
        affine[:3, :3] = np.array(axes) * np.array([*lengths, 1.0][:3])
        affine[:3, 3] = (-20.0, 31.0, 7.5)
        yield MadeUp(array.astype(np.float32), affine)


def _spacing(images: Images, dimensions: int) -> tuple[float, ...]:
    found = [each.pixdim for each in images.preparation if isinstance(each, fixed.Spacing)]
    return found[0] if found else (1.0, 1.5, 2.5)[:dimensions]


def _intensities(images: Images, imaging: ImagingContract) -> tuple[float, float]:
    """Give ends of intensities that reach beyond what the study looks at."""
    for each in images.preparation:
        if isinstance(each, fixed.ScaleIntensityRange):
            beyond = (each.a_max - each.a_min) / 4
            return each.a_min - beyond, each.a_max + beyond
    return (-1000.0, 1000.0) if imaging.intensity.unit == "HU" else (0.0, 255.0)

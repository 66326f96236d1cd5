"""Use a released model on a hospital's images: a table of probabilities or numbers, or a segmentation of each series.

    site.yaml ──check──> images that are fit ──study's preparation──> network ──┬─> probabilities, by the schema's key
                                                                                └─> classes of voxels, on the image's own grid

A mask comes back by where voxels lie, not by undoing one transform after the other: each voxel of the image asks the prepared
grid for the probabilities at its own place, in between by linear interpolation, and takes the most probable class. What lies
outside of what was prepared is background.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

import wardround
from silo_node.configuration import Site
from silo_node.dicom.pixels import UndecodableError
from silo_node.dicom.segmentation import LabelMap
from silo_node.dicom.segmentation_writing import Author, UnwritableError, write_segmentation
from silo_node.imaging.folders import image_folder
from silo_node.imaging.keyed import Fit
from silo_node.imaging.loaded import Loaded
from silo_node.imaging.records import ImageSet, check_with_images
from silo_node.imaging.transforms import Prepared, UnpreparableError, affine_of, prepare
from silo_node.validation.check import CheckFailed
from silo_node.validation.result import CheckResult
from wardround.contract.imaging import ImagingContract
from wardround.contract.model import Limits
from wardround.errors import Broken, refuse
from wardround.files import new_private_folder, write_atomic
from wardround.models.from_monai import SlidingWindowInferer
from wardround.study.images import Images
from wardround_lab.predict import Model, Predictions, beside, require_readable

INDEX: Final = "index.csv"
"""Of a folder of segmentations: which file is of which record."""
FILE: Final = "file"
OWNER_ONLY: Final = 0o600
HALF: Final = 0.5
"""A voxel reaches half a voxel beyond its centre."""
UNDECODABLE, UNPREPARABLE, UNWRITABLE = "D-DECODE", "D-PREPARE", "D-REFER"
"""Why an image that the check found fit has no prediction."""


@dataclass(frozen=True)
class Asked:
    """A study of images, and the images of a hospital that its model is asked about."""

    images: Images
    imaging: ImagingContract
    result: CheckResult
    set: ImageSet

    @property
    def keys(self) -> pl.DataFrame:
        """The primary key of each record that has a fit image, in order."""
        return self.result.valid.select(self.result.contract.primary_key)

    @property
    def fit(self) -> list[Fit]:
        """The image of each."""
        return [self.set.keyed.fit[key] for key in self.result.valid[self.set.key]]


def ask(model: Model, site: Site) -> Asked:
    """Look for the images that a model can be asked about: what it predicts need be known of none of them.

    Raises:
        Refused: M- codes when site file and schema do not fit, D-FOLDER, X-USAGE.
        CheckFailed: the table cannot be read, or no image is fit.
    """
    if model.imaging is None or model.study.images is None:
        raise Broken("a model of a table sees no images")
    contract = model.contract.model_copy(update={"limits": Limits()})
    unlabelled = model.imaging.label.model_copy(update={"format": None, "path": None})
    imaging = model.imaging.model_copy(update={"label": unlabelled, "minimum_examples": 1})
    wanted = {*contract.primary_key, contract.patient_key}
    if imaging.table is not None:
        wanted |= {*imaging.table.keys.values(), *([] if imaging.table.path is None else [imaging.table.path])}
    fields = [name for name in contract.names if name in wanted]
    result, found = check_with_images(site, contract, imaging, model.study.images, (), fields, 1.0)
    require_readable(result)
    return Asked(model.study.images, imaging, result, found)


def predict_images(model: Model, site: Site) -> tuple[Predictions, Counter[str]]:
    """Score a hospital's images; gives what was left out after the check, too, by code.

    Raises:
        Refused, CheckFailed: as ``ask``.
    """
    asked, left = ask(model, site), Counter[str]()
    rows: list[int] = []
    found: list[NDArray[np.float64]] = []
    with torch.no_grad():
        for row, _, prepared in _each(asked, left):
            rows.append(row)
            found.append(model.said(model.network(prepared.image[None])))
    if not rows:
        raise CheckFailed(asked.result)
    return Predictions(beside(model, asked.keys[rows], np.concatenate(found)), asked.result), left


@dataclass(frozen=True)
class Drawn:
    """What became of a hospital's images.

    Attributes:
        written: segmentations.
        check: of the records and images.
        left_out: of those that were fit, by code.
    """

    written: int
    check: CheckResult
    left_out: Counter[str]


def draw_segmentations(model: Model, site: Site, out: Path) -> Drawn:
    """Write a DICOM segmentation of each series that is fit, and an index of them, into a new folder for its owner only.

    Raises:
        Refused: O-EXISTS, O-WRITE; X-USAGE for images that are no DICOM; as ``ask``.
        CheckFailed: as ``ask``, or no image could be used.
    """
    if model.imaging is not None and model.imaging.format != "dicom":
        rule = "Masks are written as DICOM segmentations, which refer to DICOM images"
        finding, step = f"the schema's images are {model.imaging.format.upper()}", "export the model, and draw masks elsewhere"
        raise refuse("X-USAGE", model.imaging.id, rule, finding, step)
    asked, left = ask(model, site), Counter[str]()
    _, folder = image_folder(site, asked.imaging)
    author = Author(model.study.name, str(model.study.version), wardround.__version__)
    classes = {str(number): name for number, name in enumerate(model.study.target.mask, 1)}
    rows: list[int] = []
    names: list[str] = []
    try:
        with new_private_folder(out) as place:
            for row, loaded, prepared in _each(asked, left):
                stack, name = asked.fit[row].stack, f"{len(rows) + 1:06}.dcm"
                if stack is None:
                    raise Broken("DICOM has slices")
                drawn = label_map(draw(model, prepared), prepared, loaded)
                try:
                    write_segmentation(place / name, drawn, stack, folder, classes, author)
                except UnwritableError:
                    left[UNWRITABLE] += 1
                    continue
                rows.append(row)
                names.append(name)
            if not rows:
                raise CheckFailed(asked.result)
            index = asked.keys[rows].with_columns(pl.Series(FILE, names))
            write_atomic(place / INDEX, index.write_csv().encode(), OWNER_ONLY)
    except FileExistsError:
        raise refuse(
            "O-EXISTS", str(out), "Predictions are never overwritten", "there is a folder already", "choose another --out"
        ) from None
    return Drawn(len(rows), asked.result, left)


def _each(asked: Asked, left: Counter[str]) -> Iterator[tuple[int, Loaded, Prepared]]:
    """Read and prepare one image after the other; one that cannot be is counted and passed over."""
    for row, fit in enumerate(asked.fit):
        try:
            loaded = fit.read()
            prepared = prepare(asked.images, asked.imaging.geometry.dimensions, loaded[0], loaded[1], None)
        except (UndecodableError, OSError, ValueError):
            left[UNDECODABLE] += 1
        except UnpreparableError:
            left[UNPREPARABLE] += 1
        else:
            yield row, loaded, prepared


def draw(model: Model, prepared: Prepared) -> NDArray[np.float32]:
    """Give the probability of each class at each voxel of a prepared image: ``(classes, *spatial)``, background first."""
    if model.study.images is None:
        raise Broken("a model of a table draws nothing")
    over_all = SlidingWindowInferer(model.study.images.window, overlap=model.study.images.overlap, mode="gaussian")
    with torch.no_grad():
        logits = torch.as_tensor(over_all(prepared.image[None], model.network))
    return np.asarray(torch.softmax(logits[0], dim=0).numpy())


def label_map(found: NDArray[np.float32], prepared: Prepared, loaded: Loaded) -> LabelMap:
    """Bring probabilities on a prepared grid back to the image's own: ``(columns, rows, slices)``, one slice of a plane image.

    Args:
        found: ``(classes, *spatial)``, on the prepared grid.
        prepared: the image there.
        loaded: the image as it is.
    """
    axes = found.ndim - 1
    size = loaded[0].shape[:axes]
    kept = [*range(axes), -1]
    own = affine_of(loaded[1], axes)[kept][:, kept]
    there = np.linalg.inv(prepared.affine) @ own
    drawn = np.zeros(size, np.uint16)
    for last in range(size[-1]):  # a part at a time: memory for one slice of places
        grid = np.indices((*size[:-1], 1), dtype=np.float64).reshape(axes, -1)
        grid[-1] += last
        places = there[:axes, :axes] @ grid + there[:axes, axes:]
        drawn[..., last] = _most_probable(found, places).reshape(size[:-1])
    return drawn if axes == 3 else drawn[..., None]  # noqa: PLR2004  (a plane image is one slice)


def _most_probable(found: NDArray[np.float32], places: NDArray[np.float64]) -> NDArray[np.intp]:
    """Give the class at places ``(axes, n)`` of a grid; background where they lie outside of all its voxels."""
    edges = np.array(found.shape[1:], dtype=np.float64)[:, None]
    inside = ((places >= -HALF) & (places <= edges - HALF)).all(axis=0)
    chance = np.stack([map_coordinates(each, places, order=1, mode="nearest") for each in found])
    return np.where(inside, chance.argmax(axis=0), 0)

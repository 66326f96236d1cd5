"""A hospital's images by the key under which a record names them: fit to be read for training, or set aside by code.

folder ──look──> examples ──key of the record's grain──> one fit example: its files, and how it is read
└─ several, or none: set aside
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from silo_node.configuration import Site
from silo_node.dicom.pixels import UndecodableError
from silo_node.dicom.segmentation import MaskError, load_mask
from silo_node.dicom.series import Stack
from silo_node.dicom.volume import Volume, affine_of, assemble
from silo_node.dicom.volume import image as plane_image
from silo_node.imaging.asked import Asked
from silo_node.imaging.check import look
from silo_node.imaging.file_check import fit_files
from silo_node.imaging.file_header import FileError, FileHeader
from silo_node.imaging.file_judge import FORMATS, Row
from silo_node.imaging.files import load
from silo_node.imaging.files import load_mask as load_file_mask
from silo_node.imaging.folders import image_folder
from silo_node.imaging.join import ByKey, against, examples_by_key
from silo_node.imaging.judge import Example
from silo_node.imaging.loaded import Loaded
from silo_node.imaging.preparable import UNPREPARABLE, Grid, is_preparable
from silo_node.source_settings import DicomSource
from wardround.contract.imaging import Grain, ImagingContract, TableLink
from wardround.study.images import Images


@dataclass(frozen=True)
class Fit:
    """An image that may be used.

    Attributes:
        files: that it is made of, and its mask.
        load: gives it, whatever became of its files since.
        states: of the files when it was found fit: sizes, times of change, numbers on their disk.
        grid: what it is loaded as.
        stack: its slices; None where images are no DICOM.
    """

    files: tuple[Path, ...]
    load: Callable[[], Loaded]
    states: tuple[State, ...]
    grid: Grid
    stack: Stack | None = None

    @property
    def unchanged(self) -> bool:
        """Whether its files are those that were found fit, as far as the system says it."""
        return bool(self.states) and states_of(self.files) == self.states

    def read(self) -> Loaded:
        """Give it.

        Raises:
            UndecodableError, OSError: it is not what it was when it was looked at.
        """
        made = self.load()
        if not self.unchanged:
            raise UndecodableError
        return made


State: TypeAlias = tuple[int, int, int]


def states_of(files: Iterable[Path]) -> tuple[State, ...]:
    """Give what the system says of files; nothing where one is not there."""
    try:
        found = [path.stat(follow_symlinks=False) for path in files]
    except OSError:
        return ()
    return tuple((each.st_size, each.st_mtime_ns, each.st_ino) for each in found)


@dataclass(frozen=True)
class Keyed:
    """A hospital's images; holds patient data.

    Attributes:
        field: of a record, that holds the key.
        fit: by key.
        aside: codes, by key.
        patients: Patient ID, by key.
        unpreparable: the shapes of images that are set aside as a study's preparation would refuse them.
        by_key: the examples themselves; ``None`` where images are no DICOM.
    """

    field: str
    fit: Mapping[str, Fit]
    aside: Mapping[str, tuple[str, ...]]
    patients: Mapping[str, str]
    unpreparable: tuple[tuple[int, ...], ...] = ()
    by_key: ByKey | None = None


def dicom_by_key(site: Site, contract: ImagingContract, grain: Grain, field: str, masks: Sequence[str]) -> Keyed:
    """Look at a folder of DICOM, decode every image in it, and give its examples by key.

    Args:
        site: the hospital.
        contract: of the images.
        grain: what a record is of.
        field: of the record, that holds the key.
        masks: classes that are wanted, in order; none where no mask is read.

    Raises:
        Refused: M-SCHEMA, M-IMAGES, D-FOLDER, X-USAGE.
    """
    looked = look(site, contract, Asked(pixels=True))
    by_key = examples_by_key(looked.judgement, grain)
    settings = site.file.sources[looked.source]
    names = settings.segments if isinstance(settings, DicomSource) else {}
    reader = _Reader(contract, looked.folder, names, _numbers(contract, masks))
    fit = {key: reader.fit(example) for key, example in by_key.fit.items()}
    return Keyed(field, fit, by_key.aside, by_key.patients, by_key=by_key)


def with_rows(keyed: Keyed, link: TableLink, rows: pl.DataFrame, patient_key: str) -> Keyed:
    """Set aside images that the rows of the table speak against: another patient, study or series by another key of the row.

    Args:
        keyed: images in DICOM.
        link: of their contract.
        rows: valid ones, in schema form.
        patient_key: the field by which the table tells patients apart.
    """
    if keyed.by_key is None:
        return keyed
    wrong = against(keyed.by_key, link, rows, patient_key)
    fit = {key: each for key, each in keyed.fit.items() if key not in wrong}
    return replace(keyed, fit=fit, aside={**keyed.aside, **{key: (code,) for key, code in wrong.items()}})


def files_by_key(site: Site, contract: ImagingContract, field: str, rows: pl.DataFrame, masks: Sequence[str]) -> Keyed:
    """Look at the files that rows of a table name, decode each, and give them by their path.

    Args:
        site: the hospital.
        contract: of images that are no DICOM.
        field: of the table, that holds the path.
        rows: valid ones, in schema form.
        masks: as of ``dicom_by_key``.

    Raises:
        Refused: M-SCHEMA, M-IMAGES, D-FOLDER.
    """
    _, folder = image_folder(site, contract)
    reader = _FileReader(contract, folder, _numbers(contract, masks))
    fit: dict[str, Fit] = {}
    aside: dict[str, tuple[str, ...]] = {}
    patients: dict[str, str] = {}
    for key, example in fit_files(site, contract, rows, pixels=True).items():
        if example.row is None or example.codes or example.header is None:
            aside[key] = example.codes
        else:
            fit[key], patients[key] = reader.fit(example.row, example.header), example.row.patient
    return Keyed(field, fit, aside, patients)


def without_unpreparable(keyed: Keyed, images: Images, dimensions: int) -> Keyed:
    """Set aside images that a study's preparation will refuse, as far as their headers tell.

    Args:
        keyed: images.
        images: what the study asks.
        dimensions: of its images.
    """
    fit = {key: each for key, each in keyed.fit.items() if is_preparable(each.grid, images, dimensions)}
    refused = {key: (UNPREPARABLE,) for key in keyed.fit if key not in fit}
    shapes = tuple(keyed.fit[key].grid.shape for key in refused)
    return replace(keyed, fit=fit, aside={**keyed.aside, **refused}, unpreparable=shapes)


def _numbers(contract: ImagingContract, masks: Sequence[str]) -> NDArray[np.int64] | None:
    """Give each class's number in the study by its number in the contract's masks; those that are not wanted are background."""
    if not masks:
        return None
    numbers = {int(number): masks.index(name) + 1 for number, name in contract.label.classes.items() if name in masks}
    found = np.zeros(1 + max((int(number) for number in contract.label.classes), default=0), np.int64)
    for number, new in numbers.items():
        found[number] = new
    return found


@dataclass(frozen=True)
class _Reader:
    """Reads examples of one folder."""

    contract: ImagingContract
    folder: Path
    names: Mapping[str, str]
    numbers: NDArray[np.int64] | None

    def fit(self, example: Example) -> Fit:
        files = [each.file for each in example.stack.slices]
        if self.numbers is not None and example.mask is not None:
            files.append(example.mask)
        paths = tuple(self.folder / file for file in files)
        return Fit(paths, partial(self._read, example), states_of(paths), self._grid(example.stack), example.stack)

    def _grid(self, stack: Stack) -> Grid:
        pixels, slices = stack.slices[0].pixels, (len(stack.slices),) if self.contract.example == "series" else ()
        return Grid((pixels.columns or 0, pixels.rows or 0, *slices), (pixels.samples or 1) > 1, affine_of(stack))

    def _read(self, example: Example) -> Loaded:
        made = assemble(example.stack, self.folder) if self.contract.example == "series" else _plane(example.stack, self.folder)
        return made.array, made.affine, self._mask(example)

    def _mask(self, example: Example) -> NDArray[np.int64] | None:
        if self.numbers is None or example.mask is None:
            return None
        try:
            mask = load_mask(example.stack, self.folder, example.mask, self.contract.label.classes, self.names)
        except MaskError:
            raise UndecodableError from None
        return self.numbers[mask]


def _plane(stack: Stack, folder: Path) -> Volume:
    return plane_image(stack.slices[0], stack, folder)


@dataclass(frozen=True)
class _FileReader:
    """Reads files of one folder."""

    contract: ImagingContract
    folder: Path
    numbers: NDArray[np.int64] | None

    def fit(self, row: Row, header: FileHeader) -> Fit:
        masked = self.numbers is not None and row.mask is not None
        names = [row.file, row.mask] if masked and row.mask is not None else [row.file]
        paths = tuple(self.folder / name for name in names)
        affine = np.eye(4) if header.affine is None else np.array(header.affine)
        grid = Grid(header.shape, header.samples > 1, affine)
        return Fit(paths, partial(self._read, row, header), states_of(paths), grid)

    def _read(self, row: Row, header: FileHeader) -> Loaded:
        form, drawn = FORMATS[self.contract.format], self.contract.label.format
        try:
            made = load(self.folder, row.file, form)
            if self.numbers is None or row.mask is None or drawn not in ("nifti", "png"):
                return made.array, made.affine, None
            mask = load_file_mask(self.folder, row.mask, drawn, self.contract.label.classes, header)
        except FileError:
            raise UndecodableError from None
        return made.array, made.affine, self.numbers[mask]

"""Images that a table names, held against a contract: every row is fit, or set aside by code."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np

from silo_node.imaging import rules
from silo_node.imaging.below import NameRefusedError, open_below
from silo_node.imaging.file_header import FileError, FileHeader
from silo_node.imaging.file_trial import FileTrial
from silo_node.imaging.files import Format, look
from wardround.contract.imaging import Geometry, ImagingContract, Range

FORMATS: Final[Mapping[str, Format]] = {"nifti": "nifti", "png": "png", "jpeg": "jpeg"}

_PLANES: Final = ("sagittal", "coronal", "axial")
"""Planes by the axis along which their normal points: right, front, head."""

_READ: Final = 1024**2


@dataclass(frozen=True, slots=True)
class Row:
    """What a row of the table says of an image.

    Attributes:
        file: its path.
        patient: whose it is.
        mask: the path of its mask; ``None`` where the contract has no masks.
    """

    file: str
    patient: str
    mask: str | None = None


@dataclass(frozen=True)
class FileExample:
    """One example: a file that a row names.

    Attributes:
        row: that names it; ``None`` of one that the table's own check sets aside.
        header: what it says; ``None`` where it cannot be read.
        codes: what speaks against it, in the order of the alphabet.
        warnings: what is odd and speaks not against it.
        at: of each code and warning, the file.
    """

    row: Row | None
    header: FileHeader | None
    codes: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    at: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FileJudgement:
    """What became of every row and file.

    Attributes:
        examples: a row each.
        files: in the folder.
        unnamed: of them, those that no row names.
        in_order: whether the table passes its own check.
        first: of D-UNNAMED, the first files.
    """

    examples: tuple[FileExample, ...]
    files: int
    unnamed: int
    in_order: bool
    first: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def fit(self) -> tuple[FileExample, ...]:
        """Those against which nothing speaks."""
        return tuple(example for example in self.examples if not example.codes)

    @property
    def aside(self) -> tuple[FileExample, ...]:
        """Those that are set aside."""
        return tuple(example for example in self.examples if example.codes)


def judge_files(rows: Sequence[Row], folder: Path, contract: ImagingContract) -> list[FileExample]:
    """Hold the file of each row against a contract, by its header and its bytes; give them in the order of the rows."""
    form = FORMATS[contract.format]
    found = [_example(row, folder, form, contract) for row in rows]
    return _without_copies(found, folder)


def _example(row: Row, folder: Path, form: Format, contract: ImagingContract) -> FileExample:
    try:
        header = look(folder, row.file, form)
    except FileError as error:
        return _told(FileExample(row, None, ()), [error.code])
    return _told(FileExample(row, header, ()), _codes(header, contract.geometry))


def _told(example: FileExample, codes: Iterable[str], warnings: Iterable[str] = ()) -> FileExample:
    codes, warnings = {*example.codes, *codes}, {*example.warnings, *warnings}
    file = "" if example.row is None else example.row.file
    mask = (example.row.mask if example.row is not None else None) or file
    at = {code: mask if code.startswith("D-MASK") else file for code in codes | warnings}
    return replace(example, codes=tuple(sorted(codes)), warnings=tuple(sorted(warnings)), at=at)


def _codes(header: FileHeader, geometry: Geometry) -> Iterable[str]:
    if header.telling:
        yield "D-METADATA"
    if len(header.shape) != geometry.dimensions:
        yield "D-FORMAT"
        return
    columns, rows = header.shape[:2]
    if not _within(rows, geometry.rows) or not _within(columns, geometry.columns):
        yield "D-SIZE"
    spacing = None if header.affine is None else np.linalg.norm(np.array(header.affine)[:3, :3], axis=0)
    if geometry.pixel_spacing is not None and (
        spacing is None or not all(_within(float(each), geometry.pixel_spacing) for each in spacing[:2])
    ):
        yield "D-SPACING"
    if geometry.dimensions == 3:  # noqa: PLR2004  (volumes)
        if not _within(header.shape[2], geometry.slices) or header.shape[2] < 2:  # noqa: PLR2004  (slices of a volume)
            yield "D-SLICES"
        if spacing is None or not _within(float(spacing[2]), geometry.slice_step):
            yield "D-STEP"
    if geometry.plane != "any" and _plane(header) != geometry.plane:
        yield "D-PLANE"


def _plane(header: FileHeader) -> str | None:
    if header.affine is None:
        return None
    normal = np.cross(np.array(header.affine)[:3, 0], np.array(header.affine)[:3, 1])
    return _PLANES[int(np.argmax(np.abs(normal)))]


def _within(value: float, allowed: Range | None) -> bool:
    return allowed is None or allowed.low <= value <= allowed.high


# ------------------------------------------------------------------------------------------------------------- copies


def _without_copies(examples: Sequence[FileExample], folder: Path) -> list[FileExample]:
    """Tell files of the same bytes: of two patients neither is certain; of one, it is a warning."""
    found = list(examples)
    for alike in _alike(examples, folder):
        patients = {row.patient for at in alike if (row := found[at].row) is not None}
        for at in alike:
            found[at] = _told(found[at], ["D-COPY"]) if len(patients) > 1 else _told(found[at], [], ["D-COPY"])
    return found


def _alike(examples: Sequence[FileExample], folder: Path) -> list[list[int]]:
    """Give the numbers of examples whose files have the same bytes; only those of one size are read whole."""
    by_size: dict[int, list[int]] = defaultdict(list)
    by_bytes: dict[bytes, list[int]] = defaultdict(list)
    for at, example in enumerate(examples):
        if example.row is not None and example.header is not None and (size := _size(folder, example.row.file)) is not None:
            by_size[size].append(at)
    for numbers in by_size.values():
        for at in numbers if len(numbers) > 1 else ():
            row = examples[at].row
            if row is not None and (digest := _digest(folder, row.file)) is not None:
                by_bytes[digest].append(at)
    return [numbers for numbers in by_bytes.values() if len(numbers) > 1]


def _size(folder: Path, name: str) -> int | None:
    try:
        with open_below(folder, name) as file:
            return file.seek(0, 2)
    except (OSError, NameRefusedError):
        return None


def _digest(folder: Path, name: str) -> bytes | None:
    found = hashlib.sha256()
    try:
        with open_below(folder, name) as file:
            while data := file.read(_READ):
                found.update(data)
    except (OSError, NameRefusedError):
        return None
    return found.digest()


# ------------------------------------------------------------------------------------------------------------- pixels


def sample_of(examples: Sequence[FileExample]) -> list[int]:
    """Give the numbers of one example of each kind that a decoder tells apart."""
    kinds: dict[str, int] = {}
    for at, example in enumerate(examples):
        if example.header is not None:
            kinds.setdefault(example.header.kind, at)
    return sorted(kinds.values())


def with_pixels(
    examples: Sequence[FileExample],
    numbers: Iterable[int],
    folder: Path,
    contract: ImagingContract,
    progress: Callable[[str, int], None] = lambda _what, _done: None,
) -> list[FileExample]:
    """Decode some images and, where the contract has them, all masks; give the examples with what was found.

    Args:
        examples: all.
        numbers: of those whose pixels are decoded.
        folder: that they lie in.
        contract: that they are held against.
        progress: told what, ``pixels`` or ``masks``, and how many are done.
    """
    found, form = list(examples), FORMATS[contract.format]
    with FileTrial(folder) as trial:
        for done, at in enumerate(numbers, 1):
            row = found[at].row
            if row is not None and (fault := trial.image_fault(row.file, form, contract.intensity.possible)) is not None:
                found[at] = _told(found[at], [fault])
            progress("pixels", done)
        form_of_masks = _mask_form(contract)
        for at, example in enumerate(found) if form_of_masks is not None else ():
            row, header = example.row, example.header
            if row is not None and row.mask is not None and header is not None and form_of_masks is not None:
                fault = trial.mask_fault(row.mask, form_of_masks, contract.label.classes, header)
                if fault is not None:
                    is_allowed = rules.is_allowed(fault, contract)
                    found[at] = _told(example, [] if is_allowed else [fault], [fault] if is_allowed else [])
            progress("masks", at + 1)
    return found


def _mask_form(contract: ImagingContract) -> Literal["nifti", "png"] | None:
    form = contract.label.format
    return form if form in ("nifti", "png") else None

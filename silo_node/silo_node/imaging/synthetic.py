"""Synthetic images of a contract, with their table: for tries, tutorials, and the example of a review; nobody is in them.

Each shows a body on a dark ground and a spot in it. Where a field of the table is the label, the spot's brightness follows from
its value; where masks are, there is a spot for each class. So a network can learn something, and what it learns is invented.
Lengths are the customary ones that are nearest to what the contract allows, spacings the middle of what it allows.

``wardround schema synthesise`` finds this by its entry point ``wardround.image_writers``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import sqrt
from pathlib import Path, PurePosixPath
from typing import Final

import nibabel
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from silo_node.dicom.synthetic import Drawn, Identity, bits_of, coloured, make_uid, write_example
from wardround.contract.imaging import ImagingContract, Range
from wardround.contract.implied_table import PATIENT
from wardround.contract.model import Contract, ContractField
from wardround.contract.rules import Cell
from wardround.contract.synthetic.records import synthesise
from wardround.errors import Broken, refuse
from wardround.study.encoding import bounds

Record = dict[str, Cell]

LENGTH, SLICES = 64, 16
"""Pixels along a side and slices of a stack, where the contract allows them."""
PIXEL_MM, STEP_MM = 1.0, 2.0
AIR, BODY, DARKEST, BRIGHTEST = 0.0, 0.35, 0.5, 0.95
"""Parts of the range of intensities."""
HU_AIR, HU_BRIGHTEST = -1000.0, 600.0
NOISE: Final = 0.02
_ENDINGS: Final = {"nifti": (".nii", ".nii.gz"), "png": (".png",), "jpeg": (".jpg", ".jpeg")}
_UID_KEYS: Final = ("study", "series", "image")


@dataclass(frozen=True)
class Made:
    """What was made.

    Attributes:
        records: of the table in shared form; None where the contract names no table.
        pseudonym: what the images' Patient IDs look like; None of images that are no DICOM.
        examples: how many.
        files: how many of them were written, segmentations and masks among them.
    """

    records: list[Record] | None
    pseudonym: str | None
    examples: int
    files: int


def make_images(
    folder: Path, contract: ImagingContract, table: Contract, count: int, seed: int, *, where: str | None = None
) -> Made:
    """Write synthetic images into a folder, and make the records that name them; the same arguments give the same files.

    Args:
        folder: where the files go; it is made.
        contract: of the images.
        table: that it names, or that it implies.
        count: how many examples.
        seed: another one gives other images.
        where: a rule that is true for every record, such as a study's cohort rule.

    Raises:
        Refused: S-SYNTH, X-USAGE.
    """
    records = synthesise(table, count, seed, where=where)
    folder.mkdir(parents=True, exist_ok=True)
    dicom = contract.format == "dicom"
    files = 0
    for number, record in enumerate(records):
        random = np.random.default_rng([seed, number])
        drawn = _draw(contract, _lean(contract, table, record), random)
        if dicom:
            identity = _name(contract, table, record, seed, number)
            place = folder / f"{number // 100 + 1:03}"
            place.mkdir(exist_ok=True)
            files += len(write_example(place, contract, identity, drawn))
        else:
            files += _write_files(folder, contract, record, drawn)
    pseudonym = _pseudonym(contract, table) if dicom else None
    return Made(None if contract.table is None else records, pseudonym, len(records), files)


# --------------------------------------------------------------------------------------------------------------- names


def _name(contract: ImagingContract, table: Contract, record: Record, seed: int, number: int) -> Identity:
    """Name an example, and put the names into the record, where it names images by them."""
    uids = {each: make_uid(contract.id, contract.version, seed, number, each) for each in _UID_KEYS}
    keys = {} if contract.table is None else contract.table.keys
    for grain, name in keys.items():
        if grain in uids:
            record[name] = _kept(contract, table.field(name), uids[grain])
    patient = str(record[keys.get("patient", table.patient_key)])
    if contract.table is None:
        patient = str(record[PATIENT])
    return Identity(patient, uids["study"], uids["series"], uids["image"])


def _kept(contract: ImagingContract, field: ContractField, uid: str) -> str:
    pattern, longest = field.constraints.pattern, field.constraints.max_length
    if (pattern is None or re.fullmatch(pattern, uid)) and (longest is None or len(uid) <= longest):
        return uid
    raise refuse(
        "S-SYNTH",
        f"{contract.id} {contract.version}, table.keys",
        "Images are made up that obey their schema",
        f"{field.name!r} allows no made-up UID",
        "use images of your own",
    )


def _pseudonym(contract: ImagingContract, table: Contract) -> str:
    """Give what Patient IDs look like: as the patients of the table do."""
    name = table.patient_key if contract.table is None else contract.table.keys.get("patient", table.patient_key)
    return (table.field(name).constraints.pattern or "[a-z]{10}").removeprefix("^").removesuffix("$")


# ------------------------------------------------------------------------------------------------------------- drawing


def _lean(contract: ImagingContract, table: Contract, record: Record) -> float:
    """Give how bright the spot is, from 0 to 1: by the record's value of the label."""
    if not contract.label.fields:
        return 0.5
    parts = []
    for name in contract.label.fields:
        field, cell = table.field(name), record[name]
        if cell is None:
            parts.append(0.5)
        elif field.values:
            parts.append(field.values.index(str(cell)) / max(1, len(field.values) - 1))
        else:
            parts.append(_share(table, name, float(str(cell))))
    return float(np.mean(parts))


def _share(table: Contract, name: str, number: float) -> float:
    """Give where in its field's range a number lies; the middle where there is no range."""
    try:
        low, high = bounds(table, name)
    except ValueError:
        return 0.5
    return (number - low) / (high - low) if high > low else 0.5


def _draw(contract: ImagingContract, lean: float, random: np.random.Generator) -> Drawn:
    """Draw an example's pixels, and its mask where the contract has masks."""
    geometry = contract.geometry
    flat = geometry.dimensions == 2  # noqa: PLR2004  (plane images)
    shape = (
        1 if flat else int(_within(geometry.slices, SLICES)),
        int(_within(geometry.rows, LENGTH)),
        int(_within(geometry.columns, LENGTH)),
    )
    axes = [np.linspace(-1, 1, length) if length > 1 else np.zeros(1) for length in shape]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    wide, high = random.uniform(0.6, 0.85, 2)
    part = np.where((x / wide) ** 2 + (y / high) ** 2 < 1, BODY, AIR)
    mask = None
    if contract.label.kind == "mask":
        mask = np.zeros(shape, np.uint8)
        for place, number in enumerate(contract.label.classes):
            spot = _spot(x, y, z, random, place, len(contract.label.classes))
            part[spot] = DARKEST + (BRIGHTEST - DARKEST) * (place + 1) / len(contract.label.classes)
            mask[spot] = int(number)
    else:
        part[_spot(x, y, z, random, 0, 1)] = DARKEST + (BRIGHTEST - DARKEST) * lean
    part = part + random.normal(0, NOISE, shape)
    spacing = _middle(geometry.pixel_spacing, PIXEL_MM), _middle(geometry.slice_step, STEP_MM)
    thickness = _within(geometry.slice_thickness, spacing[1])
    return Drawn(_numbers(contract, part), mask, spacing, thickness)


def _spot(
    x: NDArray[np.float64], y: NDArray[np.float64], z: NDArray[np.float64], random: np.random.Generator, place: int, places: int
) -> NDArray[np.bool_]:
    """Draw where one of several spots is: each in its own sector, so that none hides another."""
    angle = 2 * np.pi * (place + random.uniform(0.2, 0.8)) / places
    across, along = 0.3 * np.cos(angle), 0.3 * np.sin(angle)
    radius = random.uniform(0.12, 0.2)
    inside: NDArray[np.bool_] = ((x - across) ** 2 + (y - along) ** 2 + (0.5 * z) ** 2) < radius**2
    return inside


def _numbers(contract: ImagingContract, part: NDArray[np.float64]) -> NDArray[np.int32]:
    """Turn parts of the range into what pixels hold."""
    if contract.intensity.unit == "HU":
        numbers = HU_AIR + np.clip(part, 0, 1) * (HU_BRIGHTEST - HU_AIR)
    else:
        highest = 255 if contract.protocol is None else 2 ** bits_of(contract.protocol) - 1
        numbers = np.clip(part, 0, 1) * highest
    possible = contract.intensity.possible
    if possible is not None:
        numbers = np.clip(numbers, possible.low, possible.high)
    made = np.rint(numbers).astype(np.int32)
    colours = contract.format in ("png", "jpeg") or (contract.protocol is not None and coloured(contract.protocol))
    return np.repeat(made[..., np.newaxis], 3, axis=-1) if colours else made


def _within(allowed: Range | None, wanted: float) -> float:
    return wanted if allowed is None else min(max(wanted, allowed.low), allowed.high)


def _middle(allowed: Range | None, usual: float) -> float:
    """Give the geometric middle of what is allowed, in hundredths, as far as those are allowed."""
    return usual if allowed is None else _within(allowed, round(sqrt(allowed.low * allowed.high), 2))


# --------------------------------------------------------------------------------------------------------------- files


def _write_files(folder: Path, contract: ImagingContract, record: Record, drawn: Drawn) -> int:
    """Write an image that is no DICOM, and its mask, under the names that the record has for them."""
    if contract.table is None or contract.table.path is None:
        raise Broken("a table names images that are no DICOM")
    image = _place(folder, contract, str(record[contract.table.path]), contract.format)
    flat = len(drawn.pixels) == 1
    _write(image, contract.format, drawn.pixels[0] if flat else drawn.pixels, drawn.spacing)
    if contract.label.path is None or drawn.mask is None or contract.label.format not in ("png", "nifti"):
        return 1
    mask = _place(folder, contract, str(record[contract.label.path]), contract.label.format)
    _write(mask, contract.label.format, (drawn.mask[0] if flat else drawn.mask).astype(np.int32), drawn.spacing)
    return 2


def _place(folder: Path, contract: ImagingContract, name: str, form: str) -> Path:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not name.lower().endswith(_ENDINGS[form]):
        raise refuse(
            "S-SYNTH",
            f"{contract.id} {contract.version}, table",
            "Images are made up that obey their schema",
            f"the pattern of the field that names files allows others than those that end in {' or '.join(_ENDINGS[form])}",
            "say in its pattern how names end, or use images of your own",
        )
    place = folder / path
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def _write(path: Path, form: str, pixels: NDArray[np.int32], spacing: tuple[float, float]) -> None:
    """Write an array of rows by columns, or of slices by rows by columns."""
    if form == "nifti":
        volume = np.ascontiguousarray(pixels.T.astype(np.int16))
        across, along = spacing
        nibabel.save(nibabel.Nifti1Image(volume, np.diag([-across, -across, along, 1.0])), path)  # type: ignore[no-untyped-call]
        return
    Image.fromarray(pixels.astype(np.uint8)).save(path, format=form.upper())

"""One DICOM file as its index knows it: what it is, where in space it lies, and what its pixels are said to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from pydicom.config import IGNORE
from pydicom.uid import UID

from silo_node.dicom import tags, values
from silo_node.dicom.dummies import is_dummy
from silo_node.dicom.header import Header, PixelPlace
from silo_node.dicom.values import Vector

Contrast: TypeAlias = Literal["given", "not given", "unknown"]
"""Whether a contrast agent was given; unknown where a header has elements that say it, and none with a value."""

FARTHEST: Final = 1e6
"""The largest number, in mm or of a direction, that places an image: larger ones are of no scanner, and overflow."""

_IMAGES: Final = "Image Storage"


@dataclass(frozen=True, slots=True)
class Pixels:
    """How the pixels of a file are said to lie (PS3.3 C.7.6.3).

    Attributes:
        rows: of an image; as all numbers here, ``None`` where the header gives none or no number.
        columns: of an image.
        frames: images in the file; 1 where it does not say.
        samples: of a pixel: 1 for grey and palette, 3 for colour.
        allocated: bits that a sample takes.
        stored: bits of them that hold it.
        high: the highest of these bits, from 0.
        signed: whether samples have a sign.
        photometric: how a number becomes a colour: MONOCHROME2.
        place: where they lie.
    """

    rows: int | None
    columns: int | None
    frames: int | None
    samples: int | None
    allocated: int | None
    stored: int | None
    high: int | None
    signed: bool
    photometric: str
    place: PixelPlace | None


@dataclass(frozen=True, slots=True)
class Plane:
    """Where an image lies in space (PS3.3 C.7.6.2): millimetres, in the patient's left, back and head (LPS).

    Attributes:
        position: the middle of the first pixel.
        row: the direction in which the columns ascend, of length 1.
        column: the direction in which the rows ascend.
        spacing: between rows, and between columns.
    """

    position: Vector
    row: Vector
    column: Vector
    spacing: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Instance:
    """One file. Texts are as they stand there; empty where they are absent.

    Attributes:
        file: where it lies, from the export folder.
        sop_class: of the data set; where that has none, as in a directory, the file's (0002,0002).
        plane: ``None`` where position, orientation or spacing are absent, malformed or beyond any place.
        view: of a projection.
        contrast: whether a contrast agent was given.
        detector_spacing: between rows, and between columns, of a projection: PixelSpacing, or that at the detector.
        thickness: of the slice, in mm.
        rescale_type: what slope and intercept lead to: HU; they mostly do not say.
        modality_lut: whether a table, and no slope, leads from stored numbers to those of the modality; it is not applied.
        acquisition: with ``temporal``, what tells images at the same place apart.
        grouped: whether it has functional groups, as enhanced objects do: planes and spacing then stand in them.
        size: of the file in bytes.
    """

    file: str
    syntax: str
    sop_class: str
    sop_instance: str
    study: str
    series: str
    patient: str
    modality: str
    image_type: tuple[str, ...]
    body_part: str
    view: str
    contrast: Contrast
    frame_of_reference: str
    pixels: Pixels
    plane: Plane | None
    detector_spacing: tuple[float, float] | None
    thickness: float | None
    slope: float | None
    intercept: float | None
    rescale_type: str
    modality_lut: bool
    acquisition: int | None
    temporal: int | None
    number: int | None
    grouped: bool
    size: int


def is_image(each: Instance) -> bool:
    """Say whether a file is of a class of images, by its name in the standard (PS3.6 table A-1): it should have pixels."""
    return _IMAGES in UID(each.sop_class, IGNORE).name  # else it warns of odd ones, and says them


def instance(header: Header, file: str) -> Instance:
    """Give what a header says."""
    return Instance(
        file=file,
        syntax=header.syntax,
        sop_class=values.text(header, tags.SOP_CLASS) or values.text(header, tags.MEDIA_CLASS),
        sop_instance=values.text(header, tags.SOP_INSTANCE),
        study=values.text(header, tags.STUDY),
        series=values.text(header, tags.SERIES),
        patient=values.identifier(header, tags.PATIENT_ID),
        modality=values.text(header, tags.MODALITY),
        image_type=values.texts(header, tags.IMAGE_TYPE),
        body_part=values.text(header, tags.BODY_PART),
        view=values.text(header, tags.VIEW),
        contrast=_contrast(header),
        frame_of_reference=values.text(header, tags.FRAME_OF_REFERENCE),
        pixels=_pixels(header),
        plane=_plane(header),
        detector_spacing=_detector_spacing(header),
        thickness=values.number(header, tags.SLICE_THICKNESS),
        slope=values.number(header, tags.SLOPE),
        intercept=values.number(header, tags.INTERCEPT),
        rescale_type=values.text(header, tags.RESCALE_TYPE),
        modality_lut=bool(header.values.get(tags.MODALITY_LUT)),
        acquisition=values.whole(header, tags.ACQUISITION_NUMBER),
        temporal=values.whole(header, tags.TEMPORAL_POSITION),
        number=values.whole(header, tags.INSTANCE_NUMBER),
        grouped=tags.FRAME_GROUPS in header.values or tags.SHARED_GROUPS in header.values,
        size=header.size,
    )


def _contrast(header: Header) -> Contrast:
    """Say whether any element of the Contrast/Bolus Module has a value; what a de-identifier left of one is none."""
    there = {tag: header.values[tag] for tag in tags.CONTRAST if tag in header.values}
    if not there:
        return "not given"
    return "unknown" if all(is_dummy(tags.CONTRAST[tag], value) for tag, value in there.items()) else "given"


def _pixels(header: Header) -> Pixels:
    return Pixels(
        rows=values.short(header, tags.ROWS),
        columns=values.short(header, tags.COLUMNS),
        frames=values.whole(header, tags.FRAMES) if header.values.get(tags.FRAMES) else 1,
        samples=values.short(header, tags.SAMPLES),
        allocated=values.short(header, tags.BITS_ALLOCATED),
        stored=values.short(header, tags.BITS_STORED),
        high=values.short(header, tags.HIGH_BIT),
        signed=values.short(header, tags.SIGNED) == 1,
        photometric=values.text(header, tags.PHOTOMETRIC),
        place=header.pixels,
    )


def _plane(header: Header) -> Plane | None:
    position = values.vector(header, tags.POSITION)
    cosines = values.numbers(header, tags.ORIENTATION, 6)
    spacing = values.numbers(header, tags.PIXEL_SPACING, 2)
    if position is None or cosines is None or spacing is None:
        return None
    if max(abs(each) for each in (*position, *cosines, *spacing)) > FARTHEST:
        return None
    return Plane(position, (cosines[0], cosines[1], cosines[2]), (cosines[3], cosines[4], cosines[5]), (spacing[0], spacing[1]))


def _detector_spacing(header: Header) -> tuple[float, float] | None:
    found = values.numbers(header, tags.PIXEL_SPACING, 2) or values.numbers(header, tags.IMAGER_SPACING, 2)
    return None if found is None else (found[0], found[1])

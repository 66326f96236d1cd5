"""A label map written as a DICOM segmentation that refers to the images it lies on.

Attributes of patient and study are copied from the images' headers, as PS3.3 A.51 asks for; the segments are named after the
classes, and coded. What has no code in a scheme gets one in a private scheme that says so.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

import highdicom
import numpy as np
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from silo_node.dicom.segmentation import LabelMap
from silo_node.dicom.series import Stack
from wardround.files import write_atomic

PRIVATE_SCHEME: Final = "99WARDROUND"
"""Coding scheme designator of classes that were given no code (PS3.3 8.2: private ones begin with 99)."""

_CATEGORY: Final = Code("CLASS", PRIVATE_SCHEME, "Class of a data contract")

LONGEST_CODE: Final = 16
"""Characters of a code value (SH)."""

LONGEST_MEANING: Final = 64
"""Characters of a code's meaning, and of a segment's label (LO)."""

_MAY_BE_EMPTY: Final = (
    *("PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber"),
    *("ReferringPhysicianName", "PositionReferenceIndicator"),
)
"""Attributes of type 2 of patient, study and frame of reference, which de-identification may have removed."""

OWNER_ONLY: Final = 0o600


@dataclass(frozen=True, slots=True)
class Concept:
    """A code for what a class is.

    Attributes:
        value: the code.
        scheme: its scheme, as DICOM designates it: SCT.
        meaning: in words.
    """

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Author:
    """What made the label map.

    Attributes:
        algorithm: its name, as of a model that was released.
        version: of it.
        software: the version of the program that ran it.
    """

    algorithm: str
    version: str
    software: str


class UnwritableError(Exception):
    """The images of the stack cannot be referred to: their headers lack what a segmentation has to copy, or cannot be read."""


def write_segmentation(
    path: Path,
    label_map: LabelMap,
    stack: Stack,
    folder: Path,
    classes: Mapping[str, str],
    author: Author,
    concepts: Mapping[str, Concept] | None = None,
) -> None:
    """Write a segmentation.

    Args:
        path: of the file to be written; for its owner only.
        label_map: ``(columns, rows, slices)``, on the stack; numbers of classes, 0 is background. Slices without any class get
            no frame, unless all are so.
        stack: that the label map lies on.
        folder: where the stack's files are.
        classes: number to name; each is a segment, whether it is seen or not.
        author: what made it.
        concepts: codes of classes, by name.

    Raises:
        ValueError: the label map has not the stack's size, or a number that is no class.
        UnwritableError: the images do not allow it.
        Refused: O-WRITE.
    """
    numbers = sorted(int(number) for number in classes)
    known = {0, *numbers}
    sizes = {(each.pixels.columns, each.pixels.rows) for each in stack.slices}
    is_of_size = sizes == {label_map.shape[:2]} and label_map.shape[2] == len(stack.slices)
    if not is_of_size or not known.issuperset(np.unique(label_map)):
        msg = "the label map is of the stack's size, and of the classes' numbers"
        raise ValueError(msg)
    described = [
        _described(at, classes[str(number)], author, (concepts or {}).get(classes[str(number)]))
        for at, number in enumerate(numbers, 1)
    ]
    frames = np.stack([label_map.transpose(2, 1, 0) == number for number in numbers], axis=-1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # with values of the images' headers
        try:
            sources = [_header(folder / each.file) for each in stack.slices]
            made = highdicom.seg.Segmentation(
                source_images=sources,
                pixel_array=frames.astype(np.uint8),
                segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
                segment_descriptions=described,
                series_instance_uid=highdicom.UID(),
                series_number=1,
                sop_instance_uid=highdicom.UID(),
                instance_number=1,
                manufacturer="Wardround",
                manufacturer_model_name=author.algorithm[:LONGEST_MEANING],
                software_versions=author.software,
                device_serial_number=author.version[:LONGEST_MEANING],
                content_label="SEGMENTATION",
                content_description=None,
                content_creator_name=None,
                omit_empty_frames=bool(label_map.any()),
            )
            data = _bytes(made)
        except Exception:  # noqa: BLE001  (highdicom raises almost anything on odd headers, with values in it)
            raise UnwritableError from None
    write_atomic(path, data, OWNER_ONLY)


def _header(path: Path) -> Dataset:
    """Read an image's header; what a segmentation has to have, if only empty, is empty where it is absent."""
    found = dcmread(path, stop_before_pixels=True)
    for keyword in _MAY_BE_EMPTY:
        if keyword not in found:
            setattr(found, keyword, None)
    return found


def _bytes(made: Dataset) -> bytes:
    buffer = BytesIO()
    dcmwrite(buffer, made, enforce_file_format=True)
    return buffer.getvalue()


def _described(number: int, name: str, author: Author, concept: Concept | None) -> highdicom.seg.SegmentDescription:
    value = re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_")[:LONGEST_CODE] or f"CLASS_{number}"
    kind = (
        Code(value, PRIVATE_SCHEME, name[:LONGEST_MEANING])
        if concept is None
        else Code(concept.value, concept.scheme, concept.meaning)
    )
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=name[:LONGEST_MEANING],
        segmented_property_category=_CATEGORY,
        segmented_property_type=kind,
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name=author.algorithm[:LONGEST_MEANING],
            version=author.version[:LONGEST_MEANING],
            family=codes.DCM.ArtificialIntelligence,
        ),
    )

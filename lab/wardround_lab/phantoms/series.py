"""Write a scan as a scanner's archive exports it: one DICOM file a slice, and the truth as a DICOM segmentation.

Of a person there is nothing in the files, and they say so (0012,0062). UIDs are made from names (PS3.5 B.2), so that the same
phantom has the same ones everywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

import numpy as np
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentationTypeValues, SegmentDescription
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from silo_node.dicom.synthetic import settled
from wardround_lab.phantoms.volume import HIGHEST_HU, LOWEST_HU, Grid, Scan

Syntax: TypeAlias = Literal["explicit", "implicit", "rle", "jpeg2000"]
SYNTAXES: Final[dict[Syntax, UID]] = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "rle": RLELossless,
    "jpeg2000": JPEG2000Lossless,
}
METHOD: Final = "Synthetic images: there is no patient"
"""What stands where a file says how it was de-identified."""

MAKER: Final = "Wardround phantoms"
BITS: Final = 12
LESION: Final = "lesion"


@dataclass(frozen=True)
class Scanner:
    """How a hospital's scanner and archive write.

    Attributes:
        grid: where numbers are taken.
        noise: standard deviation of a pixel in HU.
        syntax: of the pixels.
        inverted: whether the smallest number is white (MONOCHROME1).
        turned: whether rows go to the front and columns to the right, as of somebody who lies on the face.
        downwards: whether slices are numbered from the head to the feet.
        kvp: of the tube.
    """

    grid: Grid
    noise: float
    syntax: Syntax = "explicit"
    inverted: bool = False
    turned: bool = False
    downwards: bool = False
    kvp: int = 120


def make_uid(*words: object) -> UID:
    """Give the UID of a name."""
    digest = hashlib.sha256("/".join(("wardround phantom", *map(str, words))).encode()).digest()
    return UID(f"2.25.{int.from_bytes(digest[:16], 'big')}")


def make_slices(scan: Scan, scanner: Scanner, patient: str, series: str) -> list[FileDataset]:
    """Give a scan's slices, in the order in which they are numbered."""
    first = _series(scanner, patient, series, scan.hounsfield.shape[1:])
    count = len(scan.hounsfield)
    heights = scanner.grid.middle(count, scanner.grid.step)
    order = range(count)[::-1] if scanner.downwards else range(count)
    edge = scanner.grid.first[0]
    corner = (-edge, -edge) if scanner.turned else (edge, edge)
    direction = (-1, 0, 0, 0, -1, 0) if scanner.turned else (1, 0, 0, 0, 1, 0)
    made = []
    for number, place in enumerate(order, start=1):
        image = deepcopy(first)
        _name(image, make_uid(patient, series, number))
        image.InstanceNumber = number
        image.ImagePositionPatient = [*corner, float(heights[place])]
        image.ImageOrientationPatient = list(direction)
        pixels = scan.hounsfield[place]
        _put(image, pixels[::-1, ::-1] if scanner.turned else pixels, scanner)
        made.append(image)
    return made


def make_localiser(scan: Scan, scanner: Scanner, patient: str, series: str) -> FileDataset:
    """Give an image from the front that shows where the slices were taken, in the slices' own series; never compressed."""
    scanner = replace(scanner, syntax="explicit")
    seen = np.rint(scan.hounsfield.mean(axis=1)).astype(np.int16)[::-1]
    image = _series(scanner, patient, series, seen.shape)
    _name(image, make_uid(patient, series, "localiser"))
    left, _, lowest = scanner.grid.first
    image.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    image.InstanceNumber = 0
    image.ImagePositionPatient = [left, 0.0, -lowest]
    image.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    image.PixelSpacing = [scanner.grid.step, scanner.grid.spacing]
    _put(image, seen, scanner)
    return image


def make_truth(scan: Scan, scanner: Scanner, slices: Sequence[FileDataset], patient: str, series: str) -> Dataset:
    """Give the segmentation of a scan's lesions, which names its slices; where there is no lesion, all of it is background.

    Args:
        scan: with the truth.
        scanner: that wrote the slices.
        slices: as ``make_slices`` gives them.
        patient: whose they are.
        series: the name of theirs.
    """
    mask = scan.truth[::-1] if scanner.downwards else scan.truth
    lesion = SegmentDescription(
        segment_number=1,
        segment_label=LESION,
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Lesion,
        algorithm_type=SegmentAlgorithmTypeValues.MANUAL,
    )
    truth = Segmentation(
        source_images=slices,
        pixel_array=mask[:, ::-1, ::-1] if scanner.turned else mask,
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[lesion],
        series_instance_uid=make_uid(patient, series, "truth"),
        series_number=2,
        sop_instance_uid=make_uid(patient, series, "truth", 1),
        instance_number=1,
        manufacturer=MAKER,
        manufacturer_model_name=MAKER,
        software_versions="1",
        device_serial_number="REMOVED",
        content_label="LESIONS",
        omit_empty_frames=bool(mask.any()),
    )
    return settled(truth, make_uid(patient, series, "truth", "dimensions"))


# ------------------------------------------------------------------------------------------------------------- elements


def _series(scanner: Scanner, patient: str, series: str, size: Sequence[int]) -> FileDataset:
    """Give what all images of a series have alike."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ImplicitVRLittleEndian if scanner.syntax == "implicit" else ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CTImageStorage
    image = FileDataset("", {}, preamble=bytes(128), file_meta=meta)
    image.SOPClassUID = CTImageStorage
    image.StudyInstanceUID = make_uid(patient, series, "study")
    image.SeriesInstanceUID = make_uid(patient, series, "series")
    image.FrameOfReferenceUID = make_uid(patient, series, "frame")
    image.PatientID, image.PatientIdentityRemoved, image.DeidentificationMethod = patient, "YES", METHOD
    for keyword in ("PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber"):
        setattr(image, keyword, "")
    image.ReferringPhysicianName = ""
    image.Modality, image.Manufacturer, image.ImageType = "CT", MAKER, ["ORIGINAL", "PRIMARY", "AXIAL"]
    image.BodyPartExamined, image.BurnedInAnnotation, image.PositionReferenceIndicator = "PHANTOM", "NO", ""
    image.SeriesNumber, image.AcquisitionNumber, image.KVP = 1, 1, scanner.kvp
    image.PixelSpacing = [scanner.grid.spacing, scanner.grid.spacing]
    image.SliceThickness = scanner.grid.thickness
    image.Rows, image.Columns = size
    image.SamplesPerPixel, image.PixelRepresentation = 1, 0
    image.PhotometricInterpretation = "MONOCHROME1" if scanner.inverted else "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, BITS, BITS - 1
    image.RescaleSlope, image.RescaleIntercept, image.RescaleType = 1, LOWEST_HU, "HU"
    return image


def _name(image: FileDataset, uid: UID) -> None:
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = uid


def _put(image: FileDataset, hounsfield: NDArray[np.int16], scanner: Scanner) -> None:
    """Put in the pixels of an image."""
    stored = (hounsfield.astype(np.int32) - LOWEST_HU).astype(np.uint16)
    if scanner.inverted:
        stored = (HIGHEST_HU - LOWEST_HU - stored).astype(np.uint16)
    image.PixelData = np.ascontiguousarray(stored).tobytes()
    image["PixelData"].VR = "OW"
    if scanner.syntax in ("rle", "jpeg2000"):
        image.compress(
            SYNTAXES[scanner.syntax], np.ascontiguousarray(stored), encoding_plugin="pylibjpeg", generate_instance_uid=False
        )

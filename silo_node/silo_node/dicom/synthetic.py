"""Synthetic images as DICOM files that obey a contract: headers with nobody in them, and segmentations of what was drawn.

Pixels are drawn elsewhere (``silo_node.imaging.synthetic``). Every UID follows from a name (PS3.5 B.2), so that the same
arguments give the same files on every machine, and every file says that there is no patient (0012,0062 and 0063).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentationTypeValues, SegmentDescription
from numpy.typing import NDArray
from pydicom import dcmwrite
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    MRImageStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
    UltrasoundImageStorage,
)

from wardround.contract.imaging import Geometry, ImagingContract, Protocol
from wardround.errors import Broken, refuse

_VOLUME: Final = 3
METHOD: Final = "SYNTHETIC IMAGES: there is no patient"
"""What stands where a file says how it was de-identified."""
MAKER: Final = "Wardround synthetic"
NO_DATE, NO_TIME = "19000101", "000000"
"""What stands where the standard wants a date: a dummy, for nothing was ever made on that day."""
HU_LOWEST: Final = -1024
"""The number that is stored as 0, in HU."""
NARROW_BITS, USUAL_BITS = 8, 12

_CLASSES: Final = {
    "CT": CTImageStorage,
    "MR": MRImageStorage,
    "CR": ComputedRadiographyImageStorage,
    "DX": DigitalXRayImageStorageForPresentation,
    "US": UltrasoundImageStorage,
}
_SYNTAXES: Final = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless, JPEG2000Lossless)
_COMPRESSED: Final = (RLELossless, JPEG2000Lossless)
_DIRECTIONS: Final = {
    "any": (1, 0, 0, 0, 1, 0),
    "axial": (1, 0, 0, 0, 1, 0),
    "coronal": (1, 0, 0, 0, 0, -1),
    "sagittal": (0, 1, 0, 0, 0, -1),
}
_VALUES: Final = {
    **dict.fromkeys(("DS", "IS", "US", "UL", "SS", "SL", "UV", "SV"), 1),
    **dict.fromkeys(("FL", "FD"), 1.0),
    **dict.fromkeys(("CS", "LO", "SH", "ST", "LT", "UC", "UT", "AE"), "SYNTHETIC"),
    "DA": NO_DATE,
    "TM": NO_TIME,
    "DT": NO_DATE,
    "AS": "000Y",
}
"""What stands in an element that a contract requires, by its representation; nothing of it means anything."""


@dataclass(frozen=True)
class Identity:
    """Whose an example is, and how it is named.

    Attributes:
        patient: Patient ID.
        study: its UID; of series and, of an example that is an image, of the image likewise.
    """

    patient: str
    study: str
    series: str
    image: str


@dataclass(frozen=True)
class Drawn:
    """What was drawn of one example.

    Attributes:
        pixels: slices by rows by columns, int32; with three colours as a last axis where they are colours.
        mask: slices by rows by columns, with the numbers of the contract's classes; None where there are no masks.
        spacing: millimetres between rows and columns, and between slices.
        thickness: of a slice, in millimetres.
    """

    pixels: NDArray[np.int32]
    mask: NDArray[np.uint8] | None
    spacing: tuple[float, float]
    thickness: float


def make_uid(*words: object) -> UID:
    """Give the UID of a name (PS3.5 B.2)."""
    digest = hashlib.sha256("/".join(("wardround synthetic", *map(str, words))).encode()).digest()
    return UID(f"2.25.{int.from_bytes(digest[:16], 'big')}")


def bits_of(protocol: Protocol) -> int:
    """Give how many bits of a sample are used: twelve, or what the contract allows that is nearest to it."""
    if coloured(protocol):
        return NARROW_BITS
    allowed = protocol.bits_stored
    return USUAL_BITS if allowed is None else int(min(max(USUAL_BITS, allowed.low), allowed.high))


def coloured(protocol: Protocol) -> bool:
    """Say whether images are colours: where the contract allows no grey."""
    return not any(each.startswith("MONOCHROME") for each in protocol.photometric)


def write_example(folder: Path, contract: ImagingContract, identity: Identity, drawn: Drawn) -> list[Path]:
    """Write the files of one example, and of its segmentation where the contract has masks.

    Args:
        folder: where they go; it is there.
        contract: of images in DICOM.
        identity: whose it is.
        drawn: its pixels.

    Raises:
        Refused: S-SYNTH where the contract asks for what cannot be made up.
    """
    images = _images(contract, identity, drawn)
    paths = []
    for image in images:
        path = folder / f"{hashlib.sha256(image.SOPInstanceUID.encode()).hexdigest()[:20]}.dcm"
        dcmwrite(path, image, enforce_file_format=True)
        paths.append(path)
    if drawn.mask is not None:
        made = _segmentation(contract, identity, images, drawn.mask)
        path = folder / f"{hashlib.sha256(made.SOPInstanceUID.encode()).hexdigest()[:20]}.dcm"
        dcmwrite(path, made, enforce_file_format=True)
        paths.append(path)
    return paths


def _images(contract: ImagingContract, identity: Identity, drawn: Drawn) -> list[FileDataset]:
    protocol, geometry = _protocol(contract), contract.geometry
    first = _header(contract, protocol, identity, drawn)
    direction = _DIRECTIONS[geometry.plane]
    normal = np.cross(direction[:3], direction[3:])
    syntax = _syntax(contract, protocol)
    images = []
    for number, pixels in enumerate(drawn.pixels):
        image = deepcopy(first)
        uid = UID(identity.image) if len(drawn.pixels) == 1 else make_uid(identity.series, number)
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = uid
        image.InstanceNumber = number + 1
        image.ImageOrientationPatient = list(direction)
        image.ImagePositionPatient = [float(each) for each in number * drawn.spacing[1] * normal]
        _put(image, pixels, syntax)
        images.append(image)
    return images


def _protocol(contract: ImagingContract) -> Protocol:
    if contract.protocol is None:
        raise Broken("a contract of DICOM has a protocol")
    return contract.protocol


def _header(contract: ImagingContract, protocol: Protocol, identity: Identity, drawn: Drawn) -> FileDataset:
    """Give what all images of an example have alike."""
    modality = protocol.modalities[0]
    storage = UID(protocol.sop_classes[0]) if protocol.sop_classes else _CLASSES.get(modality, SecondaryCaptureImageStorage)
    syntax = _syntax(contract, protocol)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian if syntax in _COMPRESSED else syntax
    meta.MediaStorageSOPClassUID = storage
    image = FileDataset("", {}, preamble=bytes(128), file_meta=meta)
    image.SOPClassUID, image.Modality, image.Manufacturer = storage, modality, MAKER
    image.StudyInstanceUID, image.SeriesInstanceUID = identity.study, identity.series
    image.FrameOfReferenceUID = make_uid(identity.series, "frame")
    image.PatientID, image.PatientIdentityRemoved, image.DeidentificationMethod = identity.patient, "YES", METHOD
    for keyword in ("PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber"):
        setattr(image, keyword, "")
    image.ReferringPhysicianName = image.PositionReferenceIndicator = ""
    image.BurnedInAnnotation = image.RecognizableVisualFeatures = "NO"
    image.SeriesNumber = image.AcquisitionNumber = 1
    image.ImageType = _image_type(protocol)
    if protocol.body_parts:
        image.BodyPartExamined = protocol.body_parts[0]
    if protocol.views:
        image.ViewPosition = protocol.views[0]
    if protocol.contrast == "with":
        image.ContrastBolusAgent = "SYNTHETIC"
    _size(image, contract.geometry, drawn)
    _numbers(image, contract, protocol)
    for keyword in contract.tags.required:
        if keyword not in image:
            setattr(image, keyword, _value(contract, keyword))
    for keyword in contract.tags.forbidden:
        if keyword in image:
            del image[keyword]
    return image


def _image_type(protocol: Protocol) -> list[str]:
    """Give Image Type (PS3.3 C.7.6.1.1.2): what is wanted, behind the two values that every image has, and none that is not."""
    wanted, unwanted = protocol.image_types, protocol.no_image_types
    first = "DERIVED" if "DERIVED" in wanted or "ORIGINAL" in unwanted else "ORIGINAL"
    second = "SECONDARY" if "SECONDARY" in wanted or "PRIMARY" in unwanted else "PRIMARY"
    return [first, second, *(each for each in wanted if each not in (first, second))]


def _size(image: FileDataset, geometry: Geometry, drawn: Drawn) -> None:
    image.Rows, image.Columns = drawn.pixels.shape[1:3]
    image.PixelSpacing = [drawn.spacing[0], drawn.spacing[0]]
    if image.Modality in ("CR", "DX"):
        image.ImagerPixelSpacing = image.PixelSpacing
    if geometry.dimensions == _VOLUME or drawn.mask is not None:  # highdicom asks it of what a segmentation lies on
        image.SliceThickness = drawn.thickness


def _numbers(image: FileDataset, contract: ImagingContract, protocol: Protocol) -> None:
    """Say what the numbers of pixels are."""
    colours, bits = coloured(protocol), bits_of(protocol)
    image.SamplesPerPixel, image.PixelRepresentation = (3 if colours else 1), 0
    if colours:
        if "RGB" not in protocol.photometric:
            raise _impossible(contract, "protocol.photometric", "none of grey or RGB is allowed")
        image.PhotometricInterpretation, image.PlanarConfiguration = "RGB", 0
    else:
        image.PhotometricInterpretation = "MONOCHROME2" if "MONOCHROME2" in protocol.photometric else "MONOCHROME1"
    image.BitsAllocated = NARROW_BITS if bits <= NARROW_BITS else 16
    image.BitsStored, image.HighBit = bits, bits - 1
    if contract.intensity.unit == "HU":
        image.RescaleSlope, image.RescaleIntercept, image.RescaleType = 1, HU_LOWEST, "HU"


def _syntax(contract: ImagingContract, protocol: Protocol) -> UID:
    allowed = protocol.transfer_syntaxes
    found = next((each for each in _SYNTAXES if not allowed or each in allowed), None)
    if found is None:
        raise _impossible(contract, "protocol.transfer_syntaxes", "none of those allowed is one that is written")
    return found


def _value(contract: ImagingContract, keyword: str) -> object:
    tag = tag_for_keyword(keyword)
    kind = "" if tag is None else dictionary_VR(tag).partition(" ")[0]
    if kind == "UI":
        return make_uid(keyword)
    if kind not in _VALUES:
        raise _impossible(contract, "tags.required", f"no value can be made up for {keyword}")
    return _VALUES[kind]


def _put(image: FileDataset, pixels: NDArray[np.int32], syntax: UID) -> None:
    """Put in the pixels of an image."""
    highest = 2**image.BitsStored - 1
    lowest = int(image.RescaleIntercept) if "RescaleIntercept" in image else 0
    stored = np.clip(pixels - lowest, 0, highest)
    if image.PhotometricInterpretation == "MONOCHROME1":
        stored = highest - stored
    kept = np.ascontiguousarray(stored.astype(np.uint8 if image.BitsAllocated == NARROW_BITS else np.uint16))
    content = kept.tobytes()
    image.PixelData = content + bytes(len(content) % 2)
    image["PixelData"].VR = "OB" if image.BitsAllocated == NARROW_BITS else "OW"
    if syntax in _COMPRESSED:
        image.compress(syntax, kept, encoding_plugin="pylibjpeg", generate_instance_uid=False)


def _segmentation(
    contract: ImagingContract, identity: Identity, images: Sequence[FileDataset], mask: NDArray[np.uint8]
) -> Dataset:
    """Give the segmentation of an example, which names its images; classes are told by their labels."""
    classes: Mapping[str, str] = contract.label.classes
    described = [
        SegmentDescription(
            segment_number=number,
            segment_label=name,
            segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
            segmented_property_type=codes.SCT.Lesion,
            algorithm_type=SegmentAlgorithmTypeValues.MANUAL,
        )
        for number, name in enumerate(classes.values(), start=1)
    ]
    made = Segmentation(
        source_images=images,
        pixel_array=np.stack([mask == int(number) for number in classes], axis=-1).astype(np.uint8),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=described,
        series_instance_uid=make_uid(identity.series, "mask"),
        series_number=2,
        sop_instance_uid=make_uid(identity.series, "mask", 1),
        instance_number=1,
        manufacturer=MAKER,
        manufacturer_model_name=MAKER,
        software_versions="1",
        device_serial_number="REMOVED",
        content_label="SYNTHETIC",
    )
    return settled(made, make_uid(identity.series, "mask", "dimensions"))


def settled(segmentation: Dataset, dimensions: UID) -> Dataset:
    """Take from a segmentation what the moment of its making left in it."""
    del segmentation.ContributingEquipmentSequence
    segmentation.ContentDate = segmentation.InstanceCreationDate = NO_DATE
    segmentation.ContentTime = segmentation.InstanceCreationTime = NO_TIME
    for element in segmentation.iterall():
        if element.keyword == "DimensionOrganizationUID":
            element.value = dimensions
    return segmentation


def _impossible(contract: ImagingContract, place: str, finding: str) -> Exception:
    rule = "Images are made up that obey their schema"
    return refuse("S-SYNTH", f"{contract.id} {contract.version}, {place}", rule, finding, "use images of your own")

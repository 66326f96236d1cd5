"""What each D- code says of a folder of images: the rule, with the contract's own numbers, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from silo_node.dicom.traces import REMEDY
from wardround.contract.imaging import ImagingContract, Protocol, Range
from wardround.contract.imaging_words import FORMATS

EXPORT_AGAIN: Final = "export the file again; if it comes out the same, ask the archive"
LEAVE_OUT: Final = "nothing, unless it should be an image of this contract"

NEXT: Final[Mapping[str, str]] = {
    "D-NOTDICOM": "nothing, unless it should be an image: then export it again, as DICOM",
    "D-TRUNC": EXPORT_AGAIN,
    "D-HEADER": EXPORT_AGAIN,
    "D-BOMB": "look where the file comes from: no scanner writes such a one",
    "D-FILE": "let the user of the service read the file",
    "D-NOPIXELS": EXPORT_AGAIN,
    "D-OBJECT": LEAVE_OUT,
    "D-MODALITY": LEAVE_OUT,
    "D-SOPCLASS": LEAVE_OUT,
    "D-KIND": LEAVE_OUT,
    "D-SYNTAX": "have the archive export in another transfer syntax, best Explicit VR Little Endian",
    "D-PHOTO": "look whether the images are of the right kind; the contract would have to allow it; have those with a palette "
    "exported as RGB",
    "D-PIXLEN": EXPORT_AGAIN,
    "D-DECODE": EXPORT_AGAIN,
    "D-CRASH": "export the file uncompressed; if that is not enough, look where it comes from",
    "D-UID": "look for exports that were merged, copied or de-identified by hand; export the study anew",
    "D-PATIENT": "have the de-identification write a pseudonym as Patient ID, the same for table and images",
    "D-NOTAG": "have the archive export the elements; a de-identifier may keep what the contract needs and nobody is known by",
    "D-TAG": "let the de-identifier empty these elements, or choose images of the protocol",
    "D-BITS": "look whether these are the scanner's own images, and not secondary captures",
    "D-VIEW": "nothing, if it is another view; else have View Position corrected",
    "D-CONTRAST": "nothing, if it is another phase; have Contrast/Bolus Agent corrected where it is wrong, and kept where a "
    "de-identifier emptied it",
    "D-SIZE": "look whether these are the scanner's own images, and not resampled ones",
    "D-SPACING": "choose series of the protocol, or ask for a wider contract; missing spacing cannot be mended",
    "D-RESCALE": "export the scanner's own images, which have Rescale Slope and Rescale Intercept",
    "D-NOPLANE": "export the scanner's own images with position, orientation and spacing",
    "D-ORIENT": "export the scanner's own images; this orientation is impossible, or two are given",
    "D-DUPSLICE": "remove what was exported twice; tell acquisitions apart by Acquisition Number or Temporal Position",
    "D-GAP": "export the series again; if the scanner made it so, it is not for this contract",
    "D-UNEVEN": "export the series again; if the scanner made it so, it is not for this contract",
    "D-TILT": "use series without gantry tilt; where single slices lie aside, export the series again",
    "D-MULTIFRAME": "have the archive export one file for each slice or image (classic instead of enhanced objects)",
    "D-SLICES": "choose series of the protocol; if slices are missing, export the series again",
    "D-STEP": "choose a reconstruction with slices of this distance",
    "D-THICK": "choose a reconstruction with slices of this thickness",
    "D-PLANE": "choose the series of this plane; reformatted ones are series of their own",
    "D-MASK": "export the segmentation with the series, or have one drawn; no segmentation is no finding of nothing",
    "D-MASKS": "leave the one that counts in the folder",
    "D-MASKFILE": "have it exported again as a binary segmentation or a label map; fractional ones are not read",
    "D-MASKREF": "export the series that it was drawn on, whole; de-identify images and segmentations together",
    "D-MASKFIT": "export the series that it was drawn on; a resampled one has to be drawn on the original again",
    "D-MASKCLASS": "name its segments under 'segments' of the source in site.yaml",
    "D-MASKOVER": "have the segments drawn so that a voxel is of one class",
    "D-MASKEMPTY": "look whether the drawing was saved: one that was lost looks like a finding of nothing",
    "D-MASKSTRAY": "nothing, unless its series should be here",
    "D-MASKPHI": "let the de-identifier go over segmentations, too",
    "D-PATHNAME": "correct the path in the table: parts joined by a slash, within the folder of the source, and no links in it",
    "D-NOFILE": "export the file, or take its row out of the table",
    "D-FORMAT": "save the image in the contract's format: one picture, grey or in colour, 8 bits, without transparency",
    "D-METADATA": "remove all metadata from the file, and keep the pixels",
    "D-INTENSITY": "look whether these are the scanner's or camera's own numbers",
    "D-CONST": "look at the image; it is empty, or was overwritten",
    "D-COPY": "look whose image it is, and take the others out",
    "D-ROW": "wardround silo check --schema with the table's id says what is wrong with which rows",
    "D-TABLE": "wardround silo check --schema with the table's id says what is wrong",
    "D-UNNAMED": "nothing, unless rows are missing in the table",
    **dict[str, str](REMEDY.items()),
    "D-NOIMAGE": "export the images of these records, or take the records out of the table",
    "D-NOROW": "nothing, unless rows are missing in the table, or its keys are written otherwise than in the images",
    "D-JOIN": "look whether table and images were de-identified in one run, with the same UIDs",
    "D-PREPARE": "leave it out of the folder, or ask the study's author for another spacing or schema",
    "D-SEVERAL": "leave the others out of the folder, or use a table with a row for each image or series",
    "D-BODYPART": "look at a few of them; the value is often wrong, and then nothing is to be done",
}
"""By code."""

_FIXED: Final[Mapping[str, str]] = {
    "D-NOTDICOM": "A file that is no DICOM is not looked at",
    "D-TRUNC": "A DICOM file is whole",
    "D-HEADER": "A header is in the form that it declares, and describes its pixels",
    "D-BOMB": "Headers and pixels stay within limits of size, depth and number",
    "D-FILE": "A file can be read",
    "D-NOPIXELS": "An image has pixels; one without was cut off, or stripped",
    "D-OBJECT": "Directories, reports and plans hold no image and are not looked at",
    "D-SYNTAX": "Pixels are in a transfer syntax that the contract allows and that can be decoded here",
    "D-PIXLEN": "There are as many pixels as the header says",
    "D-DECODE": "Pixels decode, in the size that the header says",
    "D-CRASH": "Pixels decode without ending their decoder, within 2 s an image and the memory that it may hold",
    "D-UID": "Study, series and image have valid UIDs, an image stands once, and a study is of one patient",
    "D-PATIENT": "Patient ID tells patients apart, as the table does, so that training and test never share one",
    "D-NOPLANE": "Each slice says where it lies: position, orientation and spacing",
    "D-ORIENT": "Rows and columns are square to each other and of length 1, spacing is above 0; sform and qform of NIfTI agree",
    "D-DUPSLICE": "No two slices of a stack lie at one place",
    "D-GAP": "No slice is missing between the first and the last",
    "D-TILT": "Slices lie along their normal, on one line",
    "D-PRIVATE": "No private attribute holds a value",
    "D-OVERLAY": "There are no overlays and no curves",
    "D-METHOD": "A file says that and how it was de-identified",
    "D-BURNED": "No text is burned into an image: it is of a kind that seldom has any, or says that it has none",
    "D-PATH": "Names of files and folders identify nobody",
    "D-PREAMBLE": "The 128 bytes at the beginning of a file are zero",
    "D-FACE": "No face can be recognised: it is no CT or MR image of a head, or says that none can be",
    "D-NOIMAGE": "Each record has an image",
    "D-NOROW": "Images that no row names are not looked at further",
    "D-JOIN": "Further keys of a row (patient, study, series) are those of its image",
    "D-CONST": "An image has lighter and darker places",
    "D-SEVERAL": "A record has one image",
    "D-PREPARE": "An image can be prepared as the study asks: of its axes and colours, and not too large at its spacing",
    "D-TRAILING": "Nothing follows the last element of a file",
    "D-MASK": "Each example has a segmentation that refers to it",
    "D-MASKS": "Each example has one segmentation",
    "D-MASKFILE": "A segmentation is binary, or a label map; it can be read, and its frames decode",
    "D-MASKREF": "The images that a segmentation refers to are there, and of the same patient and study",
    "D-MASKFIT": "Each frame of a segmentation lies on a slice, pixel on pixel",
    "D-MASKCLASS": "Each segment is one of the contract's classes or background, and one at least is a class: by its label or "
    "the meaning of its type, never by its number",
    "D-MASKOVER": "No voxel is of two classes",
    "D-MASKSTRAY": "A segmentation refers to images of the contract's kind in this folder",
    "D-MASKPHI": "A segmentation identifies nobody",
    "D-PATHNAME": "A path of the table leads to a file in the folder of the source, without links and ways up",
    "D-NOFILE": "The file that a row names is there",
    "D-METADATA": "Metadata says not who, where or when: no EXIF beyond the camera's settings, no XMP, comments or texts",
    "D-ROW": "The row of an image passes the table's own check",
    "D-TABLE": "The table is in order by its own check",
    "D-UNNAMED": "Files that no row names are not looked at",
    "D-MULTIFRAME": "Each slice or image is a file; multi-frame and enhanced objects are not read yet",
}

_RESCALE: Final[Mapping[str, str]] = {
    "HU": "Hounsfield units come of Rescale Slope and Rescale Intercept, without a Modality LUT; Rescale Type is HU or absent",
    "stored": "No Modality LUT gives stored numbers a meaning, since none is applied; slope and intercept are possible",
}
"""By the contract's unit."""


def rule(code: str, contract: ImagingContract) -> str:
    """Say what should hold, in words that name the contract's numbers."""
    fixed = _FIXED.get(code)
    return fixed if fixed is not None else _of_contract(contract)[code]


def is_allowed(code: str, contract: ImagingContract) -> bool:
    """Say whether what a code says of a mask speaks against nothing under a contract, and is a warning."""
    return code == "D-MASKEMPTY" and contract.label.empty == "allowed"


def _of_contract(contract: ImagingContract) -> dict[str, str]:
    protocol, geometry = contract.protocol or Protocol(modalities=("OT",)), contract.geometry
    step = f"{100 * geometry.step_tolerance:g} %"
    kinds = [*(f"with {kind}" for kind in protocol.image_types), *(f"without {kind}" for kind in protocol.no_image_types)]
    return {
        "D-PHI": f"No attribute that {contract.privacy.profile} (PS3.15 Annex E) lists holds a value, at any depth",
        "D-MODALITY": f"The contract is about images of modality {_any_of(protocol.modalities)}",
        "D-SOPCLASS": f"The contract is about objects of SOP class {_any_of(protocol.sop_classes)}",
        "D-KIND": f"The contract is about images whose Image Type is {' and '.join(kinds) or 'anything'}",
        "D-PHOTO": f"Photometric Interpretation is {_any_of(protocol.photometric)}",
        "D-BITS": f"Bits Stored is {_range(protocol.bits_stored)}",
        "D-VIEW": f"View Position is {_any_of(protocol.views)}",
        "D-CONTRAST": f"Images are {protocol.contrast} a contrast agent; elements about one that are all empty say neither",
        "D-RESCALE": _RESCALE[contract.intensity.unit],
        "D-SIZE": f"Rows are {_range(geometry.rows)}, columns {_range(geometry.columns)}",
        "D-SPACING": f"Pixel spacing is {_range(geometry.pixel_spacing)} mm",
        "D-UNEVEN": f"Steps between slices differ from their median by {step} at most",
        "D-SLICES": f"A stack has {_range(geometry.slices)} slices, and two at least",
        "D-THICK": f"Slice Thickness is {_range(geometry.slice_thickness)} mm",
        "D-NOTAG": f"Each header has a value of {_all_of(contract.tags.required)}",
        "D-TAG": f"No header has a value of {_any_of(contract.tags.forbidden)}",
        "D-COPY": "No image is another one's too, pixel for pixel"
        if contract.format == "dicom"
        else "Two rows are not of the same image, byte for byte",
        "D-STEP": f"The step between slices is {_range(geometry.slice_step)} mm",
        "D-PLANE": f"Slices are {geometry.plane}",
        "D-FORMAT": f"Images are in {FORMATS[contract.format]}, in {geometry.dimensions} dimensions, and of a kind that is read",
        "D-MASKEMPTY": "A mask in which nothing is drawn says that nothing was found, and its example counts"
        if contract.label.empty == "allowed"
        else "Something is drawn in a mask; one without a finding is no example of this contract",
        "D-INTENSITY": f"Values are {_range(contract.intensity.possible)}",
        "D-BODYPART": f"Body Part Examined is {_any_of(protocol.body_parts)}",
    }


def _any_of(words: tuple[str, ...]) -> str:
    return " or ".join(words) or "anything"


def _all_of(words: tuple[str, ...]) -> str:
    return " and ".join(words)


def _range(allowed: Range | None) -> str:
    if allowed is None:
        return "any number"
    return f"{allowed.low:g}" if allowed.low == allowed.high else f"{allowed.low:g} to {allowed.high:g}"


def not_looked_at(contract: ImagingContract, *, joined: bool) -> tuple[str, ...]:
    """Say what the contract asks for and this check did not look at, so that no one takes silence for an answer.

    Args:
        contract: of the images.
        joined: whether the rows of its table were looked at.
    """
    if contract.table is None or joined:
        return ()
    return (f"the table {contract.table.id} and its keys, since the site file has no mapping for it",)

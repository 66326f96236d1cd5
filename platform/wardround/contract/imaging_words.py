"""A contract of images in plain words: what an image must be, and what is found in one that is not so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from wardround.contract import dicom_dictionary
from wardround.contract.imaging import Geometry, ImagingContract, Protocol, Range

FORMATS: Final = {"dicom": "DICOM", "nifti": "NIfTI", "png": "PNG", "jpeg": "JPEG"}
LABELS: Final = {
    "class": "a class, one of several",
    "multi_label": "labels, each of which holds or not",
    "regression": "a number",
    "survival": "a time, and whether the event came",
    "mask": "a class for each voxel",
}
"""What people read for the kinds of labels."""

_STUDIED: Final = {
    "class": "",
    "multi_label": "; a study predicts all, some, or one of them",
    "regression": "",
    "survival": "; no study predicts it yet",
}
"""How far studies go with labels that stand in a table."""


@dataclass(frozen=True, slots=True)
class Demand:
    """One thing that is asked of images.

    Attributes:
        what: it is about.
        wanted: in words.
        otherwise: what becomes of an image that is not so.
        codes: what is found in it then.
    """

    what: str
    wanted: str
    otherwise: str
    codes: tuple[str, ...]

    @property
    def found(self) -> str:
        """What becomes of it and the codes, in one line."""
        return f"{self.otherwise}: {', '.join(self.codes)}" if self.codes else self.otherwise


_ASIDE: Final = "set aside"
_POLICY: Final = "refused or set aside, by the node's policy"
_LATER: Final = "the check of images does not look at it yet"
_MASK_FILE: Final = ("D-MASKFILE", "D-MASKFIT", "D-MASKCLASS")
_SEGMENTATION: Final = ("D-MASK", "D-MASKS", "D-MASKREF", *_MASK_FILE, "D-MASKOVER")
_OTHER: Final = "of another kind, no fault"


def summary(contract: ImagingContract) -> str:
    """Say in a line what images these are."""
    stack = "a series' stack of slices" if contract.example == "series" else "an image"
    return f"images in {FORMATS[contract.format]}; an example is {stack}"


def demands(contract: ImagingContract) -> list[Demand]:
    """Give all that is asked of an image or a stack, in the order in which it is looked at."""
    found: list[Demand] = []
    if contract.protocol is not None:
        damaged = "D-NOTDICOM", "D-TRUNC", "D-HEADER", "D-BOMB"
        found.append(
            Demand("file", "DICOM, whole, and within limits of size and depth", "counted, and not read further", damaged)
        )
        found += _protocol(contract.protocol)
    else:
        unread = "D-PATHNAME", "D-NOFILE", "D-FILE", "D-FORMAT", "D-HEADER", "D-BOMB", "D-DECODE", "D-CRASH"
        found.append(Demand("file", f"{FORMATS[contract.format]}, whole, and within limits of size", _ASIDE, unread))
    found += _geometry(contract.geometry, dicom=contract.format == "dicom")
    found += _contents(contract)
    found += _identity(contract)
    return found


def _protocol(protocol: Protocol) -> Iterator[Demand]:
    yield Demand("modality", _any_of(protocol.modalities), _OTHER, ("D-MODALITY",))
    if protocol.sop_classes:
        yield Demand("kind of object", _named(protocol.sop_classes, dicom_dictionary.CLASS), _OTHER, ("D-SOPCLASS",))
    kinds = [f"is {each}" for each in protocol.image_types] + [f"is no {each}" for each in protocol.no_image_types]
    if kinds:
        yield Demand("image type", ", ".join(kinds), _OTHER, ("D-KIND",))
    if protocol.body_parts:
        yield Demand("body part", _any_of(protocol.body_parts), "a warning", ("D-BODYPART",))
    if protocol.views:
        yield Demand("view", _any_of(protocol.views), _ASIDE, ("D-VIEW",))
    syntaxes = _named(protocol.transfer_syntaxes, dicom_dictionary.SYNTAX) if protocol.transfer_syntaxes else "any"
    yield Demand("transfer syntax", f"{syntaxes}; one that can be decoded where the images are", _ASIDE, ("D-SYNTAX",))
    yield Demand("photometric interpretation", _any_of(protocol.photometric), _ASIDE, ("D-PHOTO",))
    if protocol.bits_stored is not None:
        yield Demand("bits stored", span(protocol.bits_stored), _ASIDE, ("D-BITS",))
    if protocol.contrast != "any":
        given = "given" if protocol.contrast == "with" else "not given"
        yield Demand("contrast agent", f"{given}, and not left open by elements that are empty", _ASIDE, ("D-CONTRAST",))


def _geometry(geometry: Geometry, *, dicom: bool) -> Iterator[Demand]:
    if not dicom:
        yield Demand("dimensions", str(geometry.dimensions), _ASIDE, ("D-FORMAT",))
    elif geometry.dimensions == 3:  # noqa: PLR2004  (stacks of slices)
        together = "D-NOPLANE", "D-ORIENT", "D-MULTIFRAME", "D-TILT", "D-DUPSLICE"
        yield Demand("stack", "slices of one plane, each at a place of its own, one above the other", _ASIDE, together)
        share = f"{geometry.step_tolerance * 100:.10g} %"
        yield Demand("steps", f"equal, to {share} of their median", _ASIDE, ("D-GAP", "D-UNEVEN"))
    if geometry.plane != "any":
        yield Demand("plane", geometry.plane, _ASIDE, ("D-PLANE",))
    for key, unit, code in (
        ("rows", "", "D-SIZE"),
        ("columns", "", "D-SIZE"),
        ("pixel_spacing", " mm", "D-SPACING"),
        ("slice_step", " mm", "D-STEP"),
        ("slice_thickness", " mm", "D-THICK"),
        ("slices", "", "D-SLICES"),
    ):
        numbers = getattr(geometry, key)
        if numbers is not None:
            words = key.replace("_", " "), span(numbers) + unit
            yield Demand(*words, _ASIDE, (code,))


def _contents(contract: ImagingContract) -> Iterator[Demand]:
    intensity = contract.intensity
    if contract.format == "dicom" and intensity.unit == "HU":
        yield Demand("intensity", "Hounsfield units, by slope and intercept", _ASIDE, ("D-RESCALE",))
    elif contract.format == "dicom":
        yield Demand("intensity", "numbers as they are stored, without a Modality LUT", "a warning", ("D-RESCALE",))
    elif intensity.unit == "HU":
        yield Demand("intensity", "Hounsfield units", _LATER, ())
    if intensity.possible is not None:
        words = "lowest and highest value", span(intensity.possible)
        yield Demand(*words, _ASIDE, ("D-INTENSITY",))
    if contract.format == "dicom":
        yield Demand("picture", "not of one value throughout, and not that of another patient", _ASIDE, ("D-CONST", "D-COPY"))
    for keyword in contract.tags.required:
        yield Demand(tag(keyword), "has a value", _ASIDE, ("D-NOTAG",))
    for keyword in contract.tags.forbidden:
        yield Demand(tag(keyword), "has no value", _ASIDE, ("D-TAG",))
    if contract.format == "dicom":
        privacy = contract.privacy
        wanted = f"nothing that identifies people: attributes of {privacy.profile}, private ones, overlays, names of files"
        yield Demand("people", wanted, _POLICY, ("D-PHI", "D-PRIVATE", "D-OVERLAY", "D-PATH", "D-PREAMBLE", "D-TRAILING"))
        if privacy.declared:
            yield Demand("de-identification", "the header says that it was done, and how", _POLICY, ("D-METHOD",))
        otherwise = "a warning" if privacy.burned_in == "warn" else _POLICY
        yield Demand("text in the picture", "none is to be suspected", otherwise, ("D-BURNED",))
        yield Demand("faces", "none is to be recognised", "a warning", ("D-FACE",))
    else:
        yield Demand("people", "nothing that identifies them in a file's metadata", _ASIDE, ("D-METADATA",))


def _identity(contract: ImagingContract) -> Iterator[Demand]:
    if contract.format == "dicom":
        yield Demand("identity", "UIDs that stand once; a study is of one patient", _ASIDE, ("D-UID",))
    if contract.patient_key == "PatientID":
        yield Demand("patient", "PatientID, by which examples are split", _ASIDE, ("D-PATIENT",))
    link = contract.table
    if link is not None:
        how = f"by {link.path}" if link.path is not None else f"by {link.keys[link.grain]}"
        words = "table", f"a row of {link.id} {link.version} for its {link.grain}, {how}"
        joined = ("D-NOIMAGE", "D-SEVERAL", "D-ROW", "D-PATIENT", "D-JOIN")
        yield Demand(*words, _ASIDE, joined if link.path is None else ("D-ROW", "D-COPY"))
        if link.path is None:
            yield Demand("images of no row", "none are looked at further", "counted, and no fault", ("D-NOROW",))
    label = contract.label
    if label.kind == "mask":
        where = f"named by {label.path}" if label.path is not None else "found by what they refer to"
        form = "DICOM SEG" if label.format == "dicom-seg" else FORMATS[str(label.format)]
        classes = ", ".join(f"{number} {name}" for number, name in label.classes.items())
        codes = _SEGMENTATION if label.format == "dicom-seg" else _MASK_FILE
        yield Demand("mask", f"{form} of the same shape, {where}; classes: 0 background, {classes}", _ASIDE, codes)
        may = label.empty == "allowed"
        drawn = "something, or nothing, which says that nothing was found" if may else "something"
        yield Demand("drawn in it", drawn, "a warning, where it is nothing" if may else _ASIDE, ("D-MASKEMPTY",))
    else:
        wanted = f"{LABELS[label.kind]}: {', '.join(label.fields)}{_STUDIED[label.kind]}"
        yield Demand("label", wanted, "its row is set aside", ("D-ROW",))


def span(numbers: Range) -> str:
    """Write a range."""
    low, high = f"{numbers.low:.15g}", f"{numbers.high:.15g}"
    return low if low == high else f"{low} to {high}"


def tag(keyword: str) -> str:
    """Write an element with its number: ``SliceThickness (0018,0050)``."""
    return f"{keyword} {dicom_dictionary.elements()[keyword].written}"


def _any_of(words: Sequence[str]) -> str:
    return " or ".join(words)


def _named(uids: Sequence[str], kind: str) -> str:
    return " or ".join(dicom_dictionary.names(kind)[uid] for uid in uids)

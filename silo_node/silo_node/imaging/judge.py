"""An indexed export folder held against an imaging contract: every example is fit, set aside by code, or of another kind.

    files ──> images ──┬─> of another kind (modality, class, localiser): counted, no fault
                       └─> examples: images, or stacks of slices ──┬─> fit
                                                                   └─> set aside, with every code that speaks against them

Found is always the sum of what became of it: no count is silently short.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from silo_node.dicom.index import Entry
from silo_node.dicom.instance import Contrast, Instance, is_image
from silo_node.dicom.pixels import trouble
from silo_node.dicom.series import Stack, is_localiser, is_multiframe, series_of
from silo_node.dicom.traces import Traces
from wardround.contract import dicom_dictionary
from wardround.contract.imaging import ImagingContract, Protocol, Range

FIRST: Final = 3
"""Files that are named of each code."""

LARGEST_RESCALE: Final = 1e28
"""Of slope and intercept: beyond it, stored numbers of 32 bits leave the range of float32."""

_UID: Final = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")
_PLANES: Final = ("sagittal", "coronal", "axial")
"""Planes by the axis along which their normal points: left, back, head."""

_CONTRAST: Final[Mapping[str, frozenset[Contrast]]] = {
    "any": frozenset({"given", "not given", "unknown"}),
    "with": frozenset({"given"}),
    "without": frozenset({"not given"}),
}
"""What images may say of a contrast agent, by what the contract says."""


@dataclass(frozen=True)
class Example:
    """One example: an image, or a stack of slices.

    Attributes:
        stack: its images; one, where an example is an image.
        codes: what speaks against it, in the order of the alphabet; none for one that is fit.
        warnings: what is odd and speaks not against it.
        at: of each code and warning, the first file that has it; the first of all where it is the stack's.
        mask: the file of its segmentation; ``None`` where there is none, or none was looked for.
    """

    stack: Stack
    codes: tuple[str, ...]
    warnings: tuple[str, ...]
    at: Mapping[str, str] = field(default_factory=dict)
    mask: str | None = None


@dataclass(frozen=True)
class Joined:
    """What became of the rows of a table.

    Attributes:
        found: rows of the table.
        refused: of them, those that the table's own check sets aside.
        without: valid rows whose key no example has.
        with_several: valid rows that have several examples, where one is meant.
        used: valid rows with one fit example.
        in_order: whether the table passes its own check.
    """

    found: int
    refused: int
    without: int
    with_several: int
    used: int
    in_order: bool


@dataclass(frozen=True)
class Judgement:
    """What became of every file.

    Attributes:
        files: in the folder.
        unreadable: of them, by D- code; images that have no pixels too: a file may be cut off between two elements.
        objects: DICOM files that are no images: directories, reports, plans.
        other: images of another kind than the contract's, by what is other: D-MODALITY, D-SOPCLASS, D-KIND; and those of
            examples that no row of the table names: D-NOROW.
        examples: all others.
        first: of each code of ``unreadable`` and ``other``, and of objects (D-OBJECT), the first files.
        traces: of each image of the contract's kind, what in it may identify people; no image where that was not looked for.
        masks: segmentations in the folder, where the contract has masks.
        strays: of them, those of no example.
        tags: keywords of the elements that images of the contract's kind lack, or have and should not, by file.
        rows: what became of the rows of the table; ``None`` where the table was not looked at.
    """

    files: int
    unreadable: Mapping[str, int]
    objects: int
    other: Mapping[str, int]
    examples: tuple[Example, ...]
    first: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    traces: Mapping[str, Traces] = field(default_factory=dict)
    masks: int = 0
    strays: int = 0
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rows: Joined | None = None

    @property
    def fit(self) -> tuple[Example, ...]:
        """Those against which nothing speaks."""
        return tuple(example for example in self.examples if not example.codes)

    @property
    def images(self) -> int:
        """Images of the contract's kind: those of all examples."""
        return sum(len(example.stack.slices) for example in self.examples)

    @property
    def aside(self) -> tuple[Example, ...]:
        """Those that are set aside."""
        return tuple(example for example in self.examples if example.codes)


def judge(entries: Iterable[Entry], contract: ImagingContract, *, text_refuses: bool = False) -> Judgement:
    """Hold an indexed folder against a contract of DICOM images.

    Args:
        entries: of the folder.
        contract: of the images.
        text_refuses: whether a suspicion of text in an image sets it aside, even if the contract takes it for a warning.

    Raises:
        ValueError: the contract is not about DICOM.
    """
    protocol = contract.protocol
    if protocol is None:
        msg = "only contracts of DICOM images are judged here"
        raise ValueError(msg)
    files, objects, masks, unreadable, other = 0, 0, 0, Counter[str](), Counter[str]()
    first: dict[str, tuple[str, ...]] = {}
    images: list[Instance] = []
    traces: dict[str, Traces] = {}
    asked, tags = _Asked(contract), dict[str, tuple[str, ...]]()
    for entry in entries:
        files += 1
        if entry.instance is None:
            why = entry.trouble or "D-HEADER"
            unreadable[why] += 1
        elif entry.refers is not None and contract.label.format == "dicom-seg":
            masks += 1
            continue
        elif entry.instance.pixels.place is None and is_image(entry.instance):
            why = "D-NOPIXELS"
            unreadable[why] += 1
        elif entry.instance.pixels.place is None:
            why = "D-OBJECT"
            objects += 1
        elif (kind := _other(entry.instance, protocol)) is not None:
            why = kind
            other[why] += 1
        else:
            images.append(entry.instance)
            if keywords := asked.broken(entry.present):
                tags[entry.file] = keywords
            if entry.traces is not None:
                traces[entry.file] = entry.traces
            continue
        first[why] = (*first.get(why, ()), entry.file)[:FIRST]
    known = _Known(
        _strangers(images),
        traces,
        {file: asked.codes(each) for file, each in tags.items()},
        text_refuses or contract.privacy.burned_in == "refuse",
    )
    stacks = [stack for each in series_of(images, contract.geometry.step_tolerance) for stack in each.stacks]
    if contract.example == "image":
        stacks = [single for stack in stacks for single in _singles(stack)]
    examples = tuple(_example(stack, contract, protocol, known) for stack in stacks)
    return Judgement(files, unreadable, objects, other, examples, first, traces, masks, tags=tags)


class _Asked:
    """The elements that a contract requires and forbids, by their tags."""

    def __init__(self, contract: ImagingContract) -> None:
        self._required = dicom_dictionary.numbers(contract.tags.required)
        self._forbidden = dicom_dictionary.numbers(contract.tags.forbidden)

    def broken(self, present: frozenset[int]) -> tuple[str, ...]:
        """Give the keywords that a header with values of these tags lacks, or has and should not."""
        lacking = (keyword for keyword, tag in self._required.items() if tag not in present)
        return (*lacking, *(keyword for keyword, tag in self._forbidden.items() if tag in present))

    def codes(self, keywords: Iterable[str]) -> frozenset[str]:
        """Give what is said of them."""
        return frozenset("D-NOTAG" if keyword in self._required else "D-TAG" for keyword in keywords)


def _other(image: Instance, protocol: Protocol) -> str | None:
    """Say why an image is of another kind than the contract's: it belongs to other studies, and is no fault."""
    if image.modality not in protocol.modalities:
        return "D-MODALITY"
    if protocol.sop_classes and image.sop_class not in protocol.sop_classes:
        return "D-SOPCLASS"
    kinds = set(image.image_type)
    if kinds.intersection(protocol.no_image_types) or not kinds.issuperset(protocol.image_types):
        return "D-KIND"
    return None


def _singles(stack: Stack) -> Iterator[Stack]:
    for each in stack.slices:
        yield Stack((each,), is_localiser(each), (), 0, None, None)


# ------------------------------------------------------------------------------------------------------------ identity


def _strangers(images: Sequence[Instance]) -> frozenset[str]:
    """Give the files whose identity is not certain: no UIDs, one that stands twice, a study of two patients."""
    seen = Counter(each.sop_instance for each in images)
    patients: dict[str, set[str]] = {}
    for each in images:
        patients.setdefault(each.study, set()).add(each.patient)
    return frozenset(
        each.file
        for each in images
        if not all(_is_uid(uid) for uid in (each.study, each.series, each.sop_instance))
        or seen[each.sop_instance] > 1
        or len(patients[each.study]) > 1
    )


def _is_uid(text: str) -> bool:
    return len(text) <= 64 and _UID.fullmatch(text) is not None  # noqa: PLR2004  (PS3.5 9.1)


# ------------------------------------------------------------------------------------------------------------ examples


@dataclass(frozen=True)
class _Known:
    """What is known of images beyond what they say of themselves.

    Attributes:
        strangers: files whose identity is not certain.
        traces: what may identify people, by file.
        broken: codes of elements that are lacking or forbidden, by file.
        text_refuses: whether a suspicion of text sets an image aside.
    """

    strangers: frozenset[str]
    traces: Mapping[str, Traces]
    broken: Mapping[str, frozenset[str]]
    text_refuses: bool


def _example(stack: Stack, contract: ImagingContract, protocol: Protocol, known: _Known) -> Example:
    codes: dict[str, str] = {}
    warnings: dict[str, str] = {}
    for image in stack.slices:
        for code in _image_codes(image, contract, protocol):
            codes.setdefault(code, image.file)
        for code in known.broken.get(image.file, ()):
            codes.setdefault(code, image.file)
        if image.file in known.strangers:
            codes.setdefault("D-UID", image.file)
        if not image.patient and contract.patient_key == "PatientID":
            codes.setdefault("D-PATIENT", image.file)
        for code in _image_warnings(image, contract, protocol):
            warnings.setdefault(code, image.file)
        for code in {trace.code for trace in known.traces.get(image.file, ())}:
            if code == "D-FACE" or (code == "D-BURNED" and not known.text_refuses):
                warnings.setdefault(code, image.file)
            elif code != "D-METHOD" or contract.privacy.declared:
                codes.setdefault(code, image.file)
    if contract.geometry.dimensions == 3:  # noqa: PLR2004  (stacks of slices)
        for code in _stack_codes(stack, contract):
            codes.setdefault(code, stack.slices[0].file)
    return Example(stack, tuple(sorted(codes)), tuple(sorted(warnings.keys() - codes.keys())), warnings | codes)


def _image_codes(image: Instance, contract: ImagingContract, protocol: Protocol) -> Iterator[str]:
    if (why := trouble(image)) is not None:
        yield why
    if is_multiframe(image):
        yield "D-MULTIFRAME"
    pixels, geometry = image.pixels, contract.geometry
    if protocol.transfer_syntaxes and image.syntax not in protocol.transfer_syntaxes:
        yield "D-SYNTAX"
    if pixels.photometric not in protocol.photometric:
        yield "D-PHOTO"
    if not within(pixels.stored, protocol.bits_stored):
        yield "D-BITS"
    if protocol.views and image.view not in protocol.views:
        yield "D-VIEW"
    if image.contrast not in _CONTRAST[protocol.contrast]:
        yield "D-CONTRAST"
    if not within(pixels.rows, geometry.rows) or not within(pixels.columns, geometry.columns):
        yield "D-SIZE"
    spacing = image.plane.spacing if image.plane is not None else image.detector_spacing
    if geometry.pixel_spacing is not None and (
        spacing is None or not all(within(each, geometry.pixel_spacing) for each in spacing)
    ):
        yield "D-SPACING"
    if _is_misscaled(image, contract):
        yield "D-RESCALE"


def _image_warnings(image: Instance, contract: ImagingContract, protocol: Protocol) -> Iterator[str]:
    if protocol.body_parts and image.body_part not in protocol.body_parts:
        yield "D-BODYPART"
    if image.modality_lut and contract.intensity.unit == "stored":
        yield "D-RESCALE"


def _is_misscaled(image: Instance, contract: ImagingContract) -> bool:
    """Say whether slope and intercept do not lead to the contract's numbers."""
    if any(abs(each) > LARGEST_RESCALE for each in (image.slope or 0.0, image.intercept or 0.0)):
        return True
    if contract.intensity.unit != "HU":
        return False
    told = image.rescale_type.upper() in ("", "HU") and not image.modality_lut
    return not told or image.slope is None or image.intercept is None or image.slope == 0


def _stack_codes(stack: Stack, contract: ImagingContract) -> Iterator[str]:
    geometry = contract.geometry
    yield from stack.troubles
    if not within(len(stack.slices), geometry.slices) or len(stack.slices) < 2:  # noqa: PLR2004  (slices of a volume)
        yield "D-SLICES"
    if stack.step is not None and not within(stack.step, geometry.slice_step):
        yield "D-STEP"
    if not all(within(each.thickness, geometry.slice_thickness) for each in stack.slices):
        yield "D-THICK"
    if stack.affine is not None and geometry.plane != "any":
        axis = int(np.argmax(np.abs(stack.affine[:3, 2])))
        if _PLANES[axis] != geometry.plane:
            yield "D-PLANE"


def within(value: float | None, allowed: Range | None) -> bool:
    """Say whether a number is in a range; what is no number is in none."""
    return allowed is None or (value is not None and allowed.low <= value <= allowed.high)

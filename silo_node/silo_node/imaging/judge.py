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
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from silo_node.dicom.index import Entry
from silo_node.dicom.instance import Instance, is_image
from silo_node.dicom.pixels import trouble
from silo_node.dicom.series import Stack, is_localiser, series_of
from silo_node.dicom.traces import Traces
from wardround.contract.imaging import ImagingContract, Protocol, Range

FIRST: Final = 3
"""Files that are named of each code."""

_UID: Final = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")
_PLANES: Final = ("sagittal", "coronal", "axial")
"""Planes by the axis along which their normal points: left, back, head."""


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
class Judgement:
    """What became of every file.

    Attributes:
        files: in the folder.
        unreadable: of them, by D- code; images that have no pixels too: a file may be cut off between two elements.
        objects: DICOM files that are no images: directories, reports, plans.
        other: images of another kind than the contract's, by what is other: D-MODALITY, D-SOPCLASS, D-KIND.
        examples: all others.
        traces: of each image of the contract's kind, what in it may identify people; no image where that was not looked for.
        first: of each code of ``unreadable`` and ``other``, and of objects (D-OBJECT), the first files.
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

    @property
    def fit(self) -> tuple[Example, ...]:
        """Those against which nothing speaks."""
        return tuple(example for example in self.examples if not example.codes)

    @property
    def images(self) -> int:
        """Images of the contract's kind: those of all examples."""
        return sum(len(example.stack.slices) for example in self.examples)

    def without(self, faults: Mapping[str, str]) -> Judgement:
        """Give the judgement with what is only known once pixels were decoded, a code by file: it sets the file's example aside,
        but for D-BURNED, which is a reason to look and no more.
        """
        return replace(self, examples=tuple(_with(example, faults) for example in self.examples))

    @property
    def aside(self) -> tuple[Example, ...]:
        """Those that are set aside."""
        return tuple(example for example in self.examples if example.codes)


def judge(entries: Iterable[Entry], contract: ImagingContract) -> Judgement:
    """Hold an indexed folder against a contract of DICOM images.

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
            if entry.traces is not None:
                traces[entry.file] = entry.traces
            continue
        first[why] = (*first.get(why, ()), entry.file)[:FIRST]
    strangers = _strangers(images)
    stacks = [stack for each in series_of(images, contract.geometry.step_tolerance) for stack in each.stacks]
    if contract.example == "image":
        stacks = [single for stack in stacks for single in _singles(stack)]
    examples = tuple(_example(stack, contract, protocol, strangers, traces) for stack in stacks)
    return Judgement(files, unreadable, objects, other, examples, first, traces, masks)


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


def _example(
    stack: Stack, contract: ImagingContract, protocol: Protocol, strangers: frozenset[str], traces: Mapping[str, Traces]
) -> Example:
    codes: dict[str, str] = {}
    warnings: dict[str, str] = {}
    for image in stack.slices:
        for code in _image_codes(image, contract, protocol):
            codes.setdefault(code, image.file)
        if image.file in strangers:
            codes.setdefault("D-UID", image.file)
        if not image.patient and contract.patient_key == "PatientID":
            codes.setdefault("D-PATIENT", image.file)
        if protocol.body_parts and image.body_part not in protocol.body_parts:
            warnings.setdefault("D-BODYPART", image.file)
        for code in {trace.code for trace in traces.get(image.file, ())}:
            if code == "D-BURNED" and contract.privacy.burned_in == "warn":
                warnings.setdefault(code, image.file)
            elif code != "D-METHOD" or contract.privacy.declared:
                codes.setdefault(code, image.file)
    if contract.geometry.dimensions == 3:  # noqa: PLR2004  (stacks of slices)
        for code in _stack_codes(stack, contract):
            codes.setdefault(code, stack.slices[0].file)
    return Example(stack, tuple(sorted(codes)), tuple(sorted(warnings)), warnings | codes)


def _with(example: Example, faults: Mapping[str, str]) -> Example:
    found = {faults[image.file]: image.file for image in reversed(example.stack.slices) if image.file in faults}
    codes = tuple(sorted({*example.codes, *found.keys() - {"D-BURNED"}}))
    warnings = tuple(sorted({*example.warnings, *found.keys() & {"D-BURNED"} - set(codes)}))
    return replace(example, codes=codes, warnings=warnings, at={**found, **example.at})


def _image_codes(image: Instance, contract: ImagingContract, protocol: Protocol) -> Iterator[str]:
    if (why := trouble(image)) is not None:
        yield why
    pixels, geometry = image.pixels, contract.geometry
    if protocol.transfer_syntaxes and image.syntax not in protocol.transfer_syntaxes:
        yield "D-SYNTAX"
    if pixels.photometric not in protocol.photometric:
        yield "D-PHOTO"
    if not _within(pixels.stored, protocol.bits_stored):
        yield "D-BITS"
    if protocol.views and image.view not in protocol.views:
        yield "D-VIEW"
    if protocol.contrast != "any" and image.contrast != (protocol.contrast == "with"):
        yield "D-CONTRAST"
    if not _within(pixels.rows, geometry.rows) or not _within(pixels.columns, geometry.columns):
        yield "D-SIZE"
    spacing = image.plane.spacing if image.plane is not None else image.detector_spacing
    if geometry.pixel_spacing is not None and (
        spacing is None or not all(_within(each, geometry.pixel_spacing) for each in spacing)
    ):
        yield "D-SPACING"
    if contract.intensity.unit == "HU" and (image.slope is None or image.intercept is None or image.slope == 0):
        yield "D-RESCALE"


def _stack_codes(stack: Stack, contract: ImagingContract) -> Iterator[str]:
    geometry = contract.geometry
    yield from stack.troubles
    if not _within(len(stack.slices), geometry.slices) or len(stack.slices) < 2:  # noqa: PLR2004  (slices of a volume)
        yield "D-SLICES"
    if stack.step is not None and not _within(stack.step, geometry.slice_step):
        yield "D-STEP"
    if stack.affine is not None and geometry.plane != "any":
        axis = int(np.argmax(np.abs(stack.affine[:3, 2])))
        if _PLANES[axis] != geometry.plane:
            yield "D-PLANE"


def _within(value: float | None, allowed: Range | None) -> bool:
    return allowed is None or (value is not None and allowed.low <= value <= allowed.high)

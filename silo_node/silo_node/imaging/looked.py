"""What is known of examples once their pixels were decoded: whether they do, their values, and which are the same image.

Only what was decoded is held against anything: by default that is one image of each series and transfer syntax.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

from silo_node.dicom.instance import Instance
from silo_node.dicom.trial import Look
from silo_node.imaging.judge import Example, Judgement, within
from wardround.contract.imaging import ImagingContract


def with_pixels(
    judgement: Judgement, looks: Mapping[str, Look], contract: ImagingContract, *, text_refuses: bool = False
) -> Judgement:
    """Give the judgement with what decoding told.

    Args:
        judgement: of the headers.
        looks: what the pixels are, by file.
        contract: of the images.
        text_refuses: whether what looks like text in an image sets it aside; else it is a reason to look and no more.
    """
    copies = _copies(judgement, looks)
    mild = frozenset() if text_refuses else frozenset({"D-BURNED"})
    examples = (_with(example, looks, contract, copies, mild) for example in judgement.examples)
    return replace(judgement, examples=tuple(examples))


def _with(
    example: Example,
    looks: Mapping[str, Look],
    contract: ImagingContract,
    copies: Mapping[str, bool],
    mild: frozenset[str],
) -> Example:
    codes: dict[str, str] = {}
    warnings: dict[str, str] = {}
    for image in example.stack.slices:
        look = looks.get(image.file)
        if look is None:
            continue
        if look.code is not None:
            (warnings if look.code in mild else codes).setdefault(look.code, image.file)
        possible = contract.intensity.possible
        if look.decodes and (look.lowest is None or not (within(look.lowest, possible) and within(look.highest, possible))):
            codes.setdefault("D-INTENSITY", image.file)
        if image.file in copies:
            (codes if copies[image.file] else warnings).setdefault("D-COPY", image.file)
    if _is_constant(example, looks):
        codes["D-CONST"] = example.stack.slices[0].file
    return replace(
        example,
        codes=tuple(sorted({*example.codes, *codes})),
        warnings=tuple(sorted({*example.warnings, *warnings} - {*example.codes, *codes})),
        at={**warnings, **codes, **example.at},
    )


def _is_constant(example: Example, looks: Mapping[str, Look]) -> bool:
    """Say whether all pixels of an example have one value. One slice of a stack may: there may be nothing but air."""
    found = [looks[image.file] for image in example.stack.slices if image.file in looks]
    values = {value for look in found for value in (look.lowest, look.highest)}
    return len(found) == len(example.stack.slices) and len(values) == 1 and None not in values


def _copies(judgement: Judgement, looks: Mapping[str, Look]) -> dict[str, bool]:
    """Give the files whose pixels are those of an image of another example, and whether that is another patient's.

    Images of one value are left out: they are the same for everybody. Who has no Patient ID is told apart by the study.
    """
    alike: dict[str, list[tuple[int, Instance]]] = defaultdict(list)
    for at, example in enumerate(judgement.examples):
        for image in example.stack.slices:
            look = looks.get(image.file)
            if look is not None and look.decodes and look.lowest != look.highest:
                alike[look.digest].append((at, image))
    found: dict[str, bool] = {}
    for members in alike.values():
        if len({at for at, _ in members}) > 1:
            patients = {(image.patient, "" if image.patient else image.study) for _, image in members}
            found |= {image.file: len(patients) > 1 for _, image in members}
    return found

"""The segmentation of each example: found by what it refers to, wherever it lies, and tried on the example's stack.

segmentations ──UIDs──> examples ──one each──> read, placed, drawn (in the child) ──> a fit mask, or a code
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from silo_node.dicom.decoding import Trial
from silo_node.dicom.index import Entry
from silo_node.dicom.instance import Instance
from silo_node.dicom.segmentation import BACKGROUND, References, target
from silo_node.imaging import rules
from silo_node.imaging.judge import FIRST, Example, Judgement
from wardround.contract.imaging import ImagingContract
from wardround.errors import Problem
from wardround.strict_yaml import nearest

_PASSED_BY: Final = frozenset({"D-METHOD"})
"""Of what is said of identifying files, what a segmentation may lack: the images that it lies on say it."""


def with_masks(
    judgement: Judgement,
    segmentations: Iterable[Entry],
    known: frozenset[str],
    contract: ImagingContract,
    names: Mapping[str, str],
    folder: Path,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Judgement:
    """Give the judgement with each example's mask; an example without one that is fit is set aside.

    Args:
        judgement: of the images.
        segmentations: of the folder.
        known: SOP instance UIDs of all that is in the folder.
        contract: whose classes are looked for.
        names: the hospital's own word for what segments are.
        folder: that was exported.
        progress: told after every example.
    """
    entries = list(segmentations)
    owned, strays = _owned(judgement.examples, entries)
    examples = list[Example]()
    with Trial(folder) as trial:
        for at, example in enumerate(judgement.examples):
            examples.append(_with_mask(example, owned[at], known, contract, names, trial))
            progress(at + 1, len(judgement.examples))
    first = {**judgement.first, "D-MASKSTRAY": tuple(strays[:FIRST])} if strays else judgement.first
    return replace(judgement, examples=tuple(examples), strays=len(strays), first=first)


def _owned(examples: Sequence[Example], entries: Sequence[Entry]) -> tuple[Mapping[int, list[Entry]], list[str]]:
    """Give the segmentations of each example, by its number, and those that are of none."""
    by_image: dict[str, set[int]] = defaultdict(set)
    by_series: dict[str, set[int]] = defaultdict(set)
    for at, example in enumerate(examples):
        for image in example.stack.slices:
            by_image[image.sop_instance].add(at)
            by_series[image.series].add(at)
    owned: dict[int, list[Entry]] = defaultdict(list)
    strays: list[str] = []
    for entry in entries:
        refers = entry.refers or References((), ())
        of_images = {at for uid in refers.instances for at in by_image.get(uid, ())}
        found = of_images or {at for uid in refers.series for at in by_series.get(uid, ())}
        for at in found:
            owned[at].append(entry)
        if not found:
            strays.append(entry.file)
    return owned, strays


def _with_mask(
    example: Example,
    entries: Sequence[Entry],
    known: frozenset[str],
    contract: ImagingContract,
    names: Mapping[str, str],
    trial: Trial,
) -> Example:
    first = example.stack.slices[0]
    if len(entries) != 1:
        return _told(example, {"D-MASKS": entries[0].file} if entries else {"D-MASK": first.file})
    (entry,) = entries
    codes = {"D-MASKREF"} if _refers_elsewhere(entry, first, known) else set[str]()
    warned = {"D-MASKPHI"} if {trace.code for trace in entry.traces or ()} - _PASSED_BY else set[str]()
    if not example.stack.troubles and first.pixels.rows and first.pixels.columns:
        fault = trial.mask_fault(target(example.stack), entry.file, contract.label.classes, names)
        if fault is not None:
            (warned if rules.is_allowed(fault, contract) else codes).add(fault)
    return replace(_told(example, dict.fromkeys(codes, entry.file), dict.fromkeys(warned, entry.file)), mask=entry.file)


def _refers_elsewhere(entry: Entry, first: Instance, known: frozenset[str]) -> bool:
    """Say whether a segmentation names images that are not there, or another study or patient than the images do."""
    own = entry.instance
    if own is None or entry.refers is None or not known.issuperset(entry.refers.instances):
        return True
    return own.study != first.study or own.patient != first.patient


def _told(example: Example, codes: Mapping[str, str], warnings: Mapping[str, str] | None = None) -> Example:
    return replace(
        example,
        codes=tuple(sorted({*example.codes, *codes})),
        warnings=tuple(sorted({*example.warnings, *(warnings or {})})),
        at={**(warnings or {}), **codes, **example.at},
    )


def name_problems(names: Mapping[str, str], contract: ImagingContract, place: str) -> list[Problem]:
    """Say which of the hospital's words for segments name no class of a contract."""
    allowed = [*contract.label.classes.values(), BACKGROUND]
    return [
        Problem(
            "M-IMAGES",
            place,
            f"A segment is one of the classes of {contract.id}, or {BACKGROUND}",
            f"{name!r} is none",
            f"did you mean {guess!r}?" if (guess := nearest(name, allowed)) else f"write one of: {', '.join(allowed)}",
        )
        for name in dict.fromkeys(names.values())
        if name not in allowed
    ]

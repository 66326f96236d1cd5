"""Examples and the rows of their table: which example is meant by a row's key, and what speaks against it.

    rows ──key of their grain──> one fit example ──> used
                              ├─> several, none that is fit, or none at all: the row has no image
                              └─> an example that another key of the row contradicts: set aside
    examples that no row names: not looked at further

Which of several is meant is never guessed: it would be another one at another hospital, or after the next export.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from silo_node.imaging.judge import FIRST, Example, Joined, Judgement
from wardround.contract.imaging import Grain, TableLink

if TYPE_CHECKING:
    import polars as pl

SEVERAL: Final = "D-SEVERAL"
"""Of a row that has several examples, where one is meant."""

TWO_PATIENTS: Final = "D-PATIENT"
"""Of images whose patient is another one by the table."""

OTHER_KEY: Final = "D-JOIN"
"""Of an image whose study or series is another one by its row."""

NO_IMAGE: Final = "D-NOIMAGE"
"""Of a row that no example has the key of."""

NO_ROW: Final = "D-NOROW"
"""Of an example that no row names."""


@dataclass(frozen=True)
class ByKey:
    """Examples by the key under which a row names them; holds patient data.

    Attributes:
        fit: the one that is meant.
        aside: why there is none, by code.
        patients: Patient ID.
        examples: all that have the key, fit or not.
    """

    fit: Mapping[str, Example]
    aside: Mapping[str, tuple[str, ...]]
    patients: Mapping[str, str]
    examples: Mapping[str, tuple[Example, ...]]


def examples_by_key(judgement: Judgement, grain: Grain) -> ByKey:
    """Give the examples of a folder by the key of a grain: one that is fit, or the codes that say why there is none."""
    found: dict[str, list[Example]] = defaultdict(list)
    for example in judgement.examples:
        found[key_of(example, grain)].append(example)
    fit: dict[str, Example] = {}
    aside: dict[str, tuple[str, ...]] = {}
    for key, examples in found.items():
        usable = [example for example in examples if not example.codes]
        if len(usable) == 1:
            fit[key] = usable[0]
        else:
            aside[key] = (SEVERAL,) if usable else tuple(sorted({code for example in examples for code in example.codes}))
    patients = {key: key_of(examples[0], "patient") for key, examples in found.items()}
    return ByKey(fit, aside, patients, {key: tuple(examples) for key, examples in found.items()})


def key_of(example: Example, grain: Grain) -> str:
    """Give the key of what an example is of: Patient ID, or a UID."""
    first = example.stack.slices[0]
    return {"patient": first.patient, "study": first.study, "series": first.series, "image": first.sop_instance}[grain]


def torn(patients: Mapping[str, str], keys: Sequence[str], of_table: Sequence[str]) -> frozenset[str]:
    """Give the keys of images of one Patient ID that belong to two patients of the table.

    They would be on both sides of the split. That a patient of the table has several Patient IDs is no fault: archives differ.

    Args:
        patients: Patient ID, by key.
        keys: of rows.
        of_table: the patients of the same rows.
    """
    owners: dict[str, set[str]] = defaultdict(set)
    for key, patient in zip(keys, of_table, strict=True):
        if own := patients.get(key):
            owners[own].add(patient)
    divided = {own for own, found in owners.items() if len(found) > 1}
    return frozenset(key for key, own in patients.items() if own in divided)


def contradicted(examples: Mapping[str, Example], link: TableLink, rows: pl.DataFrame) -> dict[str, str]:
    """Give the keys whose example has another Patient ID, study or series than the row says in a further key, with the code."""
    found: dict[str, str] = {}
    further = {grain: name for grain, name in link.keys.items() if grain != link.grain}
    for grain, name in further.items():
        for key, value in zip(rows[link.keys[link.grain]], rows[name], strict=True):
            if key in examples and key_of(examples[key], grain) != value:
                found.setdefault(key, TWO_PATIENTS if grain == "patient" else OTHER_KEY)
    return found


def against(by_key: ByKey, link: TableLink, rows: pl.DataFrame, patient_key: str) -> dict[str, str]:
    """Give the keys whose fit example the rows speak against, with the code.

    Args:
        by_key: the examples.
        link: of the contract of images.
        rows: valid ones of the table, in schema form.
        patient_key: the field by which the table tells patients apart.
    """
    keys = list(rows[link.keys[link.grain]])
    divided = torn(by_key.patients, keys, list(rows[patient_key]))
    found = contradicted(by_key.fit, link, rows)
    return {key: found.get(key, TWO_PATIENTS) for key in by_key.fit if key in found or key in divided}


def join(
    judgement: Judgement, link: TableLink, rows: pl.DataFrame, patient_key: str, refused: int, *, in_order: bool
) -> Judgement:
    """Give the judgement of the examples that rows name, and what became of the rows.

    Args:
        judgement: of the folder.
        link: of the contract of images.
        rows: valid ones of the table, in schema form.
        patient_key: the field by which the table tells patients apart.
        refused: rows that the table's own check sets aside.
        in_order: whether the table passes that check.
    """
    by_key = examples_by_key(judgement, link.grain)
    wrong = against(by_key, link, rows, patient_key)
    keys = list(rows[link.keys[link.grain]])
    named, several = set(keys), {key for key, codes in by_key.aside.items() if codes == (SEVERAL,)}
    examples: list[Example] = []
    left_out: list[Example] = []
    for example in judgement.examples:
        key = key_of(example, link.grain)
        if key not in named:
            left_out.append(example)
        elif not example.codes and (code := SEVERAL if key in several else wrong.get(key)) is not None:
            examples.append(replace(example, codes=(code,), at={code: example.stack.slices[0].file, **example.at}))
        else:
            examples.append(example)
    other, first = Counter(judgement.other), dict(judgement.first)
    if left_out:
        other[NO_ROW] += sum(len(example.stack.slices) for example in left_out)
        first[NO_ROW] = tuple(example.stack.slices[0].file for example in left_out[:FIRST])
    joined = Joined(
        found=len(keys) + refused,
        refused=refused,
        without=sum(key not in by_key.examples for key in keys),
        with_several=sum(key in several for key in keys),
        used=sum(key in by_key.fit and key not in wrong for key in keys),
        in_order=in_order,
    )
    kept = {image.file for example in examples for image in example.stack.slices}
    return replace(
        judgement,
        examples=tuple(examples),
        other=other,
        first=first,
        traces={file: traces for file, traces in judgement.traces.items() if file in kept},
        tags={file: keywords for file, keywords in judgement.tags.items() if file in kept},
        rows=joined,
    )

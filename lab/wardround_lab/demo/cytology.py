"""The demonstration on tables: is a breast mass malignant?"""

from __future__ import annotations

from pathlib import Path

from wardround_lab.demo.hospitals import make_hospitals
from wardround_lab.demo.story import STUDY, Story


def _check_words(folder: Path) -> tuple[str, ...]:
    return "--study", str(folder / STUDY)


CYTOLOGY = Story(
    title="real patients, made-up split",
    study="breast-mass.yaml",
    note=(
        "Real patients, made-up split: the records are the 569 of the Wisconsin diagnostic breast cancer data, the hospitals and "
        "who lies in which are made up. It is an easy task: nearly every model orders the patients well. Pooled and alone are "
        "shown because a demonstration has all records at hand; a real study has not, and withholds what the hospitals withhold."
    ),
    check="every record held against the schema (silo check)",
    make_hospitals=make_hospitals,
    check_words=_check_words,
)

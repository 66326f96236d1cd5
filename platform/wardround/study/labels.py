"""Labels that contracts declare and no study is trained on yet: refused by name, with what can be asked instead.

What is trained on is one class against the others, one of several classes, several labels at once, a number, or masks
(``wardround.study.model.Target``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from wardround.contract.imaging import ImagingContract
from wardround.contract.imaging import Label as Declared
from wardround.contract.model import Contract, ContractField
from wardround.errors import Problem
from wardround.study.model import Target

TWO: Final = 2
"""Categories of a label that holds or not."""


def problems_of(target: Target, contract: Contract, imaging: ImagingContract | None, place: Callable[..., str]) -> list[Problem]:
    """Say where a target is a label that no study is trained on: a survival, or one of several without a value to look for.

    Args:
        target: of the study; a field that the contract does not have is said elsewhere.
        contract: of the records.
        imaging: of the images, if there are any; it says which fields are one label together.
        place: gives places below the target in the study file.
    """
    label = None if imaging is None else imaging.label
    if label is None:
        return []
    asked = [(("labels", index, "field"), each.field) for index, each in enumerate(target.labels)]
    one = [] if target.field is None else [(("field",), target.field)]
    return [
        problem
        for at, name in (*asked, *one)
        if name in contract.names and name in label.fields
        for problem in _of_label(target, contract.field(name), contract, label, place(*at))
    ]


def _of_label(target: Target, field: ContractField, contract: Contract, label: Declared, place: str) -> Iterator[Problem]:
    if label.kind == "survival":
        part = "time" if field.name == label.fields[0] else "event"
        rule = "A survival is a time and an event, and no study predicts it yet: the one without the other misleads"
        step = f"choose a field that says what had come by a fixed time; {_coded(contract, label.fields)}"
        yield Problem("P-LABEL", place, rule, f"{field.name!r} is the {part} of a survival", step)
    if label.kind == "multi_label" and target.kind == "classes":
        rule = "Labels that may hold together are predicted by the value that is looked for in each"
        finding = f"{field.name!r} is one of {len(label.fields)} labels, and 'positive' does not say which value is looked for"
        yield Problem("P-LABEL", place, rule, finding, f"write positive: {field.values[1]}, or several of them below 'labels'")


def numbers(contract: Contract) -> tuple[str, ...]:
    """Name the numbers that a study can predict: those with a range, which identify nobody."""
    return tuple(field.name for field in contract.fields if is_number(field) and _is_bounded(field) and field.privacy == "none")


def is_number(field: ContractField) -> bool:
    """Say whether a field holds numbers."""
    return field.type in ("integer", "number")


def _is_bounded(field: ContractField) -> bool:
    return None not in (field.constraints.minimum, field.constraints.maximum)


def _coded(contract: Contract, other_than: tuple[str, ...]) -> str:
    """Name the fields that a study can predict."""
    names = [field.name for field in contract.fields if _is_class(field) and field.name not in other_than]
    return f"coded fields here: {', '.join(names)}" if names else "there is no coded field here: choose another schema"


def _is_class(field: ContractField) -> bool:
    return len(field.values) > 1 and field.privacy == "none"

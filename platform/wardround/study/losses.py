"""Which loss fits which kind of target, as data: no code of a loss is imported here (``silo_node.training.losses``)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from wardround.errors import Problem
from wardround.study.model import Loss, TargetKind

KINDS: Mapping[Loss, frozenset[TargetKind]] = MappingProxyType(
    {
        "binary_cross_entropy": frozenset({"binary", "labels"}),
        "cross_entropy": frozenset({"classes", "mask"}),
        "focal": frozenset({"binary", "classes", "labels", "mask"}),
        "dice": frozenset({"mask"}),
        "dice_cross_entropy": frozenset({"mask"}),
        "generalised_dice": frozenset({"mask"}),
        "mse": frozenset({"number"}),
    }
)
"""Every loss that a study may name, and the kinds of target that it is defined for."""

_WORDS: Mapping[TargetKind, str] = MappingProxyType(
    {
        "binary": "one positive class",
        "classes": "several classes",
        "labels": "several labels",
        "number": "a number",
        "mask": "a mask",
    }
)


def losses_for(kind: TargetKind) -> tuple[Loss, ...]:
    """Name the losses that fit a kind of target."""
    return tuple(loss for loss, kinds in KINDS.items() if kind in kinds)


def problems_of(loss: Loss, kind: TargetKind, place: str) -> list[Problem]:
    """Say whether a loss does not fit what is predicted."""
    if kind in KINDS[loss]:
        return []
    rule, finding = "The loss is one for what is predicted", f"the target is {_WORDS[kind]}, and {loss} is not defined for it"
    return [Problem("P-RANGE", place, rule, finding, f"choose one of: {', '.join(losses_for(kind))}")]

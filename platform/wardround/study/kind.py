"""What a study predicts, and so which counts its evaluations give; the one place that reads it from the study's target."""

from __future__ import annotations

from typing import NamedTuple

from wardround.contract.model import Contract
from wardround.metrics.pooled import ClassCounts, Counts, ScoreCounts, SegmentationCounts
from wardround.study.encoding import classes_of
from wardround.study.model import Study, TargetKind


class Predicted(NamedTuple):
    """What is predicted.

    Attributes:
        kind: of the target.
        classes: names of the classes that are told apart, in the order of the counts; none of a target with two.
    """

    kind: TargetKind
    classes: tuple[str, ...] = ()


def predicted(study: Study, contract: Contract) -> Predicted:
    """Say what a study predicts."""
    return Predicted(study.target.kind, study.target.mask or classes_of(study, contract))


def fits(counts: Counts, what: Predicted) -> bool:
    """Say whether counts are of the kind that a study gives, and of as many classes as it has."""
    match counts:
        case ScoreCounts():
            return what.kind == "binary"
        case ClassCounts():
            return what.kind == "classes" and len(counts.confusion) == len(what.classes)
        case SegmentationCounts():
            return what.kind == "mask" and len(counts.regions) == len(what.classes)

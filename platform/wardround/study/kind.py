"""What a study predicts, and so which counts its evaluations give; the one place that reads it from the study's target."""

from __future__ import annotations

from typing import NamedTuple

from wardround.contract.model import Contract
from wardround.metrics.pooled import (
    ClassCounts,
    Counts,
    LabelCounts,
    Metrics,
    NumberCounts,
    ScoreCounts,
    SegmentationCounts,
    measure,
)
from wardround.study.encoding import classes_of, ends_of
from wardround.study.model import Study, TargetKind


class Predicted(NamedTuple):
    """What is predicted.

    Attributes:
        kind: of the target.
        classes: names of the classes that are told apart, or of the labels, in the order of the counts; none of two sides.
        span: of a number, how far apart the ends of its range are; ``unit``: the contract's, in UCUM.
    """

    kind: TargetKind
    classes: tuple[str, ...] = ()
    span: float | None = None
    unit: str | None = None

    def measure(self, counts: Counts, *, curves: bool = False) -> Metrics:
        """Compute the metrics of the records behind some counts of this kind; see ``wardround.metrics.pooled.measure``."""
        return measure(counts, self.classes, span=self.span, curves=curves)


def predicted(study: Study, contract: Contract) -> Predicted:
    """Say what a study predicts."""
    ends = ends_of(study, contract)
    if ends is not None and study.target.field is not None:
        return Predicted(study.target.kind, span=ends.high - ends.low, unit=contract.field(study.target.field).unit)
    labels = study.target.fields if study.target.labels else ()
    return Predicted(study.target.kind, study.target.mask or labels or classes_of(study, contract))


def fits(counts: Counts, what: Predicted) -> bool:
    """Say whether counts are of the kind that a study gives, and of as many classes as it has."""
    match counts:
        case ScoreCounts():
            return what.kind == "binary"
        case ClassCounts():
            return what.kind == "classes" and len(counts.confusion) == len(what.classes)
        case LabelCounts():
            return what.kind == "labels" and len(counts.labels) == len(what.classes)
        case NumberCounts():
            return what.kind == "number"
        case SegmentationCounts():
            return what.kind == "mask" and len(counts.regions) == len(what.classes)

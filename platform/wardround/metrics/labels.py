"""Sufficient statistics of a model that says of several labels whether each holds: for each label, those of a binary classifier.

A label's counts are of the records of which it is known. A hospital may withhold those of a label: then it says nothing of it,
which is not the same as no records. The counts have no names: the labels are the study's, in its order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from wardround.errors import Broken
from wardround.metrics.figures import LabelMetrics, Metrics
from wardround.metrics.scores import ScoreCounts, count_scores
from wardround.values import Count, Value

LEAST_LABELS, MOST_LABELS = 2, 100
Sides = tuple[int, int]
"""Of a label, how many records have it, and how many of those of which it is known have it not."""


class LabelCounts(Value):
    """Sufficient statistics of several labels on some records.

    Attributes:
        records: those that were evaluated, each with one label that is known at least.
        labels: in the study's order; None where a label's are withheld.
    """

    records: Count
    labels: Annotated[tuple[ScoreCounts | None, ...], Field(min_length=LEAST_LABELS, max_length=MOST_LABELS)]

    @model_validator(mode="after")
    def _of_these_records(self) -> LabelCounts:
        if any(label is not None and label.records > self.records for label in self.labels):
            msg = "a label of more records than there are"
            raise ValueError(msg)
        return self

    @property
    def sides(self) -> tuple[Sides | None, ...]:
        """How many records of each label are of either side; None where that is withheld."""
        return tuple(None if label is None else (sum(label.positives), sum(label.negatives)) for label in self.labels)


def count_labels(logits: NDArray[np.floating], targets: NDArray[np.floating], losses: NDArray[np.floating]) -> LabelCounts:
    """Count some records' scores; all three arrays have the shape ``(n_records, n_labels)``.

    Args:
        logits: of each label.
        targets: 1 where it holds, 0 where not, NaN where that is not known; then its loss is not looked at.
        losses: each label's binary cross-entropy.

    Raises:
        Broken: when a score or loss is not finite; the caller refuses such a model before.
    """
    if not logits.shape == targets.shape == losses.shape:
        msg = "as many scores, labels and losses"
        raise Broken(msg)
    known = ~np.isnan(targets)
    return LabelCounts(
        records=len(logits),
        labels=tuple(
            count_scores(logits[known[:, each], each], targets[known[:, each], each] > 0, losses[known[:, each], each])
            for each in range(logits.shape[1])
        ),
    )


def may_leave(label: ScoreCounts, records: int, least: int, small_cell: int) -> bool:
    """Say whether enough records stand behind a label's counts: behind all of them, either side, and what they leave out.

    Args:
        label: its counts.
        records: that were evaluated, which is known besides: those of which the label is not known follow.
        least: records behind a metric.
        small_cell: records in a group, if any are.
    """
    parts = sum(label.positives), sum(label.negatives), records - label.records
    return label.records >= least and not any(0 < part < small_cell for part in parts)


def without_few(counts: LabelCounts, least: int, small_cell: int) -> LabelCounts | None:
    """Give counts without the labels that may not leave; None where no label may."""
    labels = tuple(
        label if label is not None and may_leave(label, counts.records, least, small_cell) else None for label in counts.labels
    )
    return None if not any(labels) else counts.model_copy(update={"labels": labels})


def over_labels(records: int, labels: Sequence[LabelMetrics]) -> Metrics:
    """Give the metrics of several labels: of each, and their mean over the labels that have them, without weights."""
    shown = [label.metrics for label in labels if label.metrics is not None]
    return Metrics(
        records=records,
        positives=None,
        loss=_mean(each.loss for each in shown),
        auroc=_mean(each.auroc for each in shown),
        auroc_error=_mean(each.auroc_error for each in shown),
        accuracy=None,
        sensitivity=None,
        specificity=None,
        calibration_error=_mean(each.calibration_error for each in shown),
        average_precision=_mean(each.average_precision for each in shown),
        average_precision_error=_mean(each.average_precision_error for each in shown),
        labels=tuple(labels),
    )


def behind(metrics: Metrics | None) -> tuple[int | None, ...]:
    """Give how many records stand behind each label; figures of several labels are compared where these are the same."""
    return () if metrics is None else tuple(None if each.metrics is None else each.metrics.records for each in metrics.labels)


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None

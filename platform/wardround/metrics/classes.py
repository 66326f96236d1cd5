"""Sufficient statistics of a classifier of several classes: a confusion matrix, and for each class a histogram of scores.

The score of a class is its log-odds against all others, under the softmax of the logits. The counts have no names: the classes
are the study's, in its order, which the study hash covers.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from wardround.errors import Broken
from wardround.metrics.histograms import Histogram, histogram, in_bins
from wardround.metrics.losses import loss_units, possible
from wardround.values import Count, Value

MOST_CLASSES = 100
OfClasses = Field(min_length=2, max_length=MOST_CLASSES)


class ClassCounts(Value):
    """Sufficient statistics of a classifier of several classes on some records.

    Attributes:
        confusion: records by their class (row) and by the class with the highest logit (column).
        positives: for each class, its own records by bin of their score for it.
        negatives: for each class, all other records by bin of their score for it.
        loss_units: summed cross-entropy in units of 2**-20 nats.
    """

    confusion: Annotated[tuple[Annotated[tuple[Count, ...], OfClasses], ...], OfClasses]
    positives: Annotated[tuple[Histogram, ...], OfClasses]
    negatives: Annotated[tuple[Histogram, ...], OfClasses]
    loss_units: Count

    @property
    def records(self) -> int:
        """The number of records behind the counts."""
        return sum(map(sum, self.confusion))

    @model_validator(mode="after")
    def _agree(self) -> ClassCounts:
        size, records = len(self.confusion), self.records
        if {size} != {len(self.positives), len(self.negatives), *map(len, self.confusion)}:
            msg = "a row, a column and two histograms for each class"
            raise ValueError(msg)
        for row, positives, negatives in zip(self.confusion, self.positives, self.negatives, strict=True):
            if (sum(positives), sum(negatives)) != (sum(row), records - sum(row)):
                msg = "every record stands once in the histograms of each class, on its own side"
                raise ValueError(msg)
        possible(self.loss_units, records)
        return self


def count_classes(logits: NDArray[np.floating], labels: NDArray[np.integer], losses: NDArray[np.floating]) -> ClassCounts:
    """Count some records' scores.

    Args:
        logits: shape ``(n_records, n_classes)``; of equal ones the first class is the predicted one.
        labels: the number of each record's class, shape ``(n_records,)``.
        losses: each record's cross-entropy, shape ``(n_records,)``.

    Raises:
        Broken: when a score or loss is not finite, or a label is none of the classes; the caller refuses such a model before.
    """
    records, classes = logits.shape
    if not np.isfinite(logits).all() or labels.shape != (records,) or not np.isin(labels, np.arange(classes)).all():
        msg = "scores that are not finite, or of other classes, cannot be counted"
        raise Broken(msg)
    pairs = labels.astype(np.int64) * classes + np.argmax(logits, axis=1)
    confusion = np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)
    bins = [in_bins(_against_others(logits.astype(np.float64), number)) for number in range(classes)]
    return ClassCounts(
        confusion=tuple(map(tuple, confusion.tolist())),
        positives=tuple(histogram(each[labels == number]) for number, each in enumerate(bins)),
        negatives=tuple(histogram(each[labels != number]) for number, each in enumerate(bins)),
        loss_units=loss_units(losses),
    )


def _against_others(logits: NDArray[np.float64], number: int) -> NDArray[np.float64]:
    """Give the log-odds of a class: its logit minus the logarithm of the summed exponentials of the others."""
    others = np.delete(logits, number, axis=1)
    most = others.max(axis=1)
    found: NDArray[np.float64] = logits[:, number] - most - np.log(np.exp(others - most[:, None]).sum(axis=1))
    return found

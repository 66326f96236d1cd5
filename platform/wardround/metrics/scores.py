"""Sufficient statistics of a binary classifier: how many records of either class have a score in each bin."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from wardround.errors import Broken
from wardround.metrics.histograms import Histogram, histogram, in_bins
from wardround.metrics.losses import loss_units, possible
from wardround.values import Count, Value


class ScoreCounts(Value):
    """Sufficient statistics of a binary classifier on some records.

    Attributes:
        positives: records of the positive class by logit bin.
        negatives: records of the other class by logit bin.
        loss_units: summed binary cross-entropy in units of 2**-20 nats.
    """

    positives: Histogram
    negatives: Histogram
    loss_units: Count

    @property
    def records(self) -> int:
        """The number of records behind the counts."""
        return sum(self.positives) + sum(self.negatives)

    @model_validator(mode="after")
    def _loss_possible(self) -> ScoreCounts:
        possible(self.loss_units, self.records)
        return self


def count_scores(logits: NDArray[np.floating], labels: NDArray[np.bool_], losses: NDArray[np.floating]) -> ScoreCounts:
    """Count some records' scores; all three arrays have the shape ``(n_records,)``.

    Raises:
        Broken: when a score or loss is not finite; the caller refuses such a model before.
    """
    if not np.isfinite(logits).all():
        msg = "scores that are not finite cannot be counted"
        raise Broken(msg)
    bins = in_bins(logits)
    return ScoreCounts(positives=histogram(bins[labels]), negatives=histogram(bins[~labels]), loss_units=loss_units(losses))

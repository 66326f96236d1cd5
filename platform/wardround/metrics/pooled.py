"""Binary classification from a histogram of scores.

Each hospital sends how many of its positive and negative records fall into each of 256 bins, uniform in the logit over
±12 (outside: the outermost bins), and its summed loss as an integer. The sums over hospitals give the metrics of the
pooled records: sensitivity, specificity and accuracy at probability 0.5 exactly (logit 0 is the edge between two bins),
AUROC up to the published resolution error (half the share of pairs that fall into one bin). What cannot be said
(no positives, say) is None, never NaN.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from wardround.errors import Broken
from wardround.values import Count, Value

BINS = 256
LOGIT_LIMIT = 12.0
LOSS_UNIT = 2.0**-20
"""The summed loss is counted in units of 2**-20 nats."""
LOSS_LIMIT = 1000.0
"""A record's loss is counted as at most this, so that the sum of 2**22 records fits 53 bits."""

Histogram = Annotated[tuple[Count, ...], Field(min_length=BINS, max_length=BINS)]


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
        if self.loss_units > self.records * round(LOSS_LIMIT / LOSS_UNIT):
            msg = "a summed loss above what the records can have"
            raise ValueError(msg)
        return self


class Metrics(Value):
    """Metrics of pooled records; None where the records cannot say."""

    records: Count
    positives: Count
    loss: float | None
    auroc: float | None
    auroc_error: float | None
    accuracy: float | None
    sensitivity: float | None
    specificity: float | None
    calibration_error: float | None


def count_scores(logits: NDArray[np.floating], labels: NDArray[np.bool_], losses: NDArray[np.floating]) -> ScoreCounts:
    """Count some records' scores; all three arrays have the shape ``(n_records,)``.

    Raises:
        Broken: when a score or loss is not finite; the caller refuses such a model before.
    """
    if not (np.isfinite(logits).all() and np.isfinite(losses).all()):
        msg = "scores that are not finite cannot be counted"
        raise Broken(msg)
    scaled = logits.astype(np.float64) * (BINS / (2 * LOGIT_LIMIT))  # scaled before it is moved: keeps the sign of tiny logits
    bins = np.clip(np.floor(scaled) + BINS // 2, 0, BINS - 1).astype(np.int64)
    units = np.rint(np.minimum(losses.astype(np.float64), LOSS_LIMIT) / LOSS_UNIT).astype(np.int64)
    return ScoreCounts(
        positives=tuple(np.bincount(bins[labels], minlength=BINS).tolist()),
        negatives=tuple(np.bincount(bins[~labels], minlength=BINS).tolist()),
        loss_units=int(units.sum()),
    )


def pool(counts: Iterable[ScoreCounts]) -> ScoreCounts:
    """Add the counts of several hospitals."""
    positives, negatives, loss = [0] * BINS, [0] * BINS, 0
    for each in counts:
        positives = [a + b for a, b in zip(positives, each.positives, strict=True)]
        negatives = [a + b for a, b in zip(negatives, each.negatives, strict=True)]
        loss += each.loss_units
    return ScoreCounts(positives=tuple(positives), negatives=tuple(negatives), loss_units=loss)


def measure(counts: ScoreCounts) -> Metrics:
    """Compute the metrics of the records behind some counts."""
    total_positive, total_negative = sum(counts.positives), sum(counts.negatives)
    total = total_positive + total_negative
    true_positive, true_negative = sum(counts.positives[BINS // 2 :]), sum(counts.negatives[: BINS // 2])
    auroc, error = _auroc(counts, total_positive, total_negative)
    return Metrics(
        records=total,
        positives=total_positive,
        loss=_ratio(counts.loss_units * LOSS_UNIT, total),
        auroc=auroc,
        auroc_error=error,
        accuracy=_ratio(true_positive + true_negative, total),
        sensitivity=_ratio(true_positive, total_positive),
        specificity=_ratio(true_negative, total_negative),
        calibration_error=_calibration_error(counts, total),
    )


def _ratio(part: float, whole: int) -> float | None:
    return part / whole if whole else None


def _auroc(counts: ScoreCounts, positives: int, negatives: int) -> tuple[float | None, float | None]:
    """Mann-Whitney in integers: pairs in one bin count half; they are also the resolution error."""
    if not (positives and negatives):
        return None, None
    twice_won, tied, below = 0, 0, 0
    for positive, negative in zip(counts.positives, counts.negatives, strict=True):
        twice_won += positive * (2 * below + negative)
        tied += positive * negative
        below += negative
    pairs = positives * negatives
    return twice_won / (2 * pairs), tied / (2 * pairs)


def reliability(counts: ScoreCounts, groups: int = 10) -> list[tuple[float, float, int]]:
    """Give (mean predicted probability, observed share of positives, records) in groups of equal probability width."""
    centres = (np.arange(BINS) + 0.5) * (2 * LOGIT_LIMIT / BINS) - LOGIT_LIMIT
    probability = 1.0 / (1.0 + np.exp(-centres))
    positives = np.asarray(counts.positives, dtype=np.float64)
    records = positives + np.asarray(counts.negatives, dtype=np.float64)
    group = np.minimum((probability * groups).astype(np.int64), groups - 1)
    points: list[tuple[float, float, int]] = []
    for index in range(groups):
        inside = group == index
        size = float(records[inside].sum())
        if size:
            predicted = float((probability * records)[inside].sum() / size)
            points.append((predicted, float(positives[inside].sum() / size), int(size)))
    return points


def _calibration_error(counts: ScoreCounts, total: int) -> float | None:
    """Expected calibration error over ten groups (Naeini et al. 2015), from bin centres."""
    if not total:
        return None
    return sum(abs(predicted - observed) * size for predicted, observed, size in reliability(counts)) / total

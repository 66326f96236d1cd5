"""Histograms of scores: 256 bins, uniform in the log-odds over ±12 (outside: the outermost bins), for each side of a question.

A question has two sides: records of the class, and the others. From the two histograms follow, for any edge between two bins
as the threshold, sensitivity and specificity exactly, and AUROC and average precision up to a resolution error that is given
beside them. What cannot be said is None, never NaN.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import log
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from wardround.values import Count, Fraction, Value

BINS = 256
LOGIT_LIMIT = 12.0
BIN_WIDTH = 2 * LOGIT_LIMIT / BINS
EVEN = BINS // 2
"""The edge at log-odds 0, a probability of one half."""
LEAST_IN_BAND = 11
"""Records between two points of a curve that is published, the small-cell threshold that hospitals have by default."""
MOST_BANDS = 50

Histogram = Annotated[tuple[Count, ...], Field(min_length=BINS, max_length=BINS)]
Bins = Sequence[int]


class OperatingPoint(Value):
    """A threshold, and what follows from calling positive what scores above it.

    Attributes:
        threshold: in log-odds; below the first bin everything is called positive, above the last one nothing.
        sensitivity, specificity: exact; None where there is no record of that side.
    """

    threshold: float
    sensitivity: Fraction | None
    specificity: Fraction | None


class ReliabilityGroup(Value):
    """Records with like scores: their mean predicted probability, and which share of them is positive."""

    predicted: Fraction
    observed: Fraction
    records: Count


def ratio(part: float, whole: float) -> float | None:
    """Divide; None where there is nothing to divide by."""
    return part / whole if whole else None


def in_bins(logits: NDArray[np.floating]) -> NDArray[np.int64]:
    """Give the number of each score's bin."""
    scaled = logits.astype(np.float64) * (BINS / (2 * LOGIT_LIMIT))  # scaled before it is moved: keeps the sign of tiny logits
    found: NDArray[np.int64] = np.clip(np.floor(scaled) + EVEN, 0, BINS - 1).astype(np.int64)
    return found


def histogram(bins: NDArray[np.int64]) -> tuple[int, ...]:
    """Count the records of each bin."""
    return tuple(np.bincount(bins, minlength=BINS).tolist())


def operating_point(positives: Bins, negatives: Bins, edge: int = EVEN) -> OperatingPoint:
    """Give what follows from a threshold at the edge below bin ``edge``, 0 to 256."""
    return OperatingPoint(
        threshold=edge * BIN_WIDTH - LOGIT_LIMIT,
        sensitivity=ratio(sum(positives[edge:]), sum(positives)),
        specificity=ratio(sum(negatives[:edge]), sum(negatives)),
    )


def roc(positives: Bins, negatives: Bins) -> tuple[OperatingPoint, ...]:
    """Give the points of the ROC curve, from the highest threshold to the lowest.

    Between two neighbours stand at least ``LEAST_IN_BAND`` records, so that no step of the curve is a single record's; with
    fewer records on the whole there are only the two ends. Empty where one side has no records.
    """
    if not (any(positives) and any(negatives)):
        return ()
    edges = [BINS, *(low for low, _ in _bands(positives, negatives))]
    return tuple(operating_point(positives, negatives, edge) for edge in edges)


def _bands(positives: Bins, negatives: Bins) -> list[tuple[int, int]]:
    """Split the bins into neighbours that hold enough records together, as (first, one after the last), from the highest on."""
    sizes = [a + b for a, b in zip(positives, negatives, strict=True)]
    least = max(LEAST_IN_BAND, -(-sum(sizes) // MOST_BANDS))
    found: list[tuple[int, int]] = []
    high, held = BINS, 0
    for edge in reversed(range(BINS)):
        held += sizes[edge]
        if held >= least:
            found.append((edge, high))
            high, held = edge, 0
    if high:  # too few are left below: they stand with their neighbours
        found[-1:] = [(0, found[-1][1] if found else BINS)]
    return found


def auroc(positives: Bins, negatives: Bins) -> tuple[float | None, float | None]:
    """Give the AUROC and its resolution error: Mann-Whitney in integers.

    Pairs in one bin count half; half their share is the most by which it can be wrong.
    """
    pairs = sum(positives) * sum(negatives)
    if not pairs:
        return None, None
    twice_won, tied, below = 0, 0, 0
    for positive, negative in zip(positives, negatives, strict=True):
        twice_won += positive * (2 * below + negative)
        tied += positive * negative
        below += negative
    return twice_won / (2 * pairs), tied / (2 * pairs)


def average_precision(positives: Bins, negatives: Bins) -> tuple[float | None, float | None]:
    """Give the average precision, the mean over positive records of the precision at their score, and its resolution error.

    Records of one bin are taken as equal scores. Whatever their order inside the bin is, the i-th of its p positives has a
    precision between that after all its n negatives and that before any of them: the sum of the larger distances is the error.
    """
    total = sum(positives)
    if not total:
        return None, None
    value = lowest = highest = 0.0
    for right, wrong, positive, negative in _downwards(positives, negatives):
        value += positive * (right + positive) / (right + positive + wrong + negative)
        highest += positive * (right + positive) / (right + positive + wrong)
        lowest += _least_precision(right, wrong + negative, positive)
    return value / total, max(highest - value, value - lowest, 0.0) / total


def _downwards(positives: Bins, negatives: Bins) -> Iterator[tuple[int, int, int, int]]:
    """Give the bins with positives from the highest on: positives and negatives above each, and in it."""
    right = wrong = 0
    for positive, negative in zip(reversed(positives), reversed(negatives), strict=True):
        if positive:
            yield right, wrong, positive, negative
        right, wrong = right + positive, wrong + negative


def _least_precision(right: int, wrong: int, positives: int) -> float:
    """Bound the sum over i = 1 ... p of (right + i) / (right + i + wrong) from below; the sum of reciprocals by its integral."""
    if not wrong:
        return float(positives)
    before = right + wrong
    return max(0.0, positives - wrong * min(positives / (before + 1), log((before + positives) / before)))


def _probabilities() -> NDArray[np.float64]:
    """Give the probability at the centre of each bin."""
    centres = (np.arange(BINS) + 0.5) * BIN_WIDTH - LOGIT_LIMIT
    found: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-centres))
    return found


def _groups(positives: Bins, negatives: Bins, group: NDArray[np.int64]) -> list[ReliabilityGroup]:
    probability = _probabilities()
    right = np.asarray(positives, dtype=np.float64)
    records = right + np.asarray(negatives, dtype=np.float64)
    found = []
    for index in np.unique(group):
        inside = group == index
        size = float(records[inside].sum())
        if size:
            predicted = float((probability * records)[inside].sum() / size)
            observed = float(right[inside].sum() / size)
            found.append(ReliabilityGroup(predicted=predicted, observed=observed, records=int(size)))
    return found


def reliability(positives: Bins, negatives: Bins, groups: int = 10) -> list[ReliabilityGroup]:
    """Group the records by predicted probability, in groups of equal width."""
    return _groups(positives, negatives, np.minimum((_probabilities() * groups).astype(np.int64), groups - 1))


def calibration(positives: Bins, negatives: Bins) -> tuple[ReliabilityGroup, ...]:
    """Group the records for the calibration curve that is published, from low to high: like the bands of the ROC curve, ten."""
    bands = _bands(positives, negatives)
    group = np.zeros(BINS, dtype=np.int64)
    for number, (low, high) in enumerate(reversed(bands)):
        group[low:high] = number * min(10, len(bands)) // len(bands)
    return tuple(_groups(positives, negatives, group))


def calibration_error(positives: Bins, negatives: Bins) -> float | None:
    """Give the expected calibration error over ten groups (Naeini et al. 2015), from bin centres."""
    total = sum(positives) + sum(negatives)
    groups = reliability(positives, negatives)
    return ratio(sum(abs(each.predicted - each.observed) * each.records for each in groups), total)

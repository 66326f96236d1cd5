"""Metrics of pooled counts: never an average of ratios, never NaN."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.metrics import log_loss, roc_auc_score

from wardround.canonical import model_bytes
from wardround.errors import Broken
from wardround.metrics.pooled import (
    BINS,
    LOGIT_LIMIT,
    LOSS_LIMIT,
    LOSS_UNIT,
    ScoreCounts,
    count_scores,
    measure,
    pool,
    reliability,
)

logit = st.floats(-30, 30, width=32) | st.sampled_from([0.0, -0.0, 1e-20, -1e-20, 12.0, -12.0, 3e38, -3e38])
records = st.lists(st.tuples(logit, st.booleans()), max_size=60)


def losses_of(logits, labels):
    return np.logaddexp(0.0, np.where(labels, -logits, logits).astype(np.float64))


def counted(sample) -> ScoreCounts:
    logits = np.array([score for score, _ in sample], dtype=np.float32)
    labels = np.array([label for _, label in sample], dtype=np.bool_)
    return count_scores(logits, labels, losses_of(logits, labels))


def ones(**bins: int) -> ScoreCounts:
    positives, negatives = [0] * BINS, [0] * BINS
    positives[0], negatives[0] = bins.get("positives", 0), bins.get("negatives", 0)
    return ScoreCounts(positives=tuple(positives), negatives=tuple(negatives), loss_units=bins.get("loss", 0))


@given(st.lists(records, min_size=1, max_size=5))
def test_pooling_the_counts_counts_the_pooled(hospitals):
    """Adding the hospitals' counts gives the counts of all their records together."""
    together = counted([record for hospital in hospitals for record in hospital])
    assert pool(map(counted, hospitals)) == together


@given(st.lists(records, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_the_order_of_hospitals_does_not_matter(hospitals, random):
    """Counts pool to the same bytes in any order."""
    counts = [counted(hospital) for hospital in hospitals]
    shuffled = counts.copy()
    random.shuffle(shuffled)
    assert model_bytes(measure(pool(counts))) == model_bytes(measure(pool(shuffled)))


@given(records)
def test_metrics_are_numbers_or_none(sample):
    """What the records cannot say is None; nothing is ever NaN, and everything is within its bounds."""
    metrics = measure(counted(sample))
    positives = sum(label for _, label in sample)
    assert (metrics.records, metrics.positives) == (len(sample), positives)
    assert (metrics.auroc is None) == (positives in (0, len(sample)))
    assert (metrics.sensitivity is None) == (positives == 0)
    assert (metrics.specificity is None) == (positives == len(sample))
    for name in ("accuracy", "loss", "calibration_error"):
        assert (getattr(metrics, name) is None) == (not sample)
    for name in ("auroc", "auroc_error", "accuracy", "sensitivity", "specificity", "calibration_error"):
        value = getattr(metrics, name)
        assert value is None or 0 <= value <= 1


@given(records.filter(lambda sample: 0 < sum(label for _, label in sample) < len(sample)))
def test_auroc_is_within_its_published_error(sample):
    """The AUROC of the histogram differs from that of the exact scores by no more than it says."""
    metrics = measure(counted(sample))
    exact = roc_auc_score([label for _, label in sample], [score for score, _ in sample])
    assert metrics.auroc is not None
    assert metrics.auroc_error is not None
    assert abs(metrics.auroc - exact) <= metrics.auroc_error + 1e-12


@given(records)
def test_the_confusion_at_one_half_is_exact(sample):
    """Zero is the edge between two bins: a probability of 0.5 or more is called positive, to the last bit of the score."""
    metrics = measure(counted(sample))
    right_positive = sum(label and score >= 0 for score, label in sample)
    right_negative = sum(not label and score < 0 for score, label in sample)
    positives = sum(label for _, label in sample)
    if sample:
        assert metrics.accuracy == (right_positive + right_negative) / len(sample)
    if positives:
        assert metrics.sensitivity == right_positive / positives
    if positives < len(sample):
        assert metrics.specificity == right_negative / (len(sample) - positives)


@given(records.filter(bool))
def test_the_mean_loss_is_right_to_half_a_unit(sample):
    """Losses are counted in units of 2**-20 nats and capped at the published limit."""
    logits = np.array([score for score, _ in sample], dtype=np.float32)
    exact = np.minimum(losses_of(logits, np.array([label for _, label in sample])), LOSS_LIMIT).mean()
    loss = measure(counted(sample)).loss
    assert loss is not None
    assert abs(loss - exact) <= LOSS_UNIT / 2 + 1e-12 * exact


def test_the_loss_is_the_cross_entropy():
    """On moderate scores the pooled loss is scikit-learn's log loss."""
    random = np.random.default_rng(0)
    logits, labels = random.normal(size=400).astype(np.float32), random.random(400) < 0.4
    loss = measure(count_scores(logits, labels, losses_of(logits, labels))).loss
    assert loss == pytest.approx(log_loss(labels, 1 / (1 + np.exp(-logits.astype(np.float64)))), abs=1e-6)


def test_pooled_metrics_are_not_averages_of_ratios():
    """Nine of ten right here and none of ninety there is 9 of 100, not 45 per cent."""
    here = pool([counted([(1.0, True)] * 9 + [(-1.0, True)])])
    there = counted([(-1.0, True)] * 90)
    assert measure(pool([here, there])).sensitivity == 0.09


def test_the_outermost_bins_hold_what_lies_outside():
    """Scores beyond ±12 fall into the first and the last bin."""
    counts = counted([(-LOGIT_LIMIT - 1, True), (-3e38, True), (LOGIT_LIMIT, True), (3e38, True)])
    assert (counts.positives[0], counts.positives[-1], counts.records) == (2, 2, 4)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_not_counted(bad):
    """NaN is never averaged: it does not even get into a count."""
    labels = np.array([True, False])
    with pytest.raises(Broken):
        count_scores(np.array([0.0, bad], dtype=np.float32), labels, np.zeros(2))
    with pytest.raises(Broken):
        count_scores(np.zeros(2, dtype=np.float32), labels, np.array([bad, 0.0]))


def test_impossible_counts_are_refused():
    """Negative counts, counts of 2**53, another number of bins, and a loss above what the records can have."""
    good = ones(positives=1)
    for change in (
        {"positives": (-1, *good.positives[1:])},
        {"positives": (2**53, *good.positives[1:])},
        {"positives": good.positives[1:]},
        {"positives": (1.0, *good.positives[1:])},
        {"positives": (True, *good.positives[1:])},
        {"loss_units": -1},
        {"loss_units": round(LOSS_LIMIT / LOSS_UNIT) + 1},
    ):
        with pytest.raises(ValidationError):
            ScoreCounts.model_validate({**good.model_dump(), **change})


def test_no_hospitals_pool_to_nothing():
    """Pooling nobody gives no records and no metrics, not zeros."""
    metrics = measure(pool([]))
    assert metrics.records == 0
    assert metrics.model_dump(exclude={"records", "positives"}) == dict.fromkeys(
        ("loss", "auroc", "auroc_error", "accuracy", "sensitivity", "specificity", "calibration_error")
    )


@given(records)
def test_the_reliability_groups_hold_every_record_once(sample):
    """The groups of the calibration figure are disjoint and complete, and their shares are shares."""
    groups = reliability(counted(sample))
    assert sum(size for _, _, size in groups) == len(sample)
    assert all(0 < predicted < 1 and 0 <= observed <= 1 and size > 0 for predicted, observed, size in groups)
    assert [predicted for predicted, _, _ in groups] == sorted(predicted for predicted, _, _ in groups)


def test_a_calibrated_model_has_no_calibration_error():
    """Records whose share of positives is their predicted probability are calibrated up to the bins' width."""
    logits = np.repeat(np.array([-2.0, 0.0, 2.0], dtype=np.float32), 1000)
    rank = np.tile(np.arange(1000), 3)
    labels = rank < 1000 / (1 + np.exp(-logits.astype(np.float64)))
    error = measure(count_scores(logits, labels, losses_of(logits, labels))).calibration_error
    assert error is not None
    assert error < 0.015
    assert not math.isnan(error)

"""Metrics of pooled counts: never an average of ratios, never NaN."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from wardround.canonical import model_bytes
from wardround.errors import Broken
from wardround.messages.record import RoundRecord
from wardround.metrics.histograms import BIN_WIDTH, LEAST_IN_BAND, calibration, operating_point, reliability, roc
from wardround.metrics.pooled import (
    BINS,
    LOGIT_LIMIT,
    LOSS_LIMIT,
    LOSS_UNIT,
    NO_RECORDS,
    ScoreCounts,
    count_scores,
    measure,
    pool,
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
    metrics = measure(NO_RECORDS)
    assert metrics.records == 0
    assert {value for value in metrics.model_dump(exclude={"records", "positives"}).values() if value != ()} == {None}
    with pytest.raises(Broken):
        pool([])


@given(records)
def test_the_reliability_groups_hold_every_record_once(sample):
    """The groups of the calibration figure are disjoint and complete, and their shares are shares."""
    counts = counted(sample)
    for groups in (reliability(counts.positives, counts.negatives), calibration(counts.positives, counts.negatives)):
        assert sum(group.records for group in groups) == len(sample)
        assert all(0 < group.predicted < 1 and group.records > 0 for group in groups)
        assert [group.predicted for group in groups] == sorted(group.predicted for group in groups)


def test_a_calibrated_model_has_no_calibration_error():
    """Records whose share of positives is their predicted probability are calibrated up to the bins' width."""
    logits = np.repeat(np.array([-2.0, 0.0, 2.0], dtype=np.float32), 1000)
    rank = np.tile(np.arange(1000), 3)
    labels = rank < 1000 / (1 + np.exp(-logits.astype(np.float64)))
    error = measure(count_scores(logits, labels, losses_of(logits, labels))).calibration_error
    assert error is not None
    assert error < 0.015
    assert not math.isnan(error)


@given(records.filter(lambda sample: any(label for _, label in sample)))
def test_average_precision_is_within_its_published_error(sample):
    """Whatever the order of scores inside a bin is: the average precision of the exact scores is no further away than it says."""
    metrics = measure(counted(sample))
    exact = average_precision_score([label for _, label in sample], [score for score, _ in sample])
    assert metrics.average_precision is not None
    assert metrics.average_precision_error is not None
    assert abs(metrics.average_precision - exact) <= metrics.average_precision_error + 1e-12


def test_average_precision_of_scores_that_are_the_bins_is_exact():
    """Scores that stand in the middle of bins lose nothing: scikit-learn gives the same."""
    random = np.random.default_rng(3)
    labels = random.random(500) < 0.2
    bins = np.clip(np.rint(random.normal(size=500) * 20 + labels * 15 + 128), 0, BINS - 1)
    logits = (bins + 0.5) * BIN_WIDTH - LOGIT_LIMIT
    found = measure(count_scores(logits, labels, losses_of(logits, labels)))
    assert found.average_precision == pytest.approx(average_precision_score(labels, logits), abs=1e-12)


@given(records, st.integers(0, BINS))
def test_every_edge_is_an_exact_threshold(sample, edge):
    """Sensitivity and specificity at an edge between two bins are those of the scores themselves; the outermost bins are open."""
    threshold = {0: -math.inf, BINS: math.inf}.get(edge, edge * BIN_WIDTH - LOGIT_LIMIT)
    counts = counted(sample)
    point = operating_point(counts.positives, counts.negatives, edge)
    right = [(score >= threshold) == label for score, label in sample]
    for label, found in ((True, point.sensitivity), (False, point.specificity)):
        of_side = [good for good, (_, own) in zip(right, sample, strict=True) if own == label]
        assert found == (sum(of_side) / len(of_side) if of_side else None)


@given(st.lists(st.tuples(logit, st.booleans()), min_size=30, max_size=200))
def test_a_published_curve_has_no_step_of_a_few_records(sample):
    """ROC goes from nothing to everything, upwards and to the right, and each step is of at least as many records as it says."""
    counts = counted(sample)
    points = roc(counts.positives, counts.negatives)
    positives = sum(label for _, label in sample)
    if positives in (0, len(sample)):
        assert points == ()
        return
    assert (points[0].sensitivity, points[0].specificity) == (0, 1)
    assert (points[-1].sensitivity, points[-1].specificity) == (1, 0)
    called = [round(point.sensitivity * positives + (1 - point.specificity) * (len(sample) - positives)) for point in points]
    assert all(b - a >= LEAST_IN_BAND for a, b in pairwise(called))
    assert min(group.records for group in calibration(counts.positives, counts.negatives)) >= LEAST_IN_BAND


def test_curves_are_given_where_they_are_asked_for():
    """What is recorded in every round has no curve: it would be the longest part of the journal."""
    counts = counted([(score / 10, score > 3) for score in range(-50, 50)])
    assert (measure(counts).roc, measure(counts).reliability) == ((), ())
    assert measure(counts, curves=True).roc == roc(counts.positives, counts.negatives)


def test_a_record_from_before_there_were_other_metrics_is_read():
    """Journals and releases that were written with the first seven metrics keep their meaning; nothing is added to them."""
    written = (
        '{"purpose":"closing","round":2,"attempt":0,"outcome":"closed","records":60,"seconds":1.5,"evaluated_by":["alpha"],"silos":[],'
        '"pooled":{"records":30,"positives":12,"loss":0.5,"auroc":0.75,"auroc_error":0.01,"accuracy":0.7,"sensitivity":0.6,'
        '"specificity":0.8,"calibration_error":null}}'
    )
    pooled = RoundRecord.model_validate_json(written).pooled
    assert (pooled.auroc, pooled.average_precision, pooled.dice, pooled.classes, pooled.roc) == (0.75, None, None, (), ())
    assert RoundRecord.model_validate_json(RoundRecord.model_validate_json(written).model_dump_json()).pooled == pooled

"""Metrics of several classes: pooled like those of two, and what contradicts itself is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.metrics import average_precision_score, confusion_matrix, log_loss, roc_auc_score

from wardround.errors import Broken
from wardround.metrics.pooled import LOSS_LIMIT, LOSS_UNIT, ClassCounts, count_classes, count_scores, measure, pool

NAMES = ("mild", "moderate", "severe")
logit = st.floats(-30, 30, width=32)
records = st.lists(st.tuples(st.tuples(logit, logit, logit), st.integers(0, 2)), min_size=1, max_size=30)


def losses_of(logits, labels):
    exact = logits.astype(np.float64)
    return np.logaddexp.reduce(exact, axis=1) - exact[np.arange(len(labels)), labels]


def counted(sample) -> ClassCounts:
    logits = np.array([scores for scores, _ in sample], dtype=np.float32).reshape(-1, 3)
    labels = np.array([label for _, label in sample], dtype=np.int64)
    return count_classes(logits, labels, losses_of(logits, labels))


@settings(max_examples=30)
@given(st.lists(records, min_size=1, max_size=4))
def test_pooling_the_counts_counts_the_pooled(hospitals):
    """Adding the hospitals' counts gives the counts of all their records together, in any order and grouping."""
    together = counted([record for hospital in hospitals for record in hospital])
    counts = list(map(counted, hospitals))
    assert pool(counts) == pool(reversed(counts)) == together
    assert pool([counts[0], pool(counts)]) == pool([pool([counts[0], counts[0]]), *counts[1:]])


@settings(max_examples=30)
@given(records)
def test_every_class_is_a_question_with_two_sides(sample):
    """The histograms of a class are those of its log-odds against all others; every record is on one side of each class."""
    found = counted(sample)
    logits = np.array([scores for scores, _ in sample], dtype=np.float64)
    labels = np.array([label for _, label in sample])
    for number in range(3):
        others = np.logaddexp.reduce(np.delete(logits, number, axis=1), axis=1)
        alone = count_scores(logits[:, number] - others, labels == number, np.zeros(len(sample)))
        near = np.abs(np.array(found.positives[number]) - np.array(alone.positives)).sum()
        assert near <= 2  # a score at the edge of a bin may fall to either side of it
        assert sum(found.positives[number]) + sum(found.negatives[number]) == found.records == len(sample)


def test_the_metrics_are_those_of_scikit_learn():
    random = np.random.default_rng(5)
    labels = random.integers(0, 3, 900)
    logits = (random.normal(size=(900, 3)) + np.eye(3)[labels]).astype(np.float32)
    found = measure(count_classes(logits, labels, losses_of(logits, labels)), NAMES, curves=True)
    shares = np.exp(logits.astype(np.float64) - np.logaddexp.reduce(logits.astype(np.float64), axis=1)[:, None])
    confusion = confusion_matrix(labels, logits.argmax(axis=1))
    assert found.confusion == tuple(map(tuple, confusion.tolist()))
    assert found.accuracy == np.trace(confusion) / 900
    assert found.loss == pytest.approx(log_loss(labels, shares), abs=1e-6)
    assert abs(found.auroc - roc_auc_score(labels, shares, multi_class="ovr")) <= found.auroc_error
    for number, each in enumerate(found.classes):
        own, called = labels == number, logits.argmax(axis=1) == number
        assert (each.name, each.records) == (NAMES[number], own.sum())
        assert each.sensitivity == (own & called).sum() / own.sum()
        assert each.specificity == (~own & ~called).sum() / (~own).sum()
        assert abs(each.auroc - roc_auc_score(own, shares[:, number])) <= each.auroc_error
        assert abs(each.average_precision - average_precision_score(own, shares[:, number])) <= each.average_precision_error


def test_a_class_without_records_has_no_figures_and_takes_none_from_the_others():
    """None, never NaN or zero; the mean is over the classes that the records have."""
    found = measure(counted([((1.0, 0.0, 0.0), 0), ((0.0, 1.0, 0.0), 1)]), NAMES)
    assert (found.classes[2].auroc, found.classes[2].sensitivity, found.classes[2].average_precision) == (None, None, None)
    assert (found.auroc, found.classes[2].specificity) == (1.0, 1.0)
    assert (found.positives, found.sensitivity, found.calibration_error, found.dice) == (None, None, None, None)


GOOD = counted([((1.0, 0.0, -1.0), 0), ((0.5, 1.0, 0.0), 2)])


def moved(histograms: tuple[tuple[int, ...], ...], by: int) -> tuple[tuple[int, ...], ...]:
    first = (histograms[0][0] + by, *histograms[0][1:])
    return (first, *histograms[1:])


@pytest.mark.parametrize(
    "change",
    [
        {"confusion": ((2, 0, 0), (0, 0, 0), (0, 1, 0))},
        {"confusion": ((1, 0), (0, 0), (0, 1))},
        {"confusion": ((1, 0, 0), (0, 0, 0))},
        {"confusion": ()},
        {"confusion": ((1, 0, 0), (0, 0, 0), (0, 2, -1))},
        {"confusion": ((1, 0, 0), (0, 0, 0), (0, 1.0, 0))},
        {"positives": moved(GOOD.positives, 1)},
        {"negatives": moved(GOOD.negatives, 1)},
        {"positives": GOOD.negatives, "negatives": GOOD.positives},
        {"positives": GOOD.positives[:2]},
        {"negatives": (*GOOD.negatives, GOOD.negatives[0])},
        {"loss_units": 2 * round(LOSS_LIMIT / LOSS_UNIT) + 1},
        {"loss_units": -1},
        {"classes": NAMES},
    ],
)
def test_counts_that_contradict_each_other_are_refused(change):
    ClassCounts.model_validate(GOOD.model_dump())
    with pytest.raises(ValidationError):
        ClassCounts.model_validate({**GOOD.model_dump(), **change})


def test_what_cannot_be_counted_is_not():
    """Scores that are not finite, labels that are no class, and names of other classes are our own mistakes."""
    losses = np.zeros(1)
    with pytest.raises(Broken):
        count_classes(np.array([[0.0, np.nan]]), np.array([0]), losses)
    with pytest.raises(Broken):
        count_classes(np.array([[0.0, 1.0]]), np.array([2]), losses)
    with pytest.raises(Broken):
        count_classes(np.array([[0.0, 1.0]]), np.array([0]), np.array([np.inf]))
    with pytest.raises(Broken):
        measure(GOOD, NAMES[:2])
    two = count_classes(np.array([[0.0, 1.0]]), np.array([0]), losses)
    with pytest.raises(Broken):
        pool([GOOD, two])

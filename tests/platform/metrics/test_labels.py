"""Metrics of several labels: of each those of a target with two classes, pooled alike; what is withheld is not zero."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labels_on_paper import labels, sides
from pydantic import ValidationError
from sklearn.metrics import average_precision_score, roc_auc_score

from wardround.canonical import model_json
from wardround.errors import Broken
from wardround.messages.round import Evaluation
from wardround.metrics.labels import LabelCounts, behind, count_labels, over_labels, without_few
from wardround.metrics.pooled import count_scores, largest_number, measure, pool

NAMES = ("effusion", "oedema", "nodule")
logit = st.floats(-30, 30, width=32)
known = st.sampled_from([0.0, 1.0, float("nan")])
records = st.lists(st.tuples(st.tuples(logit, logit, logit), st.tuples(known, known, known)), min_size=1, max_size=30)


def arrays(sample) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    logits = np.array([each for each, _ in sample], dtype=np.float32)
    targets = np.array([each for _, each in sample], dtype=np.float32)
    signed = np.where(targets > 0, logits, -logits).astype(np.float64)
    return logits, targets, np.logaddexp(0, -signed)


def counted(sample) -> LabelCounts:
    return count_labels(*arrays(sample))


@settings(max_examples=30)
@given(st.lists(records, min_size=1, max_size=4))
def test_pooling_the_counts_counts_the_pooled(hospitals):
    """Adding the hospitals' counts gives the counts of all their records together, in any order."""
    together = counted([record for hospital in hospitals for record in hospital])
    counts = list(map(counted, hospitals))
    assert pool(counts) == pool(reversed(counts)) == together
    assert Evaluation.model_validate_json(Evaluation(counts=together).model_dump_json()).counts == together


@settings(max_examples=30)
@given(records)
def test_each_label_is_a_target_with_two_classes(sample):
    """Over the records of which it is known, whatever is known of the others."""
    found = counted(sample)
    logits, targets, losses = arrays(sample)
    assert found.records == len(sample)
    for at, label in enumerate(found.labels):
        there = ~np.isnan(targets[:, at])
        assert label == count_scores(logits[there, at], targets[there, at] == 1, losses[there, at])


def test_the_metrics_are_those_of_scikit_learn_and_their_plain_mean():
    """Each label weighs the same, however few have it."""
    random = np.random.default_rng(5)
    targets = (random.random((900, 3)) < [0.5, 0.2, 0.05]).astype(np.float32)
    logits = (random.normal(size=(900, 3)) + 2 * targets).astype(np.float32)
    targets[random.random((900, 3)) < 0.1] = np.nan
    found = measure(count_labels(*arrays(list(zip(logits, targets, strict=True)))), NAMES, curves=True)
    there = ~np.isnan(targets)
    areas = [roc_auc_score(targets[there[:, at], at], logits[there[:, at], at]) for at in range(3)]
    precisions = [average_precision_score(targets[there[:, at], at], logits[there[:, at], at]) for at in range(3)]
    assert [label.name for label in found.labels] == list(NAMES)
    assert [label.metrics.auroc for label in found.labels] == pytest.approx(areas, abs=0.005)
    assert [label.metrics.positives for label in found.labels] == np.nansum(targets, axis=0).tolist()
    assert found.auroc == pytest.approx(np.mean([label.metrics.auroc for label in found.labels]))
    assert found.average_precision == pytest.approx(np.mean(precisions), abs=0.02)
    assert found.loss == pytest.approx(np.mean([label.metrics.loss for label in found.labels]))
    assert all(label.metrics.roc and label.metrics.reliability for label in found.labels)
    assert (found.records, found.positives, found.accuracy, found.sensitivity) == (900, None, None, None)
    assert found.main == ("mean AUROC", found.auroc)


def test_what_is_withheld_is_not_zero():
    """Pooled, a label is over those who tell it; where nobody does it stays untold, and takes no part in the mean."""
    told, both = sides(20, 30), labels(50, sides(20, 30), sides(15, 35))
    counts = pool([both, labels(40, None, sides(12, 28)), labels(30, None, None)])
    assert counts.records == 120
    assert counts.labels[0] == told
    assert counts.labels[1] == pool([sides(15, 35), sides(12, 28)])
    nobody = pool([labels(40, None, sides(12, 28)), labels(30, None, sides(15, 15))])
    found = measure(nobody, NAMES[:2])
    assert (found.labels[0].metrics, found.auroc) == (None, found.labels[1].metrics.auroc)
    assert behind(found) == (None, 70)
    assert behind(None) == ()


def test_a_label_without_a_side_has_no_auroc_and_the_mean_is_over_the_others():
    found = measure(labels(30, sides(0, 30), sides(10, 20)), NAMES[:2])
    assert found.labels[0].metrics.auroc is None
    assert found.auroc == found.labels[1].metrics.auroc
    nothing = measure(labels(30, sides(0, 30), None), NAMES[:2])
    assert (nothing.auroc, nothing.average_precision) == (None, None)
    assert over_labels(5, []).loss is None


LEAST, SMALL = 20, 11


@pytest.mark.parametrize(
    ("label", "records", "leaves"),
    [
        (sides(20, 30), 50, True),
        (sides(11, 11), 22, True),
        (sides(10, 40), 50, False),
        (sides(1, 49), 50, False),
        (sides(40, 10), 50, False),
        (sides(0, 50), 50, True),
        (sides(50, 0), 50, True),
        (sides(20, 30), 60, False),
        (sides(20, 30), 61, True),
        (sides(0, 19), 50, False),
        (sides(0, 0), 50, False),
    ],
    ids=lambda case: f"{sum(case.positives)}+{sum(case.negatives)}" if hasattr(case, "positives") else str(case),
)
def test_few_records_on_a_side_of_a_label_withhold_it(label, records, leaves):
    """Who has it, who has it not, and those of which it is not known: each is none, or many. The other labels leave."""
    found = without_few(labels(records, label, sides(0, records)), LEAST, SMALL)
    assert found == labels(records, label if leaves else None, sides(0, records))
    assert without_few(found, LEAST, SMALL) == found


def test_where_no_label_may_leave_nothing_does():
    assert without_few(labels(50, sides(5, 45), None), LEAST, SMALL) is None


def test_counts_that_contradict_each_other_are_refused():
    with pytest.raises(ValidationError, match="more records than there are"):
        labels(40, sides(20, 30), None)
    with pytest.raises(ValidationError):
        labels(40, sides(20, 20))
    with pytest.raises(ValidationError, match="above what the records can have"):
        labels(50, sides(20, 30).model_copy(update={"loss_units": 2**50}), None).model_validate_json(
            LabelCounts.model_construct(
                records=50, labels=(sides(20, 30).model_copy(update={"loss_units": 2**50}), None)
            ).model_dump_json()
        )


def test_what_cannot_be_counted_or_added_is_a_bug():
    good = arrays([((1.0, 2.0, 3.0), (1.0, 0.0, float("nan")))])
    with pytest.raises(Broken, match="finite"):
        count_labels(np.full((1, 3), np.nan, np.float32), *good[1:])
    with pytest.raises(Broken, match="as many"):
        count_labels(good[0][:, :2], *good[1:])
    count_labels(good[0], good[1], np.where(np.isnan(good[1]), np.nan, good[2]))  # of what is not known no loss is looked at
    with pytest.raises(Broken, match="one kind"):
        pool([labels(50, sides(20, 30), None), sides(20, 30)])
    with pytest.raises(Broken, match="as many classes"):
        pool([labels(50, None, None), labels(50, None, None, None)])
    with pytest.raises(Broken, match="other classes"):
        measure(labels(50, None, None), NAMES)


def test_the_counts_have_no_names_and_no_number_is_missed():
    """The gate and the centre look at the largest number of all labels."""
    counts = labels(50, None, sides(20, 30).model_copy(update={"loss_units": 12_345}))
    assert largest_number(counts) == 12_345
    assert set(model_json(counts)) == {"records", "labels"}
    assert counts.sides == (None, (20, 30))

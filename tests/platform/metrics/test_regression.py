"""Metrics of a predicted number: exact sums, pooled like one place's, and what contradicts itself is refused."""

import json
from statistics import fmean

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from wardround.canonical import model_json
from wardround.errors import Broken
from wardround.metrics.pooled import largest_number, measure, pool
from wardround.metrics.regression import ERROR_LIMIT, MOST_ERROR, STEPS, NumberCounts, count_numbers

LOW, HIGH = 40.0, 300.0
SPAN = HIGH - LOW
scaled = st.floats(-1, 1, width=32)
records = st.lists(st.tuples(st.floats(-3, 3, width=32), scaled), min_size=1, max_size=40)


def counted(sample) -> NumberCounts:
    predicted, values = (np.array(column, dtype=np.float32) for column in zip(*sample, strict=True))
    return count_numbers(predicted, values)


@settings(max_examples=60)
@given(st.lists(records, min_size=1, max_size=4))
def test_pooling_the_counts_counts_the_pooled(hospitals):
    """Adding the hospitals' sums gives those of all records together, bit for bit, in any order and grouping."""
    together = counted([record for hospital in hospitals for record in hospital])
    counts = list(map(counted, hospitals))
    assert pool(counts) == pool(reversed(counts)) == together
    assert pool([counts[0], pool(counts)]) == pool([pool([counts[0], counts[0]]), *counts[1:]])


@settings(max_examples=60)
@given(records)
def test_sums_are_those_of_single_records_in_whole_numbers(sample):
    """Each sum is what Python's own integers give, one record after the other."""
    found, units = counted(sample), [(round((p + 1) * STEPS / 2), round((v + 1) * STEPS / 2)) for p, v in sample]
    errors = [max(-MOST_ERROR, min(MOST_ERROR, p - v)) for p, v in units]
    assert (found.over, found.under) == (sum(e for e in errors if e > 0), -sum(e for e in errors if e < 0))
    assert (found.squares, found.target, found.target_squares) == (
        sum(e * e for e in errors),
        sum(v for _, v in units),
        sum(v * v for _, v in units),
    )


@settings(max_examples=30)
@given(records)
def test_counts_read_back_as_they_were_written(sample):
    """Sums of squares stand in JSON as digits: a number would lose its last ones; and nothing else is read as one."""
    counts = counted(sample)
    written = model_json(counts)
    assert written["squares"] == str(counts.squares)
    assert NumberCounts.model_validate_json(json.dumps(written)) == counts
    for wrong in (counts.squares, f"0{counts.squares}", "-1", "1e3", "²", " 1"):
        with pytest.raises(ValidationError):
            NumberCounts.model_validate_json(json.dumps({**written, "squares": wrong}))


def test_the_metrics_are_those_of_scikit_learn():
    """In the contract's unit, to the half step by which each number is rounded."""
    random = np.random.default_rng(5)
    values = random.uniform(-0.6, 0.4, 900).astype(np.float32)
    predicted = (0.8 * values + random.normal(scale=0.1, size=900) + 0.03).astype(np.float32)
    found = measure(count_numbers(predicted, values), span=SPAN)
    said, true = ((each.astype(np.float64) + 1) * SPAN / 2 + LOW for each in (predicted, values))
    step = SPAN / STEPS
    assert found.records == 900
    assert found.mae == pytest.approx(mean_absolute_error(true, said), abs=step)
    assert found.rmse == pytest.approx(mean_squared_error(true, said) ** 0.5, abs=step)
    assert found.bias == pytest.approx(float((said - true).mean()), abs=step)
    assert found.r2 == pytest.approx(r2_score(true, said), abs=1e-4)
    assert found.loss == pytest.approx(float(np.square(predicted - values).mean()), abs=1e-4)
    assert found.main == ("R²", found.r2)
    assert (found.auroc, found.dice, found.roc) == (None, None, ())


def test_what_records_cannot_say_is_none():
    """No records: nothing. Of values that are all the same, no share of their spread is explained."""
    nothing = measure(count_numbers(np.zeros(0), np.zeros(0)), span=SPAN)
    assert (nothing.records, nothing.mae, nothing.rmse, nothing.bias, nothing.r2, nothing.loss) == (0, *[None] * 5)
    same = measure(count_numbers(np.array([0.5, 0.1]), np.array([0.3, 0.3])), span=SPAN)
    assert same.r2 is None
    assert same.bias == pytest.approx(0, abs=SPAN / STEPS)
    assert same.mae == pytest.approx(0.1 * SPAN, abs=SPAN / STEPS)


def test_errors_far_off_are_counted_as_the_largest():
    """So that a model that went astray has figures, and no sum has no bound."""
    found = count_numbers(np.array([1e30, -1e30]), np.array([0.0, 0.0]))
    assert (found.over, found.under, found.squares) == (MOST_ERROR, MOST_ERROR, 2 * MOST_ERROR**2)
    assert measure(found, span=SPAN).rmse == ERROR_LIMIT * SPAN


def test_large_sums_of_squares_stay_exact_over_a_roster():
    """They stand as digits, so that they do not bound how many records can be pooled."""
    millions = NumberCounts(records=2**30, over=2**40, under=2**41, squares=2**59, target=2**45, target_squares=2**61)
    assert pool([millions] * 100).squares == 100 * 2**59
    assert largest_number(millions) == 2**45


@pytest.mark.parametrize("predicted", [np.array([np.nan]), np.array([np.inf]), np.zeros(2)])
def test_what_cannot_be_counted_is_broken(predicted):
    with pytest.raises(Broken, match="cannot be counted"):
        count_numbers(predicted, np.zeros(1))


@pytest.mark.parametrize("value", [-1.1, 1.1])
def test_values_outside_of_the_range_are_broken(value):
    """No checked record has one."""
    with pytest.raises(Broken, match="outside of the contract's range"):
        count_numbers(np.zeros(1), np.array([value]))


def test_a_span_is_needed():
    with pytest.raises(Broken, match="in its unit"):
        measure(count_numbers(np.zeros(1), np.zeros(1)))


GOOD = {"records": 3, "over": 5, "under": 4, "squares": 41, "target": 9, "target_squares": 29}
"""Errors 5, 0, -4; values 2, 3, 4."""
CONTRADICTIONS = {
    "a sum of errors without squares": {"squares": 0},
    "squares below the errors": {"squares": 8},
    "(sum of absolute errors)² above n times the squares": {"squares": 26},
    "squares above what the largest error gives": {"squares": 9 * MOST_ERROR + 1},
    "more than the largest error a record": {"over": 3 * MOST_ERROR + 1, "squares": 9 * MOST_ERROR**2},
    "errors of nobody": {"records": 0, "target": 0, "target_squares": 0},
    "values of nobody": {"records": 0, "over": 0, "under": 0, "squares": 0},
    "a value beyond the range": {"target": 3 * STEPS + 1, "target_squares": 4 * STEPS**2},
    "(sum of values)² above n times their squares": {"target_squares": 26},
    "squares of values above what the range gives": {"target_squares": 9 * STEPS + 1},
    "a negative sum": {"under": -1},
    "squares beyond every hospital": {"squares": 2**96},
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_sums_that_contradict_each_other_are_refused(case):
    """Where the value is made: no reply can bring them, and no sum of admitted ones can be them."""
    NumberCounts.model_validate(GOOD)
    with pytest.raises(ValidationError):
        NumberCounts.model_validate({**GOOD, **CONTRADICTIONS[case]})


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(-MOST_ERROR, MOST_ERROR), st.integers(0, STEPS)), min_size=1, max_size=20))
def test_every_true_sum_is_possible(sample):
    """What is refused is never what records can have."""
    errors, values = zip(*sample, strict=True)
    NumberCounts(
        records=len(sample),
        over=sum(max(each, 0) for each in errors),
        under=sum(max(-each, 0) for each in errors),
        squares=sum(each * each for each in errors),
        target=sum(values),
        target_squares=sum(each * each for each in values),
    )


@settings(max_examples=30)
@given(st.lists(records, min_size=2, max_size=4))
def test_r2_of_all_is_no_mean_of_the_hospitals(hospitals):
    """The pooled figure is of the pooled records: the error is their own, the spread is around their common mean."""
    counts = list(map(counted, hospitals))
    pooled = pool(counts)
    errors = [((p - v) * STEPS / 2) for hospital in hospitals for p, v in hospital]
    found = measure(pooled, span=SPAN)
    assert found.mae == pytest.approx(fmean(map(abs, errors)) * SPAN / STEPS, abs=SPAN / STEPS)
    scatter = pooled.records * pooled.target_squares - pooled.target**2
    assume(scatter)
    assert found.r2 == pytest.approx(1 - pooled.records * pooled.squares / scatter)

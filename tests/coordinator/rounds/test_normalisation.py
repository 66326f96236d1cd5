"""A common scale from the hospitals' exact sums, without a small count in them."""

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from paper_hospitals import report
from studies_on_paper import FEATURES, contract, paper

from coordinator.rounds.normalisation import make_encoding, sums_possible
from silo_node.training.field_sums import field_sums
from wardround.errors import Refused
from wardround.messages.round import FieldSums, StatisticsResult
from wardround.study.encoding import SMALLEST_DEVIATION, NumberColumn, bounds

STUDY = paper()
CONTRACT = contract()
SMALL = 11

pressures = st.floats(40, 300, allow_subnormal=False)
ages = st.integers(0, 120)
people = st.lists(st.tuples(ages, st.none() | pressures), min_size=1, max_size=60)


def table(rows) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "age": pl.Series([age for age, _ in rows], dtype=pl.Int64),
            "pressure": pl.Series([pressure for _, pressure in rows], dtype=pl.Float64),
            "pain": pl.Series(["none"] * len(rows), dtype=pl.String),
        }
    )


def result(rows, small_cell=SMALL) -> StatisticsResult:
    sums = field_sums(table(rows), CONTRACT, FEATURES, small_cell)
    return StatisticsResult(validation=0, test=0, sums=sums, report=report(len(rows)))


def columns(*results: StatisticsResult) -> dict[str, NumberColumn]:
    encoding = make_encoding(STUDY.bundle.study, CONTRACT, results)
    return {column.field: column for column in encoding.columns if isinstance(column, NumberColumn)}


@settings(max_examples=60)
@given(st.lists(st.tuples(ages, pressures), min_size=2, max_size=60), st.data())
def test_any_split_into_hospitals_gives_the_pooled_moments(rows, data):
    """Mean and deviation equal numpy's on the pooled raw values to 1e-6 of the range, whoever holds which record."""
    count = data.draw(st.integers(1, 4))
    owners = [data.draw(st.integers(0, count - 1)) for _ in rows]
    parts = [[row for row, owner in zip(rows, owners, strict=True) if owner == index] for index in range(count)]
    results = [result(part, small_cell=1) for part in parts if part]
    found = columns(*results)
    assert columns(result(rows, small_cell=1)) == found, "the split cannot be seen at all"
    assert columns(*reversed(results)) == found
    for index, name in enumerate(("age", "pressure")):
        low, high = bounds(CONTRACT, name)
        values = np.clip(np.array([row[index] for row in rows], dtype=np.float64), low, high)
        assert abs(found[name].mean - values.mean()) <= 1e-6 * (high - low)
        if values.std() > 2 * SMALLEST_DEVIATION * (high - low):
            assert abs(found[name].deviation - values.std()) <= 1e-6 * (high - low)


def test_values_outside_the_plausible_range_count_as_its_end():
    """An age of 120 counts as 100, the end of the plausible range, in the statistics."""
    assert columns(result([(120, 100.0)] * 20))["age"].mean == pytest.approx(100, abs=1e-4)
    assert columns(result([(0, 100.0)] * 20))["age"].mean == pytest.approx(18, abs=1e-4)


def test_a_constant_field_is_only_centred():
    """No variation: the deviation is 1, never zero or noise."""
    assert columns(result([(50, 100.0)] * 20))["pressure"].deviation == 1.0


@given(people.filter(lambda rows: len(rows) >= SMALL))
def test_small_counts_of_missing_values_are_hidden(rows):
    """One to ten missing values, or present ones, cannot be read from the sums: they look like none missing, or are left out."""
    present = sum(pressure is not None for _, pressure in rows)
    sums = {each.field: each for each in result(rows).sums}
    assert sums["age"].records == len(rows)
    if 0 < present < SMALL:
        assert "pressure" not in sums
    elif 0 < len(rows) - present < SMALL:
        assert sums["pressure"].records == len(rows)
    else:
        assert sums["pressure"].records == present


@given(people.filter(lambda rows: len(rows) >= SMALL))
def test_honest_sums_are_always_possible(rows):
    """Whatever a hospital holds, its own sums, filled or not, pass the centre's check."""
    assert sums_possible(result(rows), len(rows), STUDY.bundle)


def test_filling_changes_no_mean():
    """A small number of missing values is filled with the hospital's own mean: the mean stays, to half a step."""
    rows = [(40, 90.0 + index) for index in range(50)] + [(40, None)] * 3
    low, high = bounds(CONTRACT, "pressure")
    assert abs(columns(result(rows))["pressure"].mean - 114.5) <= 1e-6 * (high - low)


def test_impossible_sums_are_refused():
    """Cauchy-Schwarz and the bounds of a step hold for every sum that is admitted."""

    def possible(records: int, total: int, squares: int) -> bool:
        sums = (FieldSums(field="age", records=records, total=str(total), squares=str(squares)),)
        return sums_possible(StatisticsResult(validation=0, test=0, sums=sums, report=report(100)), 100, STUDY.bundle)

    assert possible(100, 100 * 2**24, 100 * 2**48)
    assert possible(0, 0, 0)
    assert not possible(0, 0, 1)
    assert not possible(101, 0, 0)
    assert not possible(100, 100 * 2**24 + 1, 100 * 2**48)
    assert not possible(100, 100 * 2**23, 100 * 2**46 - 2**40)
    assert not possible(100, 2**24, 2**60)


@given(st.integers(1, 100), st.data())
def test_admitted_sums_always_make_a_scale(records, data):
    """Whatever passes the check gives a finite mean within the range and a positive deviation not above it."""
    total = data.draw(st.integers(0, records * 2**24))
    squares = data.draw(st.integers(max(total**2 // records - 2, 0), (total + records) * 2**24))
    sums = tuple(FieldSums(field=name, records=records, total=str(total), squares=str(squares)) for name in ("age", "pressure"))
    made = StatisticsResult(validation=0, test=0, sums=sums, report=report(100))
    assume(sums_possible(made, 100, STUDY.bundle))
    for name, column in columns(made).items():
        low, high = bounds(CONTRACT, name)
        assert low <= column.mean <= high
        assert 0 < column.deviation <= max(high - low, 1.0)


def test_a_field_that_only_one_hospital_has_is_scaled_by_it():
    """Hospitals without values do not pull the mean."""
    with_values, without = result([(50, 120.0), (50, 140.0)] * 20), result([(50, None)] * 20)
    assert columns(with_values, without)["pressure"].mean == pytest.approx(130, abs=1e-4)
    with pytest.raises(Refused) as caught:
        columns(without)
    assert caught.value.codes == ("C-STATISTICS",)

"""A hospital's share of the statistics: exact integer sums."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from studies_on_paper import FEATURES, contract

from silo_node.training import field_sums as module
from silo_node.training.field_sums import field_sums
from wardround.weights.fixed_point import STATISTICS_STEPS

CONTRACT = contract()
values = st.lists(st.none() | st.floats(40, 300), min_size=1, max_size=40)


def table(pressure) -> pl.DataFrame:
    count = len(pressure)
    return pl.DataFrame(
        {
            "age": pl.Series([59] * count, dtype=pl.Int64),
            "pressure": pl.Series(pressure, dtype=pl.Float64),
            "pain": ["none"] * count,
        }
    )


def of(pressure, small_cell=1):
    return {each.field: each for each in field_sums(table(pressure), CONTRACT, FEATURES, small_cell)}


@given(values)
def test_sums_are_those_of_python_integers(pressure):
    """Total and squares equal Python's unbounded sums of the rounded steps; coded fields have none."""
    found = of(pressure)
    assert set(found) == {"age", "pressure"}
    steps = [round((value - 40) / 260 * STATISTICS_STEPS) for value in pressure if value is not None]
    assert found["pressure"].records == len(steps)
    assert int(found["pressure"].total) == sum(steps)
    assert int(found["pressure"].squares) == sum(step * step for step in steps)


@given(values, st.randoms(use_true_random=False))
def test_the_order_of_records_cannot_be_seen(pressure, random):
    """Any order of rows gives the same sums."""
    shuffled = pressure.copy()
    random.shuffle(shuffled)
    assert of(shuffled, 11) == of(pressure, 11)


def test_squares_do_not_overflow(monkeypatch):
    """Sums of squares at the end of the range stay exact beyond 64 bits, in any chunks."""
    whole = of([300.0] * 50)["pressure"]
    assert int(whole.squares) == 50 * STATISTICS_STEPS**2
    monkeypatch.setattr(module, "CHUNK", 3)
    assert of([300.0] * 50)["pressure"] == whole
    assert module.CHUNK * STATISTICS_STEPS**2 < 2**63


def test_the_chunk_is_small_enough():
    """As many squares as are added in 64 bits at once cannot overflow them."""
    assert module.CHUNK * STATISTICS_STEPS**2 < 2**63


@pytest.mark.parametrize(
    ("present", "missing", "records"),
    [(30, 0, 30), (30, 1, 31), (30, 10, 40), (30, 11, 30), (11, 30, 11), (10, 30, None), (1, 0, None), (0, 30, 0), (0, 5, 0)],
)
def test_small_cells(present, missing, records):
    """1 to 10 missing values look like none; 1 to 10 present ones are left out; zero and the threshold itself are said."""
    found = of([100.0] * present + [None] * missing, small_cell=11).get("pressure")
    assert (None if found is None else found.records) == records

"""Days and moments are bounded by the number that is stored, before anything is computed with them."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest

from silo_node.days import A_DAY, as_text, within

DAYS = [None, date(1, 1, 1), date(999, 12, 31), date(1000, 1, 1), date(1970, 1, 1), date(9999, 12, 31)]
MOMENTS = [pl.Datetime(unit, zone) for unit in ("ms", "us") for zone in (None, "Pacific/Kiritimati", "America/New_York")]


def told(column: pl.Series) -> tuple[list[object], list[object]]:
    """Give what is within the calendar, and all as text."""
    each = pl.col(column.name)
    found = column.to_frame().select(within(each, column.dtype).alias("within"), as_text(each, column.dtype).alias("text"))
    return found["within"].to_list(), found["text"].to_list()


def test_days_of_years_of_four_digits_are_kept():
    known, text = told(pl.Series("day", DAYS))
    assert known == [None, None, None, *DAYS[3:]]
    assert text == [None, *(day.isoformat() for day in DAYS[1:] if day is not None)]


@pytest.mark.parametrize("number", [-(2**31), -97_000_000, -719_163, 2_932_897, 97_000_000, 2**31 - 1])
def test_a_day_that_no_calendar_has_is_written_as_it_is_stored(number):
    known, text = told(pl.Series("day", [number], dtype=pl.Int32).cast(pl.Date))
    assert (known, text) == ([None], [f"{number} days since 1970-01-01"])


@pytest.mark.parametrize("dtype", MOMENTS, ids=str)
def test_moments_are_kept_by_their_day_in_utc(dtype):
    one = A_DAY[dtype.time_unit]
    first, last = -354_285 * one, 2_932_897 * one - 1
    cells = pl.Series("moment", [first - 1, first, 0, last, last + 1, None], dtype=pl.Int64).cast(dtype)
    each = pl.col("moment")
    found = cells.to_frame().select(
        within(each, dtype).is_null().alias("beyond"), as_text(each, dtype).is_null().alias("nothing")
    )
    assert found["beyond"].to_list() == [True, False, False, False, True, True]
    assert found["nothing"].to_list() == [False, False, False, False, False, True]


@pytest.mark.parametrize("dtype", [*MOMENTS, pl.Datetime("ns")], ids=str)
@pytest.mark.parametrize("number", [-(2**63), -(2**63) + 1, 2**63 - 1])
def test_the_least_and_the_greatest_moment_have_a_text(dtype, number):
    known, text = told(pl.Series("moment", [number], dtype=pl.Int64).cast(dtype))
    if dtype != pl.Datetime("ns"):
        assert known == [None]
        assert text == [f"{number} {'milli' if dtype.time_unit == 'ms' else 'micro'}seconds since 1970-01-01"]
    assert text != [None]


def test_nanoseconds_reach_no_further_than_the_calendar():
    day = datetime(2021, 1, 2, 3, tzinfo=UTC).replace(tzinfo=None)
    known, text = told(pl.Series("moment", [day], dtype=pl.Datetime("ns")))
    assert known == [day]
    assert text == ["2021-01-02 03:00:00.000000000"]

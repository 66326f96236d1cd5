"""Days and moments as files hold them: a file's own types reach hundreds of thousands of years, a calendar does not.

A day of the year 265,581 is a number like others to a file, and nothing that can be written, taken apart or compared with a
time. So what is computed with has been bounded first, by the number that is stored.
"""

from __future__ import annotations

from datetime import date, time
from typing import Final

import polars as pl

FIRST_DAY, LAST_DAY = date(1000, 1, 1), date(9999, 12, 31)
"""Years have four digits: ``05.01.21`` is not a day of the year 21."""

EPOCH: Final = date(1970, 1, 1)
A_DAY: Final = {"ms": 24 * 60 * 60 * 10**3, "us": 24 * 60 * 60 * 10**6, "ns": 24 * 60 * 60 * 10**9}
"""One day in each unit of moments."""
UNITS: Final = {"ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
MOST: Final = 2**63 - 1


def within(column: pl.Expr, dtype: pl.DataType, first: date = FIRST_DAY, last: date = LAST_DAY) -> pl.Expr:
    """Give a column of days or moments (in UTC, where there is a zone), null where one is not from the first to the last day."""
    one = A_DAY[dtype.time_unit] if isinstance(dtype, pl.Datetime) else 1
    low, high = (first - EPOCH).days * one, ((last - EPOCH).days + 1) * one - 1
    return pl.when(column.to_physical().is_between(max(low, -MOST), min(high, MOST))).then(column)


def as_text(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Give days or moments as text; those of no year from 1 to 9999 as the number that is stored."""
    units = UNITS[dtype.time_unit] if isinstance(dtype, pl.Datetime) else "days"
    known = within(column, dtype, date.min, date.max).cast(pl.String)
    return known.fill_null(column.to_physical().cast(pl.String) + f" {units} since {EPOCH}")


def of_text(text: pl.Expr, form: str) -> pl.Expr:
    """Read days as a format has them, null for other texts. Where it has a time of day, only midnight is a day."""
    if "%H" not in form:
        return within(text.str.to_date(form, strict=False, exact=True), pl.Date())
    moment = text.str.to_datetime(form.replace(".%f", "%.f"), time_unit="us", strict=False, exact=True)
    known = within(moment, pl.Datetime("us"))
    midnight = known.dt.time() == time(0)
    if form.endswith(".%f"):  # which polars reads from nothing, too
        midnight = midnight & text.str.contains(r"\.[0-9]+\z")
    return pl.when(midnight).then(known.dt.date())

"""What a join has to understand of cells before the mapping does: texts to compare, moments, numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from silo_node.days import as_text, within

EXACT_INTEGER_LIMIT = 2**53
MOMENT = pl.Datetime("us")
FIRST, LAST = datetime(1000, 1, 1), datetime(9999, 12, 31, 23, 59, 59)  # noqa: DTZ001  (exports have no zone)
_TOKENS = {"%Y": "[0-9]{4}", "%d": "[0-9]{1,2}", "%m": "[0-9]{1,2}", "%H": "[0-9]{1,2}", "%M": "[0-9]{2}", "%S": "[0-9]{2}"}


@dataclass(frozen=True)
class Cells:
    """A column that was understood: null where a cell is missing or bad."""

    values: pl.Series
    bad: pl.Series


def texts(column: pl.Series) -> pl.Series:
    """Give cells as text, typed ones too: whole numbers without ``.0``."""
    if column.dtype == pl.String:
        return column
    if column.dtype in (pl.Date, pl.Datetime):
        return column.to_frame().select(as_text(pl.col(column.name), column.dtype)).to_series()
    if column.dtype.is_float():
        wide = column.cast(pl.Float64)
        whole = ((wide == wide.round()) & (wide.abs() < EXACT_INTEGER_LIMIT)).fill_null(value=False)
        frame = pl.DataFrame({"wide": wide, "whole": whole})
        text = (
            pl.when("whole")
            .then(pl.col("wide").cast(pl.Int64, strict=False).cast(pl.String))
            .otherwise(pl.col("wide").cast(pl.String))
        )
        return frame.select(text.alias(column.name)).to_series()
    return column.cast(pl.String)


def missing_in(text: pl.Series, marks: Sequence[str]) -> pl.Series:
    """Give texts with null where a cell is empty or a mark for missing."""
    frame = text.to_frame()
    return frame.select(pl.when(~pl.col(text.name).is_in(["", *marks])).then(pl.col(text.name)).alias(text.name)).to_series()


def moments(column: pl.Series, form: str | None, marks: Sequence[str]) -> Cells:
    """Read moments: dates and times by type, or texts in one form."""
    if column.dtype in (pl.Date, pl.Datetime):
        known = column.to_frame().select(within(pl.col(column.name), column.dtype)).to_series()
        plain = known.dt.replace_time_zone(None) if column.dtype == pl.Datetime else known
        return Cells(plain.cast(MOMENT), column.is_not_null() & known.is_null())
    text = missing_in(texts(column), marks)
    form = form or "%Y-%m-%d"
    shape = re.sub(r"%[A-Za-z]", lambda token: _TOKENS[token.group()], re.escape(form).replace("\\%", "%"))
    read = text.str.strptime(MOMENT, form, strict=False, exact=True)
    fits = read.is_between(FIRST, LAST) & text.str.contains(f"\\A(?:{shape})\\z")
    frame = pl.DataFrame({"read": read, "fits": fits.fill_null(value=False), "text": text})
    values = frame.select(pl.when("fits").then("read").alias(column.name)).to_series()
    return Cells(values, (text.is_not_null() & values.is_null()).fill_null(value=False))


def numbers(column: pl.Series, decimal: str, marks: Sequence[str]) -> Cells:
    """Read finite numbers, by type or from texts with one decimal mark."""
    text = missing_in(texts(column), marks)
    if column.dtype.is_numeric():
        read = column.cast(pl.Float64)
    elif column.dtype == pl.String:
        plain = text
        if decimal == ",":
            frame = text.to_frame("text")
            comma = pl.col("text").str.replace(",", ".", literal=True)
            plain = frame.select(pl.when(~pl.col("text").str.contains(".", literal=True)).then(comma)).to_series()
        read = plain.cast(pl.Float64, strict=False)
    else:
        read = pl.Series([None], dtype=pl.Float64).new_from_index(0, len(column))
    good = (read.is_finite() & text.is_not_null()).fill_null(value=False)
    values = pl.DataFrame({"read": read, "good": good}).select(pl.when("good").then("read").alias(column.name)).to_series()
    return Cells(values, text.is_not_null() & ~good)

"""Plain ISO dates read from their bytes: exactly ``YYYY-MM-DD`` with a day that there is, of the years 1000 to 9999.

A reader of dates takes signs, spaces and short months too; looking at each byte is both stricter and cheaper.
"""

from __future__ import annotations

from functools import cache
from itertools import accumulate
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

LENGTH: Final = len("YYYY-MM-DD")
FIRST_YEAR: Final = 1000
BATCH: Final = 2**18
"""Texts that are joined at a time."""
BLOCK: Final = 2**13
"""Texts that are read at a time: their bytes stay in the processor's cache."""

_ZERO, _HYPHEN = ord("0"), ord("-")
_HYPHENS: Final = (4, 7)
_MONTHS: Final = 12
_NINE: Final = 9


def iso_days(texts: pl.Series) -> pl.Series:
    """Give the day of each text that is a plain ISO date, null for all others; in the chunks that the texts lie in."""
    lengths = texts.str.len_bytes()
    if texts.null_count() or (lengths.min(), lengths.max()) != (LENGTH, LENGTH):
        fits, days = (lengths == LENGTH).fill_null(value=False), pl.Series([None], dtype=pl.Date).new_from_index(0, len(texts))
        found = days.scatter(fits.arg_true(), _all_of_length(texts.filter(fits))) if fits.any() else days
    else:
        found = _all_of_length(texts)
    sizes = texts.chunk_lengths()
    if len(sizes) == 1:
        return found
    # In one piece it would make polars bring all columns of the table into one.
    chunks = [found.slice(end - size, size) for end, size in zip(accumulate(sizes), sizes, strict=True)]
    return pl.concat(chunks, rechunk=False)


def _all_of_length(texts: pl.Series) -> pl.Series:
    days, known = np.empty(len(texts), np.int32), np.empty(len(texts), np.bool_)
    for start in range(0, len(texts), BATCH):
        joined = texts.slice(start, BATCH).str.join("").cast(pl.Binary).item()
        signs = np.frombuffer(joined, np.uint8).reshape(-1, LENGTH)
        for first in range(0, len(signs), BLOCK):
            part = slice(start + first, start + min(first + BLOCK, len(signs)))
            days[part], known[part] = _read(signs[first : first + BLOCK])
    found = pl.Series(days).cast(pl.Date)
    return found if known.all() else found.set(pl.Series(~known), None)


@cache
def _first_days() -> NDArray[np.int32]:
    """Give the first day of each month, since 1970, from January of the first year on; that after the last one too."""
    months = np.arange(f"{FIRST_YEAR}-01", "10000-02", dtype="datetime64[M]")
    return months.astype("datetime64[D]").astype(np.int32)


def _read(signs: NDArray[np.uint8]) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Give the days of texts of the right length, ``(n_texts, LENGTH)``, and whether each is one."""
    digits = np.ascontiguousarray(signs.T) - np.uint8(_ZERO)  # what is below a nought wraps, and is no digit
    known = np.ones(len(signs), np.bool_)
    for place in range(LENGTH):
        known &= digits[place] == np.uint8(_HYPHEN - _ZERO & 0xFF) if place in _HYPHENS else digits[place] <= _NINE
    tens = digits[[0, 2, 5, 8]] * np.uint8(10) + digits[[1, 3, 6, 9]]  # two digits fit into a byte
    year, month, day = tens[0].astype(np.int32) * 100 + tens[1], tens[2], tens[3]
    known &= (year >= FIRST_YEAR) & (month >= 1) & (month <= _MONTHS) & (day >= 1)
    first = _first_days()
    at = np.where(known, (year - FIRST_YEAR) * _MONTHS + month - 1, 0)
    days = first[at] + day - 1
    return days, known & (days < first[at + 1])

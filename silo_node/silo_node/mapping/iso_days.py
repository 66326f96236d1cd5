"""Plain ISO dates read from their bytes: exactly ``YYYY-MM-DD`` with a day that there is, of the years 1000 to 9999.

A reader of dates takes signs, spaces and short months too; looking at each byte is both stricter and cheaper.
"""

from __future__ import annotations

from functools import cache
from itertools import accumulate
from typing import Final

import numpy as np
import numpy.ma  # polars asks for it with the first array that it takes: an import belongs to the start, not into a check
import polars as pl
from numpy.typing import NDArray

LENGTH: Final = len("YYYY-MM-DD")
FIRST_YEAR: Final = 1000
BATCH: Final = 2**16
"""Texts whose bytes are taken at a time."""
BLOCK: Final = 2**14
"""Texts that are read at a time: their bytes stay in the processor's cache."""

_MONTHS: Final = 12
_SLOTS: Final = _MONTHS + 1
"""Places of a year in the table of months: one for a month 0, which there is not."""
_YEARS: Final = 10_000

_TEXT: Final = np.dtype([("month", "<u8"), ("day", "<u2")])
"""``YYYY-MM-`` and ``DD``, the first sign in the lowest byte: what is done to such a number is done to each of its bytes."""
_NOUGHTS, _NOUGHTS_OF_DAY = np.uint64(int.from_bytes(b"0000-00-", "little")), np.uint16(int.from_bytes(b"00", "little"))
_BEYOND: Final = np.uint64(int.from_bytes(bytes(0x7F if sign == ord("-") else 0x80 - 10 for sign in b"0000-00-"), "little"))
"""Added to digits, it sets the highest bit of each byte that is more than nine, or, where a hyphen belongs, none."""
_BEYOND_OF_DAY: Final = np.uint16((0x80 - 10) * 0x0101)
_BEYOND_DECEMBER: Final = np.uint64((0x80 - 13) << 40)
_HIGHEST, _HIGHEST_OF_DAY = np.uint64(0x8080_8080_8080_8080), np.uint16(0x8080)
_PAIRS: Final = np.uint64(0x0000_FF00_00FF_00FF)
"""Where the two digits of the century, of the year in it, and of the month begin."""
_TO_SLOT: Final = np.uint64((100 * _SLOTS << 40) | (_SLOTS << 24) | 1)
"""Multiplied with those, it gives the place in the table of months in the bits from the 40th on."""
_SLOT: Final = np.uint64(2**17 - 1)
_TEN, _BYTE, _AT = np.uint64(10), np.uint64(8), np.uint64(40)


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
        # The bytes of arrays of one length lie side by side.
        bytes_of_each = texts.slice(start, BATCH).cast(pl.Binary).bin.reinterpret(dtype=pl.Array(pl.UInt8, LENGTH))
        signs = bytes_of_each.to_numpy().reshape(-1).view(_TEXT)
        for first in range(0, len(signs), BLOCK):
            part = slice(start + first, start + min(first + BLOCK, len(signs)))
            days[part], known[part] = _read(signs[first : first + BLOCK])
    found = pl.Series(days).cast(pl.Date)
    return found if known.all() else found.set(pl.Series(~known), None)


@cache
def _months() -> tuple[NDArray[np.int32], NDArray[np.uint16]]:
    """Give the first day of each month, since 1970, and its length, by year and month; of months that there are not, 0 days."""
    firsts, lengths = np.zeros((_YEARS, _SLOTS), np.int32), np.zeros((_YEARS, _SLOTS), np.uint16)
    months = np.arange(f"{FIRST_YEAR}-01", f"{_YEARS}-02", dtype="datetime64[M]").astype("datetime64[D]").astype(np.int32)
    firsts[FIRST_YEAR:, 1:] = months[:-1].reshape(-1, _MONTHS)
    lengths[FIRST_YEAR:, 1:] = np.diff(months).reshape(-1, _MONTHS)
    return firsts.ravel(), lengths.ravel()


def _read(texts: NDArray[np.void]) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Give the days of texts of the right length, ``(n_texts,)``, and whether each is one."""
    digits = texts["month"] ^ _NOUGHTS
    numbers = digits * _TEN + (digits >> _BYTE)  # in each byte its digit and the next one; none overflows where all are digits
    strange = ((digits + _BEYOND) | digits | (numbers + _BEYOND_DECEMBER)) & _HIGHEST
    digits_of_day = texts["day"] ^ _NOUGHTS_OF_DAY
    strange_day = ((digits_of_day + _BEYOND_OF_DAY) | digits_of_day) & _HIGHEST_OF_DAY
    day = (digits_of_day * np.uint16(10) + (digits_of_day >> np.uint16(8))) & np.uint16(0xFF)
    day -= np.uint16(1)  # what is below the first wraps, and is no day of any month
    slot = (((numbers & _PAIRS) * _TO_SLOT >> _AT) & _SLOT).view(np.int64)
    firsts, lengths = _months()
    known = (strange == 0) & (strange_day == 0) & (day < lengths.take(slot, mode="clip"))
    days = firsts.take(slot, mode="clip")  # whose slot is clipped is not known
    days += day
    return days, known

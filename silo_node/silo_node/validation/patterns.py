"""A field's regular expression, which a whole text must match.

Polars' engine knows no look-around and no back-references; a pattern with those is matched by Python's, once for each
different text. Patterns of the form ``[0-9a-f]{16}``, which keys have, get a cheap suspicion: the column's lengths, and
whether each of its bytes is an allowed one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

BATCH = 2**16
"""Texts whose bytes are taken at a time."""
BLOCK = 2**17
"""Bytes that are looked at at a time: they stay in the processor's cache."""

_SINGLE_CLASS = re.compile(r"\^?\[((?:[A-Za-z0-9_](?:-[A-Za-z0-9_])?)+)\]\{(\d+)(?:,(\d+))?\}\$?")
_RANGE = re.compile(r"(.)(?:-(.))?")


@dataclass(frozen=True)
class _SingleClass:
    """``least`` to ``most`` characters, all of them in one of the ``ranges`` of bytes: ends included, in order, with gaps."""

    ranges: tuple[tuple[int, int], ...]
    least: int
    most: int

    def broken(self, texts: pl.Series) -> pl.Series:
        """Whether any text does not match, as one truth value."""
        lengths = texts.str.len_bytes()
        shortest, longest = lengths.min(), lengths.max()
        if isinstance(shortest, int) and isinstance(longest, int) and not self.least <= shortest <= longest <= self.most:
            return pl.Series([True])
        length = shortest if isinstance(shortest, int) and shortest == longest and not texts.null_count() else None
        for start in range(0, len(texts), BATCH):
            if not self._holds(_signs(texts.slice(start, BATCH), length)):
                return pl.Series([True])
        return pl.Series([False])

    def _holds(self, signs: NDArray[np.uint8]) -> bool:
        moved = np.empty(min(BLOCK, len(signs)), np.uint8)
        for start in range(0, len(signs), BLOCK):
            block = signs[start : start + BLOCK]
            if block.min() < self.ranges[0][0] or block.max() > self.ranges[-1][1]:
                return False
            for (_, last), (first, _) in pairwise(self.ranges):
                # What lies between two ranges becomes the least numbers; what is below them wraps.
                if np.subtract(block, last + 1, out=moved[: len(block)]).min() < first - last - 1:
                    return False
        return True


def _signs(texts: pl.Series, length: int | None) -> NDArray[np.uint8]:
    """Give the bytes of texts, one after the other; ``length`` bytes each, where all of them are there and as long."""
    if length:
        # The bytes of arrays of one length lie side by side: that is a copy without the work that a text of them is.
        return texts.cast(pl.Binary).bin.reinterpret(dtype=pl.Array(pl.UInt8, length)).to_numpy().reshape(-1)
    return np.frombuffer(texts.str.join("").cast(pl.Binary).item(), np.uint8)


class Pattern:
    """A pattern, compiled for columns."""

    def __init__(self, pattern: str) -> None:
        """Take a pattern that Python's ``re`` accepts."""
        self._python = re.compile(pattern)
        self._single = _single_class(pattern)
        whole = rf"\A(?:{pattern})\z"
        self._polars = whole if _polars_knows(whole) else None

    def matches(self, column: pl.Expr) -> pl.Expr:
        """Whether each text matches as a whole; null where there is none."""
        if self._polars is not None:
            return column.str.contains(self._polars)
        return column.map_batches(self._one_by_one, return_dtype=pl.Boolean)

    def suspicion(self, column: pl.Expr) -> pl.Expr:
        """Give one truth value for the column: whether any text may not match."""
        if self._single is not None:
            return column.map_batches(self._single.broken, return_dtype=pl.Boolean, returns_scalar=True)
        return (~self.matches(column)).any()

    def _one_by_one(self, texts: pl.Series) -> pl.Series:
        known = {text: self._python.fullmatch(text) is not None for text in texts.drop_nulls().unique()}
        return pl.Series([None if text is None else known[text] for text in texts], dtype=pl.Boolean)


def _polars_knows(pattern: str) -> bool:
    try:
        pl.select(pl.lit("").str.contains(pattern))
    except pl.exceptions.ComputeError:
        return False
    return True


def _single_class(pattern: str) -> _SingleClass | None:
    found = _SINGLE_CLASS.fullmatch(pattern)
    if found is None:
        return None
    ranges = _apart((ord(first), ord(last or first)) for first, last in _RANGE.findall(found[1]))
    return _SingleClass(ranges, int(found[2]), int(found[3] or found[2]))


def _apart(ranges: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Put ranges in order, those that meet as one."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return tuple(found)

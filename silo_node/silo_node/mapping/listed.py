"""Whether the values of a coded field are all on its list, and whether marks for missing stand among them.

Both are told by one look: where every value is on the list, and no mark is, there is no mark.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl

from silo_node.mapping.facts import Facts

SHORT_LIST: Final = 16
"""Codes in a list that is searched by comparing with each; that is the cheaper way for the lists that codes have."""
BATCH: Final = 2**16
"""Texts that are compared with all codes before the next ones: they stay in the processor's cache."""
_LISTED, _OTHERS, _MARKED = 0, 1, 2


def told(values: Sequence[str], marks: Sequence[str] = ()) -> bool:
    """Whether one look tells both: the list is short, and no mark for missing is on it."""
    return 0 < len(values) <= SHORT_LIST and not set(values) & set(marks)


def others(name: str, values: Sequence[str], facts: Facts) -> pl.Expr:
    """Give whether a field of texts holds one that is not on its list; one truth value over the facts.

    Where marks are looked for already, that look tells it; it is never this one, blind for marks, that tells of marks.
    """
    look = _look_for_marks(name)
    return (pl.col(look) if facts.asks(look) else _graded(f"listed {name}", name, values, (), facts)) >= _OTHERS


def marked(name: str, values: Sequence[str], marks: Sequence[str], facts: Facts) -> pl.Expr:
    """Give whether a field of texts holds a mark for missing; one truth value over the facts."""
    return _graded(_look_for_marks(name), name, values, marks, facts) == _MARKED


def _look_for_marks(name: str) -> str:
    return f"marks {name}"


def _graded(look: str, name: str, values: Sequence[str], marks: Sequence[str], facts: Facts) -> pl.Expr:
    def grade(texts: pl.Series) -> pl.Series:
        return pl.Series([_grade(texts, values, marks)], dtype=pl.UInt8)

    return facts.worst(look, pl.col(name).map_batches(grade, return_dtype=pl.UInt8, returns_scalar=True))


def _grade(texts: pl.Series, values: Sequence[str], marks: Sequence[str]) -> int:
    for start in range(0, len(texts), BATCH):
        part = texts.slice(start, BATCH)
        # The values of a list are different ones, so that no text is counted twice.
        if part.null_count() + sum(int((part == value).sum()) for value in values) < len(part):
            return _MARKED if any((texts == mark).any() for mark in marks) else _OTHERS
    return _LISTED

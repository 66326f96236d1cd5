"""Aggregates over a table: each is computed once, in one pass, however many checks ask for it.

A table that is too large to be held is asked block by block: the answers of the blocks are put together. What can only be
told from all records at once (``whole``) says what it keeps of each record for that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import polars as pl

Judge: TypeAlias = Callable[[pl.Series], bool]
Merge: TypeAlias = Callable[[pl.Expr], pl.Expr]


@dataclass(frozen=True)
class Whole:
    """A truth value of all records at once.

    Attributes:
        kept: what is kept of each record; by the record alone.
        judge: gives the truth from what was kept of all, in order.
    """

    kept: pl.Expr
    judge: Judge

    @property
    def asked(self) -> pl.Expr:
        """The question, over a table with all records."""

        def judged(values: pl.Series) -> pl.Series:
            return pl.Series([self.judge(values)])

        return self.kept.map_batches(judged, return_dtype=pl.Boolean, returns_scalar=True)


class Facts:
    """What is asked of a table.

    Each method gives an expression over the one-row table of answers, ``asked`` the expressions that fill it. Columns
    are shared fields under their own names.
    """

    def __init__(self) -> None:
        """Ask nothing yet."""
        self._parts: dict[str, tuple[pl.Expr, Merge]] = {"records": (pl.len(), pl.Expr.sum)}
        self._whole: dict[str, Whole] = {}

    @property
    def asked(self) -> list[pl.Expr]:
        """The aggregates, for one ``select`` over the table."""
        return [*self.asked_of_parts, *(question.asked.alias(name) for name, question in self._whole.items())]

    @property
    def asked_of_parts(self) -> list[pl.Expr]:
        """Those of them whose answers over parts of the table can be put together."""
        return [question.alias(name) for name, (question, _) in self._parts.items()]

    @property
    def together(self) -> list[pl.Expr]:
        """The answers of the whole table from those of its parts, one row each."""
        return [merge(pl.col(name)).alias(name) for name, (_, merge) in self._parts.items()]

    @property
    def asked_of_all(self) -> Mapping[str, Whole]:
        """Those that need all records, by their names in the table of answers."""
        return MappingProxyType(self._whole)

    @property
    def records(self) -> pl.Expr:
        """The number of records."""
        return pl.col("records")

    def least(self, field: str) -> pl.Expr:
        """Give the least value, null when there is none."""
        return self._ask(f"least {field}", pl.col(field).min(), pl.Expr.min)

    def most(self, field: str) -> pl.Expr:
        """Give the greatest value, null when there is none."""
        return self._ask(f"most {field}", pl.col(field).max(), pl.Expr.max)

    def nulls(self, field: str) -> pl.Expr:
        """Give the number of missing values."""
        return self._ask(f"nulls {field}", pl.col(field).null_count(), pl.Expr.sum)

    def total(self, field: str) -> pl.Expr:
        """Give the sum; not finite when a value is not, or when the sum itself overflows."""
        return self._ask(f"total {field}", pl.col(field).sum(), pl.Expr.sum)

    def any(self, truth: pl.Expr) -> pl.Expr:
        """Give a truth value that holds of the table when it holds of a part of it."""
        return self._ask(f"any {len(self._parts)}", truth, pl.Expr.any)

    def count(self, number: pl.Expr) -> pl.Expr:
        """Give a number that is the sum of those of the table's parts."""
        return self._ask(f"count {len(self._parts)}", number, pl.Expr.sum)

    def worst(self, name: str, grade: pl.Expr) -> pl.Expr:
        """Give a number of which the table's is the greatest of its parts; under its name it is asked once."""
        return self._ask(name, grade, pl.Expr.max)

    def asks(self, name: str) -> bool:
        """Say whether something is asked under a name."""
        return name in self._parts

    def whole(self, kept: pl.Expr, judge: Judge) -> pl.Expr:
        """Give a truth value of all records at once; see ``Whole``."""
        name = f"whole {len(self._whole)}"
        self._whole[name] = Whole(kept, judge)
        return pl.col(name)

    def _ask(self, name: str, question: pl.Expr, merge: Merge) -> pl.Expr:
        self._parts.setdefault(name, (question, merge))
        return pl.col(name)

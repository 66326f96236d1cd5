"""Aggregates over a table: each is computed once, in one pass, however many checks ask for it."""

from __future__ import annotations

import polars as pl


class Facts:
    """What is asked of a table.

    Each method gives an expression over the one-row table of answers, ``asked`` the expressions that fill it. Columns
    are shared fields under their own names.
    """

    def __init__(self) -> None:
        """Ask nothing yet."""
        self._asked: dict[str, pl.Expr] = {"records": pl.len()}

    @property
    def asked(self) -> list[pl.Expr]:
        """The aggregates, for one ``select`` over the table."""
        return [question.alias(name) for name, question in self._asked.items()]

    @property
    def records(self) -> pl.Expr:
        """The number of records."""
        return pl.col("records")

    def least(self, field: str) -> pl.Expr:
        """Give the least value, null when there is none."""
        return self._ask(f"least {field}", pl.col(field).min())

    def most(self, field: str) -> pl.Expr:
        """Give the greatest value, null when there is none."""
        return self._ask(f"most {field}", pl.col(field).max())

    def nulls(self, field: str) -> pl.Expr:
        """Give the number of missing values."""
        return self._ask(f"nulls {field}", pl.col(field).null_count())

    def total(self, field: str) -> pl.Expr:
        """Give the sum; not finite when a value is not, or when the sum itself overflows."""
        return self._ask(f"total {field}", pl.col(field).sum())

    def other(self, question: pl.Expr) -> pl.Expr:
        """Give any other aggregate."""
        return self._ask(f"other {len(self._asked)}", question)

    def _ask(self, name: str, question: pl.Expr) -> pl.Expr:
        self._asked.setdefault(name, question)
        return pl.col(name)

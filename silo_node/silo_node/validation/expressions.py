"""Rules as polars expressions, with the same three truth values as ``wardround.contract.rules.evaluate``.

Arithmetic is 64-bit floating point and unknown (null) when not finite; ``and``, ``or`` and ``not`` on nulls are Kleene's,
which is what polars computes.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import reduce
from operator import add, eq, ge, gt, le, lt, mul, ne, or_, sub, truediv
from typing import Final

import polars as pl

from wardround.contract.model import Contract
from wardround.contract.rules import (
    Arithmetic,
    Between,
    Comparison,
    Constant,
    Expression,
    FieldRef,
    IsMissing,
    Logic,
    Member,
    Negative,
    Not,
)

_SUMS: Final[dict[str, Callable[[pl.Expr, pl.Expr], pl.Expr]]] = {"+": add, "-": sub, "*": mul, "/": truediv}
_ORDERS: Final[dict[str, Callable[[pl.Expr, pl.Expr], pl.Expr]]] = {"==": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge}


class RuleCompiler:
    """Turns rules over one contract into expressions over a table in schema form."""

    def __init__(self, contract: Contract) -> None:
        """Take the contract that names the fields and their types."""
        self._dates = {field.name for field in contract.fields if field.type == "date"}

    def truth(self, expression: Expression) -> pl.Expr:
        """Give whether a record keeps a rule: true, false, or null for unknown.

        Args:
            expression: a rule that ``check_types`` has no objection to.
        """
        match expression:
            case Comparison(op, left, right):
                first, second = self._likes(left, right)
                return _ORDERS[op](first, second)
            case Between(operand, low, high):
                value, lowest, highest = self._likes(operand, low, high)
                return (lowest <= value) & (value <= highest)
            case Member(operand, values):
                value, *others = self._likes(operand, *values)
                return reduce(or_, (value == other for other in others))
            case IsMissing(operand, negated):
                column = pl.col(operand.name)
                return column.is_not_null() if negated else column.is_null()
            case Not(operand):
                return ~self.truth(operand)
            case Logic("and", left, right):
                return self.truth(left) & self.truth(right)
            case Logic(_, left, right):
                return self.truth(left) | self.truth(right)
        raise TypeError(type(expression).__name__)

    def _likes(self, *parts: Expression) -> list[pl.Expr]:
        """Give operands of one comparison; an ISO date beside a date field is a date."""
        dates = any(isinstance(part, FieldRef) and part.name in self._dates for part in parts)
        return [self._value(part, dates=dates) for part in parts]

    def _value(self, expression: Expression, *, dates: bool) -> pl.Expr:
        match expression:
            case Constant(str() as text):
                return pl.lit(date.fromisoformat(text)) if dates else pl.lit(text)
            case Constant(number):
                return pl.lit(number)
            case FieldRef(name):
                return pl.col(name)
            case Negative(operand):
                return -self._number(operand)
            case Arithmetic(op, left, right):
                found = _SUMS[op](self._number(left), self._number(right))
                return pl.when(found.is_finite()).then(found)
        return self.truth(expression)

    def _number(self, expression: Expression) -> pl.Expr:
        return self._value(expression, dates=False).cast(pl.Float64)

"""A rule in words that people read who know no grammar of rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

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

_ORDERS: Final = {
    "==": "is",
    "!=": "is not",
    "<": "is less than",
    "<=": "is at most",
    ">": "is more than",
    ">=": "is at least",
}
_SUMS: Final = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}


def in_words(expression: Expression, names: Mapping[str, str]) -> str:
    """Say a rule in words.

    Args:
        expression: the rule.
        names: what each field is called.
    """
    return _Speaker(names).say(expression)


class _Speaker:
    """Says each part of a rule; a part inside another of the other kind stands in brackets."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = names

    def say(self, expression: Expression) -> str:  # noqa: PLR0911  (one line for each kind of tree)
        match expression:
            case Constant(value):
                return f"“{value}”" if isinstance(value, str) else f"{value:,}".replace(",", "\u202f")
            case FieldRef(name):
                return self.names[name]
            case Negative(operand):
                return f"minus {self._part(operand)}"
            case Arithmetic(op, left, right):
                return f"{self._part(left)} {_SUMS[op]} {self._part(right)}"
            case Comparison(op, left, right):
                return f"{self.say(left)} {_ORDERS[op]} {self.say(right)}"
            case Between(operand, low, high):
                return f"{self.say(operand)} lies between {self.say(low)} and {self.say(high)}"
            case Member(operand, values):
                return f"{self.say(operand)} is one of {', '.join(self.say(value) for value in values)}"
            case IsMissing(operand, negated):
                return f"{self.names[operand.name]} is {'not ' if negated else ''}missing"
            case Not(operand):
                return f"it is not so that {self._part(operand)}"
            case Logic(op, left, right):
                return f"{self._side(op, left)} {op} {self._side(op, right)}"

    def _part(self, expression: Expression) -> str:
        """Say a part; in brackets unless it is a single thing."""
        single = isinstance(expression, Constant | FieldRef)
        return self.say(expression) if single else f"({self.say(expression)})"

    def _side(self, op: str, expression: Expression) -> str:
        """Say a side of and, or; in brackets where it is the other of the two."""
        mixed = isinstance(expression, Logic) and expression.op != op
        return f"({self.say(expression)})" if mixed else self.say(expression)

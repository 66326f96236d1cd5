"""What a rule is once it is read: a small tree of frozen values, walked and compiled, never run as code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class Constant:
    """A number or a text (ISO dates are text)."""

    value: float | int | str


@dataclass(frozen=True, slots=True)
class FieldRef:
    """The value of a field in the record at hand."""

    name: str


@dataclass(frozen=True, slots=True)
class Negative:
    """Unary minus."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """``left op right`` on numbers; division by zero is unknown."""

    op: Literal["+", "-", "*", "/"]
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Comparison:
    """``left op right`` on two numbers, two texts or two dates."""

    op: Literal["==", "!=", "<", "<=", ">", ">="]
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Between:
    """``low <= operand <= high``."""

    operand: Expression
    low: Expression
    high: Expression


@dataclass(frozen=True, slots=True)
class Member:
    """Whether the operand is one of some literals."""

    operand: Expression
    values: tuple[Constant, ...]


@dataclass(frozen=True, slots=True)
class IsMissing:
    """Whether a field has no value; the only expression that is never unknown."""

    operand: FieldRef
    negated: bool


@dataclass(frozen=True, slots=True)
class Not:
    """Logical not."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class Logic:
    """Logical ``and``, ``or``."""

    op: Literal["and", "or"]
    left: Expression
    right: Expression


Expression: TypeAlias = Constant | FieldRef | Negative | Arithmetic | Comparison | Between | Member | IsMissing | Not | Logic


def children(expression: Expression) -> tuple[Expression, ...]:
    """Give the parts directly below an expression, from left to right."""
    match expression:
        case Constant() | FieldRef():
            return ()
        case Negative(operand) | Not(operand):
            return (operand,)
        case Arithmetic(_, left, right) | Comparison(_, left, right) | Logic(_, left, right):
            return (left, right)
        case Between(operand, low, high):
            return (operand, low, high)
        case Member(operand, values):
            return (operand, *values)
        case IsMissing(operand, _):
            return (operand,)


def walk(expression: Expression) -> Iterator[tuple[Expression, int]]:
    """Give every part of an expression with its depth (1 is the whole), without recursion."""
    waiting = [(expression, 1)]
    while waiting:
        part, depth = waiting.pop()
        yield part, depth
        waiting.extend((child, depth + 1) for child in reversed(children(part)))


def fields(expression: Expression) -> frozenset[str]:
    """Give the names of the fields that an expression reads."""
    return frozenset(part.name for part, _ in walk(expression) if isinstance(part, FieldRef))

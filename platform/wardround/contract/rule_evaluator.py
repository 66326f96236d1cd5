"""What a rule says of one record, in plain Python: slow, plain and exact, so that faster engines can be held against it."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final, TypeAlias

from wardround.contract.rule_tree import (
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
from wardround.errors import Broken

Cell: TypeAlias = float | int | str | date | None
"""A value of a record; ``None`` is a missing one. Numbers are finite."""

_ORDERS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_SUMS: Final[dict[str, Callable[[float, float], float]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


def evaluate(expression: Expression, record: Mapping[str, Cell]) -> bool | None:
    """Say whether a record keeps a rule; ``None`` when that is unknown because a value is missing.

    Args:
        expression: a rule that ``check_types`` has no objection to.
        record: every field that the rule reads, by name; dates as ``datetime.date`` or ISO text.

    Raises:
        Broken: when the rule is not logical or the record lacks a field.
    """
    found = _value(expression, record)
    if found is None or isinstance(found, bool):
        return found
    msg = "a rule that gives no truth value was evaluated"
    raise Broken(msg)


def value_of(expression: Expression, record: Mapping[str, Cell]) -> Cell:
    """Give the value of any part of a rule for a record that has every field it reads; ``None`` when one is missing."""
    return _value(expression, record)


def _value(expression: Expression, record: Mapping[str, Cell]) -> Cell:  # noqa: PLR0911  (one line for each kind of tree)
    match expression:
        case Constant(value):
            return value
        case FieldRef(name):
            return _cell(record, name)
        case Negative(operand):
            found = _value(operand, record)
            return None if found is None else -_number(found)
        case Arithmetic(op, left, right):
            return _arithmetic(op, _value(left, record), _value(right, record))
        case Comparison(op, left, right):
            return _compare(op, _value(left, record), _value(right, record))
        case Between(operand, low, high):
            found = _value(operand, record)
            return _both(_compare("<=", _value(low, record), found), _compare("<=", found, _value(high, record)))
        case Member(operand, values):
            found = _value(operand, record)
            return None if found is None else any(_compare("==", found, one.value) for one in values)
        case IsMissing(operand, negated):
            return (_cell(record, operand.name) is None) is not negated
        case Not(operand):
            return _negated(evaluate(operand, record))
        case Logic("and", left, right):
            return _both(evaluate(left, record), evaluate(right, record))
        case Logic(_, left, right):  # a or b  =  not (not a and not b)
            return _negated(_both(_negated(evaluate(left, record)), _negated(evaluate(right, record))))


def _cell(record: Mapping[str, Cell], name: str) -> Cell:
    try:
        return record[name]
    except KeyError:
        msg = f"the record to evaluate has no field {name}"
        raise Broken(msg) from None


def _number(value: Cell) -> float:
    if isinstance(value, int | float):
        return float(value)
    msg = "arithmetic on something that is not a number"
    raise Broken(msg)


def _arithmetic(op: str, left: Cell, right: Cell) -> float | None:
    if left is None or right is None:
        return None
    try:
        found = _SUMS[op](_number(left), _number(right))
    except (ZeroDivisionError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def _compare(op: str, left: Cell, right: Cell) -> bool | None:
    if left is None or right is None:
        return None
    if isinstance(left, date) and isinstance(right, str):
        right = date.fromisoformat(right)
    if isinstance(right, date) and isinstance(left, str):
        left = date.fromisoformat(left)
    return _ORDERS[op](left, right)


def _negated(value: bool | None) -> bool | None:  # noqa: FBT001  (a truth value is what it negates)
    return None if value is None else not value


def _both(left: bool | None, right: bool | None) -> bool | None:  # noqa: FBT001  (as above)
    if left is False or right is False:
        return False
    return None if left is None or right is None else True

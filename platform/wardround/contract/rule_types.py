"""Whether a rule fits a contract: known fields, like compared with like, codes that exist, and a truth value at the end."""

from __future__ import annotations

from datetime import date
from typing import Literal, TypeAlias

from wardround.contract.model import Contract, ContractField
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
    children,
    fields,
)
from wardround.errors import Problem
from wardround.strict_yaml import nearest

Type: TypeAlias = Literal["number", "text", "date", "truth"]

_TYPES: dict[str, Type] = {"string": "text", "integer": "number", "number": "number", "date": "date"}
_WORDS: dict[Type, str] = {"number": "a number", "text": "a text", "date": "a date", "truth": "a truth value"}


def check_types(
    expression: Expression, contract: Contract, place: str, *, rule_code: str = "S-RULE", field_code: str = "S-FIELD"
) -> list[Problem]:
    """Give every objection to a rule over this contract's fields; none means that it can be evaluated.

    Args:
        expression: the rule.
        contract: names the fields, their types and codes.
        place: stands in messages.
        rule_code: the code for types that do not fit (``P-RULE`` for a study's rule).
        field_code: the code for unknown fields (``P-FIELD`` for a study's rule).
    """
    checker = _Checker(contract, place, rule_code, field_code)
    found = checker.type_of(expression)
    if found not in ("truth", None):
        checker.object(
            "A rule says something that is true or false", f"the whole rule is {_WORDS[found]}", "compare it with something"
        )
    if not fields(expression):
        checker.object("A rule speaks about a record", "the rule names no field", "name at least one field")
    return checker.problems


class _Checker:
    """Walks a rule once; ``None`` is the type of what was already objected to."""

    def __init__(self, contract: Contract, place: str, rule_code: str, field_code: str) -> None:
        self.fields = {field.name: field for field in contract.fields}
        self.place = place
        self.rule_code = rule_code
        self.field_code = field_code
        self.problems: list[Problem] = []

    def object(self, rule: str, finding: str, next_step: str, code: str | None = None) -> None:
        problem = Problem(code or self.rule_code, self.place, rule, finding, next_step)
        if problem not in self.problems:
            self.problems.append(problem)

    def type_of(self, expression: Expression) -> Type | None:
        match expression:
            case Constant(value):
                return "text" if isinstance(value, str) else "number"
            case FieldRef(name):
                return self._field(name)
            case Negative() | Arithmetic():
                return self._all(expression, "number", "Arithmetic is done on numbers")
            case Not() | Logic():
                return self._all(expression, "truth", "and, or and not join statements that are true or false")
            case Comparison(op, left, right):
                self._compare([left, right], ordered=op not in ("==", "!="))
            case Between(operand, low, high):
                self._compare([operand, low, high], ordered=True)
            case Member(operand, values):
                self._compare([operand, *values], ordered=False)
            case IsMissing(operand, _):
                self._field(operand.name)
        return "truth"

    def _field(self, name: str) -> Type | None:
        field = self.fields.get(name)
        if field is not None:
            return _TYPES[field.type]
        guess = nearest(name, self.fields)
        self.object(
            "A rule names fields of the schema",
            f"the schema has no field {name!r}",
            f"did you mean {guess!r}?" if guess else "name a field of the schema; text stands in double quotes",
            self.field_code,
        )
        return None

    def _all(self, expression: Expression, wanted: Type, rule: str) -> Type:
        for child in children(expression):
            found = self.type_of(child)
            if found not in (wanted, None):
                self.object(rule, f"found {_WORDS[found]} instead of {_WORDS[wanted]}", "compare like with like")
        return wanted

    def _compare(self, parts: list[Expression], *, ordered: bool) -> None:
        """Object unless all parts are of one type, which has an order if one is asked for."""
        types = [self.type_of(part) for part in parts]
        known = {found for found in types if found is not None}
        if "date" in known:  # an ISO date is written as a text
            self._dates([part for part, found in zip(parts, types, strict=True) if found == "text"])
            known.discard("text")
        if len(known) > 1:
            words = " with ".join(_WORDS[found] for found in sorted(known))
            self.object("Like is compared with like", f"the rule compares {words}", "compare numbers with numbers")
        elif known == {"truth"}:
            self.object("Statements are joined, not compared", "the rule compares truth values", "use and, or and not")
        elif known == {"text"} and ordered:
            self.object("Texts have no order", "the rule orders texts", "compare texts with ==, != or in [...]")
        self._codes(parts)

    def _dates(self, parts: list[Expression]) -> None:
        for part in parts:
            if not isinstance(part, Constant) or not _is_date(str(part.value)):
                self.object(
                    "Dates are compared with dates, written YYYY-MM-DD in double quotes",
                    "the rule compares a date with a text that is none",
                    'write it like "2024-01-31"',
                )

    def _codes(self, parts: list[Expression]) -> None:
        """Object to texts that no coded field among the parts can ever hold."""
        coded = [self.fields[part.name] for part in parts if isinstance(part, FieldRef) and part.name in self.fields]
        for field in coded:
            for part in parts:
                if isinstance(part, Constant) and isinstance(part.value, str) and field.categories:
                    self._code(field, part.value)

    def _code(self, field: ContractField, value: str) -> None:
        if value in field.values:
            return
        guess = nearest(value, field.values)
        self.object(
            "A coded field is compared with one of its codes",
            f"the field {field.name!r} has no code {value!r}",
            f"did you mean {guess!r}?" if guess else f"its codes are: {', '.join(field.values)}",
        )


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False

"""From a rule's text to its tree and back: a hand-written tokenizer and a recursive descent, bounded in length and depth."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, cast

from wardround.canonical import EXACT_INTEGER_LIMIT
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
    walk,
)
from wardround.errors import Refused, refuse
from wardround.strict_yaml import nearest

MAXIMUM_LENGTH: Final = 2000
"""The longest rule, in characters."""
MAXIMUM_NESTING: Final = 30
"""How many brackets, ``not`` and minus signs may stand inside each other."""
MAXIMUM_DEPTH: Final = 100
"""How deep the tree of a rule may be (``a + b + c`` is three deep)."""

KEYWORDS: Final = frozenset({"and", "or", "not", "between", "in", "is", "missing"})

_TOKEN: Final = re.compile(
    r"""(?P<space>[ \t\r\n]+)
    |(?P<number>(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)(?![0-9A-Za-z_.])
    |(?P<word>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<text>"(?:[^"\\]|\\["\\])*")
    |(?P<sign>==|!=|<=|>=|[-<>+*/()\[\],])""",
    re.VERBOSE,
)
_HINTS: Final = {
    "=": "equality is written ==",
    "'": 'text stands in double quotes, "like this"',
    '"': 'the text needs a closing double quote; inside it, a double quote is written \\" and a backslash \\\\',
    "&": "write the word and",
    "|": "write the word or",
    "!": "write the word not, or != for unequal",
    ".": "a number begins with a digit; field names hold no dots",
    "%": "write a plain number; units belong to the field",
}
_COMPARISONS: Final = frozenset({"==", "!=", "<", "<=", ">", ">="})

Kind: TypeAlias = Literal["number", "word", "text", "sign", "end"]
Order: TypeAlias = Literal["==", "!=", "<", "<=", ">", ">="]


@dataclass(frozen=True, slots=True)
class _Token:
    kind: Kind
    text: str
    start: int

    def __str__(self) -> str:
        return "the end of the rule" if self.kind == "end" else repr(self.text)


def parse(text: str, place: str = "rule", code: str = "S-RULE") -> Expression:
    """Read a rule.

    Args:
        text: the rule, at most ``MAXIMUM_LENGTH`` characters.
        place: stands in messages.
        code: the code of the refusal; ``S-RULE`` for a schema's rule, ``P-RULE`` for a study's.

    Raises:
        Refused: naming the position (from 1) and what was expected there.
    """
    if len(text) > MAXIMUM_LENGTH:
        raise refuse(
            code,
            place,
            f"A rule has at most {MAXIMUM_LENGTH} characters",
            f"the rule has {len(text)} characters",
            "split it into several rules",
        )
    return _Parser(text, place, code).whole()


class _Parser:
    """One reading of one text; each method reads one line of the grammar and leaves the cursor behind it."""

    def __init__(self, text: str, place: str, code: str) -> None:
        self.text = text
        self.place = place
        self.code = code
        self.tokens = self._tokens()
        self.cursor = 0
        self.nesting = 0

    # ------------------------------------------------------------------------------------------------ refusals

    def _refuse(self, start: int, finding: str, next_step: str) -> Refused:
        return refuse(
            self.code,
            f"{self.place}, position {start + 1}",
            "Rules follow the small grammar of docs/reference/rules.md",
            finding,
            next_step,
        )

    def _unexpected(self, expected: str) -> Refused:
        token = self._here
        next_step = f"write {expected} here"
        if token.kind == "word" and (guess := nearest(token.text.lower(), KEYWORDS)) and guess != token.text:
            next_step = f"did you mean {guess!r}? Otherwise {next_step}"
        elif token.text in _COMPARISONS:
            next_step = "comparisons do not chain: join two with and, or use between"
        return self._refuse(token.start, f"expected {expected}, found {token}", next_step)

    # -------------------------------------------------------------------------------------------------- tokens

    def _tokens(self) -> list[_Token]:
        found: list[_Token] = []
        position = 0
        while position < len(self.text):
            match = _TOKEN.match(self.text, position)
            if match is None:
                raise self._unreadable(position)
            kind = match.lastgroup
            if kind == "text" and any(ord(character) < ord(" ") for character in match.group()):
                raise self._refuse(position, "a line break or control character inside a text", "write it on one line")
            if kind != "space":
                found.append(_Token(cast("Kind", kind), match.group(), position))
            position = match.end()
        return [*found, _Token("end", "", len(self.text))]

    def _unreadable(self, position: int) -> Refused:
        character = self.text[position]
        if character.isdigit():
            return self._refuse(
                position,
                "a number that is not a plain decimal number",
                "write it like 12, 0.5 or 1e-3: no leading zero, no thousands mark, no unit",
            )
        return self._refuse(
            position,
            f"a character that no rule has: {character!r}",
            _HINTS.get(character, "remove it; text stands in double quotes"),
        )

    @property
    def _here(self) -> _Token:
        return self.tokens[self.cursor]

    def _take(self, *texts: str) -> str | None:
        """Take the next token if it is one of these words or signs."""
        token = self._here
        if token.kind in ("word", "sign") and token.text in texts:
            self.cursor += 1
            return token.text
        return None

    def _need(self, text: str) -> None:
        if self._take(text) is None:
            raise self._unexpected(repr(text))

    def _nested(self, read: Callable[[], Expression]) -> Expression:
        self.nesting += 1
        if self.nesting > MAXIMUM_NESTING:
            raise self._refuse(self._here.start, f"nested more than {MAXIMUM_NESTING} deep", "split the rule, or drop brackets")
        found = read()
        self.nesting -= 1
        return found

    # ------------------------------------------------------------------------------------------------- grammar

    def whole(self) -> Expression:
        """Read the whole text as one expression."""
        found = self._either()
        if self._here.kind != "end":
            raise self._unexpected("an operator (and, or, a comparison, + - * /) or the end of the rule")
        if max(depth for _, depth in walk(found)) > MAXIMUM_DEPTH:
            raise self._refuse(0, f"more than {MAXIMUM_DEPTH} steps deep", "split it into several rules, or use in [...]")
        return found

    def _either(self) -> Expression:
        found = self._both()
        while self._take("or"):
            found = Logic("or", found, self._both())
        return found

    def _both(self) -> Expression:
        found = self._negation()
        while self._take("and"):
            found = Logic("and", found, self._negation())
        return found

    def _negation(self) -> Expression:
        if self._take("not"):
            return Not(self._nested(self._negation))
        return self._comparison()

    def _comparison(self) -> Expression:
        start = self._here.start
        left = self._sum()
        if order := self._take(*_COMPARISONS):
            return Comparison(cast("Order", order), left, self._sum())
        if self._take("between"):
            low = self._sum()
            self._need("and")
            return Between(left, low, self._sum())
        if self._take("in"):
            return Member(left, self._literals())
        if self._take("is"):
            negated = self._take("not") is not None
            self._need("missing")
            if not isinstance(left, FieldRef):
                raise self._refuse(start, "only a field can be missing", "write the name of one field before is missing")
            return IsMissing(left, negated)
        return left

    def _sum(self) -> Expression:
        found = self._product()
        while op := self._take("+", "-"):
            found = Arithmetic(cast("Literal['+', '-']", op), found, self._product())
        return found

    def _product(self) -> Expression:
        found = self._unary()
        while op := self._take("*", "/"):
            found = Arithmetic(cast("Literal['*', '/']", op), found, self._unary())
        return found

    def _unary(self) -> Expression:
        if self._take("-"):
            return Negative(self._nested(self._unary))
        return self._atom()

    def _atom(self) -> Expression:
        token = self._here
        if token.kind in ("number", "text"):
            return self._constant()
        if token.kind == "word" and token.text not in KEYWORDS:
            self.cursor += 1
            return FieldRef(token.text)
        if self._take("("):
            found = self._nested(self._either)
            self._need(")")
            return found
        raise self._unexpected("a field, a number, a text in double quotes or '('")

    def _literals(self) -> tuple[Constant, ...]:
        self._need("[")
        found = [self._literal()]
        while self._take(","):
            found.append(self._literal())
        if self._take("]") is None:
            raise self._unexpected("',' or ']'")
        return tuple(found)

    def _literal(self) -> Constant:
        if self._take("-"):
            if self._here.kind != "number":
                raise self._unexpected("a number")
            value = self._constant().value
            return Constant(0 - value) if not isinstance(value, str) else Constant(value)
        if self._here.kind not in ("number", "text"):
            raise self._unexpected("a number or a text in double quotes")
        return self._constant()

    def _constant(self) -> Constant:
        token = self._here
        self.cursor += 1
        if token.kind == "text":
            return Constant(re.sub(r"\\(.)", r"\1", token.text[1:-1]))
        if token.text.isdigit():
            value: int | float = int(token.text)
        else:
            value = float(token.text)
        if not math.isfinite(value) or abs(value) >= EXACT_INTEGER_LIMIT:
            raise self._refuse(token.start, "a number too large to be exact", f"numbers stay below {EXACT_INTEGER_LIMIT}")
        return Constant(value)


# ------------------------------------------------------------------------------------------------ and back to text

_EITHER, _BOTH, _NOT, _COMPARED, _SUM, _PRODUCT, _UNARY, _ATOM = range(8)


def unparse(expression: Expression) -> str:
    """Give the canonical text of a rule: one space around operators, brackets only where they change the meaning.

    ``parse(unparse(e)) == e`` for every tree that ``parse`` can give.
    """
    return _written(expression)[0]


def _at(expression: Expression, level: int) -> str:
    text, own = _written(expression)
    return text if own >= level else f"({text})"


def _written(expression: Expression) -> tuple[str, int]:  # noqa: PLR0911  (one line for each kind of tree)
    match expression:
        case Constant(value):
            return _literal_text(value), _ATOM
        case FieldRef(name):
            return name, _ATOM
        case Negative(operand):
            return f"-{_at(operand, _UNARY)}", _UNARY
        case Not(operand):
            return f"not {_at(operand, _NOT)}", _NOT
        case Between(operand, low, high):
            return f"{_at(operand, _SUM)} between {_at(low, _SUM)} and {_at(high, _SUM)}", _COMPARED
        case Member(operand, values):
            return f"{_at(operand, _SUM)} in [{', '.join(_literal_text(one.value) for one in values)}]", _COMPARED
        case IsMissing(operand, negated):
            return f"{operand.name} is {'not ' if negated else ''}missing", _COMPARED
        case Comparison(op, left, right):
            return f"{_at(left, _SUM)} {op} {_at(right, _SUM)}", _COMPARED
        case Arithmetic(op, left, right):
            level = _SUM if op in ("+", "-") else _PRODUCT
            return f"{_at(left, level)} {op} {_at(right, level + 1)}", level
        case Logic(op, left, right):
            level = _EITHER if op == "or" else _BOTH
            return f"{_at(left, level)} {op} {_at(right, level + 1)}", level


def _literal_text(value: float | str) -> str:
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return repr(value)

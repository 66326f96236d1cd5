"""Made-up texts: they match a field's pattern, and patient keys among them bear a mark that tells that they are made up.

A patient key bears the mark when the SHA-256 of it, behind a fixed word, begins with four zero bits: one text in sixteen.
So a table of synthetic records is known as such by its keys alone, whatever its file is called, however its rows are
ordered, and whether it is still a CSV; ten patients of a real hospital look like it once in 2**40 times.
"""

from __future__ import annotations

import importlib
import re
import string
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from hashlib import sha256
from typing import Any, Final

from wardround.contract import code_systems
from wardround.contract.model import ContractField

Random = Callable[[], float]
"""Gives a number from 0 up to, but not, 1."""

MARK_TRIES: Final = 200
"""How many texts are made for one that bears the mark; a pattern that leaves few texts may have none left."""
ENOUGH_KEYS: Final = 10
"""So many patients, all of them marked, are no chance."""
TEXT_TRIES: Final = 50
USUAL_LENGTH: Final = 10
LONGEST_RUN: Final = 8
"""An open repetition (``*``, ``+``, ``{1,}``) is repeated at most so many times more than it must be."""

_WORD = b"wardround/1/synthetic patient key\0"
_TAME = string.ascii_letters + string.digits
_OTHERS = "-_.:/ ()+,;=#@!%&*<>[]{}|~^$?'\"\\`"
_CLASSES: Final[dict[str, str]] = {
    "CATEGORY_DIGIT": string.digits,
    "CATEGORY_NOT_DIGIT": string.ascii_letters + _OTHERS,
    "CATEGORY_WORD": _TAME + "_",
    "CATEGORY_NOT_WORD": _OTHERS.replace("_", ""),
    "CATEGORY_SPACE": " ",
    "CATEGORY_NOT_SPACE": _TAME + _OTHERS.replace(" ", ""),
}


def bears_mark(key: str) -> bool:
    """Say whether a patient key bears the mark of synthetic records."""
    return sha256(_WORD + key.encode()).digest()[0] < 16  # noqa: PLR2004  (four zero bits)


def all_synthetic(keys: Iterable[str]) -> bool:
    """Say whether these are the patients of a synthetic table: there are enough of them, and every key bears the mark."""
    different: set[str] = set()
    for key in keys:
        if not bears_mark(key):
            return False
        if len(different) < ENOUGH_KEYS:
            different.add(key)
    return len(different) >= ENOUGH_KEYS


def pick(choices: Sequence[Any], random: Random) -> Any:  # noqa: ANN401  (an element of what is given)
    """Give one of some things."""
    return choices[int(random() * len(choices))]


class Texts:
    """Makes texts for one field."""

    def __init__(self, field: ContractField, marks: Sequence[str], *, marked: bool) -> None:
        """Take a text field, the texts that mean missing in it, and whether its texts are patient keys."""
        limits = field.constraints
        self._pattern = None if limits.pattern is None else re.compile(limits.pattern)
        # Python's own reader of patterns, so that no pattern is understood differently; what is made is held against it
        parser = importlib.import_module("re._parser")
        self._maker = None if limits.pattern is None else _maker(parser.parse(limits.pattern))
        self._least = limits.min_length or 0
        self._most = limits.max_length
        self._marks = frozenset(marks)
        self._marked = marked
        self._system = field.code_system

    def fits(self, text: str) -> bool:
        """Say whether a text keeps the field's pattern and lengths, and does not mean missing."""
        if text in self._marks or len(text) < self._least or (self._most is not None and len(text) > self._most):
            return False
        return self._pattern is None or self._pattern.fullmatch(text) is not None

    def make(self, random: Random) -> str | None:
        """Make a text that fits; None when none was found."""
        found = None
        for tries in range(MARK_TRIES if self._marked else TEXT_TRIES):
            text = self._any(random)
            if self.fits(text):
                found = text
                if not self._marked or bears_mark(text):
                    return text
            elif found is None and tries >= TEXT_TRIES:
                return None
        return found

    def _any(self, random: Random) -> str:
        if self._system is not None:
            return code_systems.make(self._system, random)
        if self._maker is not None:
            return self._maker(random, [])
        length = max(self._least, USUAL_LENGTH if self._most is None else min(self._most, USUAL_LENGTH))
        return "".join(pick(string.ascii_lowercase, random) for _ in range(length))


Groups = list[tuple[int, str]]
_Maker = Callable[[Random, Groups], str]
"""Makes a text for a piece of a pattern; the groups that were made are kept for the pieces that repeat them."""


def _maker(parsed: Any) -> _Maker:  # noqa: ANN401  (re's own tree)
    """Read a parsed pattern once; anchors and look-around are left to whoever holds the whole text against it."""
    pieces = [_piece(str(kind), argument) for kind, argument in parsed]
    if len(pieces) == 1:
        return pieces[0]
    return lambda random, groups: "".join([piece(random, groups) for piece in pieces])


def _piece(kind: str, argument: Any) -> _Maker:  # noqa: ANN401, PLR0911
    match kind:
        case "LITERAL":
            return _fixed(chr(argument))
        case "NOT_LITERAL":
            return _one_of("".join(each for each in _TAME if ord(each) != argument))
        case "ANY":
            return _one_of(_TAME)
        case "IN":
            return _one_of(_class(tuple(argument)))
        case "BRANCH":
            return _branch([_maker(each) for each in argument[1]])
        case "SUBPATTERN":
            return _group(argument[0], _maker(argument[3]))
        case "ATOMIC_GROUP":
            return _maker(argument)
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            least, most, repeated = argument
            return _repeated(least, min(int(most), least + LONGEST_RUN) - least + 1, repeated)
        case "GROUPREF":
            return lambda _, groups: next((text for number, text in reversed(groups) if number == argument), "")
        case _:
            return _fixed("")


def _fixed(text: str) -> _Maker:
    return lambda _random, _groups: text


def _one_of(characters: str) -> _Maker:
    count = len(characters)
    return lambda random, _: characters[int(random() * count)]


def _branch(makers: Sequence[_Maker]) -> _Maker:
    def make(random: Random, groups: Groups) -> str:
        chosen: _Maker = pick(makers, random)
        return chosen(random, groups)

    return make


def _group(number: int, inner: _Maker) -> _Maker:
    def make(random: Random, groups: Groups) -> str:
        text = inner(random, groups)
        groups.append((number, text))
        return text

    return make


def _repeated(least: int, choices: int, repeated: Any) -> _Maker:  # noqa: ANN401  (re's own tree)
    characters = _class(tuple(repeated[0][1])) if len(repeated) == 1 and str(repeated[0][0]) == "IN" else ""
    count, inner = len(characters), _maker(repeated)

    def of_one_class(random: Random, _: Groups) -> str:
        """Do the same in less time: most keys are made so, sixteen for one that bears the mark."""
        times = least + int(random() * choices)
        return "".join([characters[int(random() * count)] for _ in range(times)])

    def of_anything(random: Random, groups: Groups) -> str:
        times = least + int(random() * choices)
        return "".join([inner(random, groups) for _ in range(times)])

    return of_one_class if characters else of_anything


@cache
def _class(items: tuple[Any, ...]) -> str:
    """Give the characters of a class, letters and digits alone where it has some."""
    allowed: dict[str, None] = {}
    negated = False
    for kind, argument in items:
        match str(kind):
            case "NEGATE":
                negated = True
            case "LITERAL":
                allowed[chr(argument)] = None
            case "RANGE":
                allowed |= dict.fromkeys(map(chr, range(argument[0], min(argument[1], argument[0] + 255) + 1)))
            case "CATEGORY":
                allowed |= dict.fromkeys(_CLASSES[str(argument)])
    characters = [each for each in _TAME + _OTHERS if each not in allowed] if negated else list(allowed)
    tame = [each for each in characters if each in _TAME]
    return "".join(tame or characters) or "?"

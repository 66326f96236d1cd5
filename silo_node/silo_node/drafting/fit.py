"""Whether a column's cells could be a field's values, and what the mapping would have to say for that.

Evidence is told in counts and shares; no cell stands in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import polars as pl
from numpy.typing import NDArray
from polars.exceptions import PolarsError

from silo_node.draft_marks import QUESTION
from silo_node.drafting.words import code_meanings, plain
from silo_node.sources.shapes import MOST_DISTINCT, NUMBER_MARKS, Decimal, Numbers, Shape
from wardround.contract import units
from wardround.contract.model import ContractField
from wardround.errors import Refused

ISO_DATE = "%Y-%m-%d"
NO_FIT = 0.02
EMPTY_FIT = 0.5
"""Of a column without any value, which may be anything."""
MATCHED_TEXTS = 2000
"""How many distinct texts are held against a pattern."""
_SAME_SIDE = {"yes": "present", "no": "absent"}
_IN_ORDER = re.compile(r"codes? ((?:[0-9]+(?:, and |, | and )?)+),? in this order")
_WHOLE_AS_DECIMAL = re.compile(r"([-+]?[0-9]+)[.,]0+")


@dataclass(frozen=True)
class Fit:
    """How well a column fits a field.

    Attributes:
        score: from 0 to 1.
        evidence: what was seen, in words.
        unit: code of the local unit, or a question; ``factor`` likewise.
        codes: local code and the schema's, or a question; ``None`` when the cells are the schema's codes.
        date_format: of local dates, or a question; ``None`` for ISO dates.
        marks: numbers that mean missing here.
        asks: what a person has to answer.
        telling: whether the cells alone say that it is this field.
    """

    score: float
    evidence: tuple[str, ...] = ()
    unit: str | None = None
    factor: str | None = None
    codes: tuple[tuple[str, str], ...] | None = None
    date_format: str | None = None
    marks: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    telling: bool = False


def fit(field: ContractField, seen: Shape, decimal: Decimal, named: Sequence[str], *, unique: bool) -> Fit:
    """Hold a column against a field.

    Args:
        field: of the schema.
        seen: the column's shape.
        decimal: the decimal mark of the table's numbers.
        named: codes of the units that the column's name may hold.
        unique: whether the field is a primary key by itself.
    """
    if not seen.filled and not seen.marks:
        return Fit(EMPTY_FIT, ("the column is empty",))
    if field.type == "date":
        return _date(seen)
    if field.categories:
        return _coded(field, seen)
    if field.type == "string":
        return _text(field, seen, unique=unique)
    return _number(field, seen, decimal, named)


# --------------------------------------------------------------------------------------------------------------- texts


def _date(seen: Shape) -> Fit:
    found = seen.date_formats
    if not found:
        return Fit(NO_FIT)
    if ISO_DATE in found or len(found) == 1:
        form = ISO_DATE if ISO_DATE in found else found[0]
        return Fit(1.0, (f"all {seen.filled} cells are dates, {form}",), date_format=None if form == ISO_DATE else form)
    forms = " and ".join(found)
    return Fit(
        1.0,
        (f"all {seen.filled} cells are dates",),
        date_format=QUESTION,
        asks=(f"which of {forms} is meant: each fits every date",),
    )


def _text(field: ContractField, seen: Shape, *, unique: bool) -> Fit:
    score, evidence = 0.4 if seen.numeric else 0.6, list[str]()
    pattern = field.constraints.pattern
    if pattern is not None:
        share = _matching(pattern, list(seen.values)[:MATCHED_TEXTS])
        if share < 0.5:  # noqa: PLR2004
            return Fit(NO_FIT)
        score = share
        evidence.append(f"{_most(share)} of its texts have the field's form")
    if unique:
        alone = len(seen.values) == seen.filled
        evidence.append("no text stands twice" if alone else "texts stand more than once")
        score *= 1.0 if alone else 0.4
    return Fit(score, tuple(evidence))


def _matching(pattern: str, texts: list[str]) -> float:
    """Give the share of texts that match, in time that is linear in their length."""
    if not texts:
        return 0.0
    try:
        return float(pl.Series(texts, dtype=pl.String).str.contains(pattern).mean() or 0.0)  # type: ignore[arg-type]
    except PolarsError:  # a pattern that this engine does not have tells nothing here
        return EMPTY_FIT


# --------------------------------------------------------------------------------------------------------------- codes


def _coded(field: ContractField, seen: Shape) -> Fit:
    lists = [*seen.values, *(mark for mark in seen.marks if _equal(field, mark))]
    if len(lists) > MOST_DISTINCT:
        return Fit(NO_FIT)
    known, why = _decode(field, lists)
    share = len(known) / len(lists) if lists else 0.0
    counted = f"{len(known)} of {counted_as(len(lists), 'code')} known{why if known else ''}"
    if len(known) == len(lists):
        same = all(text == value for text, value in known.items())
        codes = None if same else tuple((text, known[text]) for text in lists)
        telling = len(lists) > 1 and why in (_BY_NAME, _BY_WORDS)
        return Fit(_SURE_OF_CODES.get(why, 1.0), (counted,), codes=codes, telling=telling)
    sizes = len(field.categories)
    score = 0.6 + 0.3 * share if len(lists) <= sizes + 2 else 0.3 + 0.3 * share if len(lists) <= 3 * sizes else NO_FIT
    if score == NO_FIT:
        return Fit(NO_FIT)
    asks = f"what {counted_as(len(lists) - len(known), 'code')} would be: {', '.join(field.values)}"
    return Fit(score, (counted,), codes=tuple((text, known.get(text, QUESTION)) for text in lists), asks=(asks,))


_BY_NAME, _BY_WORDS, _BY_ORDER, _BY_LETTER, _BY_SIDE = (
    ": they are the schema's",
    " by their words",
    " by the order that the field's description gives",
    " by their first letters",
    " as yes and no",
)
_SURE_OF_CODES = {_BY_ORDER: 0.85, _BY_LETTER: 0.85, _BY_SIDE: 0.9}
"""Codes that are known in these ways may still mean something else."""


def _decode(field: ContractField, texts: Sequence[str]) -> tuple[dict[str, str], str]:
    """Give the category of each local code for which there is one answer, and how it was found."""
    if found := {text: value for text in texts if (value := _equal(field, text)) is not None}:
        return _with_words(field, texts, found), _BY_NAME
    numbers = {text: _number_of(text) for text in texts}
    if all(number is not None for number in numbers.values()):
        return _by_number(field, {text: number for text, number in numbers.items() if number is not None})
    if found := _with_words(field, texts, {}):
        return found, _BY_WORDS
    return _by_letter(field, texts), _BY_LETTER


def _equal(field: ContractField, text: str) -> str | None:
    for category in field.categories:
        if text == category.value:
            return category.value
    form = _form(text)
    found = {each.value for each in field.categories if form in (_form(each.value), _form(each.label or each.value))}
    return found.pop() if len(found) == 1 else None


def _form(text: str) -> str:
    return " ".join(re.split(r"[\s_-]+", plain(text.strip())))


def _with_words(field: ContractField, texts: Iterable[str], found: dict[str, str]) -> dict[str, str]:
    meant = {each.value: _sides(code_meanings(each.value) | code_meanings(each.label or "")) for each in field.categories}
    several: dict[str, list[str]] = {}
    for text in texts:
        if text in found or _number_of(text) is not None:
            continue
        means = _sides(code_meanings(text))
        fitting = [value for value, words in meant.items() if words & means]
        if len(fitting) == 1:
            found[text] = fitting[0]
        elif fitting:
            several[text] = fitting
    for text, fitting in several.items():  # m is mujer beside h, and male beside w or f
        left = [value for value in fitting if value not in found.values()]
        if found and len(left) == 1 and len(several) == 1:
            return {**found, text: left[0]}
    return found


def _sides(words: Iterable[str]) -> frozenset[str]:
    return frozenset(_SAME_SIDE.get(word, word) for word in words)


def _number_of(text: str) -> str | None:
    text = text.strip()
    if match := _WHOLE_AS_DECIMAL.fullmatch(text):
        text = match[1]
    return text if re.fullmatch(r"[-+]?[0-9]+", text) else None


def _by_number(field: ContractField, numbers: dict[str, str]) -> tuple[dict[str, str], str]:
    """Numbers mean something where the schema says their order, or where 0 and 1 are no and yes."""
    if match := _IN_ORDER.search(field.description or ""):
        given = re.findall(r"[0-9]+", match[1])
        if len(given) == len(field.values) and set(numbers.values()) <= set(given):
            meaning = dict(zip(given, field.values, strict=True))
            return {text: meaning[number] for text, number in numbers.items()}, _BY_ORDER
    sides = {side: value for value in field.values for side in _sides(code_meanings(value)) & {"present", "absent"}}
    if len(field.values) == len(sides) == 2 and set(numbers.values()) <= {"0", "1"}:  # noqa: PLR2004
        return {text: sides["present" if number == "1" else "absent"] for text, number in numbers.items()}, _BY_SIDE
    return {}, ""


def _by_letter(field: ContractField, texts: Sequence[str]) -> dict[str, str]:
    """First letters say it when every code is one letter, and each begins one category of its own."""
    found = {
        text: [value for value in field.values if value.lower().startswith(text.lower())]
        for text in texts
        if len(text) == 1 and text.isalpha()
    }
    whole = len(found) == len(texts) > 1 and all(len(values) == 1 for values in found.values())
    single = {text: values[0] for text, values in found.items()} if whole else {}
    return single if len(set(single.values())) == len(single) else {}


# ------------------------------------------------------------------------------------------------------------- numbers


def _number(field: ContractField, seen: Shape, decimal: Decimal, named: Sequence[str]) -> Fit:
    inside, likely = _ranges(field)
    numbers = seen.numbers(decimal)
    marks = _number_marks(seen, inside) if numbers.cells else ()
    numbers = numbers.without(float(mark) for mark in marks)
    marked = sum(seen.values[mark] for mark in marks)
    share = (numbers.cells + marked) / seen.filled if seen.filled else 0.0
    if share < 0.5 or not numbers.cells:  # noqa: PLR2004
        return Fit(NO_FIT)
    conversion, told = _unit(field, numbers, likely, named)
    numbers = _converted(numbers, conversion)
    within = numbers.share(inside.holds(numbers))
    score = share * within * (0.5 + 0.5 * numbers.share(likely.holds(numbers)))
    if field.type == "integer" and numbers.share(np.abs(numbers.values - np.round(numbers.values)) < 1e-6) < 0.98:  # noqa: PLR2004
        score *= 0.3
    what = counted_as(numbers.cells, "number") if share == 1 else f"{_most(share)} of {seen.filled} cells are numbers"
    evidence = [f"{what}, {_most(within)} within the schema's limits"]
    if marks:
        evidence.append(f"{counted_as(marked, 'cell')} with a number that often means missing, outside the limits")
    if told.unit == QUESTION:
        score = max(score, 0.8 * share)
    return replace(told, score=score, evidence=(*evidence, *told.evidence), marks=marks)


def _converted(numbers: Numbers, conversion: units.Conversion) -> Numbers:
    with np.errstate(over="ignore"):  # what is too large is outside of every limit
        values = np.nan_to_num(numbers.values * conversion.factor + conversion.offset)
    return Numbers(values, numbers.times)


def counted_as(number: int, what: str) -> str:
    """Say a number of things."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _most(share: float) -> str:
    """Say a share so that "all" is all."""
    return "all" if share == 1 else f"{min(share, 0.999):.1%}"


@dataclass(frozen=True, slots=True)
class _Range:
    least: float
    most: float

    def holds(self, numbers: Numbers) -> NDArray[np.bool_]:
        return (numbers.values >= self.least) & (numbers.values <= self.most)


def _ranges(field: ContractField) -> tuple[_Range, _Range]:
    """Give what is possible and what is plausible."""
    low, high = field.constraints.minimum, field.constraints.maximum
    inside = _Range(
        float(low) if isinstance(low, int | float) else float("-inf"),
        float(high) if isinstance(high, int | float) else float("inf"),
    )
    if field.plausible is None:
        return inside, inside
    return inside, _Range(float(field.plausible.low), float(field.plausible.high))


def _number_marks(seen: Shape, inside: _Range) -> tuple[str, ...]:
    """Give the numbers that can only mean missing: usual marks where no value of the field can be, on fewer than half."""
    found = [text for text in NUMBER_MARKS if text in seen.values and not inside.least <= float(text) <= inside.most]
    return tuple(sorted(found)) if sum(seen.values[text] for text in found) < seen.filled / 2 else ()


def _unit(field: ContractField, numbers: Numbers, likely: _Range, named: Sequence[str]) -> tuple[units.Conversion, Fit]:
    """Choose the unit that the name says; ask where it says none and the numbers fit another one better."""
    identity, shared = units.Conversion(1.0, 0.0), field.unit or "1"
    if shared in named:
        return identity, Fit(0, ("the name holds the schema's unit",))
    for code in named:
        if (found := _conversion(code, shared)) is not None:
            return found, Fit(0, (f"the name says {code}",), unit=code)
    if named:
        step = f"the name says {named[0]}, which does not convert into {shared}: the factor, from a source that you can name"
        return identity, Fit(0, factor=QUESTION, asks=(step,))
    if numbers.share(likely.holds(numbers)) >= 0.5:  # noqa: PLR2004
        return identity, Fit(0)
    better: dict[str, units.Conversion] = {}
    for code, found in _others(shared):
        other = _converted(numbers, found)
        if other.share(likely.holds(other)) > 0.9:  # noqa: PLR2004
            better[code] = found
    if not better:
        return identity, Fit(0)
    step = f"which unit: few numbers are plausible in {shared}, most would be in {' or '.join([*better][:3])}"
    return next(iter(better.values())), Fit(0, unit=QUESTION, asks=(step,))


@cache
def _others(shared: str) -> tuple[tuple[str, units.Conversion], ...]:
    """Give the other units of a unit's dimension, and how they convert into it."""
    own = units.table().get(shared)
    codes = [unit.code for unit in units.table().values() if own and unit.dimension == own.dimension and unit.code != shared]
    return tuple((code, found) for code in codes if (found := _conversion(code, shared)) is not None)


def _conversion(code: str, shared: str) -> units.Conversion | None:
    try:
        return units.conversion(code, shared)
    except Refused:
        return None

"""One made-up value of one field: numbers, dates and codes that lean on their record's hidden score, and texts.

Only exact arithmetic of 64-bit numbers, and a generator whose numbers Python promises to keep: the same seed gives the
same values on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from hashlib import sha256
from itertools import pairwise
from typing import Final, TypeAlias

from wardround.contract import rules
from wardround.contract.model import Contract, ContractField
from wardround.contract.synthetic.texts import Random, Texts, pick
from wardround.contract.synthetic.variation import USUAL, Variation

SMALLEST_WEIGHT, LARGEST_WEIGHT = 0.35, 0.75
"""How much of a value is its record's hidden score; the rest is its own."""
WIDE: Final = 10
"""A range whose ends differ by more than this factor is filled from below, as the values of laboratories are."""
DIGITS: Final = 4
"""Digits that a range is divided into."""
STAY_DAYS: Final = 30
"""A date that a rule ties to another one lies no further from it, as long as the other rules allow."""
USUAL_NUMBERS = (0.0, 100.0)
USUAL_DATES = (date(2005, 1, 1).toordinal(), date(2024, 12, 31).toordinal())
USUAL_SPAN_DAYS: Final = 20 * 365
FIRST_DAY, LAST_DAY = date(1000, 1, 1).toordinal(), date(9999, 12, 31).toordinal()
_WHOLE_BYTES: Final = 2**32


Quantiles: TypeAlias = tuple[tuple[float, float], ...]
"""Shares from 0 to 1 and the values below which so many lie, both ascending."""


@dataclass(frozen=True)
class Span:
    """From where to where a number or a date (as its ordinal) may be drawn; both ends included."""

    low: float
    high: float

    @property
    def empty(self) -> bool:
        """Whether nothing lies in it."""
        return self.low > self.high


class FieldValues:
    """Makes values of one field."""

    def __init__(self, contract: Contract, field: ContractField, variation: Variation = USUAL) -> None:
        """Take a field of a contract, and how its hospital differs from others."""
        self.field = field
        self._coded = bool(field.values)
        self._variation = None if variation == USUAL else variation
        self.marks = contract.missing_marks(field.name)
        self._weight, self._falls = _lean(contract, field)
        self.texts = Texts(field, self.marks, marked=field.name == contract.patient_key)
        self.codes = tuple(value for value in field.values if self.texts.fits(value))
        self.span = None if field.type == "string" else _span(field)
        self._digits = max(0, DIGITS - 1 - _magnitude(self.span)) if self.span is not None else 0
        reference = field.reference
        self._quantiles = () if reference is None or self.span is None else _quantiles(reference.quantiles, self.span)
        if self._quantiles:
            self._digits = max(0, DIGITS - 1 - _magnitude(Span(self._quantiles[0][1], self._quantiles[-1][1])))
        self._shares = () if reference is None else tuple(reference.shares.get(code, 0.0) for code in self.codes)

    def draw(self, random: Random, score: float, *, freely: bool, ties: Iterator[tuple[str, rules.Cell]]) -> rules.Cell:
        """Draw a value that is not missing; None when there is none.

        Args:
            random: where it comes from.
            score: the record's hidden score, from 0 to 1.
            freely: from anywhere in the range, instead of leaning on the score.
            ties: what the rules ask of the value, given the record's other values: signs and what they compare it with.
        """
        if self._coded:
            return self._code(random, score, freely=freely)
        if self.span is None:
            wanted = [value for sign, value in ties if sign == "==" and isinstance(value, str)]
            return wanted[0] if wanted else self.texts.make(random)
        low, high = narrowed(self.span, ties)
        where = random() if freely else self._latent(random, score)
        if self._variation is not None:
            where = self._variation.place(where)
        if self._quantiles:
            value = self.number(self.span, where if freely else self._even(where), self._quantiles)
            if value is not None and low <= value <= high:
                return value
        if self.field.type == "date":
            return self._date(low, high, where, freely=freely)
        return self.number(Span(low, high), where)

    def _latent(self, random: Random, score: float) -> float:
        own = (random() + random()) / 2
        return self._weight * score + (1 - self._weight) * own

    def _even(self, latent: float) -> float:
        """Give the share of records with a lower latent value: it is the sum of three even numbers of these widths."""
        widths = (self._weight, (1 - self._weight) / 2, (1 - self._weight) / 2)
        below = 0.0
        for steps in range(8):
            chosen = [width for at, width in enumerate(widths) if steps >> at & 1]
            rest = latent - sum(chosen)
            if rest > 0:
                below += (-1) ** len(chosen) * rest * rest * rest
        return min(max(below / (6 * widths[0] * widths[1] * widths[2]), 0.0), 1.0)

    def _by_share(self, where: float) -> str:
        """Give the code that holds a place from 0 to 1 when the codes lie side by side, each as wide as its share."""
        rest = where * sum(self._shares)
        for code, share in zip(self.codes, self._shares, strict=True):
            rest -= share
            if rest < 0:
                return code
        return self.codes[-1]

    def _code(self, random: Random, score: float, *, freely: bool) -> str | None:
        if not self.codes:
            return None
        if sum(self._shares) > 0:
            return self._by_share(random() if freely else self._even(self._latent(random, 1 - score if self._falls else score)))
        if freely:
            return str(pick(self.codes, random))
        latent = self._latent(random, 1 - score if self._falls else score)
        return self.codes[min(int(latent * len(self.codes)), len(self.codes) - 1)]

    def _date(self, low: float, high: float, where: float, *, freely: bool) -> date | None:
        first, last = math.ceil(low), math.floor(high)
        if self.span is not None and not freely:
            if first > self.span.low and last == self.span.high:
                last = min(last, first + STAY_DAYS)
            elif last < self.span.high and first == self.span.low:
                first = max(first, last - STAY_DAYS)
        return None if first > last else date.fromordinal(first + int(where * (last - first + 1)))

    def number(self, span: Span, where: float, quantiles: Quantiles = ()) -> float | None:
        """Give the number at a place from 0 to 1 of a span, with few digits; None when the span holds none.

        With quantiles it lies where so many of the values that they are of are less.
        """
        low, high = span.low, span.high
        if span.empty:
            return None
        if self.field.type == "integer":
            first, last = math.ceil(low), math.floor(high)
            return None if first > last else min(max(round(self._at(low, high, where, quantiles)), first), last)
        return min(max(round(self._at(low, high, where, quantiles), self._digits), low), high) + 0.0

    def _at(self, low: float, high: float, where: float, quantiles: Quantiles) -> float:
        if quantiles:
            return _between(quantiles, where)
        skewed = (
            where * where if self.span is not None and self.span.low >= 0 and self.span.low * WIDE < self.span.high else where
        )
        return low + (high - low) * skewed


def _lean(contract: Contract, field: ContractField) -> tuple[float, bool]:
    """Give how much a field leans on the hidden score, and whether its codes fall with it: the same for every seed."""
    digest = sha256(f"wardround/1/synthetic\0{contract.id}\0{field.name}".encode()).digest()
    share = int.from_bytes(digest[:4], "big") / _WHOLE_BYTES
    return SMALLEST_WEIGHT + (LARGEST_WEIGHT - SMALLEST_WEIGHT) * share, bool(digest[4] & 1)


def _quantiles(given: Mapping[float, float], span: Span) -> Quantiles:
    """Give a reference's quantiles inside a span, with ends as far out as values of that kind lie; none where they do not fit.

    The upper end lies beyond the last quantile by as much as that beyond the median, or beyond the middle of the quantiles
    where there is no median; so does the lower end, or by as many times where numbers are positive.
    """
    inside = [(share, value) for share, value in sorted(given.items()) if span.low <= value <= span.high]
    if not inside or len(inside) < len(given):
        return ()
    middle = given.get(0.5, (inside[0][1] + inside[-1][1]) / 2)
    first, last = inside[0], inside[-1]
    end = first[1] * first[1] / middle if first[1] > 0 else 2 * first[1] - middle
    low = max(span.low, end) if first[0] < 0.5 else span.low  # noqa: PLR2004  (the median)
    high = min(span.high, 2 * last[1] - middle) if last[0] > 0.5 else span.high  # noqa: PLR2004
    return ((0.0, low), *inside, (1.0, high))


def _between(quantiles: Quantiles, where: float) -> float:
    """Give the value at a share, on straight lines between quantiles."""
    for (share, value), (further, more) in pairwise(quantiles):
        if where <= further:
            return value + (more - value) * ((where - share) / (further - share))
    return quantiles[-1][1]


def limits(field: ContractField) -> Span:
    """Give the range outside of which a number or a date is impossible; open ends are infinite."""
    low, high = field.constraints.minimum, field.constraints.maximum
    if field.type == "date":
        first = FIRST_DAY if low is None else max(FIRST_DAY, date.fromisoformat(str(low)).toordinal())
        last = LAST_DAY if high is None else min(LAST_DAY, date.fromisoformat(str(high)).toordinal())
        return Span(first, last)
    least = -math.inf if low is None or isinstance(low, str) else low
    return Span(least, math.inf if high is None or isinstance(high, str) else high)


def _span(field: ContractField) -> Span:
    """Give the range from which values are drawn: the plausible one, the possible one, or a usual one."""
    if field.plausible is not None:
        return Span(field.plausible.low, field.plausible.high)
    possible = limits(field)
    if field.type == "date":
        return _past(_usual(possible, *USUAL_DATES, USUAL_SPAN_DAYS, FIRST_DAY, LAST_DAY), possible)
    low, high = USUAL_NUMBERS
    return _usual(possible, low, high, high - low, -math.inf, math.inf)


def _usual(possible: Span, low: float, high: float, width: float, first: float, last: float) -> Span:
    open_below, open_above = possible.low == first, possible.high == last
    if open_below and open_above:
        return Span(low, high)
    if open_above:
        return Span(possible.low, min(possible.low + width, last))
    return Span(max(possible.high - width, first), possible.high) if open_below else possible


def _past(span: Span, possible: Span) -> Span:
    """Leave out days that may not have come yet, where the contract does not say how late a day may be."""
    latest = USUAL_DATES[1]
    return Span(span.low, min(span.high, latest)) if possible.high == LAST_DAY and span.low <= latest else span


def _magnitude(span: Span) -> int:
    """Give the decimal exponent of a span's width; exact on every machine, which a logarithm is not."""
    width = span.high - span.low
    return Decimal(width).adjusted() if width > 0 else 0


def ties_to(name: str, expression: rules.Expression, record: dict[str, rules.Cell]) -> Iterator[tuple[str, rules.Cell]]:
    """Give what a rule asks of a field once the record has all other values: the sign, and what it compares the field with.

    Only what the rule says of the field alone is given; whether the whole rule holds is for who evaluates it.
    """
    match expression:
        case rules.Logic("and", left, right):
            yield from ties_to(name, left, record)
            yield from ties_to(name, right, record)
        case rules.Between(rules.FieldRef(field), low, high) if field == name:
            yield from _tie(name, ">=", low, record)
            yield from _tie(name, "<=", high, record)
        case rules.Comparison(sign, rules.FieldRef(field), other) if field == name:
            yield from _tie(name, sign, other, record)
        case rules.Comparison(sign, other, rules.FieldRef(field)) if field == name:
            yield from _tie(name, {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(sign, sign), other, record)


def _tie(name: str, sign: str, other: rules.Expression, record: dict[str, rules.Cell]) -> Iterator[tuple[str, rules.Cell]]:
    if name not in rules.fields(other):
        yield sign, rules.value_of(other, record)


def narrowed(span: Span, ties: Iterator[tuple[str, rules.Cell]]) -> tuple[float, float]:
    """Give the part of a span that the ties leave; the first end is above the second when they leave nothing."""
    low, high = span.low, span.high
    for sign, value in ties:
        number = _number(value)
        if number is None:
            continue
        if sign in (">", ">=", "=="):
            low = max(low, number)
        if sign in ("<", "<=", "=="):
            high = min(high, number)
    return low, high


def _number(value: rules.Cell) -> float | None:
    if isinstance(value, date):
        return value.toordinal()
    if isinstance(value, str):
        try:
            return date.fromisoformat(value).toordinal()
        except ValueError:
            return None
    return value

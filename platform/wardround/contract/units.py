"""Units of measurement: the UCUM codes that schemas and site files may use, with exact factors (``units.yaml``)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib.resources import files
from typing import Annotated, Literal

from pydantic import Field as Setting
from pydantic import StringConstraints

from wardround.errors import Broken, Problem, Refused, refuse
from wardround.strict_yaml import nearest, parse, parse_text
from wardround.values import Slug, Value, Version

Rational = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?(/[1-9][0-9]*)?$")]
"""A number without rounding: ``0.001`` or ``5/9``."""
Words = Annotated[str, StringConstraints(min_length=1, max_length=200)]

_METRIC = r"m\[Hg\]|m\[H2O\]|mol|osm|kat|cal|bar|Pa|Hz|Gy|Sv|Bq|eq|m|g|L|l|s|U|V|A|J|N|W|K|Cel"
_OTHER = r"min|wk|mo|deg|h|d|a|t|%|10\*-?[0-9]+|[0-9]+"
_PREFIX = "(?:da|[YZEPTGMkhdcmunpfazy])?"
_NOTE = r"\{[^{}\s]*\}"
_ATOM = rf"(?:{_PREFIX}(?:{_METRIC}|\[[^\[\]\s]+\])|{_OTHER})(?:-?[0-9]+)?"
_TERM = rf"(?:{_ATOM}(?:{_NOTE})?|{_NOTE})"
_UCUM = re.compile(rf"/?{_TERM}(?:[./](?:{_TERM}|\({_TERM}(?:[./]{_TERM})*\)))*")
"""The form of a UCUM code, for the units that medicine uses."""

ANALYTE_DIMENSIONS = frozenset({"mass_concentration", "substance_concentration"})
"""Dimensions that convert into each other once one knows which substance is meant."""


class _UnitRow(Value):
    code: Words
    name: Words
    factor: Rational
    offset: Rational = "0"
    written: tuple[Words, ...] = ()


class _DimensionRow(Value):
    name: Slug
    base: Words
    units: tuple[_UnitRow, ...] = Setting(min_length=1)


class _UnitTable(Value):
    kind: Literal["units"]
    version: Version
    sources: tuple[Words, ...]
    dimensions: tuple[_DimensionRow, ...]


@dataclass(frozen=True, slots=True)
class Unit:
    """A UCUM code and what it means: ``value · factor + offset`` is the value in its dimension's base unit.

    Attributes:
        written: what people write instead; for hints only.
    """

    code: str
    name: str
    dimension: str
    factor: Fraction
    offset: Fraction
    written: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Conversion:
    """``value · factor + offset`` turns a value of one unit into the other; each correctly rounded to 64 bits."""

    factor: float
    offset: float

    def __call__(self, value: float) -> float:
        """Convert one value."""
        return value * self.factor + self.offset


@cache
def table() -> dict[str, Unit]:
    """Give every known unit by its code."""
    text = files("wardround_schemas").joinpath("units.yaml").read_text(encoding="utf-8")
    found: dict[str, Unit] = {}
    for dimension in parse(_UnitTable, parse_text(text, "units.yaml")).dimensions:
        for row in dimension.units:
            if row.code in found:
                msg = f"the unit {row.code} stands twice in units.yaml"
                raise Broken(msg)
            found[row.code] = Unit(row.code, row.name, dimension.name, Fraction(row.factor), Fraction(row.offset), row.written)
    return found


def unknown(code: str, place: str, refusal: str = "S-UNIT") -> Problem | None:
    """Give the objection to a code that is no known unit; ``None`` when it is one.

    Args:
        code: what was written.
        place: stands in messages.
        refusal: ``S-UNIT`` for a schema's unit, ``M-UNIT`` for a site's.
    """
    if code in table():
        return None
    guess = _guess(code)
    return Problem(
        refusal,
        place,
        "Units are UCUM codes that units.yaml lists, in upper and lower case as there",
        f"the unit {code!r} is not known",
        f"did you mean {guess!r}?" if guess else _NEXT_STEPS[refusal],
    )


_NEXT_STEPS = {
    "S-UNIT": "see docs/reference/schema.md for the known units",
    "M-UNIT": "see docs/reference/schema.md for the known units; convert from another one by hand, under factor and offset",
}


def _guess(code: str) -> str | None:
    """Give the unit that was meant: one that is written so, or nearly so where the code is no unit in itself."""
    spellings = {written.lower(): unit.code for unit in table().values() for written in unit.written}
    spellings |= {unit.code.lower(): unit.code for unit in table().values()}
    word = code.strip().lower()
    if word in spellings:
        return spellings[word]
    found = None if reads(code) else nearest(word, spellings)
    return None if found is None else spellings[found]


def reads(code: str) -> bool:
    """Say whether a code has the form of UCUM: ``mmol/dL`` is no misspelt ``mmol/L``, but ten of it.

    The form alone: products and quotients of prefixes and the units that medicine uses, with exponents and annotations.
    """
    return _UCUM.fullmatch(code) is not None


def find(code: str, place: str, refusal: str = "S-UNIT") -> Unit:
    """Give a unit by its code.

    Raises:
        Refused: ``refusal``, with the nearest known code.
    """
    if problem := unknown(code, place, refusal):
        raise Refused([problem])
    return table()[code]


def conversion(from_code: str, to_code: str, place: str = "unit") -> Conversion:
    """Give the conversion of values in ``from_code`` (a site's unit) into ``to_code`` (the schema's unit).

    Raises:
        Refused: M-UNIT for an unknown ``from_code`` or units that do not convert, S-UNIT for an unknown ``to_code``.
    """
    problems = [unknown(from_code, place, "M-UNIT"), unknown(to_code, place, "S-UNIT")]
    if found := [problem for problem in problems if problem is not None]:
        raise Refused(found)
    source, target = table()[from_code], table()[to_code]
    if source.dimension != target.dimension:
        raise _unlike(source, target, place)
    return Conversion(float(source.factor / target.factor), float((source.offset - target.offset) / target.factor))


def _unlike(source: Unit, target: Unit, place: str) -> Refused:
    if {source.dimension, target.dimension} == ANALYTE_DIMENSIONS:
        next_step = "give the factor of this substance in the site file (factor: ...), from a source that you can name"
    else:
        same = sorted(unit.code for unit in table().values() if unit.dimension == target.dimension)
        next_step = f"name the unit that the column is really in; these convert: {', '.join(same)}"
    return refuse(
        "M-UNIT",
        place,
        "A column's unit must be of the same dimension as the schema's",
        f"{source.code} ({source.dimension}) does not convert into {target.code} ({target.dimension})",
        next_step,
    )

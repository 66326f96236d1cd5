"""Substances, and what turns their masses, amounts and charges into each other (``analytes.yaml``), with exact factors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib.resources import files
from typing import Annotated, Final, Literal

from pydantic import Field as Setting
from pydantic import StringConstraints, model_validator

from wardround.contract import units
from wardround.contract.units import Conversion, Rational, Unit, Words
from wardround.errors import Broken, Problem, Refused, refuse
from wardround.strict_yaml import nearest, parse, parse_text
from wardround.values import FieldName, Slug, Value, Version

MASS: Final = "mass_concentration"
AMOUNT: Final = "substance_concentration"
CHARGE: Final = "charge_concentration"
_ATOMS: Final = re.compile(r"([A-Z][a-z]?)([0-9]*)")

Formula = Annotated[str, StringConstraints(pattern=r"^([A-Z][a-z]?[0-9]*)+$", max_length=60)]


class _Line(Value):
    from_unit: Words = Setting(alias="from")
    to_unit: Words = Setting(alias="to")
    factor: Rational
    offset: Rational = "0"


class _AnalyteRow(Value):
    name: FieldName
    substance: FieldName | None = None
    formula: Formula | None = None
    molar_mass: Rational | None = None
    charge: Annotated[int, Setting(ge=1, le=8)] | None = None
    line: _Line | None = None
    dimensions: tuple[Slug, ...] = ()
    source: Words | None = None

    @model_validator(mode="after")
    def _one_way(self) -> _AnalyteRow:
        ways = (self.formula is not None, self.molar_mass is not None, self.line is not None, bool(self.dimensions))
        if sum(ways) != 1:
            msg = "an analyte has one of formula, molar_mass, line and dimensions"
            raise ValueError(msg)
        if (self.molar_mass is not None or self.line is not None) and self.source is None:
            msg = "a molar mass or line has a source"
            raise ValueError(msg)
        return self


class _AnalyteTable(Value):
    kind: Literal["analytes"]
    version: Version
    sources: tuple[Words, ...]
    elements: dict[Words, Rational]
    analytes: tuple[_AnalyteRow, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """``value · factor + offset`` turns one unit into another that is measured by another method."""

    source: Unit
    target: Unit
    factor: Fraction
    offset: Fraction


@dataclass(frozen=True, slots=True)
class Analyte:
    """What a laboratory measures.

    Attributes:
        substance: what is counted in moles; analytes of one substance convert into each other.
        mass: grams of what is weighed, for one mole of the substance; ``None`` where nobody agrees on it.
        charge: elementary charges of one particle.
        line: between units of different methods.
        dimensions: those in which it may be given.
    """

    name: str
    substance: str
    mass: Fraction | None
    charge: int | None
    line: Line | None
    dimensions: frozenset[str]


@cache
def table() -> dict[str, Analyte]:
    """Give every known analyte by its name."""
    text = files("wardround_schemas").joinpath("analytes.yaml").read_text(encoding="utf-8")
    read = parse(_AnalyteTable, parse_text(text, "analytes.yaml"))
    weights = {element: Fraction(weight) for element, weight in read.elements.items()}
    found = {row.name: _analyte(row, weights) for row in read.analytes}
    if len(found) != len(read.analytes):
        msg = "an analyte stands twice in analytes.yaml"
        raise Broken(msg)
    return found


def _analyte(row: _AnalyteRow, weights: dict[str, Fraction]) -> Analyte:
    mass = Fraction(row.molar_mass) if row.molar_mass is not None else None
    if row.formula is not None:
        mass = sum((weights[atom] * int(count or 1) for atom, count in _ATOMS.findall(row.formula)), Fraction(0))
    line = None
    dimensions = frozenset(row.dimensions)
    if row.line is not None:
        ends = units.find(row.line.from_unit, "analytes.yaml"), units.find(row.line.to_unit, "analytes.yaml")
        line = Line(*ends, Fraction(row.line.factor), Fraction(row.line.offset))
        dimensions = frozenset(end.dimension for end in ends)
    elif mass is not None:
        dimensions = frozenset((MASS, AMOUNT, *((CHARGE,) if row.charge is not None else ())))
    return Analyte(row.name, row.substance or row.name, mass, row.charge, line, dimensions)


def siblings(analyte: Analyte) -> tuple[Analyte, ...]:
    """Give the analytes of the same substance, itself included, in the table's order."""
    return tuple(each for each in table().values() if each.substance == analyte.substance)


def unknown(name: str, place: str, refusal: str = "S-UNIT") -> Problem | None:
    """Give the objection to a name that is no known analyte's; ``None`` when it is one."""
    if name in table():
        return None
    guess = nearest(name, table())
    return Problem(
        refusal,
        place,
        "Analytes are those that analytes.yaml lists",
        f"the analyte {name!r} is not known",
        f"did you mean {guess!r}?" if guess else "see docs/reference/schema.md for the known analytes, or leave it out",
    )


def misfit(name: str, unit: str, place: str) -> Problem | None:
    """Give the objection to a field's analyte that cannot be given in the field's unit; both are known."""
    analyte, dimension = table()[name], units.table()[unit].dimension
    if dimension in analyte.dimensions:
        return None
    return Problem(
        "S-UNIT",
        place,
        "An analyte is given in a unit that it can have",
        f"{name} is not measured in {unit} ({dimension})",
        f"choose a unit of: {', '.join(sorted(analyte.dimensions))}; or leave the analyte out",
    )


def exact(source: Unit, target: Unit, measured: Analyte | None, wanted: Analyte | None) -> tuple[Fraction, Fraction] | None:
    """Give factor and offset from one unit into another, without rounding; ``None`` when they do not convert.

    Args:
        source: the local unit.
        target: the schema's unit.
        measured: what the local numbers are of.
        wanted: what the schema's numbers are of; of the same substance.
    """
    if measured is not None and wanted is not None and source.dimension != target.dimension:
        if wanted.line is not None:
            return _along(wanted.line, source, target)
        there, back = _moles(source, measured), _moles(target, wanted)
        return None if there is None or back is None else (there / back, Fraction(0))
    if source.dimension != target.dimension:
        return None
    factor, offset = source.factor / target.factor, (source.offset - target.offset) / target.factor
    if measured is not None and wanted is not None and measured != wanted and source.dimension == MASS:
        there, back = _moles(source, measured), _moles(target, wanted)
        return None if there is None or back is None else (there / back, Fraction(0))
    return factor, offset


def _moles(unit: Unit, analyte: Analyte) -> Fraction | None:
    """Give the moles per litre of the substance that one of a unit is."""
    if unit.dimension == AMOUNT:
        return unit.factor
    if unit.dimension == MASS and analyte.mass is not None:
        return unit.factor / analyte.mass
    if unit.dimension == CHARGE and analyte.charge is not None:
        return unit.factor / analyte.charge
    return None


def _along(line: Line, source: Unit, target: Unit) -> tuple[Fraction, Fraction] | None:
    """Convert along a line between two methods: into its unit, over it, and out of its other unit."""
    if (source.dimension, target.dimension) == (line.source.dimension, line.target.dimension):
        factor, offset, first, last = line.factor, line.offset, line.source, line.target
    elif (source.dimension, target.dimension) == (line.target.dimension, line.source.dimension):
        factor, offset, first, last = 1 / line.factor, -line.offset / line.factor, line.target, line.source
    else:
        return None
    into, out = source.factor / first.factor, last.factor / target.factor
    return into * factor * out, offset * out


def conversion(
    from_code: str, to_code: str, place: str = "unit", *, wanted: str | None = None, measured: str | None = None
) -> Conversion:
    """Give the conversion of a site's values into the schema's.

    Args:
        from_code: the site's unit.
        to_code: the schema's unit.
        place: stands in messages.
        wanted: the analyte that the schema names, if it names one.
        measured: the analyte that the site names, if it names one: another of the same substance.

    Raises:
        Refused: M-UNIT for an unknown ``from_code`` or ``measured``, for units that do not convert, and where a mass could
            be of several things; S-UNIT for an unknown ``to_code``.
    """
    if measured is not None and (problem := _foreign(measured, wanted, place)) is not None:
        raise Refused([problem])
    if wanted is None or from_code not in units.table() or to_code not in units.table():
        return units.conversion(from_code, to_code, place)
    source, target, analyte = units.table()[from_code], units.table()[to_code], table()[wanted]
    same = siblings(analyte)
    if measured is None and source.dimension == MASS != target.dimension and len(same) > 1:
        raise refuse(
            "M-UNIT",
            place,
            "A mass says of what it is",
            f"{from_code} can be of {' or '.join(each.name for each in same)}",
            f"write which one the laboratory weighs: analyte: {same[-1].name}",
        )
    found = exact(source, target, table()[measured or wanted], analyte)
    if found is None:
        return units.conversion(from_code, to_code, place)  # which refuses it
    return Conversion(float(found[0]), float(found[1]))


def _foreign(measured: str, wanted: str | None, place: str) -> Problem | None:
    if wanted is None:
        return Problem(
            "M-UNIT",
            place,
            "A column names an analyte where the schema's field has one",
            "the schema names none for this field",
            "remove the analyte; give a conversion by hand under factor and offset if one is needed",
        )
    if (problem := unknown(measured, place, "M-UNIT")) is not None:
        return problem
    same = [each.name for each in siblings(table()[wanted])]
    if measured in same:
        return None
    return Problem(
        "M-UNIT",
        place,
        "A column's analyte is of the substance that the schema's field is of",
        f"{measured} is no {wanted}",
        f"name one of: {', '.join(same)}",
    )

"""Units in which a hospital's column may be by mistake: what each makes of a number, from the contract and the tables alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from wardround.contract import analytes, units
from wardround.contract.analytes import Analyte
from wardround.contract.model import ContractField, WrongUnit
from wardround.errors import Problem

AGREEMENT: Final = 0.01
"""How far, relatively, a factor that a contract gives may be from that of the tables, which is rounded in print."""
LEAST_VALUES: Final = 50
"""Values of a column, at least, that tell something of its unit."""
LEAST_OF_PARTS: Final = 500
"""Values of a column, at least, that tell something of a part of it."""
_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9/]*")
"""Units that need no quotes in YAML, wherever they stand."""


@dataclass(frozen=True, slots=True)
class Slip:
    """A unit that local numbers may be in: ``local · factor + offset`` is the number in the field's unit.

    Attributes:
        unit: its UCUM code.
        analyte: what is weighed, where the unit alone does not say it; as a site file says it.
        by_table: whether ``unit`` (and ``analyte``) in a site file convert so; else the factor is given by hand.
    """

    unit: str
    factor: float
    offset: float = 0.0
    analyte: str | None = None
    by_table: bool = True

    @property
    def name(self) -> str:
        """What people call it: ``mg/dL``, ``mg/dL of urea_nitrogen``."""
        return self.unit if self.analyte is None else f"{self.unit} of {self.analyte}"

    def local(self, right: float) -> float:
        """Give what stands in a column of this unit for a number in the field's."""
        return (right - self.offset) / self.factor

    @property
    def keys(self) -> str:
        """What a site file says of a column in this unit."""
        if not self.by_table:
            return f"factor: {self.factor:.6g}"
        unit = self.unit if _PLAIN.fullmatch(self.unit) else f'"{self.unit}"'
        return f"unit: {unit}" if self.analyte is None else f"unit: {unit}, analyte: {self.analyte}"


def slips(field: ContractField) -> tuple[Slip, ...]:
    """Give every unit that a column for a field may be in: those that its reference names first, then all that convert.

    The field's own unit is among them: a site file may convert what needs no conversion.
    """
    if field.unit is None:
        return ()
    convert = list(_convertible(field, units.table()[field.unit]))
    named = [_named(wrong, convert) for wrong in (field.reference.wrong_units if field.reference is not None else ())]
    return tuple(dict.fromkeys((*named, *convert)))


def _convertible(field: ContractField, target: units.Unit) -> Iterator[Slip]:
    analyte = None if field.analyte is None else analytes.table()[field.analyte]
    same = () if analyte is None else analytes.siblings(analyte)
    for source in units.table().values():
        for measured in same if len(same) > 1 and source.dimension == analytes.MASS else (analyte,):
            found = analytes.exact(source, target, measured, analyte)
            if found is not None:
                said = measured.name if measured is not None and _must_be_said(source, target, measured, analyte) else None
                yield Slip(source.code, float(found[0]), float(found[1]), said)


def _must_be_said(source: units.Unit, target: units.Unit, measured: Analyte, wanted: Analyte | None) -> bool:
    several = len(analytes.siblings(measured)) > 1
    return several and source.dimension == analytes.MASS and (measured != wanted or source.dimension != target.dimension)


def _named(wrong: WrongUnit, convert: list[Slip]) -> Slip:
    """Give the slip that a contract names; as the tables know it, where they agree."""
    factor = float(1 / Fraction(wrong.factor))
    for each in convert:
        if each.unit == wrong.unit and each.offset == 0 and abs(each.factor / factor - 1) <= AGREEMENT:
            return each
    return Slip(wrong.unit, factor, by_table=False)


def objections(field: ContractField, wrong: WrongUnit, place: str) -> Iterator[Problem]:
    """Give what is wrong with a wrong unit that a contract names: no unit, or another factor than the tables have."""
    problem = units.unknown(wrong.unit, place)
    if problem is not None:
        yield problem
        return
    without = field.model_copy(update={"reference": None})
    known = [each for each in slips(without) if each.unit == wrong.unit]
    if known and not _named(wrong, known).by_table:
        factors = ", ".join(f"{1 / each.factor:.6g}" for each in known if each.offset == 0)
        yield Problem(
            "S-RANGE",
            place,
            "A wrong unit has the factor that the tables of units and analytes give it",
            f"{wrong.unit} has another one where {field.unit} is meant (field {field.name})",
            f"write factor: {factors}" if factors else "leave it out: the table knows it, with its offset",
        )


def after(slip: Slip, factor: float, offset: float) -> Slip:
    """Give what a slip makes of numbers that ``factor`` and ``offset`` were applied to already, as a site file says."""
    ratio = slip.factor / factor
    return replace(slip, factor=ratio, offset=slip.offset - offset * ratio)

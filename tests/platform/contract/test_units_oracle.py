"""The table of units and the analytes, held against ucumvert and pint, which read all of UCUM: what they say, we say."""

from __future__ import annotations

from fractions import Fraction
from importlib.resources import files
from xml.etree import ElementTree as ET

import pytest
from ucumvert import PintUcumRegistry, get_ucum_parser

from wardround.contract import units

ODD = {"[pH]": "pint has no pH", "mm[Hg]": "pint's millimetre of mercury is the SI Brochure's, 133.322387415 Pa"}
EXAMPLES = files("ucumvert").joinpath("vendor/ucum_examples.tsv").read_text(encoding="utf-8")
OTHERS = [code for line in EXAMPLES.splitlines()[1:] if (code := line.split("\t")[1]) not in units.table()]
TABLE = units.parse(
    units._UnitTable,
    units.parse_text(files("wardround_schemas").joinpath("units.yaml").read_text(encoding="utf-8"), "units.yaml"),
)
BASES = {dimension.name: dimension.base for dimension in TABLE.dimensions}


@pytest.fixture(scope="module")
def registry() -> PintUcumRegistry:
    return PintUcumRegistry()


def test_every_factor_is_that_of_the_library(registry: PintUcumRegistry) -> None:
    """Of every unit into its dimension's base, the offsets of temperatures too."""
    for unit in units.table().values():
        if unit.code in ODD:
            continue
        base = registry.from_ucum(BASES[unit.dimension])
        ours = [float(value * unit.factor + unit.offset) for value in (Fraction(3), Fraction(40))]
        theirs = [registry.Quantity(value, registry.from_ucum(unit.code).units).to(base.units).magnitude for value in (3, 40)]
        assert theirs == pytest.approx(ours, rel=1e-12), unit.code


def test_the_odd_ones_are_those_of_ucum_itself() -> None:
    """What the library takes from elsewhere is held against the specification's own table, which it brings along."""
    name = "{http://unitsofmeasure.org/ucum-essence}unit"
    tree = ET.fromstring(files("ucumvert").joinpath("vendor/ucum-essence.xml").read_bytes())  # noqa: S314  (an installed file)
    mercury = next(each for each in tree.iter(name) if each.get("Code") == "m[Hg]")
    (value,) = (each for each in mercury if each.tag.endswith("value"))
    assert (value.get("Unit"), Fraction(str(value.get("value")))) == ("kPa", Fraction("133.322"))
    assert units.table()["mm[Hg]"].factor == Fraction("133.322")
    assert any(each.get("Code") == "[pH]" for each in tree.iter(name))


def test_what_is_not_in_the_table_is_refused_without_another_size_as_a_hint(registry: PintUcumRegistry) -> None:
    """``mmol/dL`` is no misspelt ``mmol/L``: no hint for a code of UCUM names a unit of the same kind and another size."""
    for code in OTHERS:
        problem = units.unknown(code, "site.yaml, line 7", "M-UNIT")
        assert problem is not None, code
        assert problem.code == "M-UNIT", code
        if not problem.next_step.startswith("did you mean"):
            assert "factor and offset" in problem.next_step
            continue
        guess = next(unit for unit in units.table() if problem.next_step == f"did you mean {unit!r}?")
        if guess.lower() == code.lower() or guess in ODD or code == "Torr":
            continue  # written in other letters; not in pint; no UCUM, though among the examples
        theirs, ours = registry.from_ucum(code), registry.from_ucum(guess)
        if hasattr(theirs, "units") and theirs.is_compatible_with(ours.units):
            assert (1 * theirs).to(ours.units).magnitude == pytest.approx(1), (code, guess)


def test_what_reads_as_ucum_is_ucum() -> None:
    """Our reader of its form takes no word that the library's grammar refuses, and nearly all of the library's examples."""
    parser = get_ucum_parser()
    read = [code for code in OTHERS if units.reads(code)]
    assert len(read) > 0.95 * len(OTHERS)
    for code in (*units.table(), "mmol/dL", "cm[Hg]", "10*-3/L", "ug/(24.h)"):
        assert units.reads(code), code
        parser.parse(code)
    for word in ("mmHg", "µm", "years", "lbs", "mg %", "mcg/L", "beats/min", "°C", "", "/", "m//s"):
        assert not units.reads(word), word

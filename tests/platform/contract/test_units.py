"""Units: exact factors, no conversion between unlike things, and a hint for what people write instead."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.contract import units
from wardround.errors import Refused

CODES = sorted(units.table())


@pytest.mark.parametrize(
    ("source", "target", "value", "expected"),
    [
        ("mm", "um", 0.5, 500.0),
        ("cm", "um", 0.00123, 12.3),
        ("cm2", "um2", 1e-6, 100.0),
        ("mm2", "um2", 0.001, 1000.0),
        ("%", "1", 5.0, 0.05),
        ("mo", "a", 18.0, 1.5),
        ("d", "h", 2.0, 48.0),
        ("min", "h", 90.0, 1.5),
        ("mg/dL", "g/L", 250.0, 2.5),
        ("ng/mL", "ug/L", 3.0, 3.0),
        ("umol/L", "mmol/L", 80.0, 0.08),
        ("[lb_av]", "kg", 100.0, 45.359237),
        ("[in_i]", "cm", 70.0, 177.8),
        ("[degF]", "Cel", 212.0, 100.0),
        ("[degF]", "Cel", -40.0, -40.0),
        ("Cel", "K", 37.0, 310.15),
        ("kPa", "mm[Hg]", 16.0, 120.0102),
        ("cm[H2O]", "Pa", 1.0, 98.0665),
        ("Hz", "/min", 1.2, 72.0),
        ("U/L", "ukat/L", 60.0, 1.0),
        ("10*3/uL", "10*9/L", 7.0, 7.0),
        ("mV", "uV", 0.1, 100.0),
    ],
)
def test_known_conversions(source, target, value, expected):
    """Figures that a textbook gives."""
    assert units.conversion(source, target)(value) == pytest.approx(expected, rel=1e-6)


@given(st.sampled_from(CODES), st.sampled_from(CODES))
def test_units_convert_within_their_dimension_only(source, target):
    """Unlike things are refused; like things convert there and back again."""
    known = units.table()
    if known[source].dimension != known[target].dimension:
        with pytest.raises(Refused) as refused:
            units.conversion(source, target, "site.yaml, line 7")
        assert refused.value.codes == ("M-UNIT",)
        assert refused.value.problems[0].place == "site.yaml, line 7"
        return
    there, back = units.conversion(source, target), units.conversion(target, source)
    assert back(there(37.5)) == pytest.approx(37.5, rel=1e-12)


@given(st.sampled_from(CODES))
def test_a_unit_in_itself_changes_nothing(code):
    """The same unit gives the same bits."""
    assert units.conversion(code, code) == units.Conversion(1.0, 0.0)


def test_factors_are_rounded_once():
    """The factor is the correctly rounded exact quotient: 1/1000 and not 0.001 · (1 + noise)."""
    assert units.conversion("um", "mm").factor == 0.001
    assert units.conversion("[degF]", "Cel").offset == float(Fraction(-160, 9))


def test_a_substance_needs_its_own_factor():
    """mg/dL into mmol/L depends on the substance: refused, with the way out."""
    with pytest.raises(Refused, match="factor of this substance"):
        units.conversion("mg/dL", "mmol/L")


def test_ratios_of_amounts_are_not_percentages():
    """HbA1c in mmol/mol is not HbA1c in per cent divided by ten."""
    with pytest.raises(Refused):
        units.conversion("mmol/mol", "%")


@pytest.mark.parametrize(
    ("written", "code"),
    [("mmHg", "mm[Hg]"), ("years", "a"), ("mg/dl", "mg/dL"), ("°C", "Cel"), ("µm", "um"), ("lbs", "[lb_av]"), ("Mm", "mm")],
)
def test_what_people_write_is_refused_with_the_code(written, code):
    """Only UCUM codes are accepted; the common other spellings get the code as a hint."""
    with pytest.raises(Refused) as refused:
        units.conversion(written, "1")
    assert refused.value.problems[0].code == "M-UNIT"
    assert f"did you mean {code!r}?" in refused.value.problems[0].next_step


def test_the_schema_is_blamed_for_its_own_unit():
    """An unknown unit of the schema is S-UNIT, both faults come at once."""
    with pytest.raises(Refused) as refused:
        units.conversion("mmhg", "kpa")
    assert refused.value.codes == ("M-UNIT", "S-UNIT")


def test_the_file_says_where_its_factors_come_from_and_each_base_is_listed():
    """Every dimension's base unit is one of its units, with factor 1 and offset 0; sources are named."""
    text = units.files("wardround_schemas").joinpath("units.yaml").read_text(encoding="utf-8")
    table = units.parse(units._UnitTable, units.parse_text(text, "units.yaml"))
    assert table.sources
    for dimension in table.dimensions:
        base = units.table()[dimension.base]
        assert (base.dimension, base.factor, base.offset) == (dimension.name, 1, 0)

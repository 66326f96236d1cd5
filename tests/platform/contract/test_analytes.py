"""Analytes: what a mole of them weighs, and what turns their masses, amounts and charges into each other."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from unit_cases import LABORATORY

from wardround.contract import analytes, library, units
from wardround.contract.library import find
from wardround.contract.model import Contract, ContractField
from wardround.contract.slips import slips
from wardround.errors import Refused


@pytest.mark.parametrize(
    ("analyte", "source", "target", "value", "expected"),
    [
        ("glucose", "mg/dL", "mmol/L", 100, 5.551),
        ("creatinine", "mg/dL", "umol/L", 1, 88.40),
        ("cholesterol", "mg/dL", "mmol/L", 200, 5.172),
        ("triglycerides", "mg/dL", "mmol/L", 150, 1.694),
        ("urea_nitrogen", "mg/dL", "mmol/L", 14, 4.998),
        ("bilirubin", "mg/dL", "umol/L", 1, 17.10),
        ("calcium", "mg/dL", "mmol/L", 10, 2.495),
        ("calcium", "meq/L", "mmol/L", 5, 2.5),
        ("magnesium", "meq/L", "mg/dL", 2, 2.4305),
        ("sodium", "meq/L", "mmol/L", 140, 140),
        ("haemoglobin", "g/dL", "mmol/L", 15, 9.309),
        ("hba1c", "mmol/mol", "%", 48, 6.543),
        ("hba1c", "%", "mmol/mol", 7, 53.0),
        ("lactate", "mg/dL", "mmol/L", 9, 0.9991),
        ("uric_acid", "mg/dL", "umol/L", 5, 297.4),
        ("vitamin_d_25oh", "ng/mL", "nmol/L", 20, 49.92),
        ("vitamin_b12", "pg/mL", "pmol/L", 300, 221.3),
        ("iron", "ug/dL", "umol/L", 100, 17.91),
        ("phosphorus", "mg/dL", "mmol/L", 3.5, 1.130),
        ("folate", "ng/mL", "nmol/L", 10, 22.65),
        ("cortisol", "ug/dL", "nmol/L", 10, 275.9),
        ("testosterone", "ng/dL", "nmol/L", 500, 17.34),
        ("estradiol", "pg/mL", "pmol/L", 100, 367.1),
        ("progesterone", "ng/mL", "nmol/L", 10, 31.80),
        ("thyroxine", "ng/dL", "pmol/L", 1.2, 15.45),
        ("triiodothyronine", "pg/mL", "pmol/L", 3, 4.608),
        ("ammonia", "ug/dL", "umol/L", 50, 29.36),
        ("digoxin", "ng/mL", "nmol/L", 1, 1.2805),
        ("paracetamol", "ug/mL", "umol/L", 10, 66.15),
        ("ethanol", "mg/dL", "mmol/L", 80, 17.37),
        ("crp", "mg/dL", "mg/L", 1, 10),
        ("troponin", "ng/mL", "ng/L", 0.04, 40),
    ],
)
def test_known_conversions(analyte: str, source: str, target: str, value: float, expected: float) -> None:
    """Figures that tables of SI conversions give, to their digits."""
    found = analytes.conversion(source, target, wanted=analyte, measured=analyte)
    assert found(value) == pytest.approx(expected, rel=5e-4)


def test_there_are_enough_and_each_weighs_what_its_atoms_weigh() -> None:
    """At least 25 that turn mass into amount; the sums are the table's own, held against one by hand."""
    weighed = [each for each in analytes.table().values() if each.mass is not None]
    assert len(weighed) >= 25
    assert analytes.table()["glucose"].mass == 6 * Fraction("12.011") + 12 * Fraction("1.008") + 6 * Fraction("15.999")
    assert all(1 < each.mass < 20_000 for each in weighed if each.mass is not None)


ALL = sorted(analytes.table())


@given(st.sampled_from(ALL), st.sampled_from(sorted(units.table())), st.sampled_from(sorted(units.table())))
def test_conversions_go_there_and_back(name: str, source: str, target: str) -> None:
    """Or neither way; and a unit in itself changes nothing."""
    analyte = analytes.table()[name]
    ends = units.table()[source], units.table()[target]
    there, back = analytes.exact(*ends, analyte, analyte), analytes.exact(*reversed(ends), analyte, analyte)
    assert (there is None) == (back is None)
    if there is not None and back is not None:
        assert there[0] * back[0] == 1
        assert there[1] * back[0] + back[1] == 0
    assert analytes.exact(ends[0], ends[0], analyte, analyte) == (1, 0)


def refusal(**given: Any) -> str:
    with pytest.raises(Refused) as refused:
        analytes.conversion(given.pop("source"), given.pop("target"), "site.yaml, line 7", **given)
    (problem,) = refused.value.problems
    assert (problem.code, problem.place) == ("M-UNIT", "site.yaml, line 7")
    return f"{problem.finding}. {problem.next_step}"


def test_a_mass_that_can_be_of_several_things_says_of_which() -> None:
    """Urea in mg/dL is weighed as urea in one country and as nitrogen in another: 2.14 times apart."""
    words = refusal(source="mg/dL", target="mmol/L", wanted="urea")
    assert "urea or urea_nitrogen" in words
    assert "analyte: urea_nitrogen" in words
    as_urea = analytes.conversion("mg/dL", "mmol/L", wanted="urea", measured="urea")
    as_nitrogen = analytes.conversion("mg/dL", "mmol/L", wanted="urea", measured="urea_nitrogen")
    assert as_nitrogen.factor / as_urea.factor == pytest.approx(60.056 / 28.014)
    between = analytes.conversion("mg/dL", "g/L", wanted="urea", measured="urea_nitrogen")
    assert between(10) == pytest.approx(0.1 * 60.056 / 28.014)
    assert analytes.conversion("umol/L", "mmol/L", wanted="urea").factor == 0.001


def test_what_does_not_convert_stays_refused() -> None:
    """Without an analyte, with one that has no molar mass, into another kind, with another substance or an unknown one."""
    assert "factor of this substance" in refusal(source="mg/dL", target="mmol/L")
    assert "factor of this substance" in refusal(source="mg/dL", target="mmol/L", wanted="crp")
    assert "does not convert" in refusal(source="kg", target="mmol/L", wanted="glucose")
    assert "does not convert" in refusal(source="meq/L", target="mmol/L", wanted="glucose")
    assert "glucose is no urea" in refusal(source="mg/dL", target="mmol/L", wanted="urea", measured="glucose")
    assert "did you mean 'glucose'" in refusal(source="mg/dL", target="mmol/L", wanted="glucose", measured="glucos")
    assert "names none" in refusal(source="mg/dL", target="mmol/L", measured="glucose")
    assert "did you mean 'mg/dL'" in refusal(source="mg/dl", target="mmol/L", wanted="glucose")


# ----------------------------------------------------------------------------------------------------- in a contract


def changed(**keys: Any) -> str:
    """Give the laboratory's contract with other keys of its glucose, as JSON."""
    content = json.loads(json.dumps(LABORATORY))
    content["fields"][1] |= keys
    return json.dumps(content)


def objections(**keys: Any) -> list[tuple[str, str]]:
    contract = Contract.model_validate_json(changed(**keys))
    with pytest.raises(Refused) as refused:
        library.check(contract, "laboratory")
    return [(each.code, f"{each.finding}. {each.next_step}") for each in refused.value.problems]


def test_a_contract_names_analytes_that_are_there_in_units_that_they_have() -> None:
    """An unknown one gets the nearest, one in a unit of another kind the kinds that it has; text has none."""
    library.check(Contract.model_validate_json(changed()), "laboratory")
    assert objections(analyte="glucse") == [("S-UNIT", "the analyte 'glucse' is not known. did you mean 'glucose'?")]
    ((code, words),) = objections(analyte="crp")
    assert (code, "crp is not measured in mmol/L" in words, "mass_concentration" in words) == ("S-UNIT", True, True)
    with pytest.raises(ValidationError, match="only numbers are of an analyte"):
        ContractField(name="note", type="string", analyte="glucose")


def test_wrong_units_of_a_contract_agree_with_the_tables() -> None:
    """A factor as it is printed is near enough; another one, an unknown unit, and a factor where there is an offset are not."""
    reference = {"source": "made up", "p05": 4.2, "median": 6.1, "p95": 13.0}

    def with_wrong(wrong: str, factor: float, **keys: Any) -> dict[str, Any]:
        return {"reference": {**reference, "wrong_units": [{"unit": wrong, "factor": factor}]}, **keys}

    library.check(Contract.model_validate_json(changed(**with_wrong("mg/dL", 18.0))), "laboratory")
    library.check(Contract.model_validate_json(changed(**with_wrong("kg", 3.0))), "laboratory")
    assert objections(**with_wrong("mg/dL", 38.7))[0][0] == "S-RANGE"
    assert objections(**with_wrong("mg/dl", 18.0))[0] == ("S-UNIT", "the unit 'mg/dl' is not known. did you mean 'mg/dL'?")
    celsius = {"unit": "Cel", "analyte": None}
    ((code, words),) = objections(**with_wrong("[degF]", 2.7, **celsius))
    assert (code, "leave it out" in words) == ("S-RANGE", True)


def test_the_key_is_young() -> None:
    """A contract without it has the hash that it had; one with it another. What a model sees is the same."""
    without, with_it = (Contract.model_validate_json(changed(analyte=each)) for each in (None, "glucose"))
    assert without.contract_hash() != with_it.contract_hash()
    assert without.encoding_hash() == with_it.encoding_hash()
    assert all(field.analyte is None for name in ("heart.disease", "breast.cytology") for field in find(f"{name}@1.0.0").fields)


def test_slips_name_what_a_site_file_says() -> None:
    """Those that the reference names come first; a mass of one of several substances says of which."""
    contract = Contract.model_validate_json(changed())
    urea = slips(contract.field("urea"))
    assert (urea[0].keys, urea[0].name) == ("unit: mg/dL, analyte: urea_nitrogen", "mg/dL of urea_nitrogen")
    assert {each.keys for each in urea} >= {"unit: mg/dL, analyte: urea", "unit: umol/L", "unit: mmol/L"}
    assert {each.keys for each in slips(contract.field("temperature"))} == {"unit: K", "unit: Cel", 'unit: "[degF]"'}
    by_hand = contract.field("base_excess").model_copy(update={"reference": contract.field("urea").reference})
    assert slips(by_hand)[0].keys == "factor: 0.357143"
    assert slips(contract.field("smoking")) == ()

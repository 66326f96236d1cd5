from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from clinic_on_disk import COLUMNS, make_site, rows

from silo_node.mapping import resolve
from wardround.contract.model import Contract
from wardround.errors import Refused


def _codes(folder: Path, contract: Contract, columns: dict[str, Any], **settings: Any) -> list[tuple[str, str]]:
    site = make_site(folder, rows(), columns=columns, **settings)
    with pytest.raises(Refused) as refused:
        resolve(site, contract)
    assert all(problem.place.startswith("site.yaml, line ") for problem in refused.value.problems)
    return [(problem.code, problem.next_step) for problem in refused.value.problems]


def test_a_mapping_needs_no_more_questions(tmp_path: Path, clinic: Contract) -> None:
    """Conversions, codes, date formats and marks are resolved once, in the contract's order."""
    mapping = resolve(make_site(tmp_path, rows(), missing=["NA"]), clinic)
    fields = {each.field.name: each for each in mapping.fields}
    assert tuple(fields) == clinic.names
    assert (fields["radius"].factor, fields["radius"].offset) == (10.0, 0.0)
    assert (fields["glucose"].factor, fields["glucose"].marks) == (0.0555, ("", "-9", "NA"))
    assert fields["sex"].codes == (("W", "female"), ("M", "male"))
    assert fields["visit"].date_format == "%d.%m.%Y"
    assert {each.decimal for each in mapping.fields} == {","}


def test_only_the_needed_fields_and_the_keys_are_mapped(tmp_path: Path, clinic: Contract) -> None:
    """A study's fields do not bring others along, and the keys always come."""
    mapping = resolve(make_site(tmp_path, rows()), clinic, ["pulse"])
    assert [each.field.name for each in mapping.fields] == ["patient_key", "visit", "pulse"]


def test_marks_of_a_column_replace_those_of_the_schema_and_codes_win(tmp_path: Path, clinic: Contract) -> None:
    """A code that the hospital maps is no mark for missing, and a column may have its own marks."""
    columns = {
        **COLUMNS,
        "outcome": {"column": "Befund", "codes": {"NA": "well"}},
        "note": {"column": "Bemerkung", "missing": ["-"]},
    }
    fields = {
        each.field.name: each for each in resolve(make_site(tmp_path, rows(), columns=columns, missing=["NA"]), clinic).fields
    }
    assert fields["outcome"].marks == ("",)
    assert fields["note"].marks == ("", "-")


@pytest.mark.parametrize(
    ("field", "column", "code", "hint"),
    [
        ("radius", {"column": "Radius_cm", "unit": "kg"}, "M-UNIT", "mm"),
        ("radius", {"column": "Radius_cm", "unit": "centimeter"}, "M-UNIT", ""),
        ("radius", {"column": "Radius_cm", "factor": 0}, "M-UNIT", "factor"),
        ("note", {"column": "Bemerkung", "unit": "mm"}, "M-UNIT", "remove"),
        ("sex", {"column": "Geschlecht", "codes": {"W": "femal"}}, "M-CODE", "'female'"),
        ("note", {"column": "Bemerkung", "codes": {"a": "b"}}, "M-CODE", "remove"),
        ("pulse", {"column": "Puls", "date_format": "%d.%m.%Y"}, "Y-VALUE", "remove"),
        ("puls", "Puls", "M-FIELD", "'pulse'"),
    ],
)
def test_each_mistake_has_its_code_and_a_next_step(
    tmp_path: Path, clinic: Contract, field: str, column: Any, code: str, hint: str
) -> None:
    """A unit that does not convert, a code that is none and a field that is none are refused before any record is read."""
    [(found, next_step)] = _codes(tmp_path, clinic, {**COLUMNS, field: column})
    assert found == code
    assert hint in next_step


def test_a_required_field_needs_a_column_and_an_optional_one_does_not(tmp_path: Path, clinic: Contract) -> None:
    """A hospital without an optional column may say so by leaving it out."""
    columns = {name: column for name, column in COLUMNS.items() if name not in ("sex", "note")}
    assert [code for code, _ in _codes(tmp_path, clinic, columns)] == ["M-UNMAPPED"]
    mapped = resolve(make_site(tmp_path, rows(), columns={**columns, "sex": COLUMNS["sex"]}), clinic)
    assert [each.field.name for each in mapped.fields if each.column is None] == ["note"]


def test_a_schema_without_a_mapping_is_refused(tmp_path: Path, clinic: Contract) -> None:
    """M-SCHEMA, with the near name that the site file has."""
    site = make_site(tmp_path, rows(), schema="test.clinics")
    with pytest.raises(Refused) as refused:
        resolve(site, clinic)
    assert refused.value.codes == ("M-SCHEMA",)
    assert "test.clinics" in refused.value.problems[0].next_step


def test_all_mistakes_come_at_once_and_none_repeats_a_local_code(tmp_path: Path, clinic: Contract) -> None:
    """Local codes are values of cells; messages count them instead."""
    columns = {
        **COLUMNS,
        "sex": {"column": "Geschlecht", "codes": {"Geheimnis": "verraten"}},
        "radius": {"column": "Radius_cm", "unit": "kg"},
        "puls": "Puls",
    }
    site = make_site(tmp_path, rows(), columns=columns)
    with pytest.raises(Refused) as refused:
        resolve(site, clinic)
    assert sorted(refused.value.codes) == ["M-CODE", "M-FIELD", "M-UNIT"]
    assert "Geheimnis" not in str(refused.value)
    assert "verraten" not in str(refused.value)


def with_analyte(contract: Contract, analyte: str) -> Contract:
    fields = tuple(each.model_copy(update={"analyte": analyte}) if each.name == "glucose" else each for each in contract.fields)
    return contract.model_copy(update={"fields": fields})


def test_a_mass_converts_where_the_schema_names_the_substance(tmp_path: Path, clinic: Contract) -> None:
    """By the substance's own factor; of a substance that is weighed in two ways, by the one that the site file names."""
    column = {"column": "Glu", "unit": "mg/dL"}

    def factor(wanted: str, **more: str) -> float:
        site = make_site(tmp_path, rows(), columns={**COLUMNS, "glucose": {**column, **more}})
        (found,) = (each for each in resolve(site, with_analyte(clinic, wanted)).fields if each.field.name == "glucose")
        return found.factor

    assert factor("glucose") == pytest.approx(10 / 180.156, rel=1e-15)
    assert factor("urea", analyte="urea") == pytest.approx(10 / 60.056, rel=1e-15)
    assert factor("urea", analyte="urea_nitrogen") == pytest.approx(10 / 28.014, rel=1e-15)


def test_a_mass_without_a_substance_stays_refused(tmp_path: Path, clinic: Contract) -> None:
    """So does one that could be of two, another substance, and an analyte beside a factor or on a text."""
    column = {"column": "Glu", "unit": "mg/dL"}
    given = {**COLUMNS, "glucose": column}
    assert "give the factor" in _codes(tmp_path, clinic, given)[0][1]
    assert "analyte: urea_nitrogen" in _codes(tmp_path, with_analyte(clinic, "urea"), given)[0][1]
    other = {**COLUMNS, "glucose": {**column, "analyte": "creatinine"}}
    assert _codes(tmp_path, with_analyte(clinic, "glucose"), other) == [("M-UNIT", "name one of: glucose")]
    text = {**COLUMNS, "note": {"column": "Bemerkung", "analyte": "glucose"}}
    assert _codes(tmp_path, clinic, text) == [("M-UNIT", "remove the unit")]
    both = {**COLUMNS, "glucose": {"column": "Glu", "analyte": "glucose", "factor": 2.0}}
    with pytest.raises(Refused, match="never both"):
        make_site(tmp_path, rows(), columns=both)

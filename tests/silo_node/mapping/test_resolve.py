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

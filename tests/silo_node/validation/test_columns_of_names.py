"""A column that is called by names of people is no column for a study, whatever its cells look like."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from clinic_on_disk import CLINIC, COLUMNS, load_contract, make_site, rows

from silo_node.validation.check import check
from wardround.contract.model import Contract

FIELDS: list[dict[str, Any]] = CLINIC["fields"]


def _called(folder: Path, clinic: Contract, name: str) -> list[tuple[str, str | None, int]]:
    """Check twelve short words in the column of notes under another name."""
    content = rows(*((at, "Bemerkung", "clegane") for at in range(12))).replace("Bemerkung", name)
    result = check(make_site(folder, content, columns={**COLUMNS, "note": name}), clinic)
    assert name not in str(result.outgoing), "no name of a column leaves"
    return [(each.code, each.field, each.count) for each in result.findings]


@pytest.mark.parametrize(
    "name",
    ["fake_last_name", "FirstName", "Patient Name", "SURNAME", "Nachname", "vor-name", "Prénom", "nom de famille", "apellidos"],
)
def test_names_are_refused_by_what_the_column_is_called(tmp_path: Path, clinic: Contract, name: str) -> None:
    assert _called(tmp_path, clinic, name) == [("T-PHI-ID", "note", 12)]


@pytest.mark.parametrize(
    "name", ["clinic_name", "Name der Station", "drugName", "nombre", "prename_code", "surnamed", "first_visit"]
)
def test_other_names_of_columns_say_nothing(tmp_path: Path, clinic: Contract, name: str) -> None:
    assert _called(tmp_path, clinic, name) == []


def test_the_next_step_is_one_that_helps(tmp_path: Path, clinic: Contract) -> None:
    """A field that the schema does not require is left out, its column ignored: no cell of it is taken, and nothing is found."""
    content = rows(*((at, "Bemerkung", "clegane") for at in range(12))).replace("Bemerkung", "last_name")
    columns = {name: column for name, column in COLUMNS.items() if name != "note"}
    (finding,) = check(make_site(tmp_path, content, columns={**columns, "note": "last_name"}), clinic).findings
    assert "out of 'columns'" in finding.next_step
    assert "under 'ignore'" in finding.next_step
    result = check(make_site(tmp_path, content, columns=columns, ignore=["last_name"]), clinic)
    assert [(each.code, each.field) for each in result.findings if each.field != "note"] == []
    assert result.passed
    assert result.valid["note"].null_count() == 12


def test_a_required_field_needs_another_column(tmp_path: Path) -> None:
    """There, leaving it out is no way."""
    changed = {
        **CLINIC,
        "fields": [{**each, "constraints": {"required": True}} if each["name"] == "note" else each for each in FIELDS],
    }
    content = rows(*((at, "Bemerkung", "clegane") for at in range(12))).replace("Bemerkung", "last_name")
    contract = load_contract(changed, tmp_path)
    found = check(make_site(tmp_path, content, columns={**COLUMNS, "note": "last_name"}), contract).findings
    (finding,) = (each for each in found if each.code == "T-PHI-ID")
    assert finding.next_step.startswith("map another column: the schema requires the field")

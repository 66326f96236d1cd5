"""A column that is called by names of people is no column for a study, whatever its cells look like."""

from __future__ import annotations

from pathlib import Path

import pytest
from clinic_on_disk import COLUMNS, make_site, rows

from silo_node.validation.check import check
from wardround.contract.model import Contract


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

"""A schema asks for names of people on purpose only: a field that is called so has privacy ``direct``, and is no feature."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from clinic_on_disk import CLINIC, load_contract

from wardround.errors import Refused


def _with_note(**changed: Any) -> dict[str, Any]:
    return {**CLINIC, "fields": [{**each, **changed} if each["name"] == "note" else each for each in CLINIC["fields"]]}


@pytest.mark.parametrize("name", ["last_name", "patient_name", "vorname", "first_name_of_mother"])
def test_a_field_that_is_called_by_names_of_people_has_to_say_that_it_identifies(tmp_path: Path, name: str) -> None:
    with pytest.raises(Refused) as caught:
        load_contract(_with_note(name=name), tmp_path)
    (problem,) = caught.value.problems
    assert (problem.code, problem.finding) == ("S-FIELD", f"the field {name!r} has privacy quasi")
    assert problem.place.startswith("contract.yaml, line")
    load_contract(_with_note(name=name, privacy="direct"), tmp_path)
    load_contract(_with_note(name=name, free_text=True), tmp_path)


@pytest.mark.parametrize("name", ["clinic_name", "name_of_ward", "prename_code", "surnamed"])
def test_other_names_of_fields_say_nothing(tmp_path: Path, name: str) -> None:
    load_contract(_with_note(name=name), tmp_path)

"""``wardround study new``: a study file to start from, which predicts what a person would mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from clinic_on_disk import CLINIC
from hospitals_on_disk import Command


def _new(wardround: Command, folder: Path, values: list[str], *words: str) -> tuple[int, str]:
    """Ask for a study of a schema whose outcome has these values; gives the status, and the positive class or the error."""
    schema = folder / "tables" / "test.clinic"
    schema.mkdir(parents=True, exist_ok=True)
    outcome = [{"value": value} for value in values]
    fields: list[dict[str, Any]] = [
        {**each, "categories": outcome} if each["name"] == "outcome" else each for each in CLINIC["fields"]
    ]
    (schema / f"{CLINIC['version']}.yaml").write_text(yaml.safe_dump({**CLINIC, "fields": fields}))
    named = ("--schema", "test.clinic", "--schema-path", str(folder), "--target", "outcome", *words)
    answer = wardround("study", "new", folder / "study.yaml", *named)
    if answer.status:
        return answer.status, answer.err
    checked = wardround("study", "check", folder / "study.yaml", "--schema-path", str(folder))
    assert checked.status == 0, checked.err
    return 0, str(yaml.safe_load((folder / "study.yaml").read_text())["target"]["positive"])


@pytest.mark.parametrize(
    ("values", "positive"),
    [
        (["no", "yes"], "yes"),
        (["0", "1"], "1"),
        (["False", "True"], "True"),
        (["alive", "dead"], "dead"),
        (["benign", "malignant"], "malignant"),
        (["absent", "present"], "present"),
        (["well", "pneumonia"], "pneumonia"),
        (["normal", "borderline", "abnormal"], "abnormal"),
    ],
)
def test_the_event_is_the_positive_class(tmp_path: Path, wardround: Command, values: list[str], positive: str) -> None:
    """In whatever order the schema has them; the file that is written is in order."""
    assert _new(wardround, tmp_path / "one", values) == (0, positive)
    assert _new(wardround, tmp_path / "other", values[::-1]) == (0, positive)


@pytest.mark.parametrize(
    "values", [["female", "male"], ["inpatient", "outpatient"], ["none", "type_1", "type_2"], ["dead", "ill"]]
)
def test_what_cannot_be_told_is_asked(tmp_path: Path, wardround: Command, values: list[str]) -> None:
    """Never a guess; named, it is taken, and a value that is none is refused."""
    status, error = _new(wardround, tmp_path, values)
    assert status == 2
    assert f"name one with --positive: {', '.join(values)}" in error
    assert not (tmp_path / "study.yaml").exists()
    assert "has no value 'other'" in _new(wardround, tmp_path, values, "--positive", "other")[1]
    assert _new(wardround, tmp_path, values, "--positive", values[0]) == (0, values[0])


def test_a_number_is_asked_for_as_one(tmp_path: Path, wardround: Command) -> None:
    """Named, since nobody guesses it; the file that is written is in order, and has the loss and the metric of numbers."""
    file = tmp_path / "study.yaml"
    answer = wardround("study", "new", file, "--schema", "heart.disease", "--target", "thalach")
    assert (answer.status, answer.err) == (0, "")
    assert "It predicts the number thalach, in its unit /min." in answer.out
    assert wardround("study", "check", file).status == 0
    written = yaml.safe_load(file.read_text())
    assert written["target"] == {"field": "thalach", "number": True}
    assert (written["training"]["loss"], written["convergence"]["metric"]) == ("mse", "r2")
    assert "thalach" not in written["features"]
    refused = wardround("study", "new", file, "--schema", "heart.disease", "--target", "thalach", "--positive", "yes")
    assert refused.status == 2
    assert "leave --positive out" in refused.err

"""A label that no study is trained on is refused by name, alone, and with what can be asked instead."""

import json
from pathlib import Path
from typing import Any

import pytest

from wardround.contract.imaging import Label
from wardround.contract.library import find, find_imaging
from wardround.errors import Refused
from wardround.strict_yaml import parse, parse_text
from wardround.study import check
from wardround.study.check import load_study
from wardround.study.model import Study

CHEST = find_imaging("chest.radiograph")
assert CHEST.table is not None
MSE = {"loss": "mse", "optimiser": {"learning_rate": 0.1}}
ROWS = find(f"{CHEST.table.id}@{CHEST.table.version}")
IMAGES = {
    "preparation": [{"name": "Resize", "spatial_size": [64, 64]}, {"name": "ScaleIntensityRange", "a_min": 0, "a_max": 255}],
    "window": [64, 64],
}


def study(target: dict[str, Any], **changed: Any) -> str:
    """A study of chest radiographs, as its file."""
    return json.dumps(
        {
            "name": "chest",
            "version": "1.0.0",
            "title": "A title",
            "question": "A question",
            "author": "Ada Author",
            "schema": {"id": CHEST.id, "version": CHEST.version},
            "target": target,
            "images": IMAGES,
            "network": {"name": "ResNet18"},
            "training": {"optimiser": {"learning_rate": 0.1}},
            "seed": 1,
            "rounds": {"maximum": 3},
            "silos": {"minimum": 1},
            **changed,
        }
    )


def problems(target: dict[str, Any], label: Label = CHEST.label, **changed: Any) -> list[tuple[str, str, str]]:
    found = parse(Study, parse_text(study(target, **changed), "study.yaml"))
    imaging = CHEST.model_copy(update={"label": label})
    return [(each.code, each.finding, each.next_step) for each in check.problems(found, ROWS, imaging)]


def of(kind: str, *fields: str) -> Label:
    return Label.model_validate({"kind": kind, "fields": fields})


def test_one_of_several_labels_is_predicted():
    """With the value that is looked for; without it, the one problem names it."""
    assert problems({"field": "oedema", "positive": "present"}) == []
    ((code, finding, step),) = problems({"field": "oedema"})
    assert (code, step) == ("P-LABEL", "write positive: present, or several of them below 'labels'")
    assert finding.startswith("'oedema' is one of 5 labels")


def test_several_labels_are_predicted_together():
    """All that the contract names, or some of them, or others of two categories beside them."""
    sought = [{"field": name, "positive": "present"} for name in CHEST.label.fields]
    assert problems({"labels": sought}) == []
    assert problems({"labels": [*sought[1:3], {"field": "no_finding", "positive": "absent"}]}) == []


def test_half_a_survival_is_none_of_several_labels():
    sought = [{"field": name, "positive": "present"} for name in ("no_finding", "oedema")]
    found = parse(Study, parse_text(study({"labels": sought}), "study.yaml"))
    imaging = CHEST.model_copy(update={"label": of("survival", "age", "oedema")})
    ((code, place, finding),) = [(each.code, each.place, each.finding) for each in check.problems(found, ROWS, imaging)]
    assert (code, place, finding) == ("P-LABEL", "chest.target.labels.1.field", "'oedema' is the event of a survival")


def test_a_label_that_is_a_number_is_predicted_as_one():
    """Under a contract whose label is that number; the study says that it is one, and how wrong a prediction is."""
    number = {"field": "age", "number": True}
    found = problems(number, of("regression", "age"), training=MSE, convergence={"metric": "r2"})
    assert found == []
    codes = [code for code, _, _ in problems(number, of("regression", "age"))]
    assert codes == ["P-RANGE", "P-RANGE"]  # the loss, and the metric


@pytest.mark.parametrize(("target", "part"), [({"field": "age"}, "time"), ({"field": "oedema", "positive": "present"}, "event")])
def test_a_survival_is_not_predicted_nor_half_of_it(target, part):
    """An event without its time counts who left early as one to whom nothing came; another field is no part of it."""
    survival = of("survival", "age", "oedema")
    ((code, finding, step),) = problems(target, survival)
    assert (code, finding) == ("P-LABEL", f"'{target['field']}' is the {part} of a survival")
    assert "fixed time" in step
    assert "oedema" not in step
    assert problems({"field": "no_finding", "positive": ROWS.field("no_finding").values[1]}, survival) == []


def test_the_line_of_the_target_is_told(tmp_path: Path):
    """As of every problem of a study file, all at once."""
    text = study({"field": "oedema"}).replace('"target"', '\n"target"').replace('"field"', '\n"field"')
    (tmp_path / "study.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(Refused) as refused:
        load_study(tmp_path / "study.yaml")
    assert refused.value.codes == ("P-LABEL",)
    assert refused.value.problems[0].place.endswith("line 3")
    assert refused.value.exit_status == 2

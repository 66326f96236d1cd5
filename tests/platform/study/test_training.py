"""The ``training`` keys: losses by name, and settings that are younger than the first studies."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from wardround.canonical import model_json
from wardround.errors import Refused
from wardround.study.check import load_study
from wardround.study.model import Optimiser, Training

OPTIMISER = Optimiser(learning_rate=0.1)


def test_a_study_without_the_young_keys_is_written_as_before() -> None:
    """Its hash, and with it the split of its patients, stays what it was; with one of them it is another study."""
    old = {"loss": "binary_cross_entropy", "optimiser": model_json(OPTIMISER), "local_epochs": 1, "batch_size": 32}
    assert model_json(Training(optimiser=OPTIMISER)) == old
    assert model_json(Training(optimiser=OPTIMISER, precision="float32", focal_gamma=None)) == old
    assert model_json(Training(optimiser=OPTIMISER, precision="mixed")) == {**old, "precision": "mixed"}
    young = Training(optimiser=OPTIMISER, loss="focal", focal_gamma=1.5)
    assert model_json(young) == {**old, "loss": "focal", "focal_gamma": 1.5}
    assert Training.model_validate_json(young.model_dump_json()) == young


def test_the_exponent_belongs_to_the_focal_loss() -> None:
    """Anywhere else it would do nothing; below 1 a voxel that is surely right would have no gradient."""
    with pytest.raises(ValidationError, match="belongs to the focal loss"):
        Training(optimiser=OPTIMISER, focal_gamma=2.0)
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        Training(optimiser=OPTIMISER, loss="focal", focal_gamma=0.5)


@pytest.mark.parametrize(
    ("loss", "problem"),
    [("focal", None), ("dice", "P-RANGE"), ("cross_entropy", "P-RANGE"), ("mse", "P-RANGE"), ("msle", "Y-VALUE")],
)
def test_a_loss_is_held_against_the_target(tmp_path: Path, loss: str, problem: str | None) -> None:
    """One that is defined for it is taken; another is refused at its line, with those that are; an unknown one is no value."""
    file = tmp_path / "study.yaml"
    training = {"loss": loss, "optimiser": {"learning_rate": 0.1}}
    file.write_text(yaml.safe_dump({**STUDY, "training": training}, sort_keys=False))
    if problem is None:
        assert load_study(file)[0].training.loss == loss
        return
    with pytest.raises(Refused, match=problem) as refused:
        load_study(file)
    (found,) = refused.value.problems
    line = file.read_text().splitlines().index(f"  loss: {loss}") + 1
    assert found.place.endswith(f"study.yaml, line {line}")


STUDY = {
    "name": "first-round",
    "version": "1.0.0",
    "title": "Is a breast mass malignant?",
    "question": "Do measures of cell nuclei tell?",
    "author": "Ada",
    "schema": {"id": "breast.cytology", "version": "1.0.0"},
    "target": {"field": "diagnosis", "positive": "malignant"},
    "features": ["radius_mean"],
    "network": {"name": "FullyConnectedNet", "arguments": {}},
    "training": {},
    "seed": 7,
    "rounds": {"maximum": 3},
    "silos": {"minimum": 2},
}

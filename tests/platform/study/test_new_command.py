"""``wardround study new``: a study file to start from, which predicts what a person would mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from clinic_on_disk import CLINIC
from hospitals_on_disk import Command

from wardround.contract.library import available, find_imaging
from wardround.study.check import load_study


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
    assert "It predicts the number thalach, in the schema's unit /min." in answer.out
    assert wardround("study", "check", file).status == 0
    written = yaml.safe_load(file.read_text())
    assert written["target"] == {"field": "thalach", "number": True}
    assert (written["training"]["loss"], written["convergence"]["metric"]) == ("mse", "r2")
    assert "thalach" not in written["features"]
    refused = wardround("study", "new", file, "--schema", "heart.disease", "--target", "thalach", "--positive", "yes")
    assert refused.status == 2
    assert "leave --positive out" in refused.err


def _of_images(wardround: Command, folder: Path, schema: str, *words: str) -> Any:
    """Write a study of images, which has to be in order as it is; gives it as it was read."""
    folder.mkdir(exist_ok=True)
    file = folder / "study.yaml"
    answer = wardround("study", "new", file, "--schema", schema, "--schema-path", folder, *words)
    assert answer.status == 0, answer.err
    text = file.read_text()
    assert "@" not in text
    remarks = [line for line in text.splitlines() if "#" in line and not line.startswith("    - {")]
    assert all(line.index("#") in (0, 29) or line.index("#") > 29 for line in remarks), "remarks stand below each other"
    study, _, imaging = load_study(file, (folder,))
    assert imaging is not None
    return study


@pytest.mark.parametrize("name", sorted({listing.name for listing in available(kind="imaging")}))
def test_every_schema_of_images_has_a_study_to_start_from(tmp_path: Path, wardround: Command, name: str) -> None:
    """It predicts the label that the schema has, all of several, and passes the check as it is; its images are what it says."""
    label = find_imaging(name).label
    study = _of_images(wardround, tmp_path, name)
    assert study.target.mask == tuple(label.classes.values())
    assert study.target.fields == label.fields
    assert bool(study.target.labels) == (label.kind == "multi_label")
    assert study.convergence.metric == ("dice" if label.kind == "mask" else "loss")


def test_what_is_proposed_follows_from_the_schema(tmp_path: Path, wardround: Command) -> None:
    """The spacing in the middle of what is allowed, a window in HU for CT, colours of photographs, several classes."""
    lesions = _of_images(wardround, tmp_path / "ct", "ct.lesion")
    geometry = find_imaging("ct.lesion").geometry
    allowed = [geometry.pixel_spacing, geometry.pixel_spacing, geometry.slice_step]
    assert all(
        each.low <= chosen <= each.high for each, chosen in zip(allowed, lesions.images.preparation[1].pixdim, strict=True)
    )  # type: ignore[union-attr]
    assert (lesions.images.preparation[2].a_min, lesions.images.channels) == (-160, 1)
    moles = _of_images(wardround, tmp_path / "photographs", "dermoscopy.lesion")
    assert (moles.images.channels, moles.target.positive) == (3, "yes")
    series = _of_images(wardround, tmp_path / "mr", "mr.series")
    assert (series.target.field, series.target.positive, series.training.loss) == ("sequence", None, "cross_entropy")
    one = _of_images(wardround, tmp_path / "one", "mr.series", "--target", "sequence", "--positive", "flair")
    assert (one.target.positive, one.training.loss) == ("flair", "binary_cross_entropy")


def test_masks_of_plane_images_have_a_study_too(tmp_path: Path, wardround: Command) -> None:
    """In PNG there is no spacing; in NIfTI there is one."""
    raw = yaml.safe_load(
        (Path(__file__).parents[3] / "schemas/wardround_schemas/imaging/dermoscopy.lesion/1.0.0.yaml").read_text()
    )
    label = {"kind": "mask", "format": "png", "classes": {"1": "mole", "2": "hair"}, "path": "image_id"}
    for form, spaced in (("png", False), ("nifti", True)):
        folder = tmp_path / form
        place = folder / "imaging" / "test.outline"
        place.mkdir(parents=True)
        changed = {**raw, "id": "test.outline", "format": form, "label": {**label, "format": form}}
        (place / "1.0.0.yaml").write_text(yaml.safe_dump(changed))
        study = _of_images(wardround, folder, "test.outline")
        assert study.target.mask == ("mole", "hair")
        assert any(each.name == "Spacing" for each in study.images.preparation) == spaced


def test_what_cannot_be_told_of_images_is_asked(tmp_path: Path, wardround: Command) -> None:
    """The value that is looked for is one of each finding; masks have no positive value."""
    file = tmp_path / "study.yaml"
    several = wardround("study", "new", file, "--schema", "chest.radiograph", "--positive", "yes")
    assert several.status == 2
    assert "'atelectasis' has no value 'yes'" in several.err
    assert wardround("study", "new", file, "--schema", "ct.lesion", "--positive", "lesion").status == 2
    assert wardround("study", "new", file, "--schema", "chest.radiograph", "--target", "lung").status == 2
    assert not file.exists()


def test_several_findings_are_predicted_at_once_or_one_of_them(tmp_path: Path, wardround: Command) -> None:
    """Each with the value that is called as an event is; one that is named alone is a study of two classes."""
    every = _of_images(wardround, tmp_path / "all", "chest.radiograph")
    assert {label.positive for label in every.target.labels} == {"present"}
    assert (every.training.loss, every.target.kind) == ("binary_cross_entropy", "labels")
    others = _of_images(wardround, tmp_path / "others", "chest.radiograph", "--positive", "absent")
    assert {label.positive for label in others.target.labels} == {"absent"}
    one = _of_images(wardround, tmp_path / "one", "chest.radiograph", "--target", "oedema")
    assert (one.target.field, one.target.positive, one.target.labels) == ("oedema", "present", ())


def test_a_number_of_images_is_asked_for_as_one(tmp_path: Path, wardround: Command) -> None:
    """Named, or because it is the label of the schema; not where the schema gives it no limits."""
    named = _of_images(wardround, tmp_path / "named", "dermoscopy.lesion", "--target", "age")
    assert (named.target.kind, named.training.loss, named.convergence.metric) == ("number", "mse", "r2")
    raw = yaml.safe_load(
        (Path(__file__).parents[3] / "schemas/wardround_schemas/imaging/dermoscopy.lesion/1.0.0.yaml").read_text()
    )
    place = tmp_path / "label" / "imaging" / "test.age"
    place.mkdir(parents=True)
    changed = {**raw, "id": "test.age", "label": {"kind": "regression", "fields": ["age"]}}
    (place / "1.0.0.yaml").write_text(yaml.safe_dump(changed))
    label = _of_images(wardround, tmp_path / "label", "test.age")
    assert label.target == named.target

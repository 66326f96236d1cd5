"""Several labels at once of photographs, from files to prediction and bundle: two things are lit, each by itself."""

from __future__ import annotations

import contextlib
import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import polars as pl
import pytest
import torch
import yaml
from fixed_keys import fixed_keys
from models_on_paper import made_model
from PIL import Image
from sklearn.metrics import roc_auc_score

from wardround.console import run
from wardround.contract.library import find
from wardround.models.build import read_weights
from wardround.study.images import Images
from wardround.study.model import Label, Target
from wardround.study.shape import Shape
from wardround.weights.packing import to_safetensors
from wardround_lab.monai_bundle.export import write_bundle
from wardround_lab.monai_bundle.held import parts_of_bundle
from wardround_lab.onnx_export import to_onnx
from wardround_lab.predict import load_model

SITES = ("north", "south")
IMAGES = 160
LABELS = {"malignant": "yes", "sex": "female"}
COLUMNS = [f"probability_{name}" for name in LABELS]
STUDY = {
    "name": "two-things",
    "version": "1.0.0",
    "title": "Two things at once",
    "question": "Are both told by what is lit, where they were made to be",
    "author": "A. Scientist",
    "schema": {"id": "dermoscopy.lesion", "version": "1.0.0"},
    "target": {"labels": [{"field": name, "positive": positive} for name, positive in LABELS.items()]},
    "images": {
        "channels": 3,
        "preparation": [
            {"name": "Resize", "spatial_size": [32, 32]},
            {"name": "ScaleIntensityRange", "a_min": 0.0, "a_max": 255.0},
        ],
        "window": [32, 32],
    },
    "network": {"name": "ResNet18", "arguments": {"first_kernel": 3, "width": 0.125}},
    "training": {"optimiser": {"name": "adam", "learning_rate": 0.01}, "batch_size": 8, "local_epochs": 2},
    "seed": 7,
    "split": {"train": 0.5, "validation": 0.25, "test": 0.25},
    "rounds": {"maximum": 3, "deadline_seconds": 300},
    "convergence": {"metric": "auroc"},
    "silos": {"minimum": 2},
}


def write_institution(folder: Path, seed: int) -> None:
    """Write photographs, the left half of which is lit where one label holds, and the upper half where the other does.

    Of a sixth of them the second is not known.
    """
    random = np.random.default_rng(seed)
    (folder / "photographs").mkdir(parents=True)
    with (folder / "table.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image_id", "path", "patient_key", "malignant", "sex"])
        for number in range(IMAGES):
            first, second = random.integers(0, 2, size=2)
            pixels = random.normal(60, 15, size=(64, 64, 3))
            pixels[:, :32] += 70 * first
            pixels[:32] += 70 * second
            name = f"p{seed}-{number}.jpg"
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / "photographs" / name)
            sex = "" if number % 6 == 0 else ("male", "female")[second]
            writer.writerow([f"i{seed}-{number}", name, f"{seed:08x}{number:08x}", ("no", "yes")[first], sex])
    names = ("image_id", "path", "patient_key", "malignant", "sex")
    document = {
        "site": folder.name,
        "name": f"Institution {folder.name}",
        "sources": {"table": {"format": "csv", "path": "table.csv"}, "images": {"format": "images", "path": "photographs"}},
        "schemas": {
            "dermoscopy.images": {"source": "table", "columns": {name: name for name in names}},
            "dermoscopy.lesion": {"source": "images"},
        },
    }
    (folder / "site.yaml").write_text(yaml.safe_dump(document))
    (folder / "policy.yaml").write_text("share_metrics: consortium\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A study of two institutions, built, approved and carried out."""
    folder = tmp_path_factory.mktemp("photographs")
    for seed, site in enumerate(SITES, 1):
        write_institution(folder / site, seed)
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY))
    sites = [word for site in SITES for word in ("--site", f"{site}/site.yaml")]
    requests = [word for site in SITES for word in ("--silo", f"{site}/request.json")]
    with contextlib.chdir(folder), fixed_keys():  # the split follows from the keys
        for words in (
            ["coordinator", "init", "centre", "--name", "The centre"],
            *(["silo", "init", "--site", f"{site}/site.yaml"] for site in SITES),
            ["study", "check", "study.yaml"],
            ["study", "build", "study.yaml", "--coordinator", "centre/coordinator.json", *requests, "--out", "made.wardround"],
            ["silo", "approve", "made.wardround", *sites, "--approver", "Dr A", "--role", "data protection officer"],
            ["simulate", "made.wardround", *sites, "--centre", "centre", "--out", "out"],
        ):
            assert run(words) == 0, words
    return folder


def test_a_study_of_photographs_learns_each_label(folder: Path, tmp_path: Path) -> None:
    """One network tells both, as the command writes them; of images of which one is not known, too."""
    out, release = tmp_path / "labels.csv", folder / "out" / "release"
    assert run(["predict", str(release), "--site", str(folder / "north" / "site.yaml"), "--out", str(out)]) == 0
    found = pl.read_csv(out).join(pl.read_csv(folder / "north" / "table.csv"), on="image_id")
    assert found.height == IMAGES
    assert found.columns[:3] == ["image_id", *COLUMNS]
    for column, (name, positive) in zip(COLUMNS, LABELS.items(), strict=True):
        known = found.filter(pl.col(name).is_not_null())
        assert roc_auc_score(known[name] == positive, known[column]) > 0.95
    report = (release / "report.html").read_text()
    assert all(f'id="{chart}-of-{name}-figure_1"' in report for chart in ("roc", "calibration") for name in LABELS)
    tested = json.loads((release / "history.json").read_text())["test"]
    assert all(label["metrics"]["auroc"] > 0.9 for label in tested["labels"])


def test_a_hospital_sees_what_is_predicted_and_each_images_labels(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the review, and on the contact sheet; what is not known of an image says so."""
    bundle, site = str(folder / "made.wardround"), str(folder / "north" / "site.yaml")
    capsys.readouterr()
    assert run(["silo", "review", bundle, "--site", site]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "predicts several labels (malignant is yes, sex is female)" in said
    assert "for 2 of 2 labels" in said
    assert run(["silo", "preview", bundle, "--site", site, "--images", "20", "--format", "json"]) == 0
    page = (folder / "north" / json.loads(capsys.readouterr().out)["page"]).read_text()
    assert "malignant: yes, sex: female" in page
    assert ", sex: not known" in page


def test_its_bundle_gives_a_probability_of_each(folder: Path, tmp_path: Path) -> None:
    """It is written after MONAI gave what the release gives: a sigmoid of each, no softmax over both."""
    out, release = tmp_path / "bundle", folder / "out" / "release"
    assert run(["model", "export", str(release), "--to", "monai-bundle", "--out", str(out)]) == 0
    model = load_model(release)
    with parts_of_bundle(out) as part:
        image = torch.rand(model.shape.taken(1))
        with torch.no_grad():
            outputs = part("network_def")(image)
            said = part("postprocessing#transforms#0")({"pred": outputs[0]})["pred"]
            expected = model.said(model.network(image))
    assert np.abs(np.asarray(said) - expected[0]).max() <= 1e-5
    assert expected.shape == (1, 2)
    metadata = json.loads((out / "configs" / "metadata.json").read_text())
    told = metadata["network_data_format"]["outputs"]["pred"]["channel_def"]
    assert told == {str(at): f"{name} (logit, its sigmoid is the probability)" for at, name in enumerate(LABELS)}
    readme = (out / "docs" / "README.md").read_text()
    assert "`probability_malignant`, `probability_sex`" in readme


def test_models_of_volumes_leave_as_what_they_are(tmp_path: Path) -> None:
    """A network of volumes with three labels: ONNX Runtime and MONAI give its figures."""
    shape, contract = Shape(dimensions=3, inputs=1, outputs=3, window=(32, 32, 32)), find("chest.findings")
    made = made_model("ResNet18", {"width": 0.125}, shape)
    steps = (
        {"name": "Orientation"},
        {"name": "ScaleIntensityRange", "a_min": -60.0, "a_max": 180.0},
        {"name": "Resize", "spatial_size": shape.window},
    )
    images = Images.model_validate({"channels": 1, "preparation": steps, "window": shape.window})
    sought = tuple(Label(field=name, positive="present") for name in ("oedema", "atelectasis", "cardiomegaly"))
    study = made.study.model_copy(update={"images": images, "target": Target(labels=sought)})
    encoding = made.encoding.model_copy(update={"target": None, "positive": None, "classes": (), "labels": sought})
    model = replace(made, study=study, contract=contract, encoding=encoding)
    session = onnxruntime.InferenceSession(to_onnx(model), providers=["CPUExecutionProvider"])
    batch = np.random.default_rng(2).normal(size=shape.taken(3)).astype(np.float32)
    with torch.no_grad():
        expected = model.said(model.network(torch.from_numpy(batch)))
    logits = session.run(["logits"], {"input": batch})[0].astype(np.float64)
    assert np.abs(1 / (1 + np.exp(-logits)) - expected).max() <= 1e-5
    write_bundle(model, to_safetensors(*read_weights(model.network)), b"# Model card", tmp_path / "bundle")  # held against it

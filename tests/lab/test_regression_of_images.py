"""A number that is predicted of photographs, from files to prediction and bundle: the further a made-up one is lit, the older."""

from __future__ import annotations

import contextlib
import csv
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

from wardround.console import run
from wardround.contract.library import find
from wardround.models.build import read_weights
from wardround.study.encoding import Ends, ends_of
from wardround.study.images import Images
from wardround.study.model import Target
from wardround.study.shape import Shape
from wardround.weights.packing import to_safetensors
from wardround_lab.monai_bundle.export import write_bundle
from wardround_lab.monai_bundle.held import parts_of_bundle
from wardround_lab.onnx_export import near_number, to_onnx
from wardround_lab.predict import load_model

SITES = ("north", "south")
IMAGES, OLDEST = 60, 90
STUDY = {
    "name": "lit",
    "version": "1.0.0",
    "title": "How old",
    "question": "Is age told by what is lit, where it was made to be",
    "author": "A. Scientist",
    "schema": {"id": "dermoscopy.lesion", "version": "1.0.0"},
    "target": {"field": "age", "number": True},
    "images": {
        "channels": 3,
        "preparation": [
            {"name": "Resize", "spatial_size": [32, 32]},
            {"name": "ScaleIntensityRange", "a_min": 0.0, "a_max": 255.0},
        ],
        "window": [32, 32],
    },
    "network": {"name": "ResNet18", "arguments": {"first_kernel": 3, "width": 0.125}},
    "training": {"loss": "mse", "optimiser": {"name": "adam", "learning_rate": 0.01}, "batch_size": 8, "local_epochs": 3},
    "seed": 7,
    "split": {"train": 0.5, "validation": 0.25, "test": 0.25},
    "rounds": {"maximum": 6, "deadline_seconds": 300},
    "convergence": {"metric": "mae", "minimum_change": 0.1},
    "silos": {"minimum": 2},
}


def write_institution(folder: Path, seed: int) -> None:
    """Write photographs of which a part is lit that grows with the age, and their table."""
    random = np.random.default_rng(seed)
    (folder / "photographs").mkdir(parents=True)
    with (folder / "table.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image_id", "path", "patient_key", "malignant", "age"])
        for number in range(IMAGES):
            age = int(random.integers(10, OLDEST))
            pixels = random.normal(60, 15, size=(64, 64, 3))
            pixels[:, : 64 * age // 100] += 120
            name = f"p{seed}-{number}.jpg"
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / "photographs" / name)
            writer.writerow([f"i{seed}-{number}", name, f"{seed:08x}{number:08x}", ("no", "yes")[number % 2], age])
    names = ("image_id", "path", "patient_key", "malignant", "age")
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
def release(tmp_path_factory) -> Path:
    """The release of a study of two institutions."""
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
    return folder / "out" / "release"


def test_a_study_of_photographs_learns_the_number(release: Path, tmp_path: Path) -> None:
    """Its predictions are ages, nearer than their mean is; what the command writes is what the release says."""
    out = tmp_path / "ages.csv"
    site = release.parents[1] / "north"
    assert run(["predict", str(release), "--site", str(site / "site.yaml"), "--out", str(out)]) == 0
    found = pl.read_csv(out).join(pl.read_csv(site / "table.csv"), on="image_id")
    assert found.height == IMAGES
    assert found["predicted_age"].is_between(-60, 180).all()
    error = (found["predicted_age"] - found["age"]).abs().mean()
    assert error < 0.7 * (found["age"] - found["age"].mean()).abs().mean()
    report = (release / "report.html").read_text()
    assert "ean absolute error (a)" in report
    assert "ROC" not in report


def test_its_bundle_gives_the_number_in_the_schemas_unit(release: Path, tmp_path: Path) -> None:
    """It is written after MONAI gave what the release gives; ``ScaleIntensityRange`` turns the scale into years."""
    out = tmp_path / "bundle"
    assert run(["model", "export", str(release), "--to", "monai-bundle", "--out", str(out)]) == 0
    model = load_model(release)
    with parts_of_bundle(out) as part:
        image = torch.rand(model.shape.taken(1))
        with torch.no_grad():
            outputs = part("network_def")(image)
            step = part("postprocessing#transforms#0")
            said = step({"pred": outputs[0]})["pred"]
            expected = model.said(model.network(image))
    assert float(said[0]) == pytest.approx(float(expected[0]), abs=1e-5 * 120)
    metadata = (out / "configs" / "metadata.json").read_text()
    assert "age: -1 is 0, 1 is 120 a" in metadata
    assert "probabilit" not in (out / "configs" / "metadata.json").read_text()
    readme = (out / "docs" / "README.md").read_text()
    assert "`predicted_age`, in the schema's unit a" in readme


def test_models_of_volumes_leave_as_what_they_are(tmp_path: Path) -> None:
    """A network of volumes with one output: ONNX Runtime and MONAI give its numbers, in the schema's unit."""
    shape, contract = Shape(dimensions=3, inputs=1, window=(32, 32, 32)), find("dermoscopy.images")
    made = made_model("ResNet18", {"width": 0.125}, shape)
    steps = (
        {"name": "Orientation"},
        {"name": "ScaleIntensityRange", "a_min": -60.0, "a_max": 180.0},
        {"name": "Resize", "spatial_size": shape.window},
    )
    images = Images.model_validate({"channels": 1, "preparation": steps, "window": shape.window})
    study = made.study.model_copy(update={"images": images, "target": Target(field="age", number=True)})
    ends = ends_of(study, contract)
    assert ends == Ends(low=0.0, high=120.0)
    encoding = made.encoding.model_copy(update={"target": "age", "positive": None, "number": ends})
    model = replace(made, study=study, contract=contract, encoding=encoding)
    session = onnxruntime.InferenceSession(to_onnx(model), providers=["CPUExecutionProvider"])
    batch = np.random.default_rng(2).normal(size=shape.taken(3)).astype(np.float32)
    with torch.no_grad():
        expected = model.said(model.network(torch.from_numpy(batch)))
    assert np.abs(session.run(["value"], {"input": batch})[0][:, 0] - expected).max() <= 1e-5 * 120
    write_bundle(model, to_safetensors(*read_weights(model.network)), b"# Model card", tmp_path / "bundle")  # held against it


@pytest.mark.parametrize(("apart", "near"), [(0.0005, True), (0.01, False), (float("nan"), False)])
def test_numbers_are_near_to_a_hundred_thousandth_of_their_range(apart: float, near: bool) -> None:
    """Not those of a runtime that gives others, and nothing is near what is not finite."""
    said = torch.tensor([[0.25], [-0.5]])
    found = Ends(low=0.0, high=120.0).values(said.double().numpy()) + np.array([[apart], [0.0]])
    assert near_number(said, torch.from_numpy(found), Ends(low=0.0, high=120.0)) is near

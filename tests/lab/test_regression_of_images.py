"""A number that is predicted of photographs, from files to prediction and bundle: the further a made-up one is lit, the older."""

from __future__ import annotations

import contextlib
import csv
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from fixed_keys import fixed_keys
from PIL import Image

from wardround.console import run
from wardround_lab.monai_bundle.held import parts_of_bundle
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
    assert "mean absolute error (a)" in report
    assert "ROC" not in report


def test_its_bundle_gives_the_number_in_the_schemas_unit(release: Path, tmp_path: Path) -> None:
    """It is written after MONAI gave what the release gives; ``ScaleIntensityRange`` turns the scale into years."""
    out = tmp_path / "bundle"
    assert run(["model", "export", str(release), "--to", "monai-bundle", "--out", str(out)]) == 0
    model = load_model(release)
    with parts_of_bundle(out) as part:
        import torch

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

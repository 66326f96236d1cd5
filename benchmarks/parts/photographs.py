"""Two real institutions with their dermoscopic photographs, as two hospitals of Wardround would hold them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
from pathlib import Path

from parts.accuracy import with_keys
from wardround.files import write_atomic
from wardround.study.model import Study
from wardround_lab.site_files import POLICY_FILE, SHARES, SITE_FILE, policy_yaml

SCHEMA = "dermoscopy.lesion"
HOSPITALS = {"rosendahl": "Rosendahl, Queensland", "vidir-modern": "ViDIR, Vienna"}
"""Site name → name for people."""

COLUMNS = ("image_id", "path", "patient_key", "malignant")
SITE = """\
site: {site}
name: "{name}"
sources:
  lesions: {{format: csv, path: lesions.csv}}
  photographs: {{format: images, path: photographs}}
schemas:
  dermoscopy.images:
    source: lesions
    columns:
      image_id: image_id
      path: path
      patient_key: patient_key
      malignant: {{column: malignant, codes: {{"0": "no", "1": "yes"}}}}
  dermoscopy.lesion: {{source: photographs}}
"""


def write_hospital(folder: Path, data: Path, site: str) -> Path:
    """Write an institution's photographs, table, ``site.yaml`` and policy; gives the path of ``site.yaml``.

    The source knows lesions and not patients, and has one image of each lesion: a lesion stands for a patient.
    """
    with (data / "labels.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["dataset"] == site.replace("-", "_")]
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(COLUMNS)
    (folder / "photographs").mkdir(parents=True)
    for row in rows:
        name = Path(row["path"]).name
        shutil.copyfile(data / row["path"], folder / "photographs" / name)
        writer.writerow([row["image_id"], name, hashlib.sha256(row["lesion_id"].encode()).hexdigest()[:16], row["malignant"]])
    write_atomic(folder / "lesions.csv", table.getvalue().encode(), mode=0o600)
    write_atomic(folder / POLICY_FILE, policy_yaml(SHARES).encode(), mode=0o600)
    write_atomic(folder / SITE_FILE, SITE.format(site=site, name=HOSPITALS[site]).encode(), mode=0o600)
    return folder / SITE_FILE


def study_of(seed: int, pixels: int, network: str, arguments: dict[str, object], rounds: int) -> Study:
    """Give the study of one seed."""
    value = {
        "name": f"dermoscopy-{seed}",
        "version": "1.0.0",
        "title": "Malignant lesions of the skin",
        "question": "Does FedAvg over two institutions order lesions as well as pooling their photographs?",
        "author": "benchmarks",
        "schema": {"id": SCHEMA, "version": "1.0.0"},
        "target": {"field": "malignant", "positive": "yes"},
        "images": {
            "channels": 3,
            "preparation": [
                {"name": "Resize", "spatial_size": [pixels, pixels]},
                {"name": "NormalizeIntensity", "mean": [153.0], "deviation": [51.0]},
            ],
            "augmentation": [
                {"name": "RandFlip", "probability": 0.5, "spatial_axis": 0},
                {"name": "RandFlip", "probability": 0.5, "spatial_axis": 1},
                {"name": "RandRotate90", "probability": 0.5},
                {"name": "RandScaleIntensity", "probability": 0.5, "factors": 0.1},
                {"name": "RandShiftIntensity", "probability": 0.5, "offsets": 0.1},
            ],
            "window": [pixels, pixels],
        },
        "network": {"name": network, "arguments": arguments},
        "training": {"optimiser": {"name": "adam", "learning_rate": 0.001, "weight_decay": 0.0001}, "batch_size": 32},
        "seed": seed,
        "split": {"train": 0.7, "validation": 0.15, "test": 0.15},
        "rounds": {"maximum": rounds},
        "convergence": {"metric": "loss", "patience": 10, "minimum_change": 0.001},
        "silos": {"minimum": len(HOSPITALS)},
    }
    return Study.model_validate_json(json.dumps(value))


def prepare(folder: Path, data: Path) -> tuple[Path, ...]:
    """Make both hospitals and the centre, with their keys; gives the paths of ``site.yaml``."""
    paths = tuple(write_hospital(folder / site, data, site) for site in HOSPITALS)
    with_keys(folder, paths)
    return paths

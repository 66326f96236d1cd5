"""Hospitals on disk, and the command line, as their users have them."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from fixed_keys import fixed_keys
from sklearn.datasets import load_breast_cancer

from wardround.contract.library import find

SCHEMA = "breast.cytology"
RECORDS = 569
FEATURES = ("radius_mean", "texture_mean", "perimeter_mean", "area_mean", "smoothness_mean", "concavity_mean")


@dataclass(frozen=True)
class Hospital:
    """One hospital's directory."""

    folder: Path

    @property
    def site(self) -> str:
        """Its site.yaml, as the command line wants it."""
        return str(self.folder / "site.yaml")

    @property
    def table(self) -> Path:
        """Its records."""
        return self.folder / "export.csv"


@dataclass(frozen=True)
class Answer:
    """What a command did."""

    status: int
    out: str
    err: str

    def json(self) -> dict[str, object]:
        """Give its standard output as JSON."""
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value


Command = Callable[..., Answer]


def write_hospital(folder: Path, name: str, rows: Sequence[int], *, prefix: str = "p") -> Hospital:
    """Write some of the 569 Wisconsin records as a hospital's CSV and site.yaml, in shared form.

    Rows from 569 on have the values of the first ones again, as other patients.
    """
    data = load_breast_cancer()
    contract = find(SCHEMA)
    numbers = [field.name for field in contract.fields if field.type == "number"]
    folder.mkdir(parents=True)
    hospital = Hospital(folder)
    with hospital.table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sample_id", "patient_key", *numbers, "diagnosis"])
        for row in rows:
            values = [repr(float(value)) for value in data.data[row % RECORDS]]
            diagnosis = "benign" if data.target[row % RECORDS] else "malignant"
            writer.writerow([f"{prefix}{row:05d}", f"{row:016x}", *values, diagnosis])
    columns = {field: field for field in ("sample_id", "patient_key", *numbers, "diagnosis")}
    site = {
        "site": name,
        "name": f"Hospital {name}",
        "sources": {"export": {"format": "csv", "path": "export.csv"}},
        "schemas": {SCHEMA: {"source": "export", "columns": columns}},
    }
    (folder / "site.yaml").write_text(yaml.safe_dump(site, sort_keys=False))
    return hospital


def deal(folder: Path, sizes: Sequence[int], seed: int = 0) -> list[Hospital]:
    """Deal records to hospitals of these sizes."""
    order = np.random.default_rng(seed).permutation(max(RECORDS, sum(sizes)))
    starts = np.cumsum([0, *sizes])
    names = ["alpha", "beta", "gamma", "delta"][: len(sizes)]
    parts = [order[start:end].tolist() for start, end in itertools.pairwise(starts)]
    return [write_hospital(folder / name, name, part) for name, part in zip(names, parts, strict=True)]


STUDY = {
    "name": "trial",
    "version": "1.0.0",
    "title": "Is a nucleus malignant",
    "question": "Does the small network find malignant aspirates",
    "author": "A. Scientist",
    "schema": {"id": SCHEMA, "version": "1.0.0"},
    "target": {"field": "diagnosis", "positive": "malignant"},
    "features": list(FEATURES),
    "network": {"name": "FullyConnectedNet", "arguments": {"hidden_channels": [4]}},
    "training": {"optimiser": {"learning_rate": 0.1}, "batch_size": 16},
    "seed": 7,
    "split": {"train": 0.6, "validation": 0.2, "test": 0.2},
    "rounds": {"maximum": 3, "deadline_seconds": 60, "retries": 1},
    "silos": {"minimum": 2},
    "quarantine": {"max_fraction": 0.05},
}


def write_study(path: Path, **changes: object) -> Path:
    """Write the small study, with some top-level keys changed."""
    path.write_text(yaml.safe_dump({**STUDY, **changes}, sort_keys=False))
    return path


@dataclass(frozen=True)
class Ready:
    """Hospitals with keys, a centre, and a bundle that all have approved."""

    folder: Path
    hospitals: list[Hospital]
    bundle: Path
    centre: Path

    @property
    def sites(self) -> list[str]:
        """The --site options for all hospitals."""
        return [word for hospital in self.hospitals for word in ("--site", hospital.site)]

    def simulate(self, wardround: Command, out: str = "out") -> Answer:
        """Conduct the study."""
        return wardround(
            "simulate", self.bundle, *self.sites, "--out", self.folder / out, "--centre", self.centre, "--format", "json"
        )

    def release(self, out: str = "out") -> Path:
        """Give the folder of the release."""
        return self.folder / out / "release"


def prepare(wardround: Command, folder: Path, hospitals: list[Hospital], *, approve: bool = True, **changes: object) -> Ready:
    """Make keys, centre and bundle by the commands that people use, and have every hospital approve."""
    with fixed_keys():
        for hospital in hospitals:
            assert wardround("silo", "init", "--site", hospital.site).status == 0
        assert wardround("coordinator", "init", folder / "centre", "--name", "The centre").status == 0
    study = write_study(folder / "study.yaml", **changes)
    requests = [word for hospital in hospitals for word in ("--silo", str(hospital.folder / "request.json"))]
    bundle = folder / "trial.wardround"
    built = wardround(
        "study", "build", study, "--coordinator", folder / "centre" / "coordinator.json", *requests, "--out", bundle
    )
    assert built.status == 0, built.err
    ready = Ready(folder, hospitals, bundle, folder / "centre")
    if approve:
        approved = wardround("silo", "approve", bundle, *ready.sites, "--approver", "Dr A", "--role", "data protection officer")
        assert approved.status == 0, approved.err
    return ready

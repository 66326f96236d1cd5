"""Made-up photographs of two hospitals, and a study of them whose network is as large as is asked for."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from parts.photographs import COLUMNS, SCHEMA, SITE
from wardround.files import write_atomic
from wardround.study.model import Study
from wardround_lab.site_files import POLICY_FILE, SHARES, SITE_FILE, policy_yaml

HOSPITALS = {"north": "Made-up north", "south": "Made-up south"}
"""Site name → name for people."""
NAME = "big-network"
FILE_PIXELS, PIXELS = 64, 32
"""Edges of a photograph, and of what the network sees: small, so that a round is of weights and not of work."""
SEED = 400


def write_hospital(folder: Path, site: str, images: int, memory: str | None) -> Path:
    """Write a hospital's photographs, table, ``site.yaml`` and policy; gives the path of ``site.yaml``.

    Args:
        folder: the hospital's own, made here.
        site: of ``HOSPITALS``.
        images: how many; each of a patient of its own.
        memory: the trainer's limit; none when not given.
    """
    drawn = np.random.default_rng([SEED, *site.encode()])
    (folder / "photographs").mkdir(parents=True)
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(COLUMNS)
    for number in range(images):
        malignant, name = number % 2, f"{site}-{number:04}"
        pixels = drawn.integers(60 + 40 * malignant, 200 + 40 * malignant, (FILE_PIXELS, FILE_PIXELS, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "photographs" / f"{name}.jpg", quality=95)
        writer.writerow([name, f"{name}.jpg", drawn.bytes(8).hex(), malignant])
    write_atomic(folder / "lesions.csv", table.getvalue().encode(), mode=0o600)
    write_atomic(folder / POLICY_FILE, policy_yaml(SHARES).encode(), mode=0o600)
    resources = "" if memory is None else f"resources: {{memory: {memory}}}\n"
    text = SITE.format(site=site, name=HOSPITALS[site]) + resources
    write_atomic(folder / SITE_FILE, text.encode(), mode=0o600)
    return folder / SITE_FILE


def study_of(width: float, rounds: int, deadline_seconds: float) -> Study:
    """Give the study: ResNet18 of a width, 11.2 million weights at 1 and 100.5 million at 3; it never converges early."""
    value = {
        "name": NAME,
        "version": "1.0.0",
        "title": "A network of many weights",
        "question": "Do its weights travel, sum and survive a kill?",
        "author": "benchmarks",
        "schema": {"id": SCHEMA, "version": "1.0.0"},
        "target": {"field": "malignant", "positive": "yes"},
        "images": {
            "channels": 3,
            "preparation": [
                {"name": "Resize", "spatial_size": [PIXELS, PIXELS]},
                {"name": "NormalizeIntensity", "mean": [153.0], "deviation": [51.0]},
            ],
            "window": [PIXELS, PIXELS],
        },
        "network": {"name": "ResNet18", "arguments": {"width": width}},
        "training": {"optimiser": {"name": "adam", "learning_rate": 0.0001}, "batch_size": 16},
        "seed": SEED,
        "split": {"train": 0.6, "validation": 0.2, "test": 0.2},
        "rounds": {"maximum": rounds, "deadline_seconds": deadline_seconds},
        "convergence": {"patience": rounds},
        "silos": {"minimum": len(HOSPITALS)},
    }
    return Study.model_validate_json(json.dumps(value))

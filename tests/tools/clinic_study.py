"""A study on the clinic's contract."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from wardround.strict_yaml import load, parse
from wardround.study.model import Study

STUDY: dict[str, Any] = {
    "name": "pulse-study",
    "version": "1.0.0",
    "title": "Who is ill?",
    "question": "Do pulse and radius tell who is ill?",
    "author": "A. Author",
    "schema": {"id": "test.clinic", "version": "1.2.0"},
    "target": {"field": "outcome", "positive": "ill"},
    "features": ["pulse", "radius"],
    "network": {"name": "FullyConnectedNet", "arguments": {"hidden_channels": [4]}},
    "training": {"optimiser": {"learning_rate": 0.1}},
    "seed": 7,
    "rounds": {"maximum": 20},
    "silos": {"minimum": 1},
}


def write_study(folder: Path, **changed: Any) -> Path:
    """Write the study file, with some keys changed, and give its path."""
    path = folder / "study.yaml"
    path.write_text(json.dumps({**STUDY, **changed}, indent=1))
    return path


def make_study(folder: Path, **changed: Any) -> Study:
    """Give the study, with some keys changed."""
    return parse(Study, load(write_study(folder, **changed)))

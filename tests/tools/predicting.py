"""Studies that predict something else than one of two classes."""

import sys

import pytest

from wardround.study import kind
from wardround.study.kind import Predicted

CLASSES = Predicted("classes", ("mild", "moderate", "severe"))
LABELS = Predicted("labels", ("effusion", "oedema"))
NUMBER = Predicted("number", span=260.0, unit="mm[Hg]")
MASKS = Predicted("mask", ("liver", "tumour"))


def predict(monkeypatch: pytest.MonkeyPatch, what: Predicted) -> None:
    """Let every study predict this, wherever it is asked."""
    asked = kind.predicted
    for module in [module for module in sys.modules.values() if getattr(module, "predicted", None) is asked]:
        monkeypatch.setattr(module, "predicted", lambda study, contract: what)  # noqa: ARG005  (called like the real one)

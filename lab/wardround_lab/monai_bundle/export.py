"""A released model as a folder that MONAI's own command runs: whole, and held against the release, or not there.

release ──> configs/  inference.json, metadata.json      models/  model.safetensors, the release's own bytes
            docs/     README.md, MODEL_CARD.md           wardround_bundle/  what MONAI does not have so
"""

from __future__ import annotations

import json
import os
from importlib import resources
from pathlib import Path
from typing import Final

from wardround.errors import Refused, refuse
from wardround.files import new_private_folder, write_atomic
from wardround_lab.monai_bundle.config import CODE, WEIGHTS, Entry, inference
from wardround_lab.monai_bundle.held import same
from wardround_lab.monai_bundle.metadata import licence, metadata, readme
from wardround_lab.predict import WEIGHTS as RELEASED
from wardround_lab.predict import Model, load_model

CARD: Final = "MODEL_CARD.md"
FOR_ALL: Final = 0o755
"""A bundle holds no patient data."""


def export_bundle(release: Path, out: Path) -> int:
    """Write the bundle of a release into a new folder; gives its size in bytes.

    Raises:
        Refused: as ``load_model`` and ``write_bundle``.
    """
    model = load_model(release)  # which holds both files below against the sums
    return write_bundle(model, (release / RELEASED).read_bytes(), (release / CARD).read_bytes(), out)


def write_bundle(model: Model, weights: bytes, card: bytes, out: Path) -> int:
    """Write the bundle of a model into a new folder; gives its size in bytes.

    Args:
        model: as it was released.
        weights: the same model's, as safetensors.
        card: the model card, in Markdown.
        out: the folder.

    Raises:
        Refused: E-EXPORT when the model is of a table, or the bundle does not give what the release gives; O-EXISTS, O-WRITE.
    """
    if model.imaging is None:
        finding = "the model is of a table, whose records MONAI's command neither reads nor encodes"
        raise _refused(finding, "use wardround predict, or --to onnx")
    if os.path.lexists(out):
        raise _exists(out)
    files = {
        "configs/inference.json": _json(inference(model)),
        "configs/metadata.json": _json(metadata(model)),
        "docs/README.md": readme(model).encode(),
        f"docs/{CARD}": card,
        "LICENSE": licence(model).encode(),
        WEIGHTS: weights,
        **_code(),
    }
    try:
        with new_private_folder(out) as place:
            for name, data in files.items():
                write_atomic(place / name, data)
            if difference := same(model, place):
                raise _refused(difference, "use the release as it is, and tell its makers")
            place.chmod(FOR_ALL)
    except FileExistsError:
        raise _exists(out) from None
    return sum(len(data) for data in files.values())


def _exists(out: Path) -> Refused:
    return refuse("O-EXISTS", str(out), "Models are never overwritten", "there is something already", "choose another --out")


def _json(value: Entry) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def _code() -> dict[str, bytes]:
    """Give the modules that go along, as they stand here."""
    found = resources.files("wardround_lab.monai_bundle") / CODE
    return {f"{CODE}/{each.name}": each.read_bytes() for each in found.iterdir() if each.name.endswith(".py")}


def _refused(finding: str, step: str) -> Refused:
    return refuse("E-EXPORT", "monai-bundle", "An exported model gives what the released one gives", finding, step)

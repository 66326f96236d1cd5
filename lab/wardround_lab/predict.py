"""Use a released model: a release folder and a hospital's own records in, probabilities out, or numbers.

The release is complete: weights, the recipe from record or image to input, the schemas. The hospital's ``site.yaml`` maps and
checks its records as for training, so that a wrong unit or code is found before it is scored. Predictions are patient
data and stay where the records are.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import nn

from coordinator.release.history import History
from silo_node.configuration import Site
from silo_node.training.encode import inputs_of
from silo_node.validation.check import CheckFailed, CheckResult, check
from wardround.canonical import sha256
from wardround.contract.imaging import ImagingContract
from wardround.contract.model import Contract, Limits
from wardround.errors import Refused, refuse
from wardround.models.build import build_network, read_weights, write_weights
from wardround.study.encoding import Encoding
from wardround.study.inputs import shape_of
from wardround.study.model import Study
from wardround.study.networks import problems_of as network_problems
from wardround.study.shape import Shape
from wardround.values import Value
from wardround.weights.packing import from_safetensors

WEIGHTS, ENCODING, STUDY, CONTRACT, SUMS = "model.safetensors", "encoding.json", "study.json", "contract.json", "SHA256SUMS"
IMAGING, HISTORY = "imaging.json", "history.json"
PROBABILITY, PREDICTED = "probability", "predicted"
EMPTY_COLUMN = "T-ALLNULL"
"""A field without any value is no fault here: a few patients may all miss it."""
BATCH = 65_536
"""Records scored at once: bounds memory, changes no figure."""

SomeValue = TypeVar("SomeValue", bound=Value)


@dataclass(frozen=True)
class Model:
    """A released model, ready to score records of its schema.

    Attributes:
        imaging: the schema of images; None where the study reads none.
        shape: of what the network takes and gives.
        study_hash: what the hospitals approved.
    """

    study: Study
    contract: Contract
    encoding: Encoding
    network: nn.Module
    imaging: ImagingContract | None
    shape: Shape
    study_hash: str

    @property
    def columns(self) -> tuple[str, ...]:
        """What the columns of its predictions are called: ``probability``, one for each class or label, or after the number."""
        if self.encoding.number is not None:
            return (f"{PREDICTED}_{self.encoding.target}",)
        several = (*self.encoding.classes, *(label.field for label in self.encoding.labels))
        return tuple(f"{PROBABILITY}_{name}" for name in several) or (PROBABILITY,)

    def said(self, outputs: torch.Tensor) -> NDArray[np.float64]:
        """Give what a network's outputs ``(n, outputs)`` stand for: probabilities, or numbers ``(n,)`` in the schema's unit."""
        if self.encoding.labels:
            return np.asarray(torch.sigmoid(outputs.double()).numpy())
        if self.encoding.number is None:
            return chances(outputs)
        scaled: NDArray[np.float64] = outputs[:, 0].double().numpy()
        return self.encoding.number.values(scaled)


@dataclass(frozen=True)
class Predictions:
    """What a model says of a hospital's records.

    Attributes:
        table: the schema's primary key and ``probability``, or ``probability_CLASS`` for each of several classes,
            ``probability_FIELD`` for each of several labels, or ``predicted_FIELD`` in the schema's unit; in the order of the
            file, one row for each valid record.
        check: what the check found; its quarantined records have no prediction.
    """

    table: pl.DataFrame
    check: CheckResult


def load_model(release: Path) -> Model:
    """Load the best weights of a release folder.

    Raises:
        Refused: E-READ when a file is missing or is none of a release, E-HASH when one differs from the checksums.
    """
    names = (WEIGHTS, ENCODING, STUDY, CONTRACT, HISTORY, SUMS, *([IMAGING] if (release / IMAGING).exists() else []))
    members = {name: _read(release, name) for name in names}
    _hold_against_sums(release, members)
    study, contract = _value(Study, STUDY, members), _value(Contract, CONTRACT, members)
    encoding, history = _value(Encoding, ENCODING, members), _value(History, HISTORY, members)
    imaging = _value(ImagingContract, IMAGING, members) if IMAGING in members else None
    if (imaging is None) != (study.images is None):
        raise _unreadable(IMAGING, "it is there for studies of images, and for no others")
    packed, shape = from_safetensors(members[WEIGHTS]), shape_of(study, contract, imaging)
    if network_problems(study.network, "network", shape):
        raise _unreadable(STUDY, "its network is none that is known here, or not with these arguments")
    network = build_network(study.network, shape)
    if packed is None or packed[1] != read_weights(network)[1] or encoding.encoding_hash != contract.encoding_hash():
        raise _unreadable(WEIGHTS, "weights, encoding, study and schema do not belong together")
    write_weights(network, *packed)
    network.eval()
    return Model(study, contract, encoding, network, imaging, shape, history.study_hash)


def _read(release: Path, name: str) -> bytes:
    try:
        return (release / name).read_bytes()
    except OSError:
        raise _unreadable(name, "the file is missing or cannot be read") from None


def _hold_against_sums(release: Path, members: dict[str, bytes]) -> None:
    """Hold every member against the release's list of checksums, as ``sha256sum -c`` does."""
    lines = members[SUMS].decode(errors="replace").splitlines()
    expected = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    others = {name: _read(release, name) for name in expected if "/" not in name and name not in members}
    held = {name: data for name, data in {**members, **others}.items() if name != SUMS}
    changed = sorted(name for name, data in held.items() if expected.get(name) != sha256(data))
    if changed:
        raise refuse(
            "E-HASH",
            ", ".join(changed),
            f"The files of a release are those of its {SUMS}",
            "changed since the release",
            "get the release again",
        )


def _value(model: type[SomeValue], name: str, members: dict[str, bytes]) -> SomeValue:
    try:
        return model.model_validate_json(members[name])
    except ValidationError:
        raise _unreadable(name, "it has unknown or wrong contents") from None


def _unreadable(name: str, finding: str) -> Refused:
    return refuse("E-READ", name, "A release folder holds what the study's end wrote", finding, "get the release again")


def score(model: Model, records: pl.DataFrame) -> NDArray[np.float64]:
    """Give predictions for records in schema form: ``(n_records,)``; of several classes or labels, ``(n_records, outputs)``."""
    inputs = inputs_of(records, model.encoding)
    parts = [torch.from_numpy(inputs[start : start + BATCH]) for start in range(0, len(inputs), BATCH)]
    with torch.no_grad():
        return np.concatenate([model.said(model.network(part)) for part in parts or [torch.from_numpy(inputs)]])


def chances(logits: torch.Tensor) -> NDArray[np.float64]:
    """Give the probabilities that logits ``(n, outputs)`` of classes stand for: ``(n,)`` of one output, else ``(n, outputs)``."""
    exact = logits.double()
    if exact.shape[1] == 1:
        return np.asarray(torch.sigmoid(exact[:, 0]).numpy())
    return np.asarray(torch.softmax(exact, dim=1).numpy())


def beside(model: Model, keys: pl.DataFrame, found: NDArray[np.float64]) -> pl.DataFrame:
    """Put predictions beside keys."""
    columns = found.reshape(len(found), len(model.columns)).T
    return keys.with_columns(pl.Series(name, column) for name, column in zip(model.columns, columns, strict=True))


def predict(model: Model, site: Site) -> Predictions:
    """Map, check and score a hospital's records; those that break the schema get no prediction.

    Limits on how many records or missing values there may be are for training; a single patient is enough here.

    Raises:
        Refused: M- codes when site file and schema do not fit; T- codes (CheckFailed) when the table cannot be read.
    """
    contract = model.contract.model_copy(update={"limits": Limits()})
    result = check(site, contract, fields=model.study.features, max_fraction=1.0, minimum_records=1)
    require_readable(result)
    keys = result.valid.select(contract.primary_key)
    return Predictions(beside(model, keys, score(model, result.valid)), result)


def require_readable(result: CheckResult) -> None:
    """Refuse a table that cannot be used at all.

    Raises:
        CheckFailed: with the codes of what is wrong with it.
    """
    if any(each.severity == "error" and each.level == "table" and each.code != EMPTY_COLUMN for each in result.findings):
        raise CheckFailed(result)

"""A released model as one ONNX file: the network alone, with what it was made from and what its input is as metadata.

Nothing is written before the file's own runtime has given what the released network gives, on batches of several sizes.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from wardround.canonical import model_json
from wardround.errors import Refused, refuse
from wardround.study.encoding import Ends
from wardround.study.kind import predicted
from wardround_lab.predict import Model, chances

OPSET: Final = 18
"""Version of ONNX's operators; runtimes since 2023 have it."""
INPUT, OUTPUT, NUMBER = "input", "logits", "value"
BATCHES: Final = (1, 2, 5)
"""Examples at once on which the two are compared."""
MOST_BYTES: Final = 2**31 - 2**20
"""Of one ONNX file: its encoding (protocol buffers) ends at 2 GiB."""
SAME_CHANCE: Final = 1e-5
"""How far probabilities may differ, and numbers, as a share of their range."""
SAME_LOGIT: Final = 1e-4
"""How far logits may differ, as a share of the largest one, or of 1 where that is smaller."""


def to_onnx(model: Model) -> bytes:
    """Give a model as an ONNX file: ``(n, columns)`` or ``(n, channels, *window)`` in, logits out, for any number n.

    Of a model that predicts a number, ``(n, 1)`` of it in the schema's unit come out.

    Raises:
        Refused: E-EXPORT when the packages for it are not installed, the model is too large for one file, or the exported
            model does not give what the released one gives.
    """
    try:
        import onnx  # noqa: PLC0415  (an extra)
        import onnxruntime  # noqa: PLC0415
        import onnxscript  # noqa: F401, PLC0415  (torch's exporter needs it)
    except ImportError as error:
        name = error.name or "onnx"
        raise _refused(f"the package {name} is not installed", "install them: pip install 'wardround-lab[export]'") from None
    weights = sum(tensor.nbytes for tensor in model.network.state_dict().values())
    if weights > MOST_BYTES:
        raise _refused(f"its weights take {weights} bytes", "use the release as it is")
    made = _exported(model)
    onnx.helper.set_model_props(made, metadata(model))
    onnx.checker.check_model(made, full_check=True)
    data: bytes = made.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    if not _same(model, lambda batch: session.run([output_of(model)], {INPUT: batch})[0]):
        raise _refused("the exported model gives other figures", "use the release as it is, and tell its makers")
    return data


def metadata(model: Model) -> dict[str, str]:
    """Give what the file says of itself; no patient data."""
    study, contract, images = model.study, model.contract, model.study.images
    found = {
        "study": study.name,
        "version": str(study.version),
        "study_hash": model.study_hash,
        "question": study.question,
        "target": study.target.words,
        **_outputs(model),
        "contract": f"{contract.id} {contract.version}",
        "contract_hash": contract.contract_hash(),
        "caveat": "The result of a study, not a medical device.",
    }
    if model.imaging is None or images is None:
        return {**found, "encoding": json.dumps(model_json(model.encoding), ensure_ascii=False, sort_keys=True)}
    prepared = [model_json(each) for each in images.preparation]
    return {
        **found,
        "imaging_contract": f"{model.imaging.id} {model.imaging.version}",
        "imaging_contract_hash": model.imaging.contract_hash(),
        "preparation": json.dumps(prepared, ensure_ascii=False, sort_keys=True),
        "axes": "batch, channel, column, row" + (", slice" if model.shape.dimensions == 3 else ""),  # noqa: PLR2004  (volumes)
        "window": json.dumps(list(images.window)),
        "overlap": json.dumps(images.overlap),
    }


def _outputs(model: Model) -> dict[str, str]:
    """Say what comes out."""
    if model.encoding.number is not None:
        return {"output": f"{NUMBER}: {model.study.target.words}", "unit": unit_of(model)}
    return {
        "classes": json.dumps(classes_of(model), ensure_ascii=False),
        "output": "logits: softmax over axis 1" if in_classes(model) else "logits: sigmoid gives the probability",
    }


def in_classes(model: Model) -> bool:
    """Say whether one of several outputs is true: their probabilities add up to 1; of labels, each is by itself."""
    return model.study.target.kind in ("classes", "mask")


def unit_of(model: Model) -> str:
    """Give the schema's unit of a number that is predicted, in UCUM."""
    return str(predicted(model.study, model.contract).unit)


def output_of(model: Model) -> str:
    """Name the output."""
    return OUTPUT if model.encoding.number is None else NUMBER


class InUnit(nn.Module):
    """A network that predicts a number, with what turns its scale into the schema's unit behind it."""

    def __init__(self, network: nn.Module, ends: Ends) -> None:
        """Take the network, and the ends of the number's range."""
        super().__init__()
        self._network = network
        self._ends = ends

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Give the number of each example, ``(n, 1)``."""
        half = (self._ends.high - self._ends.low) / 2.0
        found: torch.Tensor = (self._network(inputs) + 1.0) * half + self._ends.low
        return found


def _network_of(model: Model) -> nn.Module:
    """Give what is exported: the network, and of a number what turns its scale into the unit."""
    return model.network if model.encoding.number is None else InUnit(model.network, model.encoding.number).eval()


def classes_of(model: Model) -> list[str]:
    """Name the outputs, in order; a number has no classes."""
    target = model.study.target
    if target.kind == "number":
        return []
    if target.kind == "mask":
        return ["background", *target.mask]
    if target.kind == "labels":
        return list(target.fields)
    return list(model.encoding.classes) if target.kind == "classes" else [str(target.positive)]


def _exported(model: Model) -> Any:  # noqa: ANN401  (onnx is an extra)
    """Export the network; torch and its exporter tell a lot that is of no use here."""
    told = logging.getLogger("torch.onnx")
    level = told.level
    told.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                _network_of(model),
                (torch.zeros(model.shape.taken(2)),),
                dynamo=True,
                input_names=[INPUT],
                output_names=[output_of(model)],
                dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
                opset_version=OPSET,
                verbose=False,
            )
    finally:
        told.setLevel(level)
    if program is None:
        raise _refused("torch gave no model", "use the release as it is")
    return program.model_proto


def _same(model: Model, run: Any) -> bool:  # noqa: ANN401  (a function of a batch)
    """Say whether another runtime gives what the network gives, on numbers drawn from one seed."""
    random, ends = np.random.default_rng(1), model.encoding.number
    for count in BATCHES:
        batch = random.normal(size=model.shape.taken(count)).astype(np.float32)
        with torch.no_grad():
            expected = model.network(torch.from_numpy(batch))
        found = torch.from_numpy(np.array(run(batch)))
        if found.shape != expected.shape or not (
            near(expected, found, model.said) if ends is None else near_number(expected, found, ends)
        ):
            return False
    return True


def near(expected: torch.Tensor, found: torch.Tensor, said: Callable[[torch.Tensor], NDArray[np.float64]] = chances) -> bool:
    """Say whether logits are the same but for the order in which float32 is added up; nothing is near what is not finite."""
    limit = SAME_LOGIT * max(1.0, float(expected.abs().max()))
    apart: NDArray[np.float64] = np.abs(said(expected) - said(found))
    return bool((expected - found).abs().max() <= limit) and bool(apart.max() <= SAME_CHANCE)


def near_number(expected: torch.Tensor, found: torch.Tensor, ends: Ends) -> bool:
    """Say whether numbers in the unit are those that a network's outputs stand for, to ``SAME_CHANCE`` of the range."""
    numbers: NDArray[np.float64] = ends.values(expected.double().numpy())
    apart = np.abs(numbers - found.double().numpy()).max()
    return bool(apart <= SAME_CHANCE * max(ends.high - ends.low, float(np.abs(numbers).max())))


def _refused(finding: str, step: str) -> Refused:
    return refuse("E-EXPORT", "onnx", "An exported model gives what the released one gives", finding, step)

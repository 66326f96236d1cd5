"""A model as ONNX gives what the release gives, and nothing is written that does not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from models_on_paper import CASES, made_model

from wardround.errors import Refused
from wardround.study.networks import NETWORKS
from wardround_lab import onnx_export
from wardround_lab.onnx_export import near, to_onnx


def test_every_network_is_tried() -> None:
    assert {name for name, _, _ in CASES} == set(NETWORKS)


@pytest.mark.parametrize(("name", "arguments", "shape"), CASES, ids=[name for name, _, _ in CASES])
def test_another_runtime_gives_the_same(name, arguments, shape, tmp_path: Path) -> None:
    """Any number of examples; the input's other axes are the window's."""
    model = made_model(name, arguments, shape)
    data = to_onnx(model)
    made = onnx.load_from_string(data)
    axes = made.graph.input[0].type.tensor_type.shape.dim
    assert axes[0].dim_param
    assert [axis.dim_value for axis in axes][1:] == list(shape.taken(1)[1:])
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    for count in (1, 4):
        batch = np.random.default_rng(count).normal(size=shape.taken(count)).astype(np.float32)
        with torch.no_grad():
            expected = model.network(torch.from_numpy(batch))
        (found,) = session.run(None, {"input": batch})
        assert near(expected, torch.from_numpy(found))


def test_it_says_what_it_is() -> None:
    """Study, contracts and preparation go along, and stand where ONNX has such words."""
    name, arguments, shape = next(case for case in CASES if case[0] == "UNet")
    model = made_model(name, arguments, shape)
    told = {each.key: each.value for each in onnx.load_from_string(to_onnx(model)).metadata_props}
    assert (told["study"], told["study_hash"]) == (model.study.name, model.study_hash)
    assert json.loads(told["classes"]) == ["background", *model.study.target.mask]
    assert told["imaging_contract"] == f"{model.imaging.id} {model.imaging.version}"
    assert [each["name"] for each in json.loads(told["preparation"])] == [each.name for each in model.study.images.preparation]


def test_another_figure_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was exported is of another network: its figures tell."""
    name, arguments, shape = CASES[0]
    model, other = made_model(name, arguments, shape), made_model(name, arguments, shape, seed=2)
    exported = onnx_export._exported
    monkeypatch.setattr(onnx_export, "_exported", lambda _: exported(replace(model, network=other.network)))
    with pytest.raises(Refused) as error:
        to_onnx(model)
    assert error.value.codes == ("E-EXPORT",)


def test_what_is_not_finite_is_near_nothing() -> None:
    one = torch.ones((2, 2))
    assert near(one, one + 1e-6)
    assert not near(one, one + 1e-3)
    assert not near(one, torch.full((2, 2), torch.nan))
    assert not near(torch.full((2, 2), torch.nan), one)

"""Initial weights from a safetensors file: exactly the network's tensors, or every misfit at once."""

import numpy as np
import pytest
import safetensors.numpy
from hospitals_on_disk import deal, prepare, write_study

from wardround.errors import Refused
from wardround.models.build import initial_weights
from wardround.models.transfer import weights_from_file
from wardround.study.bundle import read_bundle
from wardround.study.model import Network
from wardround.study.shape import Shape
from wardround.weights.packing import to_bytes, to_safetensors, unpack

NET = Network(name="ResNet18", arguments={"width": 0.125})
TWO = Shape(dimensions=2, inputs=1, outputs=2, window=(32, 32))
FIVE = TWO.model_copy(update={"outputs": 5})


@pytest.fixture
def state() -> dict[str, np.ndarray]:
    """The tensors of a network that was trained for two classes."""
    return {name: array.copy() for name, array in unpack(*initial_weights(NET, TWO, seed=1)).items()}


def saved(tmp_path, state):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(safetensors.numpy.save(state))
    return path


def findings(path, shape=TWO, *, new_head=False) -> list[tuple[str, str]]:
    with pytest.raises(Refused) as refused:
        weights_from_file(path, NET, shape, 9, new_head=new_head)
    assert {problem.code for problem in refused.value.problems} == {"P-WEIGHTS"}
    return [(problem.finding, problem.next_step) for problem in refused.value.problems]


def test_a_files_weights_are_the_initial_weights(tmp_path, state):
    """Bit by bit, whatever the seed is; a release's model.safetensors is such a file."""
    vector, manifest = initial_weights(NET, TWO, seed=1)
    path = tmp_path / "model.safetensors"
    path.write_bytes(to_safetensors(vector, manifest))
    read, described = weights_from_file(path, NET, TWO, 9)
    assert described == manifest
    assert to_bytes(read) == to_bytes(vector)


def test_every_misfit_is_said_at_once(tmp_path, state):
    """Absent, unknown (with the nearest name), of another shape, of another type."""
    state["bn1.wieght"] = state.pop("bn1.weight")
    state["layer1.0.conv1.weight"] = state["layer1.0.conv1.weight"][..., :2]
    state["layer1.0.bn1.bias"] = state["layer1.0.bn1.bias"].astype(np.float16)
    state["layer9.bias"] = np.zeros(3, np.float32)
    found = dict(findings(saved(tmp_path, state)))
    assert len(found) == 5
    assert "bn1.weight of the network is not in the file" in found
    assert found["bn1.wieght of the file is not of the network"] == "did you mean bn1.weight?"
    assert "layer9.bias of the file is not of the network" in found
    assert "layer1.0.conv1.weight is 8 × 8 × 3 × 2, not 8 × 8 × 3 × 3" in found
    assert "layer1.0.bn1.bias is of type F16, not F32" in found


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_refused(tmp_path, state, value):
    """One NaN or infinity anywhere, by the name of its tensor."""
    state["layer2.0.bn1.weight"][3] = value
    [(finding, _)] = findings(saved(tmp_path, state))
    assert finding == "layer2.0.bn1.weight holds values that are no numbers"


@pytest.mark.parametrize("content", [None, b"", b"no weights", b"\xff" * 64, (2**40).to_bytes(8, "little") + b"{}"])
def test_a_file_that_is_none_is_refused(tmp_path, content):
    """Missing, empty, damaged, or with a head that claims a terabyte."""
    path = tmp_path / "weights.safetensors"
    if content is not None:
        path.write_bytes(content)
    [(finding, _)] = findings(path)
    assert finding == "the file is missing, damaged or none of safetensors"


def test_another_number_of_classes_needs_a_new_head(tmp_path, state):
    """Without the word for it, the last layer is refused and the word is named; with it, the seed draws that layer alone."""
    path = saved(tmp_path, state)
    refused = findings(path, FIVE)
    assert [finding.split(" is ")[0] for finding, _ in refused] == ["fc.bias", "fc.weight"]
    assert all("--new-head" in step for _, step in refused)
    vector, manifest = weights_from_file(path, NET, FIVE, 9, new_head=True)
    read, drawn = unpack(vector, manifest), unpack(*initial_weights(NET, FIVE, seed=9))
    for name, array in read.items():
        assert np.array_equal(array, drawn[name] if name.startswith("fc.") else state[name])


def test_a_new_head_needs_nothing_of_the_old_one(tmp_path, state):
    """It may be absent, or fit: the last layer is new all the same. Everything else has to fit as before."""
    fits = weights_from_file(saved(tmp_path, state), NET, TWO, 9, new_head=True)[0]
    for name in ("fc.weight", "fc.bias"):
        del state[name]
    absent = weights_from_file(saved(tmp_path, state), NET, TWO, 9, new_head=True)[0]
    assert to_bytes(fits) == to_bytes(absent)
    del state["conv1.weight"]
    [(finding, _)] = findings(saved(tmp_path, state), new_head=True)
    assert finding == "conv1.weight of the network is not in the file"


def test_a_study_is_built_on_the_weights_of_another(tmp_path, wardround):
    """``study build --initial-weights``: they are in the bundle and in its hash; what does not fit writes nothing."""
    ready = prepare(wardround, tmp_path, deal(tmp_path, (40, 40)), approve=False)
    study = write_study(tmp_path / "next.yaml", seed=12)
    requests = [word for hospital in ready.hospitals for word in ("--silo", hospital.folder / "request.json")]
    words = ("study", "build", study, "--coordinator", ready.centre / "coordinator.json", *requests)
    before = read_bundle(ready.bundle)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(to_safetensors(before.weights, before.manifest))

    drawn, begun = tmp_path / "drawn.wardround", tmp_path / "begun.wardround"
    assert wardround(*words, "--out", drawn).status == 0
    assert wardround(*words, "--out", begun, "--initial-weights", weights).status == 0
    assert to_bytes(read_bundle(begun).weights) == to_bytes(before.weights)
    assert to_bytes(read_bundle(drawn).weights) != to_bytes(before.weights)
    assert read_bundle(begun).study_hash != read_bundle(drawn).study_hash

    weights.write_bytes(weights.read_bytes()[:-4])
    answer = wardround(*words, "--out", tmp_path / "none.wardround", "--initial-weights", weights, "--format", "json")
    assert answer.status == 2
    assert [problem["code"] for problem in answer.json()["problems"]] == ["P-WEIGHTS"]
    assert not (tmp_path / "none.wardround").exists()
    alone = wardround(*words, "--out", tmp_path / "none.wardround", "--new-head")
    assert alone.status == 2
    assert "X-USAGE" in alone.err
    assert "--initial-weights" in alone.err

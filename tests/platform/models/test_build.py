"""Allow-listed networks, and their weights between torch and packed vectors."""

import itertools
from typing import get_args

import numpy as np
import pytest
import torch

from wardround.models.build import build_network, initial_weights, read_weights, write_weights
from wardround.study.model import Network
from wardround.study.networks import FullyConnectedNet, problems_of, weight_count
from wardround.study.shape import Shape
from wardround.weights.packing import Manifest, Tensor, to_bytes

TABLE = Shape.of_table(3)
ACTIVATIONS = get_args(FullyConnectedNet.model_fields["act"].annotation)


def net(**arguments) -> Network:
    return Network(name="FullyConnectedNet", arguments=arguments)


@pytest.mark.parametrize(
    ("act", "dropout", "bias", "hidden"), list(itertools.product(ACTIVATIONS, (0.0, 0.5), (True, False), ((), (3,), (4, 2))))
)
def test_every_allowed_argument_builds(act, dropout, bias, hidden):
    """Whatever passes the study's check can be built, trained a step, and gives one logit for each record."""
    network = net(act=act, dropout=dropout, bias=bias, hidden_channels=hidden)
    assert problems_of(network, "here", Shape.of_table(5)) == []
    built = build_network(network, Shape.of_table(5))
    out = built(torch.ones(7, 5))
    assert out.shape == (7, 1)
    out.sum().backward()
    vector, manifest = read_weights(built)
    assert vector.shape == (manifest.size,)
    assert manifest.size == sum(weight.numel() for weight in built.parameters()) == weight_count(network, Shape.of_table(5))


def test_weights_go_in_and_come_out():
    """Written weights are read back bit by bit, and decide the output."""
    network = net(hidden_channels=(4,), act="prelu")
    one, two = build_network(network, TABLE), build_network(network, TABLE)
    vector, manifest = read_weights(one)
    write_weights(two, vector, manifest)
    assert to_bytes(read_weights(two)[0]) == to_bytes(vector)
    inputs = torch.randn(9, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(one(inputs), two(inputs))


def test_read_weights_are_a_copy():
    """Training on does not change weights that were read before, and written weights are not shared."""
    built = build_network(net(), TABLE)
    vector, manifest = read_weights(built)
    before = vector.copy()
    write_weights(built, vector, manifest)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(1.0)
    assert np.array_equal(vector, before)


@pytest.mark.parametrize("inputs", [2, 4])
def test_weights_of_another_network_are_refused(inputs):
    """Every tensor must fit by name and shape; nothing is loaded in part."""
    built = build_network(net(hidden_channels=(4,)), TABLE)
    before = read_weights(built)[0]
    vector, manifest = read_weights(build_network(net(hidden_channels=(4,)), Shape.of_table(inputs)))
    with pytest.raises(RuntimeError):
        write_weights(built, vector, manifest)
    with pytest.raises(RuntimeError):
        write_weights(built, np.zeros(2, np.float32), Manifest(tensors=(Tensor(name="x", shape=(2,)),)))
    assert read_weights(build_network(net(hidden_channels=(4,)), TABLE))[1] != manifest
    assert before.shape == read_weights(built)[0].shape


def test_initial_weights_come_from_the_seed_alone():
    """The same seed draws the same weights, whatever was drawn before; torch's own generator is left as it was."""
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    first = initial_weights(net(hidden_channels=(4,)), TABLE, seed=5)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.randn(10)
    assert to_bytes(initial_weights(net(hidden_channels=(4,)), TABLE, seed=5)[0]) == to_bytes(first[0])
    assert to_bytes(initial_weights(net(hidden_channels=(4,)), TABLE, seed=6)[0]) != to_bytes(first[0])
    assert np.isfinite(first[0]).all()


@pytest.mark.parametrize(
    "network",
    [
        Network(name="Transformer"),
        Network(name="FullyConnectedNet", normalisation="group"),
        Network(name="FullyConnectedNet", normalisation="batch"),
        Network(name="FullyConnectedNett"),
        net(hiden_channels=(3,)),
        net(hidden_channels=(0,)),
        net(hidden_channels=(1.5,)),
        net(hidden_channels="3"),
        net(hidden_channels=(65_537,)),
        net(hidden_channels=(1,) * 33),
        net(dropout=1.0),
        net(dropout=-0.1),
        net(act="torch.nn.ReLU"),
        net(act="RELU"),
        net(bias=1),
        net(in_channels=3),
    ],
)
def test_what_is_not_on_the_list_is_a_problem(network):
    """Unknown networks, unknown arguments and arguments out of range are P-NETWORK, never built."""
    assert {problem.code for problem in problems_of(network, "study.network", TABLE)} == {"P-NETWORK"}

"""Every network for images: builds what was promised, in two and three dimensions, with each normalisation."""

import itertools
import socket
from typing import get_args

import numpy as np
import pytest
import torch
from monai.networks import nets
from torch import nn

from wardround.errors import Broken
from wardround.models.build import build_network, describe, initial_weights, read_weights, write_weights
from wardround.study.model import Network, Normalisation
from wardround.study.networks import NETWORKS, arguments_of, problems_of, weight_count
from wardround.study.shape import Shape
from wardround.weights.packing import to_bytes

SMALL = {
    "DenseNet121": {"init_features": 8, "growth_rate": 4},
    "ResNet18": {"width": 0.125, "first_kernel": 3, "first_stride": 1, "max_pool": False},
    "ResNet50": {"width": 0.125, "first_kernel": 3, "first_stride": 1},
    "EfficientNetB0": {"drop_connect": 0.0},
    "UNet": {"channels": (4, 6, 12), "strides": (2, 2)},
    "SegResNet": {"init_filters": 4, "blocks_down": (1, 2), "blocks_up": (1,)},
    "DynUNet": {"filters": (4, 6, 12), "strides": (2, 2)},
}
"""Arguments that make each network small; drop-connect skips whole blocks, whose weights then have no gradient."""

OTHERS = {
    "DenseNet121": ({}, {"growth_rate": 5, "init_features": 9, "dropout": 0.1}),
    "ResNet18": ({}, {"width": 0.3, "first_stride": 4, "first_kernel": 5}, {"width": 1.7, "max_pool": False}),
    "ResNet50": ({}, {"width": 0.3}),
    "EfficientNetB0": ({}, {"dropout": 0.0}),
    "UNet": (
        {},
        {"num_res_units": 0, "act": "relu"},
        {"channels": (2,) * 8, "strides": (1,) * 7},
        {"num_res_units": 1, "channels": (5, 5, 5), "strides": (1, 2), "kernel_size": 5},
        {"num_res_units": 3, "channels": (3, 7), "strides": (4,), "act": "elu", "dropout": 0.2},
    ),
    "SegResNet": ({}, {"upsample": "nontrainable"}, {"blocks_down": (2, 1, 3), "blocks_up": (2, 1), "dropout": 0.5}),
    "DynUNet": ({}, {"residual": True}, {"residual": True, "filters": (4, 4, 8, 8), "strides": (1, 2, 1), "kernel_size": 5}),
}
"""Arguments of every kind that change which weights there are; the first are the defaults."""

KINDS = list(itertools.product(sorted(SMALL), (2, 3), get_args(Normalisation)))


def smallest(network: Network, dimensions: int, inputs: int = 2, outputs: int = 3) -> Shape:
    """Give the smallest window that a network takes: its step along each axis, twice along one where one value would be left."""
    arguments = arguments_of(network)
    window = (arguments.step,) * dimensions
    shape = Shape(dimensions=dimensions, inputs=inputs, outputs=outputs, window=window, dense=arguments.DENSE)
    if problems_of(network, "here", shape):
        shape = shape.model_copy(update={"window": (2 * arguments.step, *window[1:])})
    assert problems_of(network, "here", shape) == []
    return shape


def test_every_network_for_images_is_here():
    """A network that is added to the list is added to these tests."""
    of_images = {name for name, arguments in NETWORKS.items() if arguments.NORMALISES}
    assert of_images == set(SMALL) == set(OTHERS)
    assert set(NETWORKS) - of_images == {"FullyConnectedNet"}


@pytest.mark.parametrize(("name", "dimensions", "normalisation"), KINDS)
def test_each_takes_and_gives_what_its_shape_says(name, dimensions, normalisation):
    """The smallest window goes through in training, also of one example alone; every weight has a gradient and is counted."""
    network = Network(name=name, arguments=SMALL[name], normalisation=normalisation)
    shape = smallest(network, dimensions)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        built = build_network(network, shape)
        assert built(torch.randn(shape.taken(1))).shape == shape.given(1)
        out = built(torch.randn(shape.taken(2)))
        (out * torch.randn_like(out)).sum().backward()
    assert out.shape == shape.given(2)
    assert bool(out.isfinite().all())
    without = [name for name, weight in built.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert without == []
    assert read_weights(built)[1].size == weight_count(network, shape)


@pytest.mark.parametrize(("name", "dimensions", "normalisation"), KINDS)
def test_a_window_one_smaller_is_refused(name, dimensions, normalisation):
    """One voxel less along any axis is a problem that names windows that fit, before anything is built."""
    network = Network(name=name, arguments=SMALL[name], normalisation=normalisation)
    shape = smallest(network, dimensions)
    for axis in range(dimensions):
        window = tuple(edge - (number == axis) for number, edge in enumerate(shape.window))
        [problem] = problems_of(network, "here", shape.model_copy(update={"window": window}))
        assert problem.code == "P-NETWORK"
        assert " × ".join(str(edge) for edge in window) in problem.finding
        assert " × ".join(str(edge) for edge in shape.window) in problem.next_step


@pytest.mark.parametrize(("name", "dimensions", "normalisation"), KINDS)
def test_weights_are_counted_without_building(name, dimensions, normalisation):
    """The count of every kind of arguments is the number of weights that travel, to the last one."""
    for arguments in OTHERS[name]:
        network = Network(name=name, arguments=arguments, normalisation=normalisation)
        shape = smallest(network, dimensions, inputs=1, outputs=4)
        assert describe(network, shape).size == weight_count(network, shape), arguments


@pytest.mark.parametrize(("name", "normalisation"), list(itertools.product(sorted(SMALL), get_args(Normalisation))))
def test_weights_follow_from_the_seed_and_go_in_and_come_out(name, normalisation):
    """An equal seed gives equal bits; written weights are read back bit by bit, and decide the output."""
    network = Network(name=name, arguments=SMALL[name], normalisation=normalisation)
    shape = smallest(network, 2)
    vector, manifest = initial_weights(network, shape, seed=3)
    assert to_bytes(initial_weights(network, shape, seed=3)[0]) == to_bytes(vector)
    assert to_bytes(initial_weights(network, shape, seed=4)[0]) != to_bytes(vector)
    assert manifest == describe(network, shape)
    one, two = build_network(network, shape), build_network(network, shape)
    inputs = torch.randn(shape.taken(3), generator=torch.Generator().manual_seed(0))
    for built in (one, two):
        write_weights(built, vector, manifest)
        assert to_bytes(read_weights(built)[0]) == to_bytes(vector)
        built.eval()
    assert torch.equal(one(inputs), two(inputs))


@pytest.mark.parametrize("name", sorted(SMALL))
def test_group_and_instance_normalisation_replace_every_batch_normalisation(name):
    """No layer is forgotten (MONAI's ResNet hands its argument to the first one alone), and groups divide the channels."""
    for normalisation, kinds in (("group", nn.GroupNorm), ("instance", (nn.InstanceNorm2d, nn.InstanceNorm3d))):
        network = Network(name=name, arguments=SMALL[name], normalisation=normalisation)
        norms = [each for each in build_network(network, smallest(network, 2)).modules() if "Norm" in type(each).__name__]
        assert norms
        assert all(isinstance(each, kinds) for each in norms)
        assert all(each.weight is not None for each in norms)
    as_batches = Network(name=name, arguments=SMALL[name], normalisation="batch")
    modules = list(build_network(as_batches, smallest(as_batches, 2)).modules())
    assert sum(isinstance(each, nn.BatchNorm2d) for each in modules) == len(norms)


@pytest.mark.parametrize(
    ("network", "monais"),
    [
        (Network(name="DenseNet121", normalisation="batch"), lambda: nets.DenseNet121(2, 2, 3, pretrained=False)),
        (
            Network(name="ResNet50", arguments={"first_stride": 1}, normalisation="batch"),
            lambda: nets.resnet50(spatial_dims=2, n_input_channels=2, num_classes=3, bias_downsample=False),
        ),
        (
            Network(name="EfficientNetB0", normalisation="batch"),
            lambda: nets.EfficientNetBN("efficientnet-b0", pretrained=False, spatial_dims=2, in_channels=2, num_classes=3),
        ),
        (
            Network(name="SegResNet", arguments={"upsample": "nontrainable"}),
            lambda: nets.SegResNet(spatial_dims=2, in_channels=2, out_channels=3),
        ),
        (
            Network(name="UNet", normalisation="batch", arguments={"channels": (4, 8), "strides": (2,)}),
            lambda: nets.UNet(2, 2, 3, (4, 8), (2,), num_res_units=2, norm="batch"),
        ),
    ],
)
def test_weights_of_monais_own_networks_mean_the_same(network, monais):
    """What MONAI's own functions build has the same tensors, and gives the same outputs: its published weights can be used."""
    shape = smallest(network, 2)
    ours, theirs = build_network(network, shape).eval(), monais().eval()
    vector, manifest = read_weights(theirs)
    write_weights(ours, vector, manifest)
    inputs = torch.randn(shape.taken(1), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(ours(inputs), theirs(inputs))


def test_groups_are_eight_where_they_divide_the_channels():
    """Otherwise they are the largest number that divides both."""
    network = Network(name="UNet", arguments={"channels": (7, 12, 20, 64), "strides": (1, 1, 1)})
    built = build_network(network, Shape(dimensions=2, inputs=1, outputs=2, window=(4, 4), dense=True))
    groups = {each.num_channels: each.num_groups for each in built.modules() if isinstance(each, nn.GroupNorm)}
    assert groups == {7: 1, 12: 4, 20: 4, 64: 8, 2: 2}


def test_moments_travel_and_the_count_of_batches_does_not():
    """With batch normalisation, running mean and variance are weights like others; the integer beside them stays behind."""
    network = Network(name="UNet", arguments=SMALL["UNet"], normalisation="batch")
    shape = smallest(network, 2)
    one, two = build_network(network, shape), build_network(network, shape)
    one(torch.randn(shape.taken(4), generator=torch.Generator().manual_seed(0)) + 1)
    vector, manifest = read_weights(one)
    names = {tensor.name for tensor in manifest.tensors}
    assert any(name.endswith("running_var") for name in names)
    assert not any("num_batches_tracked" in name for name in names)
    write_weights(two, vector, manifest)
    inputs = torch.ones(shape.taken(1))
    assert torch.equal(one.eval()(inputs), two.eval()(inputs))
    assert {int(each.num_batches_tracked) for each in two.modules() if isinstance(each, nn.BatchNorm2d)} == {0}


def test_tensors_that_a_network_has_twice_travel_once():
    """DynUNet names each of its tensors in two places: what is written reaches both."""
    network = Network(name="DynUNet", arguments=SMALL["DynUNet"])
    built = build_network(network, smallest(network, 2))
    vector, manifest = read_weights(built)
    assert 2 * len(manifest.tensors) >= len(built.state_dict()) > len(manifest.tensors)
    write_weights(built, np.full_like(vector, 0.5), manifest)
    assert all(bool((tensor == 0.5).all()) for tensor in built.state_dict().values())


@pytest.mark.parametrize("name", sorted(SMALL))
def test_nothing_is_fetched(name, monkeypatch):
    """No network is asked for weights over the network: MONAI would fetch some for several of them."""

    def refuse(*_arguments: object, **_more: object) -> None:
        pytest.fail("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", refuse)
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    network = Network(name=name, arguments=SMALL[name])
    for dimensions in (2, 3):
        build_network(network, smallest(network, dimensions))


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("UNet", Shape(dimensions=2, inputs=1, window=(64, 64))),
        ("ResNet18", Shape(dimensions=2, inputs=1, window=(64, 64), dense=True)),
        ("ResNet18", Shape.of_table(4)),
        ("FullyConnectedNet", Shape(dimensions=2, inputs=1, window=(64, 64))),
    ],
)
def test_a_network_of_another_kind_is_never_built(name, shape):
    """What the study's check refuses is not built either."""
    assert problems_of(Network(name=name), "here", shape)
    with pytest.raises(Broken):
        build_network(Network(name=name), shape)

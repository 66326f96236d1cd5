"""Which network a study may name for which data: every refusal says the rule, what was found and what fits."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from wardround.canonical import model_bytes
from wardround.study.model import Network
from wardround.study.networks import MOST_WEIGHTS, problems_of, weight_count, words_of
from wardround.study.shape import Shape


def image(*window: int, dense: bool = False, outputs: int = 1) -> Shape:
    return Shape(dimensions=len(window), inputs=1, outputs=outputs, window=window, dense=dense)


def net(name: str, normalisation: str | None = None, **arguments: object) -> Network:
    return Network(name=name, arguments=arguments, **({} if normalisation is None else {"normalisation": normalisation}))


@pytest.mark.parametrize(
    ("network", "shape", "finding", "next_step"),
    [
        (net("Densenet121"), image(64, 64), "'Densenet121' is not on it", "'DenseNet121'"),
        (net("UNet"), image(64, 64), "tells one thing of each image", "DenseNet121, ResNet18, ResNet50, EfficientNetB0"),
        (net("ResNet18"), image(32, 32, dense=True), "marks every voxel", "UNet, SegResNet, DynUNet"),
        (net("ResNet18"), Shape.of_table(8), "rows of a table", "FullyConnectedNet"),
        (net("FullyConnectedNet"), image(32, 32), "2 dimensions", "DenseNet121"),
        (net("DenseNet121"), image(31, 64), "31 × 64", "32 × 64 or more"),
        (net("DenseNet121", "batch"), image(32, 63), "keeps 1", "64 × 63 or more"),
        (net("ResNet50"), image(16, 64, 64), "16 × 64 × 64", "32 × 64 × 64 or more"),
        (net("UNet"), image(40, 48, dense=True), "40 × 48", "32 × 48 or 48 × 48"),
        (net("UNet"), image(15, 16, dense=True), "15 × 16", "16 × 16 or more"),
        (net("UNet", "instance"), image(16, 16, 16, dense=True), "keeps 1", "32 × 16 × 16 or more, or 'normalisation: group'"),
        (net("UNet", channels=(4, 8), strides=(2,)), image(2, 2, dense=True), "keeps 1", "4 × 2 or more, or more channels"),
        (net("DynUNet"), image(64, 64, 20, dense=True), "64 × 64 × 20", "64 × 64 × 16 or 64 × 64 × 24"),
        (net("UNet", channels=(8, 16, 32)), image(64, 64, dense=True), "3 levels have 2 steps", "right number"),
        (net("SegResNet", blocks_up=(1,)), image(64, 64, dense=True), "4 levels have 3 steps", "right number"),
        (net("DynUNet", filters=(8, 16, 32), strides=(2, 3)), image(64, 64, dense=True), "'strides.1'", "strides.1"),
        (net("ResNet18", first_kernal=3), image(64, 64), "'first_kernal' is unknown", "'first_kernel'"),
        (net("ResNet18", first_kernel=4), image(64, 64), "'first_kernel'", "first_kernel"),
        (net("DenseNet121", spatial_dims=3), image(64, 64), "'spatial_dims' is unknown", "dropout, growth_rate, init_features"),
        (net("ResNet18", max_pool=1), image(64, 64), "'max_pool'", "max_pool"),
        (net("EfficientNetB0", dropout=1.0), image(64, 64), "'dropout'", "dropout"),
        (net("SegResNet", init_filters=256), image(64, 64, 64, dense=True), "this one would have", "smaller layers"),
    ],
)
def test_what_does_not_fit_is_one_problem(network, shape, finding, next_step):
    """Name, arguments, kind, window and size: one P-NETWORK, with what was found and what would do."""
    [problem] = problems_of(network, "study.network", shape)
    assert (problem.code, problem.place) == ("P-NETWORK", "study.network")
    assert finding in problem.finding
    assert next_step in problem.next_step


@pytest.mark.parametrize("name", ["DenseNet121", "ResNet18", "ResNet50", "EfficientNetB0"])
def test_classifiers_take_the_windows_of_the_studies_in_mind(name):
    """64 and 96 pixels of dermoscopy, and cubes of a CT: in order with the defaults and every normalisation."""
    for normalisation in ("group", "batch", "instance"):
        for window in ((64, 64), (96, 96), (224, 224), (64, 64, 64)):
            assert problems_of(net(name, normalisation), "here", image(*window)) == []


def test_the_size_is_limited_by_what_travels():
    """Moments of batch normalisation count: a network just above the limit is refused with its number."""
    network, shape = net("SegResNet", init_filters=256), image(64, 64, 64, dense=True)
    assert weight_count(network, shape) > MOST_WEIGHTS
    assert weight_count(net("SegResNet", "batch"), shape) > weight_count(net("SegResNet"), shape)
    [problem] = problems_of(network, "here", shape)
    assert str(weight_count(network, shape)) in problem.finding


def test_studies_of_tables_keep_their_hashes():
    """The default normalisation is no part of the canonical form; another one is, and both are read back as they were."""
    assert model_bytes(net("FullyConnectedNet", bias=True)) == b'{"arguments":{"bias":true},"name":"FullyConnectedNet"}'
    assert model_bytes(net("UNet", "group")) == model_bytes(net("UNet"))
    for normalisation in ("group", "batch", "instance"):
        network = net("UNet", normalisation)
        assert Network.model_validate_json(model_bytes(network)).normalisation == normalisation
    assert b'"normalisation":"batch"' in model_bytes(net("UNet", "batch"))
    with pytest.raises(ValidationError):
        net("UNet", "layer")


def test_people_read_which_normalisation_it_is():
    """Said of every network that has one, the default too; a network on no list is named as it stands."""
    assert words_of(net("UNet")) == "UNet with group normalisation"
    assert words_of(net("UNet", "batch")) == "UNet with batch normalisation"
    assert words_of(net("FullyConnectedNet")) == "FullyConnectedNet"
    assert words_of(net("Nothing")) == "Nothing"


@pytest.mark.parametrize(
    "parts",
    [
        {"dimensions": 2, "inputs": 1, "window": (8,)},
        {"dimensions": 0, "inputs": 1, "window": (8,)},
        {"dimensions": 1, "inputs": 1, "window": (8,)},
        {"dimensions": 2, "inputs": 0, "window": (8, 8)},
        {"dimensions": 2, "inputs": 1, "window": (8, 0)},
        {"dimensions": 2, "inputs": 1, "outputs": 0, "window": (8, 8)},
        {"dimensions": 0, "inputs": 1, "dense": True},
    ],
)
def test_a_shape_that_cannot_be_is_none(parts):
    """A window has one size for each dimension, and only images are dense."""
    with pytest.raises(ValidationError):
        Shape(**parts)


def test_shapes_say_what_goes_in_and_comes_out():
    """A table, an image with one vector, an image with one vector for each voxel."""
    assert (Shape.of_table(5, 2).taken(7), Shape.of_table(5, 2).given(7)) == ((7, 5), (7, 2))
    assert (image(8, 9).taken(7), image(8, 9).given(7)) == ((7, 1, 8, 9), (7, 1))
    assert image(8, 9, 4, dense=True, outputs=3).given(7) == (7, 3, 8, 9, 4)


def test_the_list_is_read_without_torch():
    """The centre reads studies: names, windows and counts of weights are known there without code of a network."""
    code = "import sys, wardround.study.networks; sys.exit('torch' in sys.modules or 'monai' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

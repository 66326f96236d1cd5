"""Batches that are cut to fit memory: the same step, whatever the pieces; and what must never be cut is not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from image_examples import ImagesInMemory, drawing, telling, weights_of
from torch import nn

from silo_node.training import fitting
from silo_node.training.execution import Execution, can_be_cut
from silo_node.training.fitting import Cost, choose, fit, measure
from silo_node.training.loop import TooManyAtOnce, train
from silo_node.training.losses import make_loss
from silo_node.training.made_up import made_up
from wardround.study.model import Optimiser, Training

MIB = 2**20


def how(loss="dice_cross_entropy", **changes):
    optimiser = Optimiser(**{"learning_rate": 0.05, **changes.pop("optimiser", {})})
    return Training(loss=loss, optimiser=optimiser, **{"batch_size": 8, "local_epochs": 2, **changes})


def trained(micro, network=None, kind="mask", examples=None, settings=None):
    """Train at most so many at once; gives the weights, the loss, and how many examples were asked for each time."""
    network = network or drawing()
    examples = examples or ImagesInMemory(8, kind, noise=0.2)
    settings = settings or how()
    loss = train(network, examples, settings, make_loss(settings, kind), 5, execution=Execution(micro_batch=micro))
    return weights_of(network), loss, examples.asked


@pytest.mark.parametrize("optimiser", [{"momentum": 0.9}, {"name": "adam", "learning_rate": 0.01}])
@pytest.mark.parametrize("micro", [1, 3, 4])
def test_eight_volumes_train_in_pieces_as_at_once(micro, optimiser):
    """The effective batch is the study's: weights and loss are the same but for the last bits, augmentation included."""
    settings = how(optimiser=optimiser)
    whole, loss, asked = trained(8, settings=settings)
    cut, cut_loss, pieces = trained(micro, settings=settings)
    assert (asked, pieces) == ([8, 8], {1: [1] * 16, 3: [3, 3, 2] * 2, 4: [4] * 4}[micro])
    assert not np.allclose(whole, weights_of(drawing()), atol=1e-3), "it moved"
    np.testing.assert_allclose(cut, whole, rtol=0, atol=2e-5)
    assert cut_loss == pytest.approx(loss, rel=1e-5)


def test_a_smaller_last_batch_weighs_by_its_examples():
    """Seven volumes in batches of four, in pieces of two: 2, 2, then 2, 1."""
    settings = how(batch_size=4)
    whole, loss, _ = trained(None, examples=ImagesInMemory(7), settings=settings)
    cut, cut_loss, asked = trained(2, examples=ImagesInMemory(7), settings=settings)
    assert asked == [2, 2, 2, 1] * 2
    np.testing.assert_allclose(cut, whole, rtol=0, atol=2e-5)
    assert cut_loss == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize(("kind", "loss", "outputs"), [("binary", "focal", 1), ("classes", "cross_entropy", 3)])
def test_scores_train_in_pieces_too(kind, loss, outputs):
    """A class for each volume, or one score."""
    settings = how(loss)
    whole, _, _ = trained(8, telling(outputs), kind, settings=settings)
    cut, _, _ = trained(3, telling(outputs), kind, settings=settings)
    np.testing.assert_allclose(cut, whole, rtol=0, atol=2e-5)


def test_pieces_as_large_as_the_batch_change_no_bit():
    """A batch in one piece is a batch that is not cut."""
    assert trained(8)[0].tobytes() == trained(None)[0].tobytes() == trained(100)[0].tobytes()


@pytest.mark.parametrize(
    ("layer", "allowed"),
    [
        (nn.BatchNorm3d(4), False),
        (nn.SyncBatchNorm(4), False),
        (nn.InstanceNorm3d(4, track_running_stats=True), False),
        (nn.InstanceNorm3d(4), True),
        (nn.GroupNorm(2, 4), True),
    ],
)
def test_what_counts_over_the_batch_is_not_cut(layer, allowed):
    """Its statistics would be those of a piece."""
    assert can_be_cut(drawing(norm=layer)) is allowed


class Full:
    """Examples for which memory runs out when too many are asked for at once."""

    def __init__(self, most, after=0):
        self.inner, self.most, self.after = ImagesInMemory(8, noise=0.2), most, after
        self.size, self.digest, self.asked = self.inner.size, self.inner.digest, self.inner.asked

    def batch(self, indexes, draw):
        if len(self.asked) >= self.after and len(indexes) > self.most:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return self.inner.batch(indexes, draw)


def test_no_memory_before_the_first_step_is_told_apart():
    """Then nothing was learned yet, and fewer at once give the bits that they would have given from the start."""
    network = drawing()
    with pytest.raises(TooManyAtOnce):
        trained(8, network, examples=Full(4))
    assert weights_of(network).tobytes() == weights_of(drawing()).tobytes()
    assert all(weight.grad is None for weight in network.parameters())
    assert trained(4, network, examples=Full(4))[0].tobytes() == trained(4)[0].tobytes()


def test_no_memory_after_a_step_is_no_memory():
    """The error itself: what was learned by then is not learned again in another way."""
    with pytest.raises(RuntimeError, match="allocate"):
        trained(8, examples=Full(4, after=1))


def test_half_as_many_at_once():
    """From what is computed at once now, not from a number larger than the batch; never below one."""
    assert Execution(micro_batch=64).halved(8) == Execution(micro_batch=4)
    assert Execution(micro_batch=3).halved(8) == Execution(micro_batch=1)
    assert Execution(micro_batch=1).halved(8) is None
    assert Execution().halved(8) is None


# --------------------------------------------------------------------------------------------------- fitting to memory


@pytest.mark.parametrize(
    ("room", "expected"),
    [(10_000, 12), (2 * 1300, 12), (2 * 1299, 8), (2 * 900, 8), (2 * 899, 4), (2 * 300, 2), (100, 1), (0, 1)],
)
def test_as_many_as_fit_into_their_share(room, expected):
    """The whole batch of twelve, or a power of two, within half of the room; one in any case."""
    assert choose(Cost(fixed=100, each=100), 12, room) == expected


def sample(count):
    return made_up(count, (1, 24, 24, 24), "mask", 2)


def test_the_cost_of_an_example_is_about_what_its_layers_keep():
    """Three maps of four channels of floats at the least; and measuring leaves weights, buffers and random state alone."""
    voxels = 24**3
    network, settings = drawing(norm=nn.BatchNorm3d(4)), how()
    before, random = weights_of(network), torch.random.get_rng_state()
    cost = measure(network, sample, settings, make_loss(settings, "mask"), Execution(), least=2)
    assert weights_of(network).tobytes() == before.tobytes()
    assert torch.equal(torch.random.get_rng_state(), random)
    assert all(weight.grad is None for weight in network.parameters())
    assert 3 * 4 * 4 * voxels < cost.each < 60 * 4 * 4 * voxels
    weights = sum(weight.nbytes for weight in network.parameters())
    assert cost.fixed >= 4 * weights


def test_where_only_one_fits_one_is_measured():
    """Two that do not fit are no reason to give up: each is then taken to need all that the one did."""

    def tight(count):
        if count > 1:
            raise MemoryError
        return sample(count)

    settings = how()
    free, narrow = (measure(drawing(), each, settings, make_loss(settings, "mask"), Execution()) for each in (sample, tight))
    assert narrow.each > free.each
    assert choose(narrow, 8, 2 * narrow.of(1)) == 1


@pytest.mark.parametrize(("optimiser", "copies"), [({}, 0), ({"momentum": 0.5}, 1), ({"name": "adam"}, 2)])
def test_what_an_optimiser_keeps_counts(optimiser, copies):
    """Adam keeps two numbers for each weight, momentum one."""
    assert fitting._state(Optimiser(learning_rate=0.1, **optimiser)) == copies


def fitted(monkeypatch, room, network=None, batch=8):
    monkeypatch.setattr(fitting, "measure", lambda *_, **__: Cost(fixed=10 * MIB, each=20 * MIB))
    monkeypatch.setattr(fitting, "available_bytes", lambda _limit: room)
    settings = how(batch_size=batch)
    return fit(network or drawing(), sample, settings, make_loss(settings, "mask"), 100, Execution(), None)


def test_a_small_limit_means_fewer_at_once_and_a_smaller_cache(monkeypatch):
    """With much room the whole batch, with little two at a time; images that are kept get what is left of the room."""
    much, little = fitted(monkeypatch, 1000 * MIB), fitted(monkeypatch, 150 * MIB)
    assert (much.execution.micro_batch, little.execution.micro_batch) == (8, 2)
    assert (much.cache_bytes, little.cache_bytes) == ((800 - 170) * MIB, (120 - 50) * MIB)
    weights = [trained(each.execution.micro_batch)[0] for each in (much, little)]
    np.testing.assert_allclose(*weights, rtol=0, atol=2e-5)


def test_where_one_does_not_fit_nothing_does(monkeypatch):
    """The work then ends as H-MEMORY, before anything was trained."""
    with pytest.raises(MemoryError):
        fitted(monkeypatch, 30 * MIB)


def test_a_network_that_counts_over_the_batch_fits_whole_or_not_at_all(monkeypatch):
    """Never in pieces."""
    network = drawing(norm=nn.BatchNorm3d(4))
    assert fitted(monkeypatch, 1000 * MIB, network).execution == Execution()
    with pytest.raises(MemoryError):
        fitted(monkeypatch, 150 * MIB, network)


def test_where_nobody_can_tell_the_whole_batch_is_tried(monkeypatch):
    """It is halved when it fails; of a cache nothing is said."""
    found = fitted(monkeypatch, None)
    assert (found.execution.micro_batch, found.cache_bytes) == (8, None)


@pytest.mark.parametrize(
    ("kind", "shape", "outputs"), [("binary", (5,), 1), ("classes", (3, 8, 8), 4), ("mask", (1, 4, 4, 4), 3)]
)
def test_made_up_examples_have_every_class(kind, shape, outputs):
    """And the shapes of true ones."""
    inputs, targets = made_up(6, shape, kind, outputs)
    assert inputs.shape == (6, *shape)
    assert targets.shape == ((6, *shape[1:]) if kind == "mask" else (6,))
    assert set(targets.flatten().tolist()) == set(range(max(outputs, 2)))
    assert torch.equal(inputs, made_up(6, shape, kind, outputs)[0])

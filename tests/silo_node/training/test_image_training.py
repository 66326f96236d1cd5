"""Training on images: augmentation and precision, and that a training that was cut off ends with the same bits all the same."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from image_examples import ImagesInMemory, drawing, weights_of

from silo_node.training.checkpoint import Keeper
from silo_node.training.checkpoint import Training as Whose
from silo_node.training.evaluation import Window, draw_masks
from silo_node.training.execution import Execution
from silo_node.training.loop import train
from silo_node.training.losses import make_loss
from wardround.study.model import Optimiser, Training

WHOSE = Whose(site="north", study_hash="a" * 64, work="b" * 64, records="c" * 64)
LOG = logging.getLogger("tests.image_training")


class Killed(Exception):
    """The trainer died."""


class Doomed(Keeper):
    """A keeper whose process dies once an epoch was kept."""

    def boundary(self, epoch, take):
        super().boundary(epoch, take)
        raise Killed


def run(folder=None, keeper=Keeper, seed=5, noise=0.5, micro=2, dropout=0.3, **changes):
    """Train for three epochs; gives weights and loss."""
    settings = Training(
        **{
            "loss": "dice_cross_entropy",
            "optimiser": Optimiser(name="adam", learning_rate=0.01),
            "local_epochs": 3,
            "batch_size": 4,
            **changes,
        }
    )
    network, execution = drawing(dropout=dropout), Execution(micro_batch=micro)
    held = None if folder is None else keeper(folder, WHOSE, LOG, 0.0, execution=execution)
    loss = make_loss(settings, "mask")
    mean = train(network, ImagesInMemory(7, noise=noise), settings, loss, seed, keeper=held, execution=execution)
    return weights_of(network).tobytes(), mean


@pytest.mark.parametrize("precision", ["float32", "mixed"])
def test_a_training_with_augmentation_that_was_cut_off_ends_with_the_same_bits(tmp_path, precision):
    """Killed after each epoch: what is drawn for an example follows from the epoch, so nothing more is kept than for tables."""
    undisturbed = run(precision=precision)
    for _ in range(2):
        with pytest.raises(Killed):
            run(tmp_path, Doomed, precision=precision)
        torch.randn(7)
    told = []
    assert run(tmp_path, lambda *words, **more: Keeper(*words, told.append, **more), precision=precision) == undisturbed
    assert (told[0].how, told[0].epoch) == ("resumed", 2)


def test_other_pieces_are_another_execution(tmp_path):
    """A checkpoint made with four at once is not gone on from with two: the training begins anew, with the bits of two."""
    with pytest.raises(Killed):
        run(tmp_path, Doomed, micro=4)
    told = []
    assert run(tmp_path, lambda *words, **more: Keeper(*words, told.append, **more)) == run()
    assert (told[0].how, told[0].why) == ("restarted", ("micro_batch",))


def test_augmentation_differs_by_epoch_and_seed_alone():
    """Every epoch draws anew, every round by its own seed, and the same seed draws the same."""
    assert run() == run()
    assert run(dropout=0.0) != run(dropout=0.0, noise=0.0)
    assert run(seed=6) != run()
    drawn = []

    class Watched(ImagesInMemory):
        def batch(self, indexes, draw):
            drawn.append((draw.seed, draw.epoch))
            return super().batch(indexes, draw)

    settings = Training(loss="dice", optimiser=Optimiser(learning_rate=0.1), local_epochs=2, batch_size=4)
    train(drawing(), Watched(6), settings, make_loss(settings, "mask"), 5)
    assert drawn == [(5, 1), (5, 1), (5, 2), (5, 2)]


def test_mixed_precision_computes_in_bfloat16_and_keeps_float32():
    """Layers see bfloat16; weights, gradients and what is evaluated are float32; the result is near, not equal."""
    seen, summed = [], set()

    class Spied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = drawing()

        def forward(self, inputs):
            found = self.inner(inputs)
            seen.append((self.training, found.dtype))
            return found

    exact, mixed = (
        Training(loss="dice_cross_entropy", optimiser=Optimiser(learning_rate=0.1), local_epochs=4, batch_size=4, precision=each)
        for each in ("float32", "mixed")
    )
    networks = []
    for settings in (exact, mixed):
        network, loss = Spied(), make_loss(settings, "mask")
        for weight in network.parameters():
            weight.register_post_accumulate_grad_hook(lambda each: summed.add(each.grad.dtype))
        train(network, ImagesInMemory(6), settings, loss, 5)
        next(draw_masks(network, ImagesInMemory(1), Window((8, 8, 8)), loss))
        networks.append(network)
    assert set(seen) == {(True, torch.float32), (True, torch.bfloat16), (False, torch.float32)}
    assert {weight.dtype for network in networks for weight in network.parameters()} == {torch.float32}
    assert summed == {torch.float32}
    full, half = (weights_of(network) for network in networks)
    assert full.tobytes() != half.tobytes()
    np.testing.assert_allclose(half, full, rtol=0, atol=0.02)


def test_it_learns():
    """A few epochs of Dice find the bright cubes: what all of this is for."""
    settings = Training(
        loss="dice_cross_entropy", optimiser=Optimiser(name="adam", learning_rate=0.05), local_epochs=30, batch_size=4
    )
    images, network, loss = ImagesInMemory(6), drawing(), make_loss(settings, "mask")
    train(network, images, settings, loss, 5, execution=Execution(micro_batch=2))
    bright = [index for index in range(6) if images.labels[index]]
    drawn = list(draw_masks(network, images, Window((8, 8, 8)), loss))
    found = [2 * (each.predicted & each.truth).sum() / (each.predicted.sum() + each.truth.sum()) for each in drawn]
    assert min(found[index] for index in bright) > 0.7

"""Evaluation of classes and masks: what is handed to the counting, and that how much is looked at once cannot be seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from image_examples import ImagesInMemory, drawing, telling, weights_of
from torch import nn

from silo_node.training.evaluation import Window, draw_masks, evaluate, evaluate_classes
from silo_node.training.execution import Execution
from silo_node.training.loop import NotFinite
from silo_node.training.losses import make_loss
from wardround.metrics.pooled import LOSS_UNIT
from wardround.study.model import Optimiser, Training

DICE = make_loss(Training(loss="dice", optimiser=Optimiser(learning_rate=0.1)), "mask")


def kept(logits, labels, losses):
    """Count nothing: give what there is to count."""
    return logits, labels, losses


@pytest.mark.parametrize("micro", [None, 1, 4])
def test_every_example_of_several_classes_is_handed_on(micro):
    """Logits, classes and cross-entropies, in order; nothing random is asked for."""
    images, network = ImagesInMemory(7, "classes", noise=1.0), telling(3)
    logits, labels, losses = evaluate_classes(network, images, kept, Execution(micro_batch=micro))
    assert labels.tolist() == images.labels.tolist()
    with torch.no_grad():
        expected = network(torch.from_numpy(images.images))
    np.testing.assert_allclose(logits, expected, atol=1e-6)
    np.testing.assert_allclose(
        losses, torch.nn.functional.cross_entropy(expected, torch.from_numpy(labels), reduction="none"), atol=1e-6
    )
    assert images.asked == {None: [7], 1: [1] * 7, 4: [4, 3]}[micro]


def test_one_score_is_counted_with_its_cross_entropy():
    """Whatever the study trains with, so that studies can be compared and calibration counts."""
    images, network = ImagesInMemory(6, "binary"), telling(1)
    counts = evaluate(network, images, Execution(micro_batch=4))
    with torch.no_grad():
        scores = network(torch.from_numpy(images.images)).reshape(-1)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(scores, torch.from_numpy((images.labels > 0).astype(np.float32)))
    assert (counts.records, sum(counts.positives)) == (6, 4)
    assert counts.loss_units * LOSS_UNIT == pytest.approx(6 * float(loss), abs=1e-5)


class Bright(nn.Module):
    """Takes for class 1 what is brighter than a threshold: each voxel by itself."""

    def forward(self, inputs):
        return torch.cat([torch.full_like(inputs, 0.5), inputs], 1)


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
@pytest.mark.parametrize(("edge", "micro"), [(8, 1), (11, 3), (5, None)])
def test_windows_over_a_whole_image_draw_what_the_whole_would(edge, micro, overlap):
    """However they overlap, also where the image is no multiple of the window, or smaller than it."""
    images = ImagesInMemory(3, edge=edge)
    found = list(draw_masks(Bright(), images, Window((6, 6, 6), overlap), DICE, Execution(micro_batch=micro)))
    for index, drawn in enumerate(found):
        np.testing.assert_array_equal(drawn.predicted, images.images[index, 0] > 0.5)
        np.testing.assert_array_equal(drawn.truth, images.masks[index])
        assert drawn.spacing == (1.0, 1.0, 1.0 + index)
    assert len(found) == 3


def test_the_loss_of_a_whole_image_is_the_studys():
    """Not the mean of windows' losses."""
    images, network = ImagesInMemory(2), drawing()
    network.eval()
    (first, _) = draw_masks(network, images, Window((8, 8, 8)), DICE)
    with torch.no_grad():
        expected = DICE.each(network(torch.from_numpy(images.images[:1])), torch.from_numpy(images.masks[:1]))
    assert first.loss == pytest.approx(float(expected), rel=1e-5)


def test_evaluating_masks_changes_nothing():
    """Neither weights nor running statistics nor torch's random state; dropout is off."""
    network, images = drawing(norm=nn.BatchNorm3d(4), dropout=0.5), ImagesInMemory(2)
    before, random = weights_of(network), torch.random.get_rng_state()
    first, second = ([each.predicted.tolist() for each in draw_masks(network, images, Window((6, 6, 6)), DICE)] for _ in range(2))
    assert first == second
    assert weights_of(network).tobytes() == before.tobytes()
    assert torch.equal(torch.random.get_rng_state(), random)


def test_a_mask_from_numbers_that_are_none_is_none():
    """NaN would win no comparison, and draw background."""
    network = drawing()
    with torch.no_grad():
        next(network.parameters()).fill_(np.nan)
    with pytest.raises(NotFinite):
        list(draw_masks(network, ImagesInMemory(1), Window((8, 8, 8)), DICE))
    telling_nothing = telling(3)
    next(telling_nothing.parameters()).data.fill_(np.nan)
    with pytest.raises(NotFinite):
        evaluate_classes(telling_nothing, ImagesInMemory(3, "classes"), kept)

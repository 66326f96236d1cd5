"""The losses: the formulas of their papers, each a mean over examples, none that notices who else is in the batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from silo_node.training.losses import BinaryCrossEntropy, make_loss, score_loss
from wardround.study.losses import KINDS, losses_for, problems_of
from wardround.study.model import Optimiser, Training

CASES = [(loss, kind) for loss, kinds in KINDS.items() for kind in sorted(kinds)]


def settings(loss: str, **more) -> Training:
    return Training(loss=loss, optimiser=Optimiser(learning_rate=0.1), **more)


def data(kind, count=5, seed=0):
    """Logits and targets of some examples: three classes or labels, or one score; one label is not known here and there."""
    random = np.random.default_rng(seed)
    if kind == "number":
        return (torch.from_numpy(random.normal(size=size).astype(np.float32)) for size in ((count, 1), (count,)))
    if kind == "labels":
        targets = random.integers(0, 2, (count, 3)).astype(np.float32)
        targets[np.arange(count), np.arange(count) % 3] = np.where(np.arange(count) % 2, np.nan, targets[:, 0])
        return torch.from_numpy(random.normal(size=(count, 3)).astype(np.float32)), torch.from_numpy(targets)
    window = (4, 3, 5) if kind == "mask" else ()
    logits = random.normal(size=(count, 1 if kind == "binary" else 3, *window)).astype(np.float32)
    targets = random.integers(0, 2 if kind == "binary" else 3, (count, *window))
    return torch.from_numpy(logits), torch.from_numpy(targets.astype(np.float32) if kind == "binary" else targets)


def softmax(logits):
    raised = np.exp(logits - logits.max(0))
    return raised / raised.sum(0)


def by_hand(loss, kind, logits, targets):
    """One example's loss, in float64, as one would write it down."""
    logits, targets = np.asarray(logits, np.float64), np.asarray(targets)
    if kind == "number":
        return (logits[0] - targets) ** 2
    if kind == "labels":
        known = [by_hand(loss, "binary", logits[at : at + 1], targets[at]) for at in range(3) if not np.isnan(targets[at])]
        return sum(known) / 3
    if kind == "binary":
        right = 1 / (1 + np.exp(-logits[0] if targets else logits[0]))
        return -np.log(right) * ((1 - right) ** 2 if loss == "focal" else 1)
    chance = softmax(logits)
    true = np.stack([targets == each for each in range(len(logits))]).astype(float)
    right = (chance * true).sum(0)
    cross, focal = -np.log(right).mean(), (-np.log(right) * (1 - right) ** 2).mean()
    if loss in ("cross_entropy", "focal"):
        return cross if loss == "cross_entropy" else focal
    axes = (1, 2, 3)
    both, all_ = (chance * true).sum(axes), chance.sum(axes) + true.sum(axes)
    dice = (1 - (2 * both + 1e-5) / (all_ + 1e-5))[1:].mean()
    weight = 1 / true.sum(axes) ** 2
    of = {
        "dice": dice,
        "dice_cross_entropy": dice + cross,
        "generalised_dice": 1 - 2 * (weight * both).sum() / (weight * all_).sum(),
    }
    return of[loss]


@pytest.mark.parametrize(("loss", "kind"), CASES)
def test_each_loss_is_its_formula(loss, kind):
    """Example by example; and the mean is their mean."""
    logits, targets = data(kind)
    found = make_loss(settings(loss), kind)
    expected = [by_hand(loss, kind, *pair) for pair in zip(logits, targets, strict=True)]
    np.testing.assert_allclose(found.each(logits, targets), expected, rtol=1e-5)
    assert float(found.mean(logits, targets)) == pytest.approx(np.mean(expected), rel=1e-5)


@pytest.mark.parametrize(("loss", "kind"), CASES)
def test_the_gradient_of_a_batch_is_the_weighted_mean_of_its_pieces(loss, kind):
    """However it is cut: what accumulation stands on."""
    logits, targets = data(kind)
    found = make_loss(settings(loss), kind)

    def gradient(*pieces):
        leaf = logits.clone().requires_grad_()
        for start, end in pieces:
            (found.mean(leaf[start:end], targets[start:end]) * ((end - start) / len(logits))).backward()
        return leaf.grad.numpy()

    whole = gradient((0, 5))
    assert np.abs(whole).max() > 0
    np.testing.assert_allclose(gradient((0, 2), (2, 4), (4, 5)), whole, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("loss", losses_for("mask"))
def test_an_image_without_anything_to_find_gives_a_finite_gradient(loss):
    """Windows of background alone are most of a volume."""
    logits, targets = data("mask")
    logits.requires_grad_()
    value = make_loss(settings(loss), "mask").mean(logits, torch.zeros_like(targets))
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("loss", losses_for("mask"))
def test_where_nothing_is_to_be_found_drawing_nothing_is_best(loss):
    """Certain, it costs nearly nothing, and a false finding costs more; neither is infinite."""
    targets = torch.zeros((2, 4, 3, 5), dtype=torch.int64)
    logits = torch.zeros((2, 3, 4, 3, 5))
    logits[:, 0] = 40.0
    logits[1, :, 0, 0, 0] = torch.tensor([0.0, 40.0, 0.0])
    nothing, something = make_loss(settings(loss), "mask").each(logits, targets).tolist()
    assert 0 <= nothing < 1e-5 < something < 100


@pytest.mark.parametrize("loss", losses_for("labels"))
def test_a_label_that_is_not_known_takes_no_part(loss):
    """Neither in the value nor in a gradient; and the others weigh what they weigh where all are known."""
    logits, targets = data("labels", 2)
    targets[:] = torch.tensor([[1.0, 0.0, 1.0], [1.0, 0.0, torch.nan]])
    logits.requires_grad_()
    made = make_loss(settings(loss), "labels")
    made.mean(logits, targets).backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[1, 2] == 0
    alone = logits.detach()[1:, :2].clone().requires_grad_()
    (sum(make_loss(settings(loss), "binary").mean(alone[:, at], targets[1:, at]) for at in range(2)) / (3 * 2)).backward()
    np.testing.assert_allclose(logits.grad[1, :2], alone.grad[0], rtol=1e-5)


def test_the_focal_loss_takes_its_exponent():
    """What is already right counts less, the more so the larger it is."""
    logits, targets = data("classes")
    losses = [make_loss(settings("focal", focal_gamma=gamma), "classes").mean(logits, targets) for gamma in (1.0, 2.0, 5.0)]
    assert losses == sorted(losses, reverse=True)
    assert make_loss(settings("focal"), "classes").mean(logits, targets) == losses[1]


def test_torchs_own_mean_of_binary_cross_entropy_is_kept():
    """Its gradient has other last bits than the mean of the terms: trainings on tables keep theirs."""
    logits, targets = data("binary", 7)
    assert isinstance(make_loss(settings("binary_cross_entropy"), "binary"), BinaryCrossEntropy)
    own = torch.nn.functional.binary_cross_entropy_with_logits(logits.reshape(-1), targets)
    assert torch.equal(BinaryCrossEntropy().mean(logits, targets), own)
    assert isinstance(score_loss("binary"), BinaryCrossEntropy)


def test_a_loss_that_does_not_fit_is_refused_by_name():
    """With the ones that do."""
    for kind in ("binary", "classes", "labels", "mask"):
        for loss in KINDS:
            found = problems_of(loss, kind, "study.yaml, line 3")
            assert [each.code for each in found] == ([] if kind in KINDS[loss] else ["P-RANGE"])
    (problem,) = problems_of("dice", "binary", "study.yaml, line 3")
    assert problem.finding == "the target is one positive class, and dice is not defined for it"
    assert problem.next_step == "choose one of: binary_cross_entropy, focal"

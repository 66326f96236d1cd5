"""Several labels in one network: what they learn from each other is the layers that they share, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from silo_node.training.encode import TableExamples
from silo_node.training.evaluation import evaluate, evaluate_labels
from silo_node.training.loop import NotFinite, train
from silo_node.training.losses import make_loss
from wardround.study.model import Optimiser, Training

WIDTH, LABELS, RECORDS = 4, 3, 90
RATE = 0.3


def records(seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    inputs = random.normal(size=(RECORDS, WIDTH)).astype(np.float32)
    lines = random.normal(size=(WIDTH, LABELS))
    return inputs, (inputs @ lines + random.normal(size=(RECORDS, LABELS)) > 0).astype(np.float32)


def linear(weights: np.ndarray) -> nn.Linear:
    network = nn.Linear(WIDTH, weights.shape[0])
    with torch.no_grad():
        network.weight.copy_(torch.from_numpy(weights))
        network.bias.zero_()
    return network


def settings(rate: float) -> Training:
    return Training(optimiser=Optimiser(learning_rate=rate), local_epochs=5, batch_size=16)


def test_a_linear_network_learns_each_label_as_a_study_of_its_own_does():
    """The loss is a mean over labels, so that its step is a third of theirs: at three times the rate the weights are the same."""
    inputs, targets = records()
    start = np.random.default_rng(1).normal(size=(LABELS, WIDTH)).astype(np.float32)
    together = linear(start)
    train(together, TableExamples(inputs, targets), settings(LABELS * RATE), make_loss(settings(RATE), "labels"), 5)
    for at in range(LABELS):
        alone = linear(start[at : at + 1])
        train(alone, TableExamples(inputs, targets[:, at] > 0), settings(RATE), make_loss(settings(RATE), "binary"), 5)
        np.testing.assert_allclose(together.weight[at].detach(), alone.weight[0].detach(), rtol=2e-4, atol=2e-5)
        assert not np.allclose(together.weight[at].detach(), start[at], atol=0.05)


def test_a_label_that_no_record_has_is_left_as_it_was():
    """Its output learns nothing, and the others what they learn without it."""
    inputs, targets = records()
    targets[:, 1] = np.nan
    start = np.random.default_rng(1).normal(size=(LABELS, WIDTH)).astype(np.float32)
    network = linear(start)
    train(network, TableExamples(inputs, targets), settings(RATE), make_loss(settings(RATE), "labels"), 5)
    np.testing.assert_array_equal(network.weight[1].detach(), start[1])
    assert float(network.bias[1].detach()) == 0.0
    assert not np.allclose(network.weight[0].detach(), start[0], atol=0.05)


def test_counts_of_a_label_are_those_of_its_own_study():
    """To the bit, over the records of which it is known, however many are evaluated at once."""
    inputs, targets = records()
    targets[::7, 2] = np.nan
    network = linear(np.random.default_rng(2).normal(size=(LABELS, WIDTH)).astype(np.float32))
    found = evaluate_labels(network, TableExamples(inputs, targets))
    assert found.records == RECORDS
    for at, label in enumerate(found.labels):
        known = ~np.isnan(targets[:, at])
        alone = linear(network.weight[at : at + 1].detach().numpy())
        own = evaluate(alone, TableExamples(inputs[known], targets[known, at] > 0))
        assert (label.positives, label.negatives) == (own.positives, own.negatives)
        assert label.loss_units == pytest.approx(own.loss_units, rel=1e-6)


def test_scores_that_are_not_finite_are_no_counts():
    inputs, targets = records()
    with pytest.raises(NotFinite):
        evaluate_labels(linear(np.full((LABELS, WIDTH), np.inf, np.float32)), TableExamples(inputs, targets))

"""Plain torch loops: evaluate and train one binary classifier on one hospital's records."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from silo_node.training.checkpoint import Keeper, Start
from silo_node.training.encode import Examples
from silo_node.training.snapshot import put, take
from wardround.metrics.pooled import ScoreCounts, count_scores
from wardround.study.model import Optimiser, Training

EVALUATION_BATCH = 65_536
"""Records evaluated at once: bounds memory, changes no count."""


class NotFinite(Exception):
    """Weights, scores or losses are not finite."""


def evaluate(network: nn.Module, examples: Examples) -> ScoreCounts:
    """Count the scores of a network on some records.

    Raises:
        NotFinite: when a score is.
    """
    network.eval()
    logits, losses = [], []
    with torch.no_grad():
        for start in range(0, examples.size, EVALUATION_BATCH):
            inputs = torch.from_numpy(examples.inputs[start : start + EVALUATION_BATCH])
            labels = torch.from_numpy(examples.labels[start : start + EVALUATION_BATCH].astype(np.float32))
            scores = network(inputs).reshape(-1)
            logits.append(scores.numpy())
            losses.append(binary_cross_entropy_with_logits(scores, labels, reduction="none").numpy())
    all_logits, all_losses = np.concatenate(logits), np.concatenate(losses)
    if not (np.isfinite(all_logits).all() and np.isfinite(all_losses).all()):
        raise NotFinite
    return count_scores(all_logits, examples.labels, all_losses)


def make_optimiser(network: nn.Module, settings: Optimiser) -> torch.optim.Optimizer:
    """Make a fresh optimiser: its momenta begin at zero in every round."""
    if settings.name == "adam":
        return torch.optim.Adam(network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    return torch.optim.SGD(
        network.parameters(), lr=settings.learning_rate, momentum=settings.momentum, weight_decay=settings.weight_decay
    )


class Withdrawn(Exception):
    """The task is not wanted any more."""


class Watch:
    """How far a training is, and whether it is still wanted; read and written from two threads.

    Attributes:
        looked_after: called by a visit that finds the training under way.
    """

    def __init__(self) -> None:
        """Begin at epoch 0."""
        self.epoch = 0
        self.looked_after: Callable[[], None] = lambda: None
        self._done = 0
        self._all = 0
        self._withdrawn = threading.Event()

    @property
    def percent(self) -> int:
        """How much of the whole local training is done, 0 to 100, rounded down."""
        return 100 * self._done // self._all if self._all else 0

    def expect(self, batches: int, done: int) -> None:
        """Learn how many batches there are in all epochs together, and how many of them are done already."""
        self._all, self._done = batches, done

    def count(self) -> None:
        """Note that one more batch is done."""
        self._done += 1

    def withdraw(self) -> None:
        """Let the training end at its next batch."""
        self._withdrawn.set()

    def look(self) -> None:
        """End the training if it is not wanted any more.

        Raises:
            Withdrawn: if so.
        """
        if self._withdrawn.is_set():
            raise Withdrawn


def train(
    network: nn.Module,
    examples: Examples,
    settings: Training,
    seed: int,
    watch: Watch | None = None,
    keeper: Keeper | None = None,
) -> float:
    """Train a network in place for the study's local epochs; gives the mean loss of the last one.

    Every epoch visits every record once, in an order drawn from ``seed``; the last batch may be smaller. Dropout draws
    from the same seed. Torch's global generator is left as it was. With a ``keeper``, a training that was cut off goes
    on where it was kept, and ends with the bits with which it would have ended.

    Raises:
        NotFinite: when the loss is.
        Withdrawn: when ``watch`` says that the task is not wanted any more.
        Unfit: when the keeper's state is not one of this training.
    """
    watch = watch or Watch()
    inputs = torch.from_numpy(examples.inputs)
    labels = torch.from_numpy(examples.labels.astype(np.float32))
    batch_size = settings.batch_size or examples.size
    order = torch.Generator().manual_seed(seed)
    network.train()
    optimiser = make_optimiser(network, settings.optimiser)
    total = torch.zeros(())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        start = Start() if keeper is None else keeper.begin()
        if start.epoch:
            put(start.state, network, optimiser, order)
        batches = -(-examples.size // batch_size)
        watch.expect(batches * settings.local_epochs, batches * start.epoch)
        for epoch in range(start.epoch, settings.local_epochs):
            watch.epoch = epoch + 1
            total = torch.zeros(())
            permutation = torch.randperm(examples.size, generator=order)
            for batch in permutation.split(batch_size):
                watch.look()
                optimiser.zero_grad(set_to_none=True)
                loss = binary_cross_entropy_with_logits(network(inputs[batch]).reshape(-1), labels[batch])
                loss.backward()
                optimiser.step()
                total += loss.detach() * len(batch)
                watch.count()
            if keeper is not None and epoch + 1 < settings.local_epochs:  # after the last epoch comes the result itself
                keeper.boundary(epoch + 1, lambda: take(network, optimiser, order))
    mean = float(total) / examples.size
    if not np.isfinite(mean):
        raise NotFinite
    return mean

"""The plain torch loop: train a network on one hospital's examples, whatever they are made of.

A batch of the study's may be more than the machine's memory holds: then it is cut into pieces, whose gradients are
summed before the step is taken (gradient accumulation). Each piece weighs as many examples as it has, so the step is
that of the whole batch, but for the last bits of float32.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from silo_node.training.checkpoint import Keeper, Start
from silo_node.training.examples import Draw, Examples
from silo_node.training.execution import Execution
from silo_node.training.losses import Loss
from silo_node.training.memory import is_out_of_memory
from silo_node.training.snapshot import put, take
from wardround.study.model import Optimiser, Training


class NotFinite(Exception):
    """Weights, scores or losses are not finite."""


class TooManyAtOnce(Exception):
    """There was no memory for a batch as it is cut; no step was taken yet, but a checkpoint may have been put back."""


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
    loss: Loss,
    seed: int,
    watch: Watch | None = None,
    keeper: Keeper | None = None,
    execution: Execution | None = None,
) -> float:
    """Train a network in place for the study's local epochs; gives the mean loss of the last one.

    Every epoch visits every example once, in an order drawn from ``seed``; the last batch may be smaller. Dropout and
    augmentation draw from the same seed. Torch's global generator is left as it was. With a ``keeper``, a training that
    was cut off goes on where it was kept, and ends with the bits with which it would have ended.

    Args:
        network: on the execution's device.
        examples: what it learns from.
        settings: the study's.
        loss: the study's loss for what it predicts.
        seed: of this hospital's training in this round.
        watch: says whether the task is still wanted, and hears how far it is.
        keeper: keeps the state at the ends of epochs; its fingerprint is that of the execution.
        execution: where it is computed, and how many examples at once; on the processor in whole batches when not given.

    Raises:
        NotFinite: when the loss is.
        Withdrawn: when ``watch`` says that the task is not wanted any more.
        Unfit: when the keeper's state is not one of this training.
        TooManyAtOnce: when memory runs out before the first step.
    """
    watch, execution = watch or Watch(), execution or Execution()
    batch_size = settings.batch_size or examples.size
    order = torch.Generator().manual_seed(seed)
    network.train()
    optimiser = make_optimiser(network, settings.optimiser)
    total = torch.zeros((), device=execution.device)
    with torch.random.fork_rng(devices=execution.random_devices):
        torch.manual_seed(seed)
        start = Start() if keeper is None else keeper.begin()
        if start.epoch:
            put(start.state, network, optimiser, order, execution.device)
        batches = -(-examples.size // batch_size)
        watch.expect(batches * settings.local_epochs, batches * start.epoch)
        step = _Step(network, examples, settings, loss, optimiser, execution)
        for epoch in range(start.epoch, settings.local_epochs):
            watch.epoch = epoch + 1
            total = torch.zeros((), device=execution.device)
            draw = Draw(seed, epoch + 1)
            permutation = torch.randperm(examples.size, generator=order)
            for batch in permutation.split(batch_size):
                watch.look()
                total += step.take(batch, draw)
                watch.count()
            if keeper is not None and epoch + 1 < settings.local_epochs:  # after the last epoch comes the result itself
                keeper.boundary(epoch + 1, lambda: take(network, optimiser, order, execution.device))
    network.zero_grad(set_to_none=True)  # as large as the weights, and nobody's any more
    mean = float(total) / examples.size
    if not np.isfinite(mean):
        raise NotFinite
    return mean


class _Step:
    """The steps of one training."""

    def __init__(
        self,
        network: nn.Module,
        examples: Examples,
        settings: Training,
        loss: Loss,
        optimiser: torch.optim.Optimizer,
        execution: Execution,
    ) -> None:
        self._network = network
        self._examples = examples
        self._loss = loss
        self._optimiser = optimiser
        self._execution = execution
        self._precision = settings.precision
        self._first = True

    def take(self, batch: torch.Tensor, draw: Draw) -> torch.Tensor:
        """Take one step for a batch; gives its summed loss."""
        try:
            summed = self._gradient(batch, draw)
        except (MemoryError, RuntimeError) as error:
            if not self._first or not is_out_of_memory(error):
                raise
            self._optimiser.zero_grad(set_to_none=True)
            raise TooManyAtOnce from error
        self._optimiser.step()
        self._first = False
        return summed

    def _gradient(self, batch: torch.Tensor, draw: Draw) -> torch.Tensor:
        """Leave the gradient of the batch's mean loss in the network, piece by piece; gives the summed loss."""
        self._optimiser.zero_grad(set_to_none=True)
        at_once = self._execution.at_once(len(batch))
        if at_once == len(batch):  # the common case, without what cutting costs
            mean = self._mean(batch, draw)
            mean.backward()
            return mean.detach() * len(batch)
        summed = torch.zeros((), device=self._execution.device)
        for piece in batch.split(at_once):
            mean = self._mean(piece, draw)
            (mean * (len(piece) / len(batch))).backward()
            summed += mean.detach() * len(piece)
        return summed

    def _mean(self, piece: torch.Tensor, draw: Draw) -> torch.Tensor:
        inputs, targets = self._examples.batch(piece.numpy(), draw)
        with self._execution.computing(self._precision):
            logits = self._network(inputs.to(self._execution.device))
        return self._loss.mean(logits.float(), targets.to(self._execution.device))

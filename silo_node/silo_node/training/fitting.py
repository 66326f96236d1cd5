"""How many examples at once fit into the machine's memory, and how much is left for images that are kept in memory.

What one example and two take is measured, forward and backward, on the study's own network and inputs of the true shape;
the difference is what each further one takes. The measure is rough (allocators keep what was freed), so it is taken with
a reserve, the answer is the batch itself or a power of two, and a training that runs out of memory before its first step
begins again with half of it (``TooManyAtOnce``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import nn

from silo_node.training.execution import Execution, can_be_cut
from silo_node.training.losses import Loss
from silo_node.training.memory import available_bytes, begin_peak, give_back, is_out_of_memory, peak_bytes
from wardround.study.model import Optimiser, Training

RESERVE = 0.2
"""The share of what is available that is left for what the measure does not see."""
TRAINING_SHARE = 0.5
"""The share of the rest that examples computed at once may take; images that are kept have what is left. One always may."""
COPIES = 3
"""How often all weights lie in memory beside network, gradients and optimiser: before, after, and their difference."""

Sample: TypeAlias = Callable[[int], tuple[torch.Tensor, torch.Tensor]]
"""Gives so many made-up examples of the true shape."""


@dataclass(frozen=True)
class Cost:
    """What a pass forward and backward takes, in bytes.

    Attributes:
        fixed: whatever the number of examples: gradients, the optimiser's state, copies of the weights.
        each: for each example that is computed at once.
    """

    fixed: int
    each: int

    def of(self, examples: int) -> int:
        """Give what so many examples at once take."""
        return self.fixed + examples * self.each


@dataclass(frozen=True)
class Fitted:
    """How a training is carried out here, and how many bytes are left for images that are kept in memory (None: unknown)."""

    execution: Execution
    cache_bytes: int | None


def fit(
    network: nn.Module,
    sample: Sample,
    training: Training,
    loss: Loss,
    records: int,
    execution: Execution,
    limit: int | None,
    beside: int = 0,
) -> Fitted:
    """Fit the number of examples that are computed at once to the memory of this process.

    The network's weights and torch's global generator are left as they were. A network with a layer that counts over the
    whole batch is never cut: it fits whole, or the training ends as one without memory.

    Args:
        network: on the execution's device.
        sample: gives made-up examples.
        training: the study's.
        loss: the study's loss for what it predicts.
        records: the training examples here.
        execution: which device; how many at once is what is found out.
        limit: the process's memory limit.
        beside: bytes that are taken at times when no step is: while an example is prepared, or a whole image drawn on.

    Raises:
        MemoryError, RuntimeError: when not even one example fits.
    """
    whole, cut = min(training.batch_size or records, records), can_be_cut(network)
    give_back()
    room = room_bytes(execution.device, limit)
    if room is None:
        return Fitted(replace(execution, micro_batch=whole if cut else None), None)
    cost = measure(network, sample, training, loss, execution, least=1 if cut else 2)  # one is no batch to count over
    micro = choose(cost, whole, room) if cut else whole
    if cost.of(micro) > room:
        message = f"{micro} at once take {cost.of(micro)} bytes, and there are {room}"
        raise MemoryError(message)
    on_device = execution.device.type == "cuda"  # then the processor's memory is all for images
    left = (
        (room_bytes(torch.device("cpu"), limit) or 0) - beside if on_device else room - max(cost.of(micro), cost.fixed + beside)
    )
    return Fitted(replace(execution, micro_batch=micro if cut else None), max(left, 0))


def room_bytes(device: torch.device, limit: int | None) -> int | None:
    """Give what may be taken, less the reserve; None where nobody can tell."""
    available = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available_bytes(limit)
    return None if available is None else int(available * (1 - RESERVE))


def choose(cost: Cost, batch: int, room: int) -> int:
    """Choose how many at once: the whole batch, or the largest power of two below it that fits; one at the least."""
    share = int(room * TRAINING_SHARE)
    powers = (1 << power for power in range((batch - 1).bit_length() - 1, -1, -1))
    return next((micro for micro in (batch, *powers) if cost.of(micro) <= share), 1)


def measure(network: nn.Module, sample: Sample, training: Training, loss: Loss, execution: Execution, least: int = 1) -> Cost:
    """Measure what ``least`` examples and one more take.

    Where the system does not say what a process holds, what the layers keep for the way back is all that is known.
    """
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    try:
        kept, few = _pass(network, sample(least), training, loss, execution)
        more = _one_more(network, sample, least, few, training, loss, execution)
    finally:
        network.zero_grad(set_to_none=True)
        for name, buffer in network.named_buffers():
            buffer.copy_(buffers[name])
    weights = sum(weight.nbytes for weight in network.parameters())
    each = max(more - few, kept // least)
    return Cost(fixed=max(few - least * each, weights) + weights * (COPIES + _state(training.optimiser)), each=each)


def _one_more(
    network: nn.Module, sample: Sample, least: int, few: int, training: Training, loss: Loss, execution: Execution
) -> int:
    """Give what one more than ``least`` takes; where it does not fit, as much more as if nothing were fixed."""
    try:
        return _pass(network, sample(least + 1), training, loss, execution)[1]
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
    return few + -(-few // least)


def _state(optimiser: Optimiser) -> int:
    """Say how many numbers an optimiser keeps for each weight."""
    return 2 if optimiser.name == "adam" else int(optimiser.momentum > 0)


def _pass(
    network: nn.Module, examples: tuple[torch.Tensor, torch.Tensor], training: Training, loss: Loss, execution: Execution
) -> tuple[int, int]:
    """Go forward and backward once; gives the bytes that layers kept for the way back, and the growth of memory at its peak."""
    own = {weight.untyped_storage().data_ptr() for weight in network.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    inputs, targets = (tensor.to(execution.device) for tensor in examples)
    network.train()
    network.zero_grad(set_to_none=True)
    give_back()
    before = _begin_peak(execution.device)
    with (
        torch.random.fork_rng(devices=execution.random_devices),
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
    ):
        with execution.computing(training.precision):
            logits = network(inputs)
        loss.mean(logits.float(), targets).backward()
    grown = _peak(execution.device) - before + inputs.nbytes + targets.nbytes
    return sum(kept.values()), grown


def _begin_peak(device: torch.device) -> int:
    if device.type == "cpu":
        return begin_peak()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    return torch.cuda.memory_reserved(device)


def _peak(device: torch.device) -> int:
    return peak_bytes() if device.type == "cpu" else torch.cuda.max_memory_reserved(device)

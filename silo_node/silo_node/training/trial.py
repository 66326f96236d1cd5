"""A few steps of a study's optimiser on made-up records: how long one takes, and how much memory."""

from __future__ import annotations

import time
from functools import partial
from statistics import median

import torch
from torch import nn

from silo_node.training.execution import Execution
from silo_node.training.fitting import fit
from silo_node.training.loop import make_optimiser
from silo_node.training.losses import make_loss
from silo_node.training.made_up import SEED, made_up
from silo_node.training.memory import available_bytes, begin_peak, give_back, peak_bytes
from silo_node.work import Stepped
from wardround.messages.canary import MIB, MOST_ROWS
from wardround.models.build import build_network, write_weights
from wardround.study.bundle import Bundle
from wardround.study.inputs import shape_of

MOST_STEPS = 5
"""So many are measured at most; the first, which pays for what is done once, is not among them."""
LEAST_STEPS = 2
ENOUGH_NANOSECONDS = 10**9
"""When they take longer than this together, no further one is begun."""


def try_steps(bundle: Bundle, rows: int, limit_bytes: int | None, execution: Execution | None = None) -> Stepped:
    """Build the study's network, and train it for a few batches of numbers that are drawn from a fixed seed.

    Everything is built here and dropped at the end; torch's global generator is left as it was.

    Args:
        bundle: the study.
        rows: records in a batch, where the study does not say.
        limit_bytes: the process's memory limit.
        execution: where it is computed, and how many at once; on the processor in whole batches when not given.

    Raises:
        MemoryError, RuntimeError: when it does not fit into memory.
    """
    rows = min(bundle.study.training.batch_size or rows, MOST_ROWS)
    give_back()
    available = available_bytes(limit_bytes)
    before = begin_peak()
    took, held, at_once = _steps(bundle, rows, limit_bytes, execution or Execution())
    # allocators keep what was freed: the growth alone would be less in a process that did the same before
    needed = max(peak_bytes() - before, held)
    give_back()
    left = None if available is None else available // MIB
    return Stepped(rows, round(median(took) / 1000), -(-needed // MIB), left, at_once)


def _steps(bundle: Bundle, rows: int, limit_bytes: int | None, execution: Execution) -> tuple[list[int], int, int]:
    """Train for a few batches; gives the nanoseconds of each step after the first, the bytes of all tensors at the end, and how
    many examples were computed at once.
    """
    study, shape = bundle.study, shape_of(bundle.study, bundle.contract, bundle.imaging)
    sample = partial(made_up, shape=shape.taken(1)[1:], kind=study.target.kind, outputs=shape.outputs)
    loss = make_loss(study.training, study.target.kind)
    took: list[int] = []
    with torch.random.fork_rng(devices=execution.random_devices):
        torch.manual_seed(SEED)
        network = build_network(study.network, shape).to(execution.device)
        write_weights(network, bundle.weights, bundle.manifest)
        if bundle.imaging is not None:  # a training would cut its batches, too
            execution = fit(network, sample, study.training, loss, rows, execution, limit_bytes).execution
        at_once = execution.at_once(rows)
        inputs, targets = (tensor.to(execution.device) for tensor in sample(at_once))
        network.train()
        optimiser = make_optimiser(network, study.training.optimiser)
        while len(took) <= MOST_STEPS and (len(took) < LEAST_STEPS or sum(took) < ENOUGH_NANOSECONDS):
            begun = time.perf_counter_ns()
            optimiser.zero_grad(set_to_none=True)
            for _ in range(-(-rows // at_once)):
                with execution.computing(study.training.precision):
                    logits = network(inputs)
                loss.mean(logits.float(), targets).backward()
            optimiser.step()
            if execution.device.type == "cuda":
                torch.cuda.synchronize(execution.device)
            took.append(time.perf_counter_ns() - begun)
    return took[1:], inputs.nbytes + _held(network, optimiser), at_once


def _held(network: nn.Module, optimiser: torch.optim.Optimizer) -> int:
    """Count the bytes of weights, gradients and the optimiser's state."""
    weights = list(network.parameters())
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    state = [each for of_one in optimiser.state.values() for each in of_one.values() if isinstance(each, torch.Tensor)]
    return sum(tensor.nbytes for tensor in (*weights, *network.buffers(), *gradients, *state))

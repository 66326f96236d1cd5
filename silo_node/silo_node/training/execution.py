"""How a training is carried out on this machine: on which device, and how many examples at once.

None of it is the study's. It decides bits all the same, and so it is part of the execution fingerprint.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import torch
from torch import nn

from silo_node.configuration import DeviceName
from wardround.errors import refuse
from wardround.study.model import Precision

CPU = torch.device("cpu")
WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
"""cuBLAS sums in one order only with a workspace of a fixed size (cuBLAS, *Results reproducibility*)."""


@dataclass(frozen=True)
class Execution:
    """How a training is carried out.

    Attributes:
        device: where it is computed.
        micro_batch: how many examples at once, at most; a batch of the study's is cut into such pieces, and its step is
            taken with the gradient of all of them. None: batches are never cut.
    """

    device: torch.device = CPU
    micro_batch: int | None = None

    def at_once(self, batch_size: int) -> int:
        """Give how many examples of a batch are computed at once."""
        return batch_size if self.micro_batch is None else min(self.micro_batch, batch_size)

    def halved(self, batch_size: int) -> Execution | None:
        """Give the same with half as many examples at once; None where there is no less."""
        now = self.at_once(batch_size)
        return None if self.micro_batch is None or now == 1 else replace(self, micro_batch=now // 2)

    @property
    def random_devices(self) -> list[torch.device]:
        """The devices that have a random state beside the processor's."""
        return [] if self.device.type == "cpu" else [self.device]

    def computing(self, precision: Precision) -> AbstractContextManager[object]:
        """Give the context in which a network is computed."""
        if precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)


def choose_device(setting: DeviceName) -> torch.device:
    """Choose the device, and have torch compute the same bits again on it wherever it can.

    Raises:
        Refused: M-DEVICE when a GPU is asked for, and torch finds none.
    """
    there = setting != "cpu" and torch.cuda.is_available()
    if setting == "cuda" and not there:
        raise refuse(
            "M-DEVICE",
            "resources.device",
            "The device that the site file names is there",
            "cuda is named, and torch finds no GPU that it can use",
            "set auto or cpu, or install the driver and the build of torch for this GPU",
        )
    if not there:
        return CPU
    os.environ.setdefault(WORKSPACE, ":4096:8")
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    # a few layers (interpolation of volumes) have no such kernel on a GPU: they are computed all the same
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    return torch.device("cuda", 0)


def can_be_cut(network: nn.Module) -> bool:
    """Say whether a batch may be cut into pieces: not where a layer counts over the whole batch."""
    return not any(
        isinstance(layer, nn.modules.batchnorm._BatchNorm)  # noqa: SLF001  (the base of all of them has no public name)
        or (isinstance(layer, nn.modules.instancenorm._InstanceNorm) and layer.track_running_stats)  # noqa: SLF001
        for layer in network.modules()
    )

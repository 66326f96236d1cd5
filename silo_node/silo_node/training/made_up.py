"""Made-up examples of the shape that a study's network takes: for canaries, and to measure what memory a step needs."""

from __future__ import annotations

import numpy as np
import torch

from wardround.study.model import TargetKind

SEED = 0


def made_up(count: int, shape: tuple[int, ...], kind: TargetKind, outputs: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Give inputs ``(count, *shape)``, drawn from a fixed seed, and targets in which every class is there, if there is room.

    Args:
        count: how many.
        shape: of one input: the columns of a table; or channels, then the pixels or voxels that the network sees at once.
        kind: what is predicted.
        outputs: classes, of a target with several; or labels.
    """
    inputs = torch.from_numpy(np.random.default_rng(SEED).standard_normal((count, *shape), dtype=np.float32))
    if kind == "binary":
        return inputs, (torch.arange(count) % 2).to(torch.float32)
    if kind == "labels":
        return inputs, ((torch.arange(count)[:, None] + torch.arange(outputs)) % 2).to(torch.float32)
    if kind == "number":
        return inputs, torch.linspace(-1.0, 1.0, count)
    if kind == "classes":
        return inputs, torch.arange(count) % outputs
    window = (count, *shape[1:])
    return inputs, (torch.arange(int(np.prod(window))) % outputs).reshape(window)

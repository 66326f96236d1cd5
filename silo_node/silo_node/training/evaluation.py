"""What a network is worth on some examples, as counts that can be summed over hospitals.

Evaluation draws nothing, and is in float32 whatever training was in: what is measured is what is released. How classes and
masks are counted is not decided here. Scores are counted with their cross-entropy, whatever loss the study trains with.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from silo_node.training.examples import DenseExamples, Examples
from silo_node.training.execution import CPU, Execution
from silo_node.training.loop import NotFinite
from silo_node.training.losses import Loss, known_terms, score_loss
from wardround.metrics.pooled import LabelCounts, NumberCounts, ScoreCounts, count_labels, count_numbers, count_scores
from wardround.models.from_monai import SlidingWindowInferer

EVALUATION_BATCH = 65_536
"""Records evaluated at once: bounds memory, changes no count."""

Counts = TypeVar("Counts")
Counts_co = TypeVar("Counts_co", covariant=True)


class CountClasses(Protocol[Counts_co]):
    """How the scores of several classes are counted."""

    def __call__(self, logits: NDArray[np.float32], labels: NDArray[np.int64], losses: NDArray[np.float32], /) -> Counts_co:
        """Count some examples: logits ``(n, classes)``, labels and losses ``(n,)``."""
        ...


@dataclass(frozen=True)
class Window:
    """How a whole image is gone over.

    Attributes:
        size: what the network sees at once, in pixels or voxels.
        overlap: which share of it two neighbours share; where windows overlap, the middle of each weighs more.
    """

    size: tuple[int, ...]
    overlap: float = 0.25


@dataclass(frozen=True)
class DrawnMask:
    """What a network drew on one whole image.

    Attributes:
        predicted, truth: label maps, ``(*spatial)``.
        spacing: mm between pixels or voxels, one number for each axis.
        loss: the study's, of the whole image.
    """

    predicted: NDArray[np.int64]
    truth: NDArray[np.int64]
    spacing: tuple[float, ...]
    loss: float


@dataclass(frozen=True)
class _Scored:
    """Logits ``(n, outputs)``, targets ``(n,)``, of several labels ``(n, outputs)``, and losses ``(n,)`` of all examples."""

    logits: NDArray[np.float32]
    targets: NDArray[np.generic]
    losses: NDArray[np.float32]


def evaluate(network: nn.Module, examples: Examples, execution: Execution | None = None) -> ScoreCounts:
    """Count the scores of a network that tells one positive class from all else.

    Raises:
        NotFinite: when a score is not.
    """
    scored = _score(network, examples, score_loss("binary"), execution or Execution())
    return count_scores(scored.logits.reshape(-1), scored.targets.astype(np.bool_), scored.losses)


def evaluate_classes(
    network: nn.Module, examples: Examples, count: CountClasses[Counts], execution: Execution | None = None
) -> Counts:
    """Count the scores of a network that tells several classes from each other.

    Raises:
        NotFinite: when a score is not.
    """
    scored = _score(network, examples, score_loss("classes"), execution or Execution())
    return count(scored.logits, scored.targets.astype(np.int64), scored.losses)


def evaluate_labels(network: nn.Module, examples: Examples, execution: Execution | None = None) -> LabelCounts:
    """Count the scores of a network that says of several labels whether each holds, label by label.

    Raises:
        NotFinite: when a score is not.
    """
    scored = _score(network, examples, score_loss("labels"), execution or Execution())
    targets = scored.targets.astype(np.float32)
    losses = known_terms(torch.from_numpy(scored.logits), torch.from_numpy(targets)).numpy()
    return count_labels(scored.logits, targets, losses)


def evaluate_number(network: nn.Module, examples: Examples, execution: Execution | None = None) -> NumberCounts:
    """Count the errors of a network that predicts a number.

    Raises:
        NotFinite: when a prediction is not.
    """
    scored = _score(network, examples, score_loss("number"), execution or Execution())
    return count_numbers(scored.logits.reshape(-1), scored.targets.astype(np.float32))


def draw_masks(
    network: nn.Module, examples: DenseExamples, window: Window, loss: Loss, execution: Execution | None = None
) -> Iterator[DrawnMask]:
    """Draw masks on whole images, one image at a time, for the caller to count: the class with the largest logit wins.

    Raises:
        NotFinite: when a logit or a loss is not.
    """
    execution = execution or Execution()
    over_all = SlidingWindowInferer(
        roi_size=window.size,
        sw_batch_size=execution.micro_batch or 1,
        overlap=window.overlap,
        mode="gaussian",
        sw_device=execution.device,
        device=CPU,  # a whole image's logits need not fit beside the network
    )
    network.eval()
    for index in range(examples.size):
        image, truth = examples.whole(index)
        with torch.no_grad():
            logits = over_all(image.unsqueeze(0), network)
            each = float(loss.each(logits, truth.unsqueeze(0)))
        if not (np.isfinite(each) and torch.isfinite(logits).all()):
            raise NotFinite
        yield DrawnMask(logits[0].argmax(0).numpy(), truth.numpy(), examples.spacing(index), each)


def _score(network: nn.Module, examples: Examples, loss: Loss, execution: Execution) -> _Scored:
    network.eval()
    parts: list[tuple[NDArray[np.float32], NDArray[np.generic], NDArray[np.float32]]] = []
    with torch.no_grad():
        for indexes in _pieces(examples.size, execution.at_once(EVALUATION_BATCH)):
            inputs, targets = examples.batch(indexes, None)
            logits = network(inputs.to(execution.device)).cpu()
            parts.append((logits.numpy(), targets.numpy(), loss.each(logits, targets).numpy()))
    scored = _Scored(*(np.concatenate(each) for each in zip(*parts, strict=True)))
    if not (np.isfinite(scored.logits).all() and np.isfinite(scored.losses).all()):
        raise NotFinite
    return scored


def _pieces(size: int, at_once: int) -> Iterable[NDArray[np.int64]]:
    return (np.arange(start, min(start + at_once, size)) for start in range(0, size, at_once))

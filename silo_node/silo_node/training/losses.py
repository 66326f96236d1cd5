"""The allow-listed losses, each a mean over examples.

So the gradient of a batch is the weighted mean of the gradients of its pieces, however it is cut. Where a loss has many
terms for an example (pixels, classes, labels), the example's own is their mean. Dice losses are of one image each, never of a
batch (``batch=False``). What is predicted are logits, ``(n, 1)`` or ``(n, classes)`` or ``(n, classes, *window)``; for
targets see ``silo_node.training.examples``. A number is predicted on the scale of its range, ``(n, 1)``.
Of several labels, one that is not known of an example has no term, and the others weigh what they weigh where all are known.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal, TypeAlias, final

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

from wardround.models.from_monai import losses as monai
from wardround.study.model import Loss as Name
from wardround.study.model import TargetKind, Training

FOCAL_GAMMA = 2.0
"""Lin et al., *Focal loss for dense object detection* (2017): what worked best."""

GENERALISED_SMOOTHING = 1e-8
"""What keeps generalised Dice from dividing by zero: small beside a class's weight in a volume, as MONAI's 1e-5 is not."""

Terms: TypeAlias = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Loss(ABC):
    """A loss: of each example, and the mean over some."""

    @abstractmethod
    def each(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Give each example's loss, ``(n,)``."""

    @abstractmethod
    def mean(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Give the mean over the examples, ``()``."""


@final
class BinaryCrossEntropy(Loss):
    """Cross-entropy of one logit; its mean is torch's own, whose gradient has other last bits than that of a mean of terms."""

    def each(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Give each example's loss, ``(n,)``."""
        return binary_cross_entropy_with_logits(logits.reshape(-1), targets, reduction="none")

    def mean(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Give the mean over the examples, ``()``."""
        return binary_cross_entropy_with_logits(logits.reshape(-1), targets)


@final
class MeanOfTerms(Loss):
    """A loss by its terms, ``(n, ...)``: an example's loss is the mean of its own."""

    def __init__(self, terms: Terms) -> None:
        """Take what gives the terms."""
        self._terms = terms

    def each(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Give each example's loss, ``(n,)``."""
        return self._terms(logits, targets).flatten(1).mean(1)

    def mean(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Give the mean over the examples, ``()``."""
        return self.each(logits, targets).mean()


def make_loss(training: Training, kind: TargetKind) -> Loss:
    """Make the loss of a study for what it predicts (which fits which: ``wardround.study.losses``)."""
    if training.loss == "binary_cross_entropy":
        return BinaryCrossEntropy() if kind == "binary" else _OF_LABELS
    if training.loss == "focal":
        return _focal(FOCAL_GAMMA if training.focal_gamma is None else training.focal_gamma, kind)
    return MeanOfTerms(_TERMS[training.loss])


def score_loss(kind: Literal["binary", "classes", "labels", "number"]) -> Loss:
    """Give the loss by which evaluation counts scores, whatever training made small: cross-entropy, which minds calibration.

    Of a number the squared error, by which it was trained.
    """
    if kind == "number":
        return _SQUARED
    if kind == "labels":
        return _OF_LABELS
    return BinaryCrossEntropy() if kind == "binary" else _CROSS_ENTROPY


def _cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return cross_entropy(logits, targets, reduction="none").unsqueeze(1)


def _squared(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return mse_loss(outputs, targets.reshape(-1, 1), reduction="none")


def known_terms(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Give the binary cross-entropy of each label, ``(n, labels)``; zero where the label, NaN then, is not known."""
    return _known(targets, lambda certain: binary_cross_entropy_with_logits(logits, certain, reduction="none"))


def _known(targets: torch.Tensor, terms: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """Give the terms of labels that are known; the others take no part in value or gradient."""
    unknown = torch.isnan(targets)
    return terms(targets.masked_fill(unknown, 0.0)).masked_fill(unknown, 0.0)


def _focal(gamma: float, kind: TargetKind) -> Loss:
    if kind == "binary":
        of_one = monai.FocalLoss(gamma=gamma, reduction="none")
        return MeanOfTerms(lambda logits, targets: of_one(logits.reshape(-1, 1), targets.reshape(-1, 1)))
    if kind == "labels":
        of_each = monai.FocalLoss(gamma=gamma, reduction="none")
        return MeanOfTerms(lambda logits, targets: _known(targets, lambda certain: of_each(logits, certain)))
    of_classes = monai.FocalLoss(gamma=gamma, reduction="none", use_softmax=True)
    # the terms of the other classes are zero: the sum over classes is the term of the pixel
    return MeanOfTerms(lambda logits, targets: of_classes(logits, _channels(targets, logits)).sum(1, keepdim=True))


def _channels(targets: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Give a map of classes as one channel of zeros and ones for each class, ``(n, classes, *window)``."""
    return torch.zeros_like(logits).scatter_(1, targets.unsqueeze(1), 1.0)


def _of_channels(make: Callable[..., Terms]) -> Terms:
    """Give a loss of MONAI's over all classes but the background, term by term."""
    loss = make(include_background=False, softmax=True, reduction="none")
    return lambda logits, targets: loss(logits, _channels(targets, logits))


_CROSS_ENTROPY, _DICE = MeanOfTerms(_cross_entropy), _of_channels(monai.DiceLoss)


def _dice_cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Give the sum of both of each example (Isensee et al., *nnU-Net*, 2021), ``(n, 1)``."""
    dice, crossed = _DICE(logits, targets), _cross_entropy(logits, targets)
    return dice.flatten(1).mean(1, keepdim=True) + crossed.flatten(1).mean(1, keepdim=True)


_GENERALISED = monai.GeneralizedDiceLoss(
    softmax=True, reduction="none", smooth_nr=GENERALISED_SMOOTHING, smooth_dr=GENERALISED_SMOOTHING
)


def _generalised_dice(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Weigh each class, the background too, by the inverse square of its size in the image (Sudre et al., 2017), ``(n, 1)``."""
    whole: torch.Tensor = _GENERALISED(logits, _channels(targets, logits))
    return whole.flatten(1)


_SQUARED, _OF_LABELS = MeanOfTerms(_squared), MeanOfTerms(known_terms)
_TERMS: dict[Name, Terms] = {
    "cross_entropy": _cross_entropy,
    "dice": _DICE,
    "dice_cross_entropy": _dice_cross_entropy,
    "generalised_dice": _generalised_dice,
    "mse": _squared,
}

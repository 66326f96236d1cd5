"""The counts by which a study judges a network, of whichever kind its target has."""

from __future__ import annotations

from typing import cast

from torch import nn

from silo_node.training.evaluation import Window, draw_masks, evaluate, evaluate_classes, evaluate_labels, evaluate_number
from silo_node.training.examples import DenseExamples, Examples
from silo_node.training.execution import Execution
from silo_node.training.losses import make_loss
from wardround.errors import Broken
from wardround.metrics.pooled import Counts, count_classes, pool
from wardround.study.model import Study


def count(study: Study, network: nn.Module, examples: Examples, execution: Execution | None = None) -> Counts:
    """Evaluate a network on some examples of a study; there is one at least.

    Raises:
        NotFinite: when a score or loss is not.
    """
    match study.target.kind:
        case "binary":
            return evaluate(network, examples, execution)
        case "classes":
            return evaluate_classes(network, examples, count_classes, execution)
        case "labels":
            return evaluate_labels(network, examples, execution)
        case "number":
            return evaluate_number(network, examples, execution)
        case "mask":
            return _count_masks(study, network, cast("DenseExamples", examples), execution)


def _count_masks(study: Study, network: nn.Module, examples: DenseExamples, execution: Execution | None) -> Counts:
    from silo_node.imaging.overlaps import count_overlaps  # noqa: PLC0415  (SciPy, only where there are masks)

    if study.images is None:
        msg = "masks are of images"
        raise Broken(msg)
    window, loss = Window(study.images.window, study.images.overlap), make_loss(study.training, "mask")
    classes = len(study.target.mask)
    drawn = draw_masks(network, examples, window, loss, execution)
    return pool(count_overlaps(each.predicted, each.truth, each.spacing, classes, each.loss) for each in drawn)

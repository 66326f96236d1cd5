"""What the network of a study takes and gives; it follows from the study and its contracts alone."""

from __future__ import annotations

from wardround.contract.imaging import ImagingContract
from wardround.contract.model import Contract
from wardround.study.encoding import classes_of, input_width
from wardround.study.model import Study
from wardround.study.shape import Shape


def shape_of(study: Study, contract: Contract, imaging: ImagingContract | None) -> Shape:
    """Give the shape of a study's network; of features and targets that the contract does not have, nothing is counted."""
    outputs = _outputs(study, contract)
    if study.images is None or imaging is None:
        known = tuple(name for name in study.features if name in contract.names)
        return Shape.of_table(max(1, input_width(contract, known)), outputs)
    return Shape(
        dimensions=imaging.geometry.dimensions,
        inputs=study.images.channels,
        outputs=outputs,
        window=study.images.window,
        dense=study.target.kind == "mask",
    )


def _outputs(study: Study, contract: Contract) -> int:
    """Count the scores: one of two sides, one for each class or label, one for each class of masks and the background."""
    if study.target.kind == "mask":
        return 1 + len(study.target.mask)
    if study.target.labels:
        return len(study.target.labels)
    return max(1, len(classes_of(study, contract)))

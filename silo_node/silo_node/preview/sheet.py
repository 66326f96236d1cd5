"""What stands on the contact sheet: some prepared examples, what augmentation makes of them, and what is set aside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from silo_node.cohort import Cohort
from silo_node.imaging import rules
from silo_node.imaging.dataset import ImageExamples
from silo_node.imaging.preparable import UNPREPARABLE
from silo_node.imaging.records import changed
from silo_node.preview.drawing import colour_of, middle, picture, upright
from silo_node.training.examples import Draw, UnfitExampleError, UnpreparedExampleError
from silo_node.training.study_examples import Part, image_examples
from wardround.study.bundle import Bundle
from wardround.study.encoding import encoding_by
from wardround.study.transforms import Orientation

VARIATIONS: Final = 3
"""Pictures of what augmentation makes of an example."""

SEED: Final = 0
"""Of those: training draws from the study's seed, the hospital's name, the round and the epoch."""

UNKNOWN: Final = "not known"
"""Of several labels, one that a record lacks."""

MOST_CACHED: Final = 0
"""Bytes of prepared images that are kept: each is looked at once."""


@dataclass(frozen=True)
class Shown:
    """One example.

    Attributes:
        number: its place in the training records' canonical order, from 1.
        label: what is to be predicted, in words; empty where it is a mask.
        size: of the prepared image, in pixels or voxels.
        spacing: between them, in mm; empty where that is not known.
        at: number of the slice that is shown, from 1; None of a plane image.
        prepared: a data URI.
        varied: data URIs of what training may see of it.
    """

    number: int
    label: str
    size: tuple[int, ...]
    spacing: tuple[float, ...]
    at: int | None
    prepared: str
    varied: tuple[str, ...]


@dataclass(frozen=True)
class Aside:
    """Images that are set aside by one code: how many, and what should hold."""

    code: str
    images: int
    rule: str
    next_step: str


@dataclass(frozen=True)
class Legend:
    """A class of masks, and its colour for CSS."""

    name: str
    colour: str


@dataclass(frozen=True)
class Sheet:
    """A contact sheet."""

    train: int
    validation: int
    test: int
    shown: tuple[Shown, ...]
    aside: tuple[Aside, ...]
    legend: tuple[Legend, ...]


def make_sheet(bundle: Bundle, cohort: Cohort, most: int) -> Sheet:
    """Prepare some training examples as training will, and look at them.

    Args:
        bundle: a study of images.
        cohort: its records here, with their images.
        most: how many are shown, evenly over the training records.

    Raises:
        ValueError: the study reads no images.
        Refused: D-FOLDER when an image is not what it was when it was looked at.
    """
    images, imaging = cohort.images, bundle.imaging
    if images is None or imaging is None:
        msg = "a contact sheet is of images"
        raise ValueError(msg)
    encoding = encoding_by(bundle.contract, bundle.study, {})
    examples = image_examples(bundle, [Part(cohort.train, images)], encoding, MOST_CACHED)
    count = min(most, examples.size)
    chosen = np.unique(np.linspace(0, examples.size - 1, count).round().astype(np.int64)) if count else np.empty(0, np.int64)
    shown: list[Shown] = []
    counts = Counter(code for codes in images.keyed.aside.values() for code in codes)
    for index in chosen:
        try:
            shown.append(_shown(bundle, cohort, examples, int(index)))
        except UnpreparedExampleError:
            counts[UNPREPARABLE] += 1
        except UnfitExampleError:
            raise changed() from None
    aside = [Aside(code, number, rules.rule(code, imaging), rules.NEXT[code]) for code, number in counts.most_common()]
    return Sheet(
        train=cohort.train.height,
        validation=cohort.validation.height,
        test=cohort.test.height,
        shown=tuple(shown),
        aside=tuple(aside),
        legend=tuple(
            Legend(name, "#{:02x}{:02x}{:02x}".format(*colour_of(number)))
            for number, name in enumerate(bundle.study.target.mask, 1)
        ),
    )


def _shown(bundle: Bundle, cohort: Cohort, examples: ImageExamples, index: int) -> Shown:
    target = bundle.study.target
    if target.mask:
        whole, truth = examples.whole(index)
        image, mask = whole.numpy(), truth.numpy()
    else:
        image, mask = examples.batch(np.array([index]), None)[0][0].numpy(), None
    plane, outline, at = middle(image, mask)
    codes = _axcodes(bundle)
    varied: Sequence[str] = ()
    if bundle.study.images is not None and bundle.study.images.augmentation:
        varied = [_varied(examples, index, epoch, codes, dense=bool(target.mask)) for epoch in range(1, VARIATIONS + 1)]
    held = [(name, cohort.train[name][index]) for name in target.fields]
    label = ", ".join(str(value) if target.field else f"{name}: {UNKNOWN if value is None else value}" for name, value in held)
    return Shown(
        number=index + 1,
        label=label,
        size=image.shape[1:],
        spacing=examples.spacing(index),
        at=None if at is None else at + 1,
        prepared=_picture(plane, outline, codes),
        varied=tuple(varied),
    )


def _axcodes(bundle: Bundle) -> str:
    """Say where the axes of prepared volumes lead; nothing of plane images."""
    images = bundle.study.images
    found = [each.axcodes for each in images.preparation if isinstance(each, Orientation)] if images is not None else []
    return found[-1] if found else ""


def _picture(plane: NDArray[np.float32], mask: NDArray[np.int64] | None, axcodes: str) -> str:
    return picture(upright(plane, axcodes), None if mask is None else upright(mask, axcodes))


def _varied(examples: ImageExamples, index: int, epoch: int, axcodes: str, *, dense: bool) -> str:
    inputs, targets = examples.batch(np.array([index]), Draw(SEED, epoch))
    plane, outline, _ = middle(inputs[0].numpy(), targets[0].numpy() if dense else None)
    return _picture(plane, outline, axcodes)

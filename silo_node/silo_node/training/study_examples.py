"""What a study trains and is evaluated on: some records as examples, by their own numbers or by their images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from silo_node.training.encode import encode, labels_of
from silo_node.training.examples import Examples
from wardround.errors import Broken
from wardround.study.bundle import Bundle
from wardround.study.encoding import Encoding

if TYPE_CHECKING:
    from silo_node.imaging.dataset import ImageExamples
    from silo_node.imaging.records import ImageSet


@dataclass(frozen=True)
class Part:
    """Some records of a hospital, in canonical order, and its images where the study reads some."""

    records: pl.DataFrame
    images: ImageSet | None = None


def study_examples(bundle: Bundle, parts: Sequence[Part], encoding: Encoding, cache_bytes: int = 0) -> Examples:
    """Give records of a study as examples, one part after the other.

    Args:
        bundle: the study.
        parts: of one hospital; of several where all are at hand.
        encoding: how records become numbers.
        cache_bytes: how much memory prepared images may take.
    """
    if bundle.imaging is not None:
        return image_examples(bundle, parts, encoding, cache_bytes)
    return encode(pl.concat([part.records for part in parts]), encoding)


def image_examples(bundle: Bundle, parts: Sequence[Part], encoding: Encoding, cache_bytes: int) -> ImageExamples:
    """Give the images of records with what is to be predicted of each; none is read before it is asked for."""
    from silo_node.imaging.dataset import ImageExamples  # noqa: PLC0415  (pydicom, only where images are read)

    study, imaging = bundle.study, bundle.imaging
    sets = [(part.images, part.records) for part in parts if part.images is not None]
    if study.images is None or imaging is None or len(sets) < len(parts):
        msg = "a study that reads no images has none"
        raise Broken(msg)
    loaders = [loader for images, records in sets for loader in images.loaders(records)]
    labels = None if study.target.mask else labels_of(pl.concat([records for _, records in sets]), encoding)
    return ImageExamples(
        lambda index: loaders[index](),
        len(loaders),
        study.images,
        imaging.geometry.dimensions,
        labels=labels,
        cache_bytes=cache_bytes,
    )

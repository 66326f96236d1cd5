"""What a study trains and is evaluated on: some records as examples, by their own numbers or by their images."""

from __future__ import annotations

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


def study_examples(
    bundle: Bundle, records: pl.DataFrame, encoding: Encoding, images: ImageSet | None, cache_bytes: int = 0
) -> Examples:
    """Give records of a study as examples.

    Args:
        bundle: the study.
        records: in canonical order.
        encoding: how records become numbers.
        images: of the hospital's records; None where the study reads none.
        cache_bytes: how much memory prepared images may take.
    """
    return encode(records, encoding) if images is None else image_examples(bundle, records, encoding, images, cache_bytes)


def image_examples(
    bundle: Bundle, records: pl.DataFrame, encoding: Encoding, images: ImageSet, cache_bytes: int
) -> ImageExamples:
    """Give the images of records with what is to be predicted of each; none is read before it is asked for."""
    from silo_node.imaging.dataset import ImageExamples  # noqa: PLC0415  (pydicom, only where images are read)

    study, imaging = bundle.study, bundle.imaging
    if study.images is None or imaging is None:
        msg = "a study that reads no images has none"
        raise Broken(msg)
    loaders = images.loaders(records)
    return ImageExamples(
        lambda index: loaders[index](),
        len(loaders),
        study.images,
        imaging.geometry.dimensions,
        labels=None if study.target.mask else labels_of(records, encoding),
        cache_bytes=cache_bytes,
    )

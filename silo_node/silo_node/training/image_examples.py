"""The images of some records as examples of training."""

from __future__ import annotations

import polars as pl

from silo_node.imaging.dataset import ImageExamples
from silo_node.imaging.records import ImageSet
from silo_node.training.encode import labels_of
from wardround.errors import Broken
from wardround.study.bundle import Bundle
from wardround.study.encoding import encoding_by


def image_examples(bundle: Bundle, records: pl.DataFrame, images: ImageSet, cache_bytes: int) -> ImageExamples:
    """Give the images of records with what is to be predicted of each; none is read before it is asked for.

    Args:
        bundle: a study of images.
        records: of it, in canonical order.
        images: of the hospital's records.
        cache_bytes: how much memory prepared images may take.
    """
    study, imaging = bundle.study, bundle.imaging
    if study.images is None or imaging is None:
        msg = "a study that reads no images has none"
        raise Broken(msg)
    loaders = images.loaders(records)
    labels = None if study.target.mask else labels_of(records, encoding_by(bundle.contract, study, {}))
    return ImageExamples(
        lambda index: loaders[index](),
        len(loaders),
        study.images,
        imaging.geometry.dimensions,
        labels=labels,
        cache_bytes=cache_bytes,
    )

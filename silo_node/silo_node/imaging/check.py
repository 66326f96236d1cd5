"""A folder of images held against a contract: indexed, judged, and some of its pixels decoded.

site.yaml ──> folder ──index──> indexes/NAME.sqlite ──judge──> examples ──trial of pixels──> report
"""

from __future__ import annotations

import fcntl
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

from silo_node.configuration import Site
from silo_node.dicom.basic_profile import profile
from silo_node.dicom.decoding import faults
from silo_node.dicom.index import Index
from silo_node.dicom.instance import Instance
from silo_node.dicom.judge import Rules
from silo_node.dicom.pixels import trouble
from silo_node.imaging.asked import Asked
from silo_node.imaging.folders import image_folder, unreadable
from silo_node.imaging.judge import Judgement, judge
from silo_node.imaging.masks import name_problems, with_masks
from silo_node.imaging.report import Report, Tried, make_report
from silo_node.source_settings import DicomSource
from wardround.contract.imaging import ImagingContract
from wardround.errors import raise_all, refuse

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with what is done, how many are, and how many there are to do."""


@dataclass(frozen=True)
class Looked:
    """A folder that was held against a contract.

    Attributes:
        source: its key in the site file.
        folder: where it is.
        judgement: every file and example.
        skipped: links and the like, which are no files and were not followed.
        tried: of the images of the contract's kind.
    """

    source: str
    folder: Path
    judgement: Judgement
    skipped: int
    tried: Tried


def check(site: Site, contract: ImagingContract, asked: Asked, progress: Progress = lambda _what, _done, _all: None) -> Report:
    """Check the folder that the site file names for a contract.

    Raises:
        Refused: M-SCHEMA, M-IMAGES, D-FOLDER, X-USAGE.
    """
    looked = look(site, contract, asked, progress)
    return make_report(contract, looked.source, looked.judgement, looked.skipped, looked.tried, asked.max_fraction)


def look(site: Site, contract: ImagingContract, asked: Asked, progress: Progress = lambda _what, _done, _all: None) -> Looked:
    """Index the folder that the site file names for a contract, judge what is in it, and decode pixels, without a report.

    Raises:
        Refused: as ``check``.
    """
    source, folder = image_folder(site, contract)
    with _alone(site, source):
        database = site.directory("indexes") / f"{source}.sqlite"
        if asked.anew:
            database.unlink(missing_ok=True)
        try:
            index = Index(database, folder, _rules(site, contract))
            changes = index.update(_cores(), lambda done, of: progress("headers", done, of))
        except OSError as error:
            raise unreadable(site, source, error) from None
        judgement = judge(index.entries(), contract)
        if contract.label.format == "dicom-seg":
            judgement = _with_masks(site, source, folder, index, judgement, contract, progress)
    images = [image for example in judgement.examples for image in example.stack.slices if trouble(image) is None]
    sample = images if asked.pixels else one_of_each(images)
    found = faults(folder, sample, lambda done: progress("pixels", done, len(sample)))
    return Looked(source, folder, judgement.without(found), changes.skipped, Tried(len(sample), len(images)))


def _with_masks(
    site: Site,
    source: str,
    folder: Path,
    index: Index,
    judgement: Judgement,
    contract: ImagingContract,
    progress: Progress,
) -> Judgement:
    settings = site.file.sources[source]
    names = settings.segments if isinstance(settings, DicomSource) else {}
    raise_all(name_problems(names, contract, site.document.place(("sources", source, "segments"))))
    known = index.instances()
    told = partial(progress, "masks")
    return with_masks(judgement, index.segmentations(), known, contract, names, folder, told)


def one_of_each(images: list[Instance]) -> list[Instance]:
    """Give one image of each series and transfer syntax."""
    return list({(image.study, image.series, image.syntax): image for image in reversed(images)}.values())[::-1]


def _cores() -> int:
    """Give how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _rules(site: Site, contract: ImagingContract) -> Rules:
    """Give what may identify people under the contract's profile, and what the hospital's pseudonyms look like."""
    source = site.file.sources[site.file.schemas[contract.id].source]
    pattern = source.pseudonym if isinstance(source, DicomSource) else None
    return Rules(profile(contract.privacy.profile), pseudonym=None if pattern is None else re.compile(pattern))


@contextmanager
def _alone(site: Site, source: str) -> Iterator[None]:
    """Hold the index of a source, so that two checks do not write it at once."""
    folder = site.make_directory("indexes")
    held = os.open(folder / f"{source}.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            place = site.document.place(("sources", source))
            rule, step = "One check at a time indexes a folder", "wait until the other check has ended"
            raise refuse("X-USAGE", place, rule, "another check indexes it", step) from None
        yield
    finally:
        os.close(held)

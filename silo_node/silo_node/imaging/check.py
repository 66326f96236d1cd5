"""A folder of images held against a contract: indexed, judged, and some of its pixels decoded.

site.yaml ──> folder ──index──> indexes/NAME.sqlite ──judge──> examples ──trial of pixels──> joined with rows ──> report
"""

from __future__ import annotations

import fcntl
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import polars as pl

from silo_node.configuration import Site
from silo_node.dicom.basic_profile import profile
from silo_node.dicom.decoding import looks
from silo_node.dicom.index import Index
from silo_node.dicom.instance import Instance
from silo_node.dicom.judge import PrivateName, Rules
from silo_node.dicom.pixels import trouble
from silo_node.imaging.asked import Asked
from silo_node.imaging.folders import image_folder, unreadable
from silo_node.imaging.join import join
from silo_node.imaging.judge import Judgement, judge
from silo_node.imaging.looked import with_pixels
from silo_node.imaging.masks import name_problems, with_masks
from silo_node.imaging.report import Report, Tried, make_report
from silo_node.policy import ImagesPolicy
from silo_node.source_settings import DicomSource
from silo_node.validation.check import check as check_table
from wardround.contract import dicom_dictionary
from wardround.contract.imaging import ImagingContract
from wardround.contract.model import Contract
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


def check(
    site: Site,
    contract: ImagingContract,
    asked: Asked,
    progress: Progress = lambda _what, _done, _all: None,
    table: Contract | None = None,
) -> Report:
    """Check the folder that the site file names for a contract.

    Args:
        site: the hospital.
        contract: of DICOM images.
        asked: how.
        progress: told how far the work is.
        table: that the contract names; it is looked at where the site file maps it.

    Raises:
        Refused: M- codes, Y- codes of the policy, D-FOLDER, X-USAGE.
    """
    looked = look(site, contract, asked, progress)
    if table is not None and table.id in site.file.schemas:
        looked = replace(looked, judgement=_joined(site, contract, table, looked.judgement, asked.max_fraction))
    kept = tuple(sorted(_kept(site.policy().images, contract)))
    return make_report(contract, looked.source, looked.judgement, looked.skipped, looked.tried, asked.max_fraction, kept)


def _joined(site: Site, contract: ImagingContract, table: Contract, judgement: Judgement, limit: float) -> Judgement:
    """Hold the examples against the rows of their table."""
    assert contract.table is not None  # noqa: S101  (it names the table that was found by it)
    result = check_table(site, table, max_fraction=limit)
    names = {*contract.table.keys.values(), table.patient_key}
    empty = pl.DataFrame(schema=dict.fromkeys(names, pl.String))
    rows = result.valid if result.found else empty  # of a table that cannot be read
    refused = result.found - rows.height
    return join(judgement, contract.table, rows, table.patient_key, refused, in_order=result.passed)


def look(site: Site, contract: ImagingContract, asked: Asked, progress: Progress = lambda _what, _done, _all: None) -> Looked:
    """Index the folder that the site file names for a contract, judge what is in it, and decode pixels, without a report.

    Raises:
        Refused: as ``check``.
    """
    source, folder = image_folder(site, contract)
    text_refuses = site.policy().images.burned_in == "refuse"
    with _alone(site, source):
        database = site.directory("indexes") / f"{source}.sqlite"
        if asked.anew:
            database.unlink(missing_ok=True)
        try:
            index = Index(database, folder, _rules(site, contract))
            changes = index.update(_cores(), lambda done, of: progress("headers", done, of))
        except OSError as error:
            raise unreadable(site, source, error) from None
        judgement = judge(index.entries(), contract, text_refuses=text_refuses)
        if contract.label.format == "dicom-seg":
            judgement = _with_masks(site, source, folder, index, judgement, contract, progress)
    images = [image for example in judgement.examples for image in example.stack.slices if trouble(image) is None]
    sample = images if asked.pixels else one_of_each(images)
    found = looks(folder, sample, lambda done: progress("pixels", done, len(sample)))
    judgement = with_pixels(judgement, found, contract, text_refuses=text_refuses)
    return Looked(source, folder, judgement, changes.skipped, Tried(len(sample), len(images)))


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
    """Give what may identify people under the contract's profile, the hospital's policy, and what its pseudonyms look like."""
    source = site.file.sources[site.file.schemas[contract.id].source]
    pattern = source.pseudonym if isinstance(source, DicomSource) else None
    images = site.policy().images
    return Rules(
        profile(contract.privacy.profile),
        kept=frozenset(dicom_dictionary.numbers(_kept(images, contract)).values()),
        safe=frozenset(
            PrivateName(each.creator, int(each.element[:4], 16), int(each.element[-2:], 16)) for each in images.safe_private
        ),
        pseudonym=None if pattern is None else re.compile(pattern),
    )


def _kept(images: ImagesPolicy, contract: ImagingContract) -> set[str]:
    """Give the attributes that may hold a value though the profile lists them: those that both contract and hospital say."""
    return set(images.kept).intersection(contract.tags.required)


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

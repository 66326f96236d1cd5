"""A folder of images that are no DICOM held against a contract: the table that names them first, then each file.

site.yaml ──> table ──its own check──> rows ──paths──> headers ──> copies ──> some pixels, all masks ──> report
              folder ──all files──────────────────────> those that no row names
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias

import polars as pl

from silo_node.configuration import Site
from silo_node.dicom.index import files_below
from silo_node.imaging.asked import Asked
from silo_node.imaging.file_judge import FileExample, FileJudgement, Row, judge_files, sample_of, with_pixels
from silo_node.imaging.folders import image_folder, unreadable
from silo_node.imaging.judge import FIRST
from silo_node.imaging.report import Report, Tried, make_file_report
from silo_node.validation.check import check
from wardround.contract.imaging import ImagingContract
from wardround.contract.model import Contract

Progress: TypeAlias = Callable[[str, int, int], None]


def check_files(
    site: Site,
    contract: ImagingContract,
    table: Contract,
    asked: Asked,
    progress: Progress = lambda _what, _done, _all: None,
) -> Report:
    """Check the folder that the site file names for a contract.

    Args:
        site: the hospital.
        contract: of images that are no DICOM.
        table: that it links.
        asked: how.
        progress: told how far the work is.

    Raises:
        Refused: M- codes, D-FOLDER.
    """
    source, folder = image_folder(site, contract)
    names, skipped = _all_files(site, source, folder)
    result = check(site, table, max_fraction=asked.max_fraction)
    rows = rows_of(contract, result.valid) if result.found else []  # none of a table that cannot be read
    examples = judge_files(rows, folder, contract)
    readable = [at for at, example in enumerate(examples) if example.header is not None]
    sample = readable if asked.pixels else sample_of(examples)
    totals = {"pixels": len(sample), "masks": len(examples)}
    examples = with_pixels(examples, sample, folder, contract, lambda what, done: progress(what, done, totals[what]))
    refused = [FileExample(None, None, ("D-ROW",), at={"D-ROW": ""})] * (result.found - len(rows))
    named = {name for row in rows for name in (row.file, row.mask)}
    unnamed = sorted(names - named)
    first = {"D-UNNAMED": tuple(unnamed[:FIRST])}
    judgement = FileJudgement((*examples, *refused), len(names), len(unnamed), result.passed, first)
    return make_file_report(contract, source, judgement, skipped, Tried(len(sample), len(readable)), asked.max_fraction)


def _all_files(site: Site, source: str, folder: Path) -> tuple[set[str], int]:
    """Give the files of the folder, and how many links and the like are in it."""
    names, skipped = set[str](), 0
    try:
        for name, state in files_below(folder):
            if state is None:
                skipped += 1
            else:
                names.add(name)
    except OSError as error:
        raise unreadable(site, source, error) from None
    return names, skipped


def rows_of(contract: ImagingContract, rows: pl.DataFrame) -> list[Row]:
    """Give what valid rows of the table say of their images, in their order; of a table that lacks a column, none has it all.

    Raises:
        ValueError: the contract's images are not named by a table.
    """
    if contract.table is None or contract.table.path is None:
        msg = "only images that a table names have rows"
        raise ValueError(msg)
    masks: Iterable[str | None] = rows[contract.label.path] if contract.label.path is not None else [None] * rows.height
    return [
        Row(file, patient, mask)
        for file, patient, mask in zip(rows[contract.table.path], rows[contract.patient_key], masks, strict=True)
        if file is not None and patient is not None and (mask is not None or contract.label.path is None)
    ]


def fit_files(site: Site, contract: ImagingContract, rows: pl.DataFrame, *, pixels: bool = False) -> dict[str, FileExample]:
    """Give the image of each valid row, by the path that names it: fit, or with the codes that set it aside.

    Args:
        site: the hospital.
        contract: of images that are no DICOM.
        rows: valid ones of the table, in schema form.
        pixels: whether all images are decoded, and not one of each kind.

    Raises:
        Refused: M-SCHEMA, M-IMAGES, D-FOLDER.
    """
    source, folder = image_folder(site, contract)
    if not folder.is_dir():
        raise unreadable(site, source, FileNotFoundError())
    examples = judge_files(rows_of(contract, rows), folder, contract)
    numbers = [at for at, each in enumerate(examples) if each.header is not None] if pixels else sample_of(examples)
    return {each.row.file: each for each in with_pixels(examples, numbers, folder, contract) if each.row is not None}

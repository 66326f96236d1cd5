"""Several equal files that follow each other, such as an export a month, as one table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from silo_node.sources.faults import Fault, UnreadableError
from silo_node.sources.places import of_files
from silo_node.sources.read import Read
from silo_node.sources.rows import one_after_the_other


def read_all(paths: Sequence[Path], read: Callable[[Path], Read]) -> Read:
    """Read files one after the other and put their records together. A fault names a file by its number, from 1.

    Raises:
        UnreadableError: T-PARTS when one has other columns than the first; what ``read`` raises.
    """
    if len(paths) == 1:
        return read(paths[0])
    parts: list[Read] = []
    for number, path in enumerate(paths, 1):
        try:
            part = read(path)
        except UnreadableError as error:
            raise UnreadableError(_in_file(error.fault, number, len(paths))) from None
        if parts and part.header != parts[0].header:
            raise _unlike(number, len(paths), "its columns are not those of the first file, in the same order")
        if parts and part.rows.schema != parts[0].rows.schema:
            raise _unlike(number, len(paths), "a column has another type than in the first file")
        parts.append(part)
    return _together(parts)


def _together(parts: Sequence[Read]) -> Read:
    first, begins = parts[0], [0]
    for part in parts:
        begins.append(begins[-1] + part.found)
    records = None
    if any(part.records is not None for part in parts):
        records = pl.concat(_records(part, begin) for part, begin in zip(parts, begins[:-1], strict=True))
    faults = tuple(
        replace(_in_file(fault, number, len(parts)), records=tuple(record + begin for record in fault.records))
        for number, (part, begin) in enumerate(zip(parts, begins[:-1], strict=True), 1)
        for fault in part.faults
    )
    tables = [part.rows for part in parts]
    places = of_files([(part.found, part.places) for part in parts])
    return Read(one_after_the_other(tables), first.header, begins[-1], records, first.unit, places, faults)


def _records(part: Read, begin: int) -> pl.Series:
    own = part.records if part.records is not None else pl.Series(range(part.rows.height), dtype=pl.Int64)
    return own.cast(pl.Int64) + begin


def _in_file(fault: Fault, number: int, of: int) -> Fault:
    return replace(fault, finding=f"file {number} of {of}: {fault.finding}")


def _unlike(number: int, of: int, finding: str) -> UnreadableError:
    fault = Fault(
        "T-PARTS",
        "The files of one source have the same columns",
        f"file {number} of {of}: {finding}",
        "export the files in the same way, or make a source of each",
    )
    return UnreadableError(fault)

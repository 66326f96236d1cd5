"""Parquet files: columns with the types that they have."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from polars.exceptions import DuplicateError

from silo_node.sources.faults import Fault, UnreadableError
from silo_node.sources.header import Wanted
from silo_node.sources.places import row_numbers
from silo_node.sources.read import Read, no_records


def read(path: Path, wanted: Wanted) -> Read:
    """Read the wanted columns of a Parquet file.

    Raises:
        UnreadableError: T-EMPTY, T-HDRDUP.
    """
    # The path is one file: no pattern, no partition folders.
    scan = pl.scan_parquet(path, glob=False, hive_partitioning=False)
    try:
        header = scan.collect_schema().names()
    except DuplicateError:
        raise UnreadableError(_twice()) from None
    present = [column for column in dict.fromkeys(wanted.fields.values()) if column in set(header)]
    records = scan.select(pl.len()).collect().item()
    if records == 0:
        raise no_records()
    frame = scan.select(present).collect() if present else pl.DataFrame(height=records)
    return Read(frame, tuple(header), records, None, "row", row_numbers)


def _twice() -> Fault:
    return Fault(
        "T-HDRDUP",
        "A column name may stand once in the header",
        "two columns have the same name",
        "rename or remove one of them, and write the file again",
    )

"""Parquet files: columns with the types that they have."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from silo_node.sources.header import Wanted
from silo_node.sources.places import row_numbers
from silo_node.sources.read import Read, no_records


def read(path: Path, wanted: Wanted) -> Read:
    """Read the wanted columns of a Parquet file.

    Raises:
        UnreadableError: T-EMPTY.
    """
    # The path is one file: no pattern, no partition folders.
    scan = pl.scan_parquet(path, glob=False, hive_partitioning=False)
    header = scan.collect_schema().names()
    present = [column for column in dict.fromkeys(wanted.fields.values()) if column in set(header)]
    records = scan.select(pl.len()).collect().item()
    if records == 0:
        raise no_records()
    frame = scan.select(present).collect() if present else pl.DataFrame(height=records)
    return Read(frame, tuple(header), records, None, "row", row_numbers)

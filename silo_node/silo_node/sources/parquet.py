"""Parquet files: columns with the types that they have."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from silo_node.sources.faults import Fault, UnreadableError
from silo_node.sources.header import Wanted, judge


def read(path: Path, wanted: Wanted) -> tuple[pl.DataFrame, tuple[Fault, ...]]:
    """Read the wanted columns of a Parquet file, and say what is wrong with its columns.

    Raises:
        UnreadableError: T-EMPTY.
    """
    # The path is one file: no pattern, no partition folders.
    scan = pl.scan_parquet(path, glob=False, hive_partitioning=False)
    header = scan.collect_schema().names()
    present = [column for column in dict.fromkeys(wanted.fields.values()) if column in set(header)]
    faults = tuple(judge(header, wanted))
    records = scan.select(pl.len()).collect().item()
    if records == 0:
        raise UnreadableError(
            Fault("T-EMPTY", "A table holds records", "it has columns but no record", "export the records again")
        )
    if not present:
        return pl.DataFrame(height=records), faults
    return scan.select(present).collect(), faults


def column_names(path: Path) -> list[str]:
    """Give the names of a Parquet file's columns."""
    return pl.scan_parquet(path, glob=False, hive_partitioning=False).collect_schema().names()

"""Parquet files: columns with the types that they have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
from polars.exceptions import DuplicateError

from silo_node.sources import rows
from silo_node.sources.faults import Fault, UnreadableError
from silo_node.sources.header import Wanted
from silo_node.sources.places import row_numbers
from silo_node.sources.read import Read, no_records


def read(path: Path, wanted: Wanted) -> Read:
    """Read the wanted columns of a Parquet file; of a large one, whenever they are asked for.

    Raises:
        UnreadableError: T-EMPTY, T-HDRDUP.
    """
    # The path is one file: no pattern, no partition folders.
    scan = pl.scan_parquet(path, glob=False, hive_partitioning=False)
    try:
        schema = scan.collect_schema()
    except DuplicateError:
        raise UnreadableError(_twice()) from None
    present = [column for column in dict.fromkeys(wanted.fields.values()) if column in schema]
    records = scan.select(pl.len()).collect().item()
    if records == 0:
        raise no_records()
    size = rows.record_bytes({column: schema[column] for column in present})
    if records * size > rows.HELD_BYTES:
        found = rows.streamed({column: schema[column] for column in present}, records, _blocks(path, records, size))
    else:
        found = rows.held(scan.select(present).collect() if present else pl.DataFrame(height=records))
    return Read(found, tuple(schema.names()), records, None, "row", row_numbers)


def _twice() -> Fault:
    return Fault(
        "T-HDRDUP",
        "A column name may stand once in the header",
        "two columns have the same name",
        "rename or remove one of them, and write the file again",
    )


def _blocks(path: Path, records: int, size: int) -> rows.Blocks:
    """Read so many records at a time that all columns of them fit into a block, as few of them as are asked for."""
    step = max(1, rows.BLOCK_BYTES // size)

    def blocks(columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        for start in range(0, records, step):
            height = min(step, records - start)
            if columns:
                scan = pl.scan_parquet(path, glob=False, hive_partitioning=False)
                yield scan.select(columns).slice(start, height).collect()
            else:
                yield pl.DataFrame(height=height)

    return blocks

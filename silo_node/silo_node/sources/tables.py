"""The one door to a hospital's tables: open a declared source, get text or typed columns, or coded faults.

This is also the choke point for what libraries raise: polars, pyarrow and codecs put cell values into their messages, so
no exception of theirs passes; it becomes a fault chosen by the exception's type alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl
from polars.exceptions import PolarsError

from silo_node.configuration import CsvSource, ParquetSource
from silo_node.sources import delimited, parquet
from silo_node.sources.faults import Fault, UnreadableError
from silo_node.sources.header import Wanted

Unit = Literal["line", "row"]


@dataclass(frozen=True)
class Table:
    """A table that could be read.

    Attributes:
        frame: the wanted columns that exist, under their local names; text from CSV, typed from Parquet;
            ``(n_records - n_broken, n_columns)``, records that do not fit the header left out.
        found: records in the file, broken ones included.
        records: position in the file (from 0) of each row of ``frame``; ``None`` when they are the same.
        unit: what ``places`` counts: physical lines of a text, or rows of a Parquet file.
        places: from positions in the file (from 0) to line or row numbers (from 1).
        faults: what is wrong with the file as a whole.
    """

    frame: pl.DataFrame
    found: int
    records: pl.Series | None
    unit: Unit
    places: Callable[[Sequence[int]], list[int]]
    faults: tuple[Fault, ...]


def open_table(path: Path, source: CsvSource | ParquetSource, wanted: Wanted) -> Table:
    """Read the wanted columns of a source.

    Raises:
        UnreadableError: T-FILE, T-ENCODING, T-DELIM, T-NOHEADER, T-RAGGED, T-EMPTY.
    """
    with only_coded_faults():
        if not path.is_file():
            raise UnreadableError(_file_fault("it is not there, or is no file"))
        if isinstance(source, CsvSource):
            text = delimited.read(path, source, wanted)
            return Table(text.frame, text.found, text.records, "line", text.places, text.faults)
        frame, faults = parquet.read(path, wanted)
        return Table(frame, frame.height, None, "row", _row_numbers, faults)


def column_names(path: Path, source: CsvSource | ParquetSource) -> tuple[str, ...]:
    """Give the local columns' names. They may be anything, a patient in a file without a header: they are told to nobody.

    Raises:
        UnreadableError: T-FILE, T-ENCODING, T-NOHEADER.
    """
    with only_coded_faults():
        if isinstance(source, CsvSource):
            return tuple(delimited.column_names(path, source))
        return tuple(parquet.column_names(path))


@contextmanager
def only_coded_faults() -> Iterator[None]:
    """Turn whatever a library raises while it reads into a coded fault, by type alone."""
    try:
        yield
    except OSError as error:
        reason = "it may not be read" if isinstance(error, PermissionError) else "it cannot be read"
        raise UnreadableError(_file_fault(reason)) from None
    except (PolarsError, pl.exceptions.PanicException):
        raise UnreadableError(_file_fault("its content cannot be read in the declared format")) from None


def _row_numbers(records: Sequence[int]) -> list[int]:
    return [record + 1 for record in records]


def _file_fault(reason: str) -> Fault:
    return Fault(
        "T-FILE",
        "The source's file must exist, be readable and have the declared format",
        reason,
        "check 'path' and 'format' of the source in the site file, and the rights of the file",
    )

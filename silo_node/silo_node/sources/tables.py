"""The one door to a hospital's tables: open a declared source, get text or typed columns, or coded faults.

This is also the choke point for what libraries raise: polars, pyarrow and codecs put cell values into their messages, so
no exception of theirs passes; it becomes a fault chosen by the exception's type alone.

Nothing here reads what other programs wrote or asks a database: that is extracted before, in a process of its own
(``silo_node.extraction``), and read here as the snapshot that it left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from silo_node.configuration import CsvSource, ParquetSource, Site, decimal_mark
from silo_node.source_settings import FolderSource, JoinedSource
from silo_node.sources import delimited, parquet, snapshot
from silo_node.sources.faults import Fault, UnreadableError, changed
from silo_node.sources.header import Wanted, judge
from silo_node.sources.joined import join
from silo_node.sources.places import Places
from silo_node.sources.read import Read, Texts, Unit
from silo_node.sources.rows import Rows
from silo_node.sources.several import read_all
from silo_node.sources.unheard import unheard

__all__ = ["Table", "Unit", "only_coded_faults", "open_source"]


@dataclass(frozen=True)
class Table:
    """A table that could be read.

    Attributes:
        rows: the wanted columns that exist, under their local names; text from CSV (or numbers, where asked for), typed
            from Parquet; records that do not fit the header are left out.
        found: records in the file, broken ones included.
        records: position in the file (from 0) of each of ``rows``; ``None`` when they are the same.
        unit: what ``places`` counts: physical lines of a text, or rows of a Parquet file.
        places: from positions in the file (from 0) to line or row numbers (from 1), with the file where there are several.
        faults: what is wrong with the file as a whole.
        texts: columns that a text table gave as numbers, as text; absent where none was.
    """

    rows: Rows
    found: int
    records: pl.Series | None
    unit: Unit
    places: Places
    faults: tuple[Fault, ...]
    texts: Texts | None = None

    @property
    def frame(self) -> pl.DataFrame:
        """The columns of ``rows``, held; ``(n_records - n_broken, n_columns)``."""
        return self.rows.frame


@unheard
def open_source(site: Site, name: str, wanted: Wanted) -> Table:
    """Read the wanted columns of one of a hospital's sources.

    Raises:
        UnreadableError: T-FILE, T-ENCODING, T-DELIM, T-NOHEADER, T-RAGGED, T-EMPTY, T-PARTS, T-STALE, T-MISSCOL, T-HDRDUP,
            T-DUPKEY, T-FK, T-JOIN, T-TIE.
    """
    with only_coded_faults():
        return _judged(_read(site, name, wanted), wanted)


def _judged(read: Read, wanted: Wanted) -> Table:
    faults = (*judge(read.header, wanted), *read.faults)
    return Table(read.rows, read.found, read.records, read.unit, read.places, faults, read.texts)


def _read(site: Site, name: str, wanted: Wanted) -> Read:
    source = site.file.sources[name]
    if isinstance(source, JoinedSource):
        return join(source, wanted, partial(_read, site), partial(decimal_mark, site.file))
    if isinstance(source, FolderSource):
        raise TypeError(name)
    paths = site.original_paths(name)
    if isinstance(source, CsvSource | ParquetSource):
        if not paths:
            raise UnreadableError(_file_fault("no file fits the pattern"))
        wanted = wanted if len(paths) == 1 else replace(wanted, numbers={})  # the files have to have the same types
        return read_all(paths, partial(_read_file, source, wanted))
    return snapshot.read(site.extract_path(name), source, paths, wanted)


def _read_file(source: CsvSource | ParquetSource, wanted: Wanted, path: Path) -> Read:
    if not path.is_file():
        raise UnreadableError(_file_fault("it is not there, or is no file"))
    with only_coded_faults():
        before = _stamp(path)
        read = delimited.read(path, source, wanted) if isinstance(source, CsvSource) else parquet.read(path, wanted)
    return read if read.rows.held is not None else replace(read, rows=_guarded(read.rows, path, before))


def _stamp(path: Path) -> tuple[int, int, int]:
    seen = path.stat()
    return seen.st_ino, seen.st_size, seen.st_mtime_ns


def _guarded(rows: Rows, path: Path, before: tuple[int, int, int]) -> Rows:
    """Give rows that are read later with faults as coded as those of now, and refuse a file that is another one by then."""

    def blocks(columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        found = rows.blocks(columns)
        while True:
            with only_coded_faults():
                if _stamp(path) != before:
                    raise UnreadableError(changed())
                block = next(found, None)
            if block is None:
                return
            yield block

    return replace(rows, blocks=blocks)


@unheard
def column_names(site: Site, name: str, known: frozenset[str]) -> tuple[str, ...]:
    """Give the local columns' names. They may be anything, a patient in a file without a header: they are told to nobody.

    Args:
        site: the hospital.
        name: of the source.
        known: columns that the site file maps or ignores: a first line without any is no header.

    Raises:
        UnreadableError: as ``open_source``, but for what is found when the header is judged.
    """
    with only_coded_faults():
        return _read(site, name, Wanted(fields={}, known=known, names=(), exact=False)).header


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


def _file_fault(reason: str) -> Fault:
    return Fault(
        "T-FILE",
        "The source's file must exist, be readable and have the declared format",
        reason,
        "check 'path' and 'format' of the source in the site file, and the rights of the file",
    )

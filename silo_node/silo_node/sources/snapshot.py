"""The snapshot of a source that ``wardround silo extract`` left: typed columns in Parquet, and what they were taken from.

What it was taken from is compared whenever the snapshot is opened: a snapshot of files that were changed since, or of a
source whose lines in the site file were, is refused. Of a database server nobody can tell; there the age is said.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import polars as pl
from polars.exceptions import PolarsError
from pydantic import Field, ValidationError

from silo_node.source_settings import ExtractedSource, SqlSource, write_ahead_log
from silo_node.sources.faults import Fault, UnreadableError
from silo_node.sources.header import Wanted
from silo_node.sources.places import FilePlace, Place, Places, listed
from silo_node.sources.read import Read, no_records
from silo_node.sources.rows import held
from silo_node.sources.unheard import unheard
from wardround.canonical import digest, model_json
from wardround.values import Count, Instant, Sha256, Value, moment

METADATA = "wardround"
FILE_COLUMN, ROW_COLUMN = "wardround:file", "wardround:row"
"""Where each record stood: the number of its file and its row there, both from 1."""
RESERVED = "wardround:"
"""How no column of a hospital's may begin."""

CellKind = Literal["formula", "error", "merged"]
_CELL_WORDS: dict[CellKind, tuple[str, str, str]] = {
    "formula": (
        "A formula's result is stored beside it",
        "formulas without a stored result",
        "open the workbook in its program, save it, and run: wardround silo extract",
    ),
    "merged": (
        "Each cell has its own value",
        "cells are merged over several records, and only the first has the value",
        "take the cells apart, fill each of them, and run: wardround silo extract",
    ),
    "error": (
        "A cell holds a value, no error of its program",
        "cells hold an error such as #N/A, as text",
        "correct the formulas, or list the errors that mean missing under 'missing'",
    ),
}


class CellNote(Value):
    """Cells of one column that have no value of their own.

    Attributes:
        column: its position, from 0.
        count: how many.
        places: file and row of the first ones.
    """

    column: Count
    kind: CellKind
    count: Count
    places: Annotated[tuple[tuple[Count, Count], ...], Field(max_length=100)] = ()


class Extract(Value):
    """What a snapshot was taken from.

    Attributes:
        source: digest of the source's lines in the site file.
        files: SHA-256 of the files it was taken from, in order; none for a database server.
        taken_at: when.
        columns: the names of the columns, in order.
        notes: cells without a value of their own.
    """

    format: Literal[1] = 1
    source: Sha256
    files: tuple[Sha256, ...]
    taken_at: Instant
    columns: tuple[str, ...]
    notes: tuple[CellNote, ...] = ()


def source_digest(source: ExtractedSource) -> str:
    """Give the digest of what decides a snapshot's content: not where the password stands, nor how old it may be."""
    lines = model_json(source)
    for name in ("credentials", "max_age_days", "timeout", "max_rows"):
        lines.pop(name, None)
    return digest("source", 1, lines)


def file_digest(path: Path, source: ExtractedSource) -> str:
    """Give the SHA-256 of a file; of a SQLite database, what waits in its write-ahead log is a part.

    Raises:
        OSError: it cannot be read.
    """
    found = hashlib.sha256()
    with path.open("rb") as file:
        _add(found, file)
    if isinstance(source, SqlSource) and (log := write_ahead_log(path)).is_file():
        with log.open("rb") as file:
            _add(found, file)
    return found.hexdigest()


def _add(found: hashlib._Hash, file: object) -> None:
    while block := file.read(1 << 20):  # type: ignore[attr-defined]
        found.update(block)


def look(path: Path, source: ExtractedSource, originals: Sequence[Path]) -> tuple[Fault, ...]:
    """Say what is wrong with a snapshot, without reading its records; nothing when it is one of what the source holds now."""
    try:
        return _compare(described(path), source, originals)
    except UnreadableError as error:
        return (error.fault,)


def read(path: Path, source: ExtractedSource, originals: Sequence[Path], wanted: Wanted) -> Read:
    """Read the wanted columns of a snapshot that is still one of its source.

    Raises:
        UnreadableError: T-STALE, T-EMPTY.
    """
    extract = described(path)
    faults = _compare(extract, source, originals)
    scan = pl.scan_parquet(path, glob=False, hive_partitioning=False)
    present = [column for column in dict.fromkeys(wanted.fields.values()) if column in set(extract.columns)]
    frame = scan.select(*present, FILE_COLUMN, ROW_COLUMN).collect()
    if frame.height == 0:
        raise no_records()
    positions = frame.select(FILE_COLUMN, ROW_COLUMN)
    notes = [_fault(note, several=len(originals) > 1) for note in extract.notes if extract.columns[note.column] in present]
    kept = frame.select(present) if present else pl.DataFrame(height=frame.height)
    places = _places(positions, several=len(originals) > 1)
    return Read(held(kept), extract.columns, frame.height, None, "row", places, (*faults, *notes))


@unheard
def described(path: Path) -> Extract:
    """Give what a snapshot says of itself.

    Raises:
        UnreadableError: T-STALE.
    """
    if not path.is_file():
        raise UnreadableError(_stale("there is no snapshot of this source yet"))
    try:
        return Extract.model_validate_json(pl.read_parquet_metadata(path)[METADATA])
    except (OSError, KeyError, ValidationError, PolarsError, pl.exceptions.PanicException):
        raise UnreadableError(_stale("the snapshot of this source cannot be read")) from None


def _compare(extract: Extract, source: ExtractedSource, originals: Sequence[Path]) -> tuple[Fault, ...]:
    if extract.source != source_digest(source):
        raise UnreadableError(_stale("the source's lines in the site file were changed since"))
    if len(extract.files) != len(originals):
        raise UnreadableError(_stale(f"it was taken of {len(extract.files)} files, and {len(originals)} are there now"))
    for number, (path, known) in enumerate(zip(originals, extract.files, strict=True), 1):
        which = "the file" if len(originals) == 1 else f"file {number} of {len(originals)}"
        try:
            same = file_digest(path, source) == known
        except OSError:
            raise UnreadableError(_stale(f"{which} cannot be read any more, so nobody can tell whether it was changed")) from None
        if not same:
            raise UnreadableError(_stale(f"{which} was changed since"))
    if isinstance(source, SqlSource) and not originals:
        age = (datetime.now(UTC).date() - moment(extract.taken_at).date()).days
        if age > source.max_age_days:
            return (_stale(f"it is {age} days old, and the database may hold other records now", warning=True),)
    return ()


def _stale(finding: str, *, warning: bool = False) -> Fault:
    return Fault(
        "T-STALE",
        "Records are read from a snapshot of what the source holds now",
        finding,
        "run: wardround silo extract",
        warning=warning,
    )


def _fault(note: CellNote, *, several: bool) -> Fault:
    rule, finding, next_step = _CELL_WORDS[note.kind]
    places: tuple[Place, ...] = tuple(FilePlace(*place) if several else place[1] for place in note.places)
    return Fault(
        "T-CELL",
        rule,
        f"in the column at position {note.column + 1}: {note.count} {finding}, in rows {listed(places)}",
        next_step,
        count=note.count,
        warning=note.kind == "error",
        lines=places,
    )


def _places(positions: pl.DataFrame, *, several: bool) -> Places:
    def places(records: Sequence[int]) -> list[Place]:
        found = positions[list(records)].rows() if len(records) else []
        return [FilePlace(file, row) if several else row for file, row in found]

    return places

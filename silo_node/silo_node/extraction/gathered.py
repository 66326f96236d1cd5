"""What a reader gives: columns, where each record stood, and cells that have no value of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import polars as pl

from silo_node.extraction.columns import Column, NoCellError
from silo_node.sources.faults import Fault, UnreadableError
from silo_node.sources.snapshot import FILE_COLUMN, RESERVED, ROW_COLUMN, CellKind, CellNote

BLOCK_ROWS = 20_000
"""Rows that are held as Python's own objects at a time."""
MOST_PLACES = 20
MOST_COLUMNS = 16_384


@dataclass
class Notes:
    """Cells of one column and kind, with the places of the first."""

    count: int = 0
    places: list[tuple[int, int]] = field(default_factory=list)

    def add(self, file: int, row: int, count: int = 1) -> None:
        """Note cells that begin at a place."""
        self.count += count
        if len(self.places) < MOST_PLACES:
            self.places.append((file, row))


class Gathered:
    """A table on its way from one or several files."""

    def __init__(self) -> None:
        self.header: tuple[str, ...] | None = None
        self.records = 0
        self._columns: list[Column] = []
        self._files, self._rows = Column(), Column()
        self._notes: dict[tuple[int, CellKind], Notes] = {}

    def begin(self, header: Sequence[str], number: int, of: int) -> None:
        """Begin a file with its header.

        Raises:
            UnreadableError: T-NOHEADER, T-HDRDUP, T-PARTS.
        """
        names = tuple(header)
        _refuse_header(names)
        if self.header is None:
            self.header = names
            self._columns = [Column() for _ in names]
        elif names != self.header:
            raise UnreadableError(
                Fault(
                    "T-PARTS",
                    "The files of one source have the same columns",
                    f"file {number} of {of}: its columns are not those of the first file, in the same order",
                    "export the files in the same way, or make a source of each",
                )
            )

    def add(self, columns: Sequence[Sequence[object]], file: int, rows: Sequence[int]) -> None:
        """Add records, column by column."""
        for position, (column, cells) in enumerate(zip(self._columns, columns, strict=True), 1):
            try:
                column.add(cells)
            except NoCellError:
                raise UnreadableError(
                    Fault(
                        "T-FILE",
                        "Cells are texts, numbers, truth values, dates and times",
                        f"the column at position {position} holds something else, such as binary data",
                        "leave the column out of the export or query, or convert it there",
                    )
                ) from None
        self._files.add([file] * len(rows))
        self._rows.add(rows)
        self.records += len(rows)

    def note(self, column: int, kind: CellKind, file: int, row: int, count: int = 1) -> None:
        """Note cells without a value of their own; columns from 0."""
        self._notes.setdefault((column, kind), Notes()).add(file, row, count)

    def notes(self) -> tuple[CellNote, ...]:
        """Give all notes, by column."""
        return tuple(
            CellNote(column=column, kind=kind, count=note.count, places=tuple(note.places))
            for (column, kind), note in sorted(self._notes.items())
        )

    def frame(self) -> pl.DataFrame:
        """Give the table, with where each record stood.

        Raises:
            UnreadableError: T-EMPTY.
        """
        if not self.records or self.header is None:
            raise UnreadableError(
                Fault("T-EMPTY", "A table holds records", "it has columns but no record", "export the records again")
            )
        own = [column.series().alias(name) for name, column in zip(self.header, self._columns, strict=True)]
        return pl.DataFrame([*own, self._files.series().alias(FILE_COLUMN), self._rows.series().alias(ROW_COLUMN)])


def _refuse_header(names: Sequence[str]) -> None:
    if not names or len(names) > MOST_COLUMNS or any(not name for name in names):
        places = ", ".join(str(at) for at, name in enumerate(names[:MOST_COLUMNS], 1) if not name) or "none"
        raise UnreadableError(
            Fault(
                "T-NOHEADER",
                "Each column has a name",
                f"of {len(names)} columns these have none, by position: {places}",
                "name them; take merged cells of the header apart, or give the row that names each column under 'header'",
            )
        )
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice or any(name.startswith(RESERVED) for name in names):
        places = ", ".join(str(at) for at, name in enumerate(names, 1) if name in twice or name.startswith(RESERVED))
        raise UnreadableError(
            Fault(
                "T-HDRDUP",
                "A column name may stand once in the header",
                f"the columns at positions {places} have the name of another",
                "rename or remove them",
                count=max(len(twice), 1),
            )
        )


@contextmanager
def only_coded_faults(finding: str = "its content cannot be read in the declared format") -> Iterator[None]:
    """Turn whatever a reader raises into a coded fault; its words may hold a cell, so none of them passes."""
    try:
        yield
    except UnreadableError:
        raise
    except MemoryError:
        raise UnreadableError(too_much("it takes more memory than the extraction may have")) from None
    except UnicodeError:
        raise UnreadableError(wrong_encoding()) from None
    except PermissionError:
        raise UnreadableError(file_fault("it may not be read")) from None
    except FileNotFoundError:
        raise UnreadableError(file_fault("it is not there, or is no file")) from None
    except Exception:  # noqa: BLE001  (a reader of foreign bytes may raise anything)
        raise UnreadableError(file_fault(finding)) from None


def file_fault(finding: str) -> Fault:
    """Give the fault of a file that cannot be read."""
    return Fault(
        "T-FILE",
        "The source's file must exist, be readable and have the declared format",
        finding,
        "check 'path' and 'format' of the source in the site file, and the rights of the file",
    )


def too_much(finding: str) -> Fault:
    """Give the fault of a file that would take more than it may."""
    return Fault(
        "T-SIZE",
        "A source is read within limits of size, memory and time",
        finding,
        "export less at a time into several files, or raise resources.memory in the site file",
    )


def wrong_encoding() -> Fault:
    """Give the fault of texts in another encoding."""
    return Fault(
        "T-ENCODING",
        "A table is in the encoding that it says, or that the site file declares",
        "a text cannot be read in it",
        "declare the encoding in the site file (such as cp1252), or export the file again",
    )

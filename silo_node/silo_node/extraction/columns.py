"""Columns of cells as other programs hand them out: one type where all cells have it, else text that loses nothing.

Nothing is guessed from a cell's text: a number that is text stays text. A column of numbers with one text among them is
text as a whole, its numbers in their shortest decimal form, so that the check finds that one cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Literal, TypeAlias
from uuid import UUID

import polars as pl

EXACT_INTEGER_LIMIT = 2**53
LARGEST_INTEGER = 2**63
MOMENT = pl.Datetime("us")

Cell: TypeAlias = bool | int | float | str | date | datetime | None
Kind: TypeAlias = Literal["empty", "boolean", "integer", "number", "date", "moment", "text"]
_TYPES: dict[Kind, pl.DataType] = {
    "empty": pl.String(),
    "boolean": pl.Boolean(),
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "date": pl.Date(),
    "moment": MOMENT,
    "text": pl.String(),
}


class NoCellError(Exception):
    """A value that no table of ours can hold, such as binary data."""


class Column:
    """One column on its way, in blocks, so that only one block at a time is in Python's own objects."""

    def __init__(self) -> None:
        self._blocks: list[tuple[Kind, pl.Series]] = []

    def add(self, cells: Sequence[object]) -> None:
        """Add cells at the end.

        Raises:
            NoCellError: one is no cell.
        """
        plain = [_cell(cell) for cell in cells]
        kind = _common({_kind(cell) for cell in plain})
        if kind == "number" and any(isinstance(cell, int) and abs(cell) >= EXACT_INTEGER_LIMIT for cell in plain):
            kind = "text"
        if kind == "text":
            plain = [None if cell is None else _text(cell) for cell in plain]
        elif kind == "number":
            plain = [None if cell is None else float(cell) for cell in plain]  # type: ignore[arg-type]
        elif kind == "moment":
            plain = [_moment(cell) for cell in plain]
        self._blocks.append((kind, pl.Series(plain, dtype=_TYPES[kind])))

    def series(self) -> pl.Series:
        """Give the whole column."""
        kind = _common({kind for kind, _ in self._blocks})
        if kind == "number" and any(own == "integer" and _large(block) for own, block in self._blocks):
            kind = "text"
        return pl.concat([pl.Series([], dtype=_TYPES[kind]), *(_as(kind, own, block) for own, block in self._blocks)])


def _large(block: pl.Series) -> bool:
    return bool(((block >= EXACT_INTEGER_LIMIT) | (block <= -EXACT_INTEGER_LIMIT)).any())


def _as(kind: Kind, own: Kind, block: pl.Series) -> pl.Series:
    if own == kind:
        return block
    if own == "empty":
        return pl.Series([None], dtype=_TYPES[kind]).new_from_index(0, len(block))
    if kind == "text":
        return pl.Series([None if cell is None else _text(cell) for cell in block], dtype=pl.String())
    return block.cast(_TYPES[kind])


def _cell(value: object) -> Cell:
    """Bring what a driver or reader gives to the few types of a table."""
    if value is None or value == "":
        return None
    if isinstance(value, bool | int | float | str | date):
        return value if not isinstance(value, datetime) or value.tzinfo is None else value.isoformat()
    if isinstance(value, Decimal):
        if not value.is_finite():
            return float(value)
        return int(value) if value == value.to_integral_value() and value.adjusted() < 40 else float(value)  # noqa: PLR2004  (digits)
    if isinstance(value, time):
        return value.isoformat()
    if isinstance(value, timedelta):
        seconds = value.days * 86_400 + value.seconds
        minutes = abs(seconds) // 60
        return f"{'-' if seconds < 0 else ''}{minutes // 60:02d}:{minutes % 60:02d}:{abs(seconds) % 60:02d}"
    if isinstance(value, UUID):
        return str(value)
    raise NoCellError


def _kind(cell: Cell) -> Kind:
    if cell is None:
        return "empty"
    if isinstance(cell, bool):
        return "boolean"
    if isinstance(cell, int):
        return "integer" if -LARGEST_INTEGER <= cell < LARGEST_INTEGER else "text"
    if isinstance(cell, float):
        return "number"
    if isinstance(cell, datetime):
        return "moment"
    return "date" if isinstance(cell, date) else "text"


def _common(kinds: set[Kind]) -> Kind:
    kinds = kinds - {"empty"}
    if len(kinds) < 2:  # noqa: PLR2004  (one kind or none)
        return next(iter(kinds), "empty")
    if kinds == {"integer", "number"}:
        return "number"
    return "moment" if kinds == {"date", "moment"} else "text"


def _moment(cell: Cell) -> Cell:
    return datetime(cell.year, cell.month, cell.day) if isinstance(cell, date) and not isinstance(cell, datetime) else cell  # noqa: DTZ001


def _text(cell: Cell) -> str:
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < EXACT_INTEGER_LIMIT else repr(cell)
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == time(0) else cell.isoformat(sep=" ")
    return cell.isoformat() if isinstance(cell, date) else str(cell)

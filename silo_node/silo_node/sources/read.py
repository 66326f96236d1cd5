"""What a reader of any source gives, before its header is held against the mapping."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import polars as pl

from silo_node.sources.faults import Fault, UnreadableError
from silo_node.sources.places import Places
from silo_node.sources.rows import Rows

Unit: TypeAlias = Literal["line", "row"]
Texts: TypeAlias = Callable[[Sequence[str], pl.Series | None], pl.DataFrame]
"""Gives some columns as text, of some rows of the frame (ascending) or of all."""


@dataclass(frozen=True)
class Read:
    """What was read.

    Attributes:
        rows: the wanted columns that exist, under their local names; ``n_records - n_broken`` of them.
        header: the names of all columns, in order.
        found: records, broken ones included.
        records: position (from 0) of each of ``rows``; ``None`` when they are the same.
        unit: what ``places`` counts: physical lines of a text, or rows.
        places: where records stand.
        faults: what is wrong with the records as a whole; the header is not judged yet.
        texts: columns that a text table gave as numbers, as text; absent where none was.
    """

    rows: Rows
    header: tuple[str, ...]
    found: int
    records: pl.Series | None
    unit: Unit
    places: Places
    faults: tuple[Fault, ...] = ()
    texts: Texts | None = None

    @property
    def frame(self) -> pl.DataFrame:
        """The columns of ``rows``, held; ``(n_records - n_broken, n_columns)``."""
        return self.rows.frame


def no_records() -> UnreadableError:
    """Refuse a table with columns and without records."""
    return UnreadableError(Fault("T-EMPTY", "A table holds records", "it has columns but no record", "export the records again"))

"""Where a record stands in what the hospital exported: a line or row, with the number of its file where there are several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np


class FilePlace(NamedTuple):
    """A line or row of one of several files, both from 1; the files are numbered in the order in which they are read."""

    file: int
    at: int

    def __str__(self) -> str:
        """Give it as people read it: ``2:105`` is line 105 of file 2."""
        return f"{self.file}:{self.at}"


Place: TypeAlias = int | FilePlace
Places: TypeAlias = Callable[[Sequence[int]], list[Place]]
"""From positions in the table (from 0) to where they stand."""

MOST_LISTED = 20


def row_numbers(records: Sequence[int]) -> list[Place]:
    """Count rows from 1."""
    return [int(record) + 1 for record in records]


def of_files(parts: Sequence[tuple[int, Places]]) -> Places:
    """Give the places of tables that follow each other, from how many records each has and where they stand in it."""
    ends = np.cumsum([found for found, _ in parts])

    def places(records: Sequence[int]) -> list[Place]:
        found: list[Place] = []
        for record in records:
            file = int(np.searchsorted(ends, record, side="right"))
            at = parts[file][1]([int(record) - (int(ends[file - 1]) if file else 0)])[0]
            found.append(FilePlace(file + 1, int(at) if isinstance(at, int) else at.at))
        return found

    return places


def in_order(places: Iterable[Place]) -> tuple[Place, ...]:
    """Sort the places of one table: all of them have a file, or none."""
    return tuple(sorted(places, key=lambda place: (0, place) if isinstance(place, int) else (place.file, place.at)))


def listed(places: Sequence[Place]) -> str:
    """Give places for people, the first of them where there are many."""
    return ", ".join(str(place) for place in places[:MOST_LISTED]) + (", ..." if len(places) > MOST_LISTED else "")

"""Each column to at most one field and each field to at most one column, with the best total (H. W. Kuhn, 1955)."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf


def assign(scores: Sequence[Sequence[float]]) -> list[int | None]:
    """Give for each row its column so that the sum of the scores is greatest; ``None`` where a score of 0 would be taken.

    The shortest augmenting path method with potentials, O(rows² · columns); ``(n_rows, n_columns)``, scores from 0 up.
    """
    if not scores or not scores[0]:
        return [None] * len(scores)
    if len(scores) > len(scores[0]):
        owners = assign([list(column) for column in zip(*scores, strict=True)])
        by_row = {row: column for column, row in enumerate(owners) if row is not None}
        return [by_row.get(row) for row in range(len(scores))]
    owner = _owners(scores)
    found: list[int | None] = [None] * len(scores)
    for column, row in enumerate(owner[1:]):
        if row and scores[row - 1][column] > 0:
            found[row - 1] = column
    return found


def _owners(scores: Sequence[Sequence[float]]) -> list[int]:
    """Give the row of each column, both from 1 and 0 for none; there are at least as many columns as rows."""
    rows, columns = len(scores), len(scores[0])
    row_potential, column_potential = [0.0] * (rows + 1), [0.0] * (columns + 1)
    owner, previous = [0] * (columns + 1), [0] * (columns + 1)
    for row in range(1, rows + 1):
        owner[0], at = row, 0
        least, seen = [inf] * (columns + 1), [False] * (columns + 1)
        while owner[at]:
            seen[at] = True
            current, step, nearest = owner[at], inf, 0
            for column in (each for each in range(1, columns + 1) if not seen[each]):
                cost = -scores[current - 1][column - 1] - row_potential[current] - column_potential[column]
                if cost < least[column]:
                    least[column], previous[column] = cost, at
                if least[column] < step:
                    step, nearest = least[column], column
            for column in range(columns + 1):
                if seen[column]:
                    row_potential[owner[column]] += step
                    column_potential[column] -= step
                else:
                    least[column] -= step
            at = nearest
        while at:
            owner[at] = owner[previous[at]]
            at = previous[at]
    return owner

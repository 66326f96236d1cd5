"""How a hospital's training records are distributed, field by field, in groups of cells that are large enough to leave.

They are the records of the exact sums and no others: from two numbers of the same field, one of them over more records, those
in between follow.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from wardround.contract.model import Contract
from wardround.messages.distribution import (
    CellGroup,
    Distributions,
    FieldDistribution,
    Scale,
    scale_of,
    told_fields,
    withheld,
)
from wardround.messages.round import FiguresFor
from wardround.study.model import Study

LEAST_HIDDEN = 3
"""Below this a small cell hides nothing: where 1 is the only count that may not leave, to hide a cell says that it is 1."""
_Members = list[tuple[int, int]]
"""Cells that leave together, each with its records."""


def distributions(train: pl.DataFrame, contract: Contract, study: Study, small_cell: int, share: FiguresFor) -> Distributions:
    """Tell the distribution of the target and of every feature over the training records."""
    told = (_distribution(train[name], scale_of(contract, name), small_cell) for name in told_fields(study))
    return Distributions(share=share, fields=tuple(told))


def _distribution(values: pl.Series, scale: Scale, small_cell: int) -> FieldDistribution:
    counts, missing = cell_counts(values, scale), values.null_count()
    if scale.whole or not scale.numeric:
        groups = alone_or_together([*counts, missing], small_cell, whole=scale.whole)
    else:
        groups = neighbours(counts, missing, _middle(values, scale), small_cell)
    if groups is None:
        return withheld(scale.field, "few")
    said = (CellGroup(cells=tuple(cell for cell, _ in group), count=sum(count for _, count in group)) for group in groups)
    return FieldDistribution(field=scale.field, groups=tuple(sorted(said, key=lambda group: group.cells)))


def cell_counts(values: pl.Series, scale: Scale) -> list[int]:
    """Count the records in each cell but that of missing values."""
    present = values.drop_nulls()
    if not scale.numeric:
        found = dict(present.value_counts().iter_rows())
        return [int(found.get(value, 0)) for value in scale.values]
    return [int(count) for count in np.bincount(_cells(present, scale), minlength=scale.missing)]


def _cells(values: pl.Series, scale: Scale) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Give the cell of each value: a bin has its lower edge, and the last one its upper edge too."""
    numbers, edges = values.cast(pl.Float64).to_numpy(), np.asarray(scale.edges)
    inside = np.searchsorted(edges, numbers, side="right")
    return np.where(numbers == edges[-1], len(edges) - 1, inside).astype(np.int64)


def _middle(values: pl.Series, scale: Scale) -> int | None:
    """Give the cell of the hospital's own mean, as the exact sums have it; None where there is no value."""
    present = values.drop_nulls().cast(pl.Float64)
    if not len(present):
        return None
    mean = float(np.clip(present.to_numpy(), scale.edges[0], scale.edges[-1]).mean())
    return int(_cells(pl.Series([mean]), scale)[0])


def is_small(count: int, small_cell: int) -> bool:
    """Say whether a cell is hidden among others."""
    return 0 < count < (max(small_cell, LEAST_HIDDEN) if small_cell > 1 else small_cell)


def enough(members: Sequence[int], small_cell: int) -> bool:
    """Say whether cells with these records may leave as one group.

    A cell alone: if it is empty or large enough. Several: if at least one of them is large enough, and would still be if each
    of the small ones were as large as a small one can be. Then the sum rules out no value of any small cell.
    """
    least = max(small_cell, LEAST_HIDDEN)
    small = sum(is_small(count, small_cell) for count in members)
    if not small:
        return True
    large = sum(count > 0 for count in members) - small
    return large > 0 and sum(members) >= small * (least - 1) + large * least


def neighbours(counts: Sequence[int], missing: int, middle: int | None, small_cell: int) -> list[_Members] | None:
    """Group bins until each group is large enough: each that is not takes its neighbour on the side of ``middle``.

    That is the cell of the hospital's own mean, which the exact sums tell anyway. Only neighbours go together: sum and squares of
    all values leave too, and would tell far apart cells of one group from one another. Few missing values go with the mean, as in
    the sums. None: there is nothing to tell.
    """
    groups: list[_Members] = [[(cell, count)] for cell, count in enumerate(counts)]
    if 0 < missing < small_cell:
        if middle is None:
            return None
        groups[middle].append((len(counts), missing))
    while len(groups) > 1:
        place = next((at for at, group in enumerate(groups) if not _enough(group, small_cell)), None)
        if place is None:
            break
        rises = place == 0 or (place < len(groups) - 1 and _is_up_to(groups[place], len(counts), middle or 0))
        first = place if rises else place - 1
        groups[first : first + 2] = [groups[first] + groups[first + 1]]
    if len(groups) == 1:
        return None
    alone = [] if 0 < missing < small_cell else [[(len(counts), missing)]]
    return [sorted(group) for group in groups] + alone


def _is_up_to(group: _Members, bins: int, middle: int) -> bool:
    """Say whether a group of bins begins at a cell or below it."""
    return min(cell for cell, _ in group if cell < bins) <= middle


def _enough(group: _Members, small_cell: int) -> bool:
    return enough([count for _, count in group], small_cell)


def alone_or_together(counts: Sequence[int], small_cell: int, *, whole: bool) -> list[_Members] | None:
    """Let each cell stand alone, but for the small ones: they go with the first large ones, in the contract's order.

    None: no group hides them, or nothing is left beside it; or a field is told ``whole`` or not at all.
    """
    cells = list(enumerate(counts))
    together = [(cell, count) for cell, count in cells if is_small(count, small_cell)]
    if not together:
        return [[each] for each in cells]
    large = [(cell, count) for cell, count in cells if count and not is_small(count, small_cell)]
    while large and not _enough(together, small_cell):
        together.append(large.pop(0))
    if whole or not large or not _enough(together, small_cell):
        return None
    hidden = {cell for cell, _ in together}
    return [sorted(together), *([each] for each in cells if each[0] not in hidden)]

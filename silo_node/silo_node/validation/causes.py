"""Why cells break a check: what can be told from the cells themselves gets its own code and its own next step.

Everything here looks at cells that failed already, so that clean tables pay nothing for it. A cell has one cause: the
first that applies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from silo_node.mapping.resolve import FieldMapping


@dataclass(frozen=True)
class Failed:
    """Cells of one field that break one check.

    Attributes:
        code: of the check.
        mapping: the field, and how its cells are read.
        cells: the local cells as text; ``(n_failed,)``.
        values: the shared values of the same records, null where a cell gave none.
        sound: how many records of the table have a value of this field that does not break the check.
        records: how many records the table has.
    """

    code: str
    mapping: FieldMapping
    cells: pl.Series
    values: pl.Series
    sound: int
    records: int


@dataclass(frozen=True)
class Cause:
    """Why some of the cells failed.

    Attributes:
        code: of the finding that they get.
        where: which of the cells; ``(n_failed,)``.
        expectation: what should hold; that of the check when not given.
        next_step: what the hospital can do now; that of the check when not given.
        note: what the finding says beside its count, in words that hold for every record.
        fatal: whether the node refuses to go on, instead of setting the records aside.
    """

    code: str
    where: pl.Series
    expectation: str | None = None
    next_step: str | None = None
    note: str = ""
    fatal: bool = False


@dataclass(frozen=True)
class Kind:
    """A form that bad cells can have.

    Attributes:
        words: what the finding says of them: ``with a unit``.
        form: a regular expression that the whole cell matches.
        next_step: what the hospital can do about these.
    """

    words: str
    form: str
    next_step: str


def matching(cells: pl.Series, form: str) -> pl.Series:
    """Say which cells match a regular expression as a whole; a missing cell matches none."""
    return cells.str.contains(rf"\A(?:{form})\z").fill_null(value=False)


def nowhere(cells: pl.Series) -> pl.Series:
    """Give the mask of no cell."""
    return pl.Series([False]).new_from_index(0, len(cells))


def different(cells: pl.Series, judge: Callable[[str], bool]) -> pl.Series:
    """Judge each different text once, and give the mask of those that the judge says yes to."""
    accepted = [text for text in cells.drop_nulls().unique() if judge(text)]
    return cells.is_in(accepted).fill_null(value=False) if accepted else nowhere(cells)


def sorted_by_kind(cells: pl.Series, kinds: Sequence[Kind]) -> Iterator[tuple[Kind, pl.Series]]:
    """Give the kinds that cells have, and which they are; a cell is of the first kind that it matches."""
    left = ~nowhere(cells)
    for kind in kinds:
        where = left & matching(cells, kind.form)
        if where.any():
            left = left & ~where
            yield kind, where


def note(found: Iterable[tuple[str, int]], total: int) -> str:
    """Say how many cells are of which kind, the most frequent first: ``2 with a unit, 1 other``."""
    counted = Counter(dict(found))
    rest = total - counted.total()
    words = [f"{count} {kind}" for kind, count in sorted(counted.items(), key=lambda item: (-item[1], item[0]))]
    return ", ".join([*words, *([f"{rest} other"] if rest and words else [])])


def by_kind(code: str, cells: pl.Series, kinds: Sequence[Kind]) -> Cause | None:
    """Give one cause for all cells, whose note and next steps name their kinds; ``None`` when they have none."""
    found = [(kind, int(where.sum())) for kind, where in sorted_by_kind(cells, kinds)]
    if not found:
        return None
    found.sort(key=lambda item: (-item[1], item[0].words))
    steps = "; ".join(dict.fromkeys(kind.next_step for kind, _ in found))
    words = note(((kind.words, count) for kind, count in found), len(cells))
    return Cause(code, ~nowhere(cells), next_step=steps, note=words)

"""How a field's values are distributed among a hospital's training records, as it may leave.

A field has cells that the contract alone fixes: for a number ``BINS`` equal bins of its range, what lies below and above it,
and missing; for a coded field its categories, and missing. Cells with few records do not leave singly: they leave together
with others, as a group of which only the sum is said, or the whole field is withheld. No free string: a field is a name of
the schema, a cell is a number.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from wardround.canonical import digest
from wardround.contract.model import Contract
from wardround.study.encoding import bounds
from wardround.study.model import Study
from wardround.values import Count, FieldName, Sha256, Value

BINS = 10
"""Equal bins of a numeric field's range."""
SINGLE_VALUES = 3
"""A bin of whole numbers holds at least so many of them; a narrower range has a bin for each number, and is told whole or not at
all: who knows every value can solve the exact sums for what is hidden."""
MOST_CELLS = 10_000

Withholding: TypeAlias = Literal["few", "told"]
"""Why a field is not shown: few records stand behind a cell and no group hides them; or something like it was told before."""


@dataclass(frozen=True)
class Scale:
    """The cells of a field.

    Attributes:
        edges: of the bins of a numeric field, ascending; empty for a coded one.
        values: the categories of a coded field.
        whole: whether it is told whole or not at all.
    """

    field: str
    edges: tuple[float, ...] = ()
    values: tuple[str, ...] = ()
    whole: bool = False

    @property
    def numeric(self) -> bool:
        """Whether the cells are bins, in their order."""
        return bool(self.edges)

    @property
    def missing(self) -> int:
        """The number of the last cell: records without a value."""
        return len(self.edges) + 1 if self.numeric else len(self.values)

    @property
    def cells(self) -> int:
        """How many cells there are."""
        return self.missing + 1

    @property
    def labels(self) -> tuple[str, ...]:
        """Name every cell."""
        if not self.numeric:
            return (*self.values, "missing")
        bins = [f"{low:g} to {high:g}" for low, high in zip(self.edges, self.edges[1:], strict=False)]
        return (f"below {self.edges[0]:g}", *bins, f"above {self.edges[-1]:g}", "missing")

    def scale_digest(self) -> Sha256:
        """Give the digest by which two tellings are of the same cells."""
        return digest("scale", 1, [self.field, list(self.edges), list(self.values), self.whole])


def scale_of(contract: Contract, name: str) -> Scale:
    """Give the cells of a feature or target; ``ValueError`` for a number without a range, which no study may use."""
    field = contract.field(name)
    if field.values:
        return Scale(name, values=field.values)
    low, high = bounds(contract, name)
    numbers = math.floor(high) - math.ceil(low) + 1
    if field.type == "integer" and numbers < SINGLE_VALUES * BINS:
        first = math.ceil(low) - 0.5
        return Scale(name, edges=tuple(first + step for step in range(numbers + 1)), whole=True)
    return Scale(name, edges=(*(low + (high - low) * step / BINS for step in range(BINS)), high))


def present_in(study: Study, sums: Mapping[FieldName, int], records: int) -> Mapping[FieldName, int]:
    """Give how many values each numeric field that is told has: of a feature as its exact sums say, of a target one a record."""
    return {**sums, **dict.fromkeys(study.target.fields, records)}


def told_fields(study: Study) -> tuple[str, ...]:
    """Give the fields of which a study with distributions asks: its target and its features."""
    return (*study.target.fields, *study.features)


class CellGroup(Value):
    """Some cells, and how many records are in them together."""

    cells: Annotated[tuple[Count, ...], Field(min_length=1, max_length=MOST_CELLS)]
    count: Count


class FieldDistribution(Value):
    """One field: each of its cells in one group; or no group, and why."""

    field: FieldName
    withheld: Withholding | None = None
    groups: Annotated[tuple[CellGroup, ...], Field(max_length=MOST_CELLS)] = ()

    @model_validator(mode="after")
    def _shown_or_not(self) -> FieldDistribution:
        if (self.withheld is None) != bool(self.groups):
            msg = "a distribution is shown in groups, or withheld"
            raise ValueError(msg)
        return self

    @property
    def records(self) -> int:
        """How many records there are in all groups."""
        return sum(group.count for group in self.groups)


class Distributions(Value):
    """What a hospital says of its training records, field by field.

    Attributes:
        share: whom the hospital's policy lets see it under its name.
    """

    share: Literal["coordinator", "consortium"]
    fields: Annotated[tuple[FieldDistribution, ...], Field(max_length=MOST_CELLS)]


def withheld(field: str, why: Withholding) -> FieldDistribution:
    """Give the distribution of which nothing is said."""
    return FieldDistribution(field=field, withheld=why)


def is_possible(told: FieldDistribution, scale: Scale, records: int, present: int | None) -> bool:
    """Say whether a distribution can be one of so many records on these cells.

    Args:
        told: what came.
        scale: the cells, by the contract.
        records: training records.
        present: how many values there are, of a numeric field (``present_in``); None where nothing says it.
    """
    if told.withheld is not None:
        return True
    cells = sorted(cell for group in told.groups for cell in group.cells)
    if cells != list(range(scale.cells)) or told.records != records:
        return False
    if scale.numeric:
        alone = next((group.count for group in told.groups if group.cells == (scale.missing,)), 0)
        if records - alone != present or not all(_adjoin(group.cells, scale.missing) for group in told.groups):
            return False
    return not scale.whole or all(len(group.cells) == 1 for group in told.groups)


def _adjoin(cells: Sequence[int], missing: int) -> bool:
    """Say whether bins stand side by side; missing values may be among them."""
    bins = sorted(cell for cell in cells if cell != missing)
    return not bins or bins == list(range(bins[0], bins[-1] + 1))


def shows_few(told: FieldDistribution, small_cell: int) -> bool:
    """Say whether a group is too small to leave: a single cell of 1 to ``small_cell`` − 1 records, or a group that such a
    cell and one that is large enough could not both be in, whatever they hold.
    """
    least = {True: small_cell, False: 2 * small_cell - 1}
    return any(
        0 < group.count < least[len(group.cells) == 1] or (group.count == 0 and len(group.cells) > 1) for group in told.groups
    )


def follows_by_few(one: FieldDistribution, other: FieldDistribution, small_cell: int) -> bool:
    """Say whether a small group of records can follow from two tellings on the same cells.

    They are safe beside each other only where they hide the same cells in the same groups, and where each group, all records
    and all records but a group are as many as before, or ``small_cell`` more or fewer.
    """
    before = {group.cells: group.count for group in one.groups}
    after = {group.cells: group.count for group in other.groups}
    if before.keys() != after.keys():
        return True
    changes = [after[cells] - before[cells] for cells in before]
    all_records = sum(changes)
    changes += [all_records, *(all_records - change for change in changes)]
    return any(0 < abs(change) < small_cell for change in changes)


def common_groups(told: Iterable[FieldDistribution]) -> tuple[tuple[int, ...], ...]:
    """Give the finest groups of cells of which every one of several tellings says how many records they have together."""
    group_of: dict[int, frozenset[int]] = {}
    for each in told:
        for group in each.groups:
            joined = frozenset(group.cells).union(*(group_of.get(cell, frozenset()) for cell in group.cells))
            group_of |= dict.fromkeys(joined, joined)
    return tuple(sorted({tuple(sorted(cells)) for cells in group_of.values()}))


def count_in(told: FieldDistribution, cells: Iterable[int]) -> int:
    """Give how many records are in some cells that are whole groups together."""
    wanted = set(cells)
    return sum(group.count for group in told.groups if wanted.issuperset(group.cells))

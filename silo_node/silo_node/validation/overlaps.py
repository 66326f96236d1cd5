"""Which causes set the same records aside, and so what to repair first: counts only, no record and no place of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from silo_node.sources.faults import Fault
from silo_node.validation.engine import Broken

MOST_REPAIRS = 5
"""How many repairs a list of what to fix first holds."""


@dataclass(frozen=True, order=True, slots=True)
class Cause:
    """One thing that sets records aside: a code, at a field, a rule, or fields together."""

    code: str
    place: str


@dataclass(frozen=True, slots=True)
class Overlap:
    """How many records exactly these causes set aside."""

    causes: tuple[Cause, ...]
    records: int


@dataclass(frozen=True, slots=True)
class Repair:
    """One step of what to fix first.

    Attributes:
        cause: what to repair.
        records: the records that it sets aside, alone or with others.
        frees: the records that nothing sets aside any more once it and the repairs before it are made.
        left: the records that are still set aside then.
    """

    cause: Cause
    records: int
    frees: int
    left: int


def overlaps(broken: Sequence[Broken], faults: Sequence[Fault] = ()) -> tuple[Overlap, ...]:
    """Count the records of each set of causes, from the masks of what sets records aside.

    The records of a fault of the file, such as lines with a cell too many, were never read: no other cause is theirs.
    """
    masks: dict[Cause, pl.Series] = {}
    for each in broken:
        check = each.check
        if check.level == "record" and check.severity == "error":
            cause = Cause(check.code, check.rule or ", ".join(check.fields))
            masks[cause] = masks[cause] | each.mask if cause in masks else each.mask
    unread: dict[Cause, int] = {}
    for fault in faults:
        if fault.records:
            cause = Cause(fault.code, fault.field or "")
            unread[cause] = unread.get(cause, 0) + len(fault.records)
    found = [*_counted(masks), *(Overlap((cause,), records) for cause, records in unread.items())]
    return tuple(sorted(found, key=lambda each: (-each.records, each.causes)))


def _counted(masks: Mapping[Cause, pl.Series]) -> Iterator[Overlap]:
    if not masks:
        return
    causes = sorted(masks)
    names = [str(at) for at in range(len(causes))]
    table = pl.DataFrame([masks[cause].alias(name) for cause, name in zip(causes, names, strict=True)])
    counted = table.filter(pl.any_horizontal(names)).group_by(names).len("records")
    for row in counted.iter_rows():
        yield Overlap(tuple(cause for cause, holds in zip(causes, row, strict=False) if holds), row[-1])


def first_repairs(found: Sequence[Overlap], most: int = MOST_REPAIRS) -> tuple[Repair, ...]:
    """Say what to repair first: at each step what frees most records after the repairs before it (greedy).

    Where no repair frees any by itself, the one that concerns most records comes first; where two are equal, the first
    in the alphabet. The same overlaps give the same list.
    """
    left = {each.causes: each.records for each in found}
    repairs: list[Repair] = []
    while left and len(repairs) < most:
        alone, touched = dict[Cause, int](), dict[Cause, int]()
        for causes, records in left.items():
            for cause in causes:
                touched[cause] = touched.get(cause, 0) + records
            if len(causes) == 1:
                alone[causes[0]] = records
        best = min(touched, key=lambda cause: (-alone.get(cause, 0), -touched[cause], cause))
        rest: dict[tuple[Cause, ...], int] = {}
        for causes, records in left.items():
            if remaining := tuple(cause for cause in causes if cause != best):
                rest[remaining] = rest.get(remaining, 0) + records
        left = rest
        repairs.append(Repair(best, touched[best], alone.get(best, 0), sum(left.values())))
    return tuple(repairs)

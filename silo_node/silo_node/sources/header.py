"""What a table's header must hold: every mapped column once, and no column that the mapping does not know.

Headers are never repeated in a fault: a file without a header line would put its first patient there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import polars as pl

from silo_node.sources.faults import Fault
from wardround.strict_yaml import nearest

MOST_TOLD = 100
"""Columns that are told one by one; of a header that is none there may be a hundred thousand."""
LONGEST_NAME = 100
"""Characters of a name that is compared with the schema's."""


@dataclass(frozen=True)
class Wanted:
    """Which columns a table should have.

    Attributes:
        fields: shared field → local column, for the fields to read.
        known: every local column that the site file maps or ignores.
        names: all fields of the schema, to hint at a misspelt one.
        exact: whether an unknown column is an error (``fieldsMatch: exact``) or a warning (``superset``).
        numbers: local columns of numbers, which a text table may give in these types where each cell is such a number or is
            empty; an empty cell is null then.
    """

    fields: Mapping[str, str]
    known: frozenset[str]
    names: tuple[str, ...]
    exact: bool
    numbers: Mapping[str, pl.DataType] = field(default_factory=dict)


def judge(header: Sequence[str], wanted: Wanted) -> list[Fault]:
    """Say everything that is wrong with a header."""
    variants = _variants(header, wanted)
    rivals = {column: places for column, places in variants.items() if column in set(header)}
    told = {place for places in rivals.values() for place in places}
    return [
        *_twice(header, wanted),
        *_rivals(header, wanted, rivals),
        *_absent(header, wanted, variants),
        *_extra(header, wanted, told),
    ]


def plain(name: str) -> str:
    """Give what is left of a name without case and blanks at its ends: what a person reads as the same."""
    return " ".join(name.split()).casefold()


def _variants(header: Sequence[str], wanted: Wanted) -> dict[str, list[int]]:
    """Give, for each mapped column, where names stand that are its own but for case and blanks, and that nobody mapped."""
    columns = {plain(column): column for column in wanted.fields.values()}
    found: dict[str, list[int]] = {}
    for position, name in enumerate(header, 1):
        if name not in wanted.known and len(name) <= LONGEST_NAME and (column := columns.get(plain(name))) is not None:
            found.setdefault(column, []).append(position)
    return found


def _twice(header: Sequence[str], wanted: Wanted) -> list[Fault]:
    owners = {column: name for name, column in wanted.fields.items()}
    stands: dict[str, list[int]] = {}
    for position, name in enumerate(header, 1):
        stands.setdefault(name, []).append(position)
    twice = [(name, places) for name, places in stands.items() if len(places) > 1]
    # Of many, those of the schema's fields are told before the others.
    twice.sort(key=lambda each: each[0] not in owners)
    faults = [
        Fault(
            "T-HDRDUP",
            "A column name may stand once in the header",
            f"the columns at positions {_listed(places)} have the same name",
            "rename or remove one of them",
            field=owners.get(name),
            count=len(places),
        )
        for name, places in twice[:MOST_TOLD]
    ]
    if others := twice[MOST_TOLD:]:
        rule, finding = "A column name may stand once in the header", f"{len(others)} further names stand more than once"
        faults.append(Fault("T-HDRDUP", rule, finding, "see whether the first line is the header", count=len(others)))
    return faults


def _rivals(header: Sequence[str], wanted: Wanted, rivals: Mapping[str, list[int]]) -> list[Fault]:
    """Name mapped columns that have another beside them whose name differs in case or blanks only: one may be the newer."""
    owners = {column: name for name, column in wanted.fields.items()}
    return [
        Fault(
            "T-HDRDUP",
            "A column name may stand once in the header",
            f"the names of the columns at positions {_listed(stands)} differ in case or blanks only",
            "rename or remove one of them, or list the one that is not meant under 'ignore'",
            field=owners[column],
            count=len(stands),
        )
        for column, places in rivals.items()
        for stands in [sorted([header.index(column) + 1, *places])]
    ]


def _absent(header: Sequence[str], wanted: Wanted, variants: Mapping[str, list[int]]) -> list[Fault]:
    present = set(header)
    return [
        Fault(
            "T-MISSCOL",
            "Every mapped column is in the table",
            f"the column that the site file maps to {name!r} is absent",
            f"the column at position {variants[column][0]} has its name but for case or blanks: write that one in the site file"
            if column in variants
            else f"correct the column of {name!r} in the site file, or export the column",
            field=name,
            count=1,
        )
        for name, column in wanted.fields.items()
        if column not in present
    ]


def _extra(header: Sequence[str], wanted: Wanted, told: AbstractSet[int]) -> list[Fault]:
    faults: list[Fault] = []
    unknown = [(position, name) for position, name in enumerate(header, 1) if name not in wanted.known and position not in told]
    for position, name in unknown[:MOST_TOLD]:
        guess = nearest(name, wanted.names) if len(name) <= LONGEST_NAME else None
        faults.append(
            Fault(
                "T-EXTRACOL",
                "Every column of the table is mapped or listed under 'ignore'",
                f"the column at position {position} is neither mapped nor ignored",
                f"is it the field {guess!r}? Map it, or list it under 'ignore'"
                if guess
                else "map it, list it under 'ignore', or leave it out of the export",
                count=1,
                warning=not wanted.exact,
            )
        )
    if others := unknown[MOST_TOLD:]:
        finding = f"{len(others)} further columns are neither mapped nor ignored, from position {others[0][0]} on"
        rule, step = (
            "Every column of the table is mapped or listed under 'ignore'",
            "leave them out of the export, or list them under 'ignore'",
        )
        faults.append(Fault("T-EXTRACOL", rule, finding, step, count=len(others), warning=not wanted.exact))
    return faults


def _listed(places: Sequence[int], most: int = 20) -> str:
    return ", ".join(str(place) for place in places[:most]) + (", ..." if len(places) > most else "")

"""What a table's header must hold: every mapped column once, and no column that the mapping does not know.

Headers are never repeated in a fault: a file without a header line would put its first patient there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from silo_node.sources.faults import Fault
from wardround.strict_yaml import nearest


@dataclass(frozen=True)
class Wanted:
    """Which columns a table should have.

    Attributes:
        fields: shared field → local column, for the fields to read.
        known: every local column that the site file maps or ignores.
        names: all fields of the schema, to hint at a misspelt one.
        exact: whether an unknown column is an error (``fieldsMatch: exact``) or a warning (``superset``).
    """

    fields: Mapping[str, str]
    known: frozenset[str]
    names: tuple[str, ...]
    exact: bool


def judge(header: Sequence[str], wanted: Wanted) -> list[Fault]:
    """Say everything that is wrong with a header."""
    return [*_twice(header, wanted), *_absent(header, wanted), *_extra(header, wanted)]


def _twice(header: Sequence[str], wanted: Wanted) -> list[Fault]:
    owners = {column: name for name, column in wanted.fields.items()}
    faults: list[Fault] = []
    for name, times in Counter(header).items():
        if times > 1:
            places = [position for position, other in enumerate(header, 1) if other == name]
            faults.append(
                Fault(
                    "T-HDRDUP",
                    "A column name may stand once in the header",
                    f"the columns at positions {_listed(places)} have the same name",
                    "rename or remove one of them",
                    field=owners.get(name),
                    count=len(places),
                )
            )
    return faults


def _absent(header: Sequence[str], wanted: Wanted) -> list[Fault]:
    present = set(header)
    return [
        Fault(
            "T-MISSCOL",
            "Every mapped column is in the table",
            f"the column that the site file maps to {name!r} is absent",
            f"correct the column of {name!r} in the site file, or export the column",
            field=name,
            count=1,
        )
        for name, column in wanted.fields.items()
        if column not in present
    ]


def _extra(header: Sequence[str], wanted: Wanted) -> list[Fault]:
    faults: list[Fault] = []
    for position, name in enumerate(header, 1):
        if name in wanted.known:
            continue
        guess = nearest(name, wanted.names)
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
    return faults


def _listed(places: Sequence[int], most: int = 20) -> str:
    return ", ".join(str(place) for place in places[:most]) + (", ..." if len(places) > most else "")

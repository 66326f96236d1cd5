"""What can be wrong with a file or its header, before any cell is judged.

A fault's text names only what the schema or the site file's own keys name: no header, no cell, no path.
"""

from __future__ import annotations

from dataclasses import dataclass

from silo_node.sources.places import Place


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a table as a whole.

    Attributes:
        code: a T- code of the catalogue.
        rule: what should hold.
        finding: what was found instead; never a cell, header or path.
        next_step: what the hospital can do now.
        field: the shared field that is concerned, when there is one.
        count: how many lines, columns or records are concerned.
        records: the records concerned, by position from 0, when there are any.
        warning: whether the check may pass all the same.
        lines: where the records concerned stand, when none of them is left out for it.
    """

    code: str
    rule: str
    finding: str
    next_step: str
    field: str | None = None
    count: int = 0
    records: tuple[int, ...] = ()
    warning: bool = False
    lines: tuple[Place, ...] = ()


class UnreadableError(Exception):
    """A table that cannot be read at all; carries the fault, nothing of the file."""

    def __init__(self, fault: Fault) -> None:
        """Take the fault that says why."""
        super().__init__(fault.code)
        self.fault = fault


def changed() -> Fault:
    """Say that a file is not the same any more while it is read."""
    return Fault(
        "T-FILE",
        "The source's file is the same as long as it is read",
        "it was changed in the meantime",
        "check again when nothing writes into it; best let an export write a new file, and put that in the place of the old one",
    )

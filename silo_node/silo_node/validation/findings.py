"""What a check finds, in words that only the schema owns: code, field or rule, counts, line numbers and shapes."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from silo_node.sources.places import Place
from silo_node.sources.tables import Unit
from wardround.contract.severities import Reason

SAMPLE_LINES = 20
"""How many line numbers a finding lists."""
SHAPES = 5
"""How many shapes a finding lists, the most frequent first."""
SHAPE_LENGTH = 24
"""Characters of a shape; longer ones end with an ellipsis."""
SHAPE_RUN = 6
"""Letters or digits in a row that a shape repeats; longer runs are cut."""
SHOWN_MARKS = frozenset(" .,;:-+/%<>=()[]*?!#&@_|\"'^~")
"""Signs that a shape shows as they are; every other one is ``?``."""

Level = Literal["table", "record", "share"]
"""``table``: the file or a column as a whole; ``record``: records, set aside by an error; ``share``: a limit of a share."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What cells look like: letters as ``A`` and ``a``, digits as ``9``; never the cells themselves."""

    text: str
    count: int


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of thing that is wrong.

    Attributes:
        code: a T- code of the catalogue.
        severity: an ``error`` fails the check or sets records aside; a ``warning`` does neither.
        level: what it is about.
        field: the shared field, when it is about one.
        rule: the schema's own id of a cross-field rule, when it is about one.
        count: records concerned (columns for column faults).
        of: records in the table.
        lines: the first line or row numbers concerned.
        unit: what ``lines`` counts.
        shapes: the most frequent shapes of the cells concerned.
        expectation: what should hold.
        finding: what was found instead.
        next_step: what the hospital can do now.
        explained: the hospital's reason, when it has explained this; it would be an error, or told, without.
    """

    code: str
    severity: Literal["error", "warning"]
    level: Level
    field: str | None
    rule: str | None
    count: int
    of: int
    lines: tuple[Place, ...]
    unit: Unit
    shapes: tuple[Shape, ...]
    expectation: str
    finding: str
    next_step: str
    explained: Reason | None = None


def shape(text: str) -> str:
    """Give the shape of a cell: ``Meier 12,5`` is ``Aaaaa 99,9``."""
    found: list[str] = []
    run = 0
    for character in text:
        sign = _sign(character)
        run = run + 1 if found and found[-1] == sign else 1
        if run <= SHAPE_RUN or sign not in "Aa9":
            found.append(sign)
        if len(found) > SHAPE_LENGTH:
            return "".join(found[:SHAPE_LENGTH]) + "…"
    return "".join(found)


def _sign(character: str) -> str:
    category = unicodedata.category(character)
    if category in ("Lu", "Lt"):
        return "A"
    if category.startswith(("L", "M")):
        return "a"
    if category.startswith("N"):
        return "9"
    return character if character in SHOWN_MARKS else "?"


def shapes(cells: Iterable[str | None]) -> tuple[Shape, ...]:
    """Give the most frequent shapes of cells, missing ones left out."""
    counted = Counter(shape(cell) for cell in cells if cell is not None)
    return tuple(Shape(text, count) for text, count in sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:SHAPES])

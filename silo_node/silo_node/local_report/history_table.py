"""The history of checks, for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from silo_node.local_report.history import Line, changes, of_one_kind

MOST_NAMES = 4
"""Findings that a row names as new or gone."""


@dataclass(frozen=True)
class Course:
    """Checks that asked the same and answered the same, one after the other.

    Attributes:
        first: the first of them.
        last: the last of them.
        times: how many there were.
        new: findings that the answer before did not have; empty for the first answer.
        gone: findings that only the answer before had.
    """

    first: Line
    last: Line
    times: int
    new: tuple[str, ...]
    gone: tuple[str, ...]


def course(lines: Sequence[Line]) -> tuple[Course, ...]:
    """Put checks of one kind together where the answer stayed the same; in the order of time."""
    found: list[Course] = []
    for line in lines:
        before = found[-1] if found else None
        if before is not None and _answer(before.last) == _answer(line):
            found[-1] = Course(before.first, line, before.times + 1, before.new, before.gone)
        else:
            new, gone = ((), ()) if before is None else changes(before.last, line)
            found.append(Course(line, line, 1, new, gone))
    return tuple(found)


def _answer(line: Line) -> Line:
    return line.model_copy(update={"time": "", "cached": False})


def history_rows(lines: Sequence[Line]) -> Iterator[tuple[str, ...]]:
    """Give the rows of ``--history``: for each schema and study, its answers in the order of time."""
    yield "time", "schema", "study", "verdict", "found", "set aside", "changes"
    kinds = dict.fromkeys((line.schema_id, line.study) for line in lines)
    for schema, study in kinds:
        for each in course(of_one_kind(lines, schema, study)):
            line = each.last
            name, counts = f"{line.schema_id} {line.version}", (str(line.found), str(line.set_aside))
            yield line.time, name, line.study or "", line.verdict, *counts, moved(each)


def moved(each: Course) -> str:
    """Say what is new and gone, and how often the answer stood."""
    told = [f"{word}: {names(found)}" for word, found in (("new", each.new), ("gone", each.gone)) if found]
    if each.times > 1:
        told.append(f"{each.times} checks")
    return "; ".join(told)


def names(found: Sequence[str]) -> str:
    """Name findings, the first few of many."""
    more = f", and {len(found) - MOST_NAMES} more" if len(found) > MOST_NAMES else ""
    return ", ".join(found[:MOST_NAMES]) + more

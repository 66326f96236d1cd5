"""``reports/history.jsonl``: one line for each check that was made here, with the time, so that no report needs one.

The file is for the hospital alone (0600) and holds codes, names of schemas and counts. Its oldest lines go when there are
too many. A last line that was cut off is dropped by the next check; a whole line that this version cannot read is kept.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from silo_node.validation.reports import OWNER_ONLY, LocalReport
from wardround.canonical import model_bytes
from wardround.files import write_atomic
from wardround.values import Count, Instant, SchemaId, Slug, Value, Version

HISTORY = "history.jsonl"
MOST_LINES = 1000
"""Checks that are kept."""
MOST_FINDINGS = 100
"""Findings that a line names, worst first; it counts them all."""

Verdict = Literal["in order", "not in order", "could not be read"]


class Noted(Value):
    """A finding as the history knows it again."""

    code: str
    place: str | None
    count: Count

    @property
    def name(self) -> str:
        """What a person calls it."""
        return self.code if self.place is None else f"{self.code} {self.place}"


class Line(Value):
    """One check.

    Attributes:
        time: when, by this machine's clock.
        findings: at most ``MOST_FINDINGS`` of them; ``of`` is how many there were.
        cached: whether the answer was that of an earlier check of unchanged records.
    """

    format: Literal[1] = 1
    time: Instant
    schema_id: SchemaId
    version: Version
    study: Slug | None
    verdict: Verdict
    found: Count
    set_aside: Count
    valid: Count
    findings: tuple[Noted, ...]
    of: Count
    cached: bool


def verdict_of(report: LocalReport) -> Verdict:
    """Say in three words how a check ended."""
    if not report.found and not any(each.code == "T-EMPTY" for each in report.findings):
        return "could not be read"
    return "in order" if report.passed else "not in order"


def line_of(report: LocalReport, study: str | None, time: str, *, cached: bool) -> Line:
    """Give the line for a check."""
    counts: dict[tuple[str, str | None], int] = {}
    for each in report.findings:
        key = (each.code, each.field or each.rule)
        counts[key] = counts.get(key, 0) + each.count
    noted = tuple(Noted(code=code, place=place, count=count) for (code, place), count in counts.items())
    return Line(
        time=time,
        schema_id=report.contract.id,
        version=report.contract.version,
        study=study,
        verdict=verdict_of(report),
        found=report.found,
        set_aside=report.quarantined,
        valid=report.valid,
        findings=noted[:MOST_FINDINGS],
        of=len(noted),
        cached=cached,
    )


def read(folder: Path) -> tuple[Line, ...]:
    """Give every check that can be read, in the order in which they were made."""
    lines: list[Line] = []
    for raw in _whole_lines(folder / HISTORY):
        try:
            lines.append(Line.model_validate_json(raw))
        except ValidationError:
            continue
    return tuple(lines)


def of_one_kind(lines: Sequence[Line], schema: str, study: str | None) -> tuple[Line, ...]:
    """Give the checks that asked the same: of a schema, in any version, for one study or for none."""
    return tuple(line for line in lines if (line.schema_id, line.study) == (schema, study))


def append(folder: Path, line: Line) -> None:
    """Add a line, whole or not at all.

    Raises:
        Refused: O-WRITE.
    """
    with _alone(folder):
        kept = _whole_lines(folder / HISTORY)[-(MOST_LINES - 1) :]
        write_atomic(folder / HISTORY, b"".join(each + b"\n" for each in (*kept, model_bytes(line))), OWNER_ONLY)


def changes(before: Line, now: Line) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Name the findings that are new, and those that are gone."""
    old, new = ({each.name: None for each in line.findings} for line in (before, now))
    return tuple(name for name in new if name not in old), tuple(name for name in old if name not in new)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other checks of this hospital out while the file is read and written anew."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _whole_lines(path: Path) -> list[bytes]:
    try:
        data = path.read_bytes()
    except OSError:
        return []
    return [line for line in data.split(b"\n")[:-1] if line]

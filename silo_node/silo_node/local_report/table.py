"""A check on the terminal: one row a finding, worst first, what to fix first, and one line that says how it stands."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.text import Text

from silo_node.local_report.history import Line, changes, verdict_of
from silo_node.validation.findings import Finding
from silo_node.validation.overlaps import Repair
from silo_node.validation.reports import LocalReport, Standing, standing
from wardround.errors import sentence

NARROWEST, WIDEST = 72, 120
"""Columns between which a table is laid out, whatever the terminal."""
GAP = "  "
MOST_PLACE = 26
"""Columns for a field's or rule's name; a longer one is cut here, and stands whole in the line below."""
WHERE_SHARE = 0.6
"""The share of the columns that are left which line numbers take; shapes have the others."""
INDENT = 4
SPACE = "␣"
"""Stands for a space at the end of a cell's shape, where it would not be seen."""
EMPTY = "(empty)"
COLOURS: dict[Standing, str] = {
    "fails the check": "bold red",
    "sets records aside": "red",
    "fails the check in consequence": "bold red",
    "warning": "yellow",
}
HEADINGS: dict[Standing, str] = {
    "fails the check": "Fails the check:",
    "sets records aside": "Sets records aside:",
    "fails the check in consequence": "Fails the check, because of the above:",
    "warning": "Warnings:",
}


@dataclass(frozen=True)
class _Widths:
    place: int
    count: int
    where: int
    shapes: int


CODE = len("T-QUARANTINE")
SHARE = len("100.0 %")


def table(report: LocalReport, width: int) -> Iterator[Text]:
    """Give the lines of the table: one row a finding, and below it what should hold and what to do."""
    width = min(max(width, NARROWEST), WIDEST)
    widths = _widths(report.findings, width)
    yield Text(_row(("code", "field or rule", "count", "share", "where", "shapes"), widths), style="bold")
    before: Standing | None = None
    for each in report.findings:
        what = standing(each)
        if what != before:
            yield Text(HEADINGS[what], style="bold")
            before = what
        yield _finding(each, widths, COLOURS[what])
        for line in textwrap.wrap(_advice(each), width - INDENT):
            yield Text(" " * INDENT + line, style="dim")


def _widths(findings: Sequence[Finding], width: int) -> _Widths:
    place = min(MOST_PLACE, max([len("field or rule"), *(len(_place(each)) for each in findings)]))
    count = max([len("count"), *(len(str(each.count)) for each in findings)])
    left = width - CODE - place - count - SHARE - 5 * len(GAP)
    where = int(WHERE_SHARE * left)
    return _Widths(place, count, where, left - where)


def _row(cells: Sequence[str], widths: _Widths) -> str:
    code, place, count, share, where, shapes = cells
    parts = (
        code.ljust(CODE),
        _cut(place, widths.place).ljust(widths.place),
        count.rjust(widths.count),
        share.rjust(SHARE),
        _cut(where, widths.where).ljust(widths.where),
        _cut(shapes, widths.shapes),
    )
    return GAP.join(parts).rstrip()


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _place(finding: Finding) -> str:
    return finding.field or finding.rule or ""


def _finding(finding: Finding, widths: _Widths, colour: str) -> Text:
    count = str(finding.count) if finding.count else ""
    cells = (finding.code, _place(finding), count, share(finding), _where(finding, widths.where), _shapes(finding, widths.shapes))
    row = Text(_row(cells, widths))
    row.stylize(colour, 0, len(finding.code))
    return row


def share(finding: Finding) -> str:
    """Give the share of the table's records that a finding concerns; nothing where it counts no records of it."""
    if not finding.count or not finding.of or finding.count > finding.of or (finding.level == "table" and not finding.lines):
        return ""
    found = 100 * finding.count / finding.of
    return f"{found:.1f} %" if found >= 0.1 else "< 0.1 %"  # noqa: PLR2004  (one digit)


def _where(finding: Finding, width: int) -> str:
    """Give the first lines, as many as there is room for."""
    if not finding.lines:
        return ""
    head = f"{finding.unit}s "
    return head + _as_many(tuple(str(line) for line in finding.lines), finding.count, width - len(head))


def _as_many(parts: Sequence[str], of: int, width: int) -> str:
    shown, more = parts[0], ", ..." if len(parts[0]) + len(", ...") <= width else ""
    for at, part in enumerate(parts[1:], 1):
        longer = f"{shown}, {part}"
        if len(longer) + (len(more) if at + 1 < of else 0) > width:
            return shown + more
        shown = longer
    return shown + (more if len(parts) < of else "")


def _shapes(finding: Finding, width: int) -> str:
    shown = ""
    for shape in finding.shapes:
        longer = f"{shown}{GAP}{visible(shape.text)}" if shown else visible(shape.text)
        if shown and len(longer) > width:
            break
        shown = longer
    return shown


def visible(text: str) -> str:
    """Show the spaces at the ends of a cell's shape, and all of a shape that is nothing else."""
    if not text:
        return EMPTY
    inner = text.strip(" ")
    if not inner:
        return SPACE * len(text)
    before = len(text) - len(text.lstrip(" "))
    return SPACE * before + inner + SPACE * (len(text) - before - len(inner))


def says_more(finding: Finding) -> bool:
    """Whether a finding's own words say more than its count, of how many."""
    return not finding.finding.startswith(f"{finding.count} of {finding.of} records break this")


def _advice(finding: Finding) -> str:
    told = f" Found: {sentence(finding.finding)}" if says_more(finding) else ""
    why = "" if finding.explained is None else f" Explained in the site file ({finding.explained})."
    return f"Rule: {sentence(finding.expectation)}{told}{why} Next: {sentence(finding.next_step)}"


# ------------------------------------------------------------------------------------------------- what to fix, and how


def fix_first(repairs: Sequence[Repair], aside: int) -> Iterator[str]:
    """Give the list of what to fix first, where records are set aside."""
    if not repairs:
        return
    yield f"What to fix first ({aside} records are set aside):"
    for at, each in enumerate(repairs, 1):
        yield f"{at:>3}. {f'{each.cause.code} {each.cause.place}'.rstrip()}: {effect(each)}"


def effect(repair: Repair) -> str:
    """Say what one repair does."""
    if not repair.frees:
        return f"concerns {repair.records}, frees none before the next is repaired too; {repair.left} stay"
    return f"frees {repair.frees}; {repair.left} stay"


def since(earlier: Sequence[Line], now: Line) -> str | None:
    """Say what is new and what is gone since the check before, if anything is."""
    if not earlier:
        return None
    new, gone = changes(earlier[-1], now)
    told = [f"{word}: {', '.join(names)}" for word, names in (("new", new), ("gone", gone)) if names]
    return f"Since the check of {earlier[-1].time}: {'; '.join(told)}." if told else None


def verdict(report: LocalReport) -> str:
    """Say in one line how the records stand."""
    word = verdict_of(report)
    counts = f"{report.found} records found, {report.quarantined} set aside, {report.valid} valid"
    schema = f"{report.contract.id} {report.contract.version}"
    if word == "could not be read":
        return f"{schema}: not in order. The records could not be read."
    return f"{schema}: {word}. {counts}."

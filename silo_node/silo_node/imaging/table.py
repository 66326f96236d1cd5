"""A check of images on the terminal: what became of the files, one row a code, worst first, and how it stands in one line."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from rich.text import Text

from silo_node.imaging.file_judge import FileJudgement
from silo_node.imaging.judge import Judgement
from silo_node.imaging.report import Finding, Report, Standing
from wardround.contract.imaging_words import tag
from wardround.errors import sentence

NARROWEST, WIDEST = 72, 120
"""Columns between which lines are laid out, whatever the terminal."""

INDENT: Final = 4
GAP: Final = "  "
CODE, SHARE = len("D-QUARANTINE"), len("100.0 %")

HEADINGS: Final[Mapping[Standing, str]] = {
    "sets examples aside": "Sets examples aside:",
    "damaged": "Files that are damaged:",
    "fails the check in consequence": "Fails the check, because of the above:",
    "warning": "Warnings:",
    "no fault": "No fault, not looked at further:",
}
COLOURS: Final[Mapping[Standing, str]] = {
    "sets examples aside": "red",
    "damaged": "red",
    "fails the check in consequence": "bold red",
    "warning": "yellow",
    "no fault": "dim",
}


def account(report: Report) -> Iterator[tuple[str, str]]:
    """Give what became of the files, in words and numbers whose sum is the first."""
    judgement = report.judgement
    yield "files found", str(judgement.files)
    if isinstance(judgement, FileJudgement):
        yield "  that no row names", str(judgement.unnamed)
        yield "rows of the table", str(len(judgement.examples))
        if report.skipped:
            yield "links, not followed", str(report.skipped)
        return
    yield "  that cannot be read", _counts(judgement.unreadable)
    yield "  DICOM that are no images", str(judgement.objects)
    yield f"  images of another kind{', or of no row' if judgement.rows is not None else ''}", _counts(judgement.other)
    yield "  images of the contract's kind", str(judgement.images)
    if judgement.masks:
        yield "  segmentations", str(judgement.masks)
    if (rows := judgement.rows) is not None:
        yield "rows of the table", str(rows.found)
        yield "  that the table's own check refuses", str(rows.refused)
        yield "  without an image", str(rows.without)
        yield "  with several images, or none fit", str(rows.found - rows.refused - rows.without - rows.used)
        yield "  with one image that is fit", str(rows.used)
    if report.skipped:
        yield "links, not followed", str(report.skipped)


def _counts(counts: Mapping[str, int]) -> str:
    total = sum(counts.values())
    return f"{total} ({', '.join(f'{code} {count}' for code, count in sorted(counts.items()))})" if total else "0"


def table(findings: Sequence[Finding], width: int) -> Iterator[Text]:
    """Give the lines of the table: one row a code, and below it what should hold and what to do."""
    width = min(max(width, NARROWEST), WIDEST)
    count = max(len("count"), *(len(str(each.count)) for each in findings), 0)
    yield Text(_row(("code", "count", "of", "share"), count), style="bold")
    before: Standing | None = None
    for each in findings:
        if each.standing != before:
            yield Text(HEADINGS[each.standing], style="bold")
            before = each.standing
        row = Text(_row((each.code, str(each.count), each.unit, share(each)), count))
        row.stylize(COLOURS[each.standing], 0, len(each.code))
        yield row
        for text in (f"First: {where(each)}" if each.where else "", f"{sentence(each.rule)} Next: {sentence(each.next_step)}"):
            for line in textwrap.wrap(text, width - INDENT, break_on_hyphens=False):
                yield Text(" " * INDENT + line, style="dim")


def _row(cells: tuple[str, str, str, str], count: int) -> str:
    code, number, unit, part = cells
    return GAP.join((code.ljust(CODE), number.rjust(count), unit.ljust(len("examples")), part.rjust(SHARE)))


def share(finding: Finding) -> str:
    """Give the share of all examples, or of all files, that a finding concerns."""
    return f"{100 * finding.count / finding.of:.1f} %" if finding.of else ""


def where(finding: Finding) -> str:
    """Name the first files."""
    more = ", ..." if finding.count > len(finding.where) and finding.where else ""
    return ", ".join(printable(name) for name in finding.where) + more


def printable(name: str) -> str:
    """Give a file's name without what a terminal would obey: control characters, and bytes that are no text."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape", "surrogatepass").decode() for each in name)


def to_remove(report: Report, most: int) -> Iterator[str]:
    """Say what a de-identifier must still remove, the most frequent first."""
    privacy = report.privacy
    if privacy is None or not privacy.counts:
        return
    yield f"What a de-identifier must still remove ({privacy.clean} of {privacy.files} images have nothing of it):"
    ranked = sorted(privacy.counts, key=lambda each: -each.files)
    for each in ranked[:most]:
        yield f"  {each.code} {each.rule}: {each.files} {'file' if each.files == 1 else 'files'}"
    if len(ranked) > most:
        yield f"  and {len(ranked) - most} more, in the local report"


def broken_tags(report: Report) -> Iterator[str]:
    """Say which elements are lacking, or forbidden and there, the most frequent first."""
    images = report.judgement.images if isinstance(report.judgement, Judgement) else 0
    for each in report.tags:
        what = "has no value" if each.required else "has a value, and should not,"
        yield f"{tag(each.keyword)} {what} in {each.images} of {images} images."


def verdict(report: Report) -> str:
    """Say in one line how the folder stands."""
    judgement, contract = report.judgement, report.contract
    word = "in order" if report.passed else "not in order"
    found = len(judgement.examples)
    kind = {"image": ("image", "images"), "series": ("stack of slices", "stacks of slices")}[contract.example]
    examples = f"{found} {kind[found != 1]} found, {len(judgement.aside)} set aside, {len(judgement.fit)} fit"
    return f"{contract.id} {contract.version}: {word}. {examples}."


def decoded(report: Report) -> str:
    """Say how many images were decoded."""
    tried = report.tried
    if tried.images == tried.of:
        return f"Pixels: all {tried.of} images that should decode, by their headers, were tried."
    return f"Pixels: {tried.images} of {tried.of} images that should decode, by their headers, were tried; --pixels tries all."

"""``reports/check-….html``: the local report as one page to read. No script, nothing from elsewhere; it opens offline.

It shows what the JSON report says and, beside it, the history of earlier checks; so its bytes differ where that grew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from silo_node.configuration import Site
from silo_node.local_report import history_table
from silo_node.local_report.drawing import Chart, charts
from silo_node.local_report.history import Line, changes, line_of, of_one_kind, verdict_of
from silo_node.local_report.table import effect, says_more, share, visible
from silo_node.pages import Filters, template
from silo_node.validation.findings import Finding
from silo_node.validation.profiles import FieldProfile
from silo_node.validation.reports import OWNER_ONLY, LocalReport, Standing, file_name, standing
from wardround import __version__
from wardround.errors import sentence
from wardround.files import write_atomic

TEMPLATE = "check.html.j2"
SUFFIX = "html"
MOST_CHECKS = 20
"""Answers of the past that the page shows, the newest first."""
LINES_SHOWN = 12


@dataclass(frozen=True)
class Row:
    """A finding as the page shows it."""

    what: Standing
    finding: Finding
    place: str
    share: str
    lines: str
    more: bool


@dataclass(frozen=True)
class Absent:
    """How many values of a field are missing, and how many may be; shares from 0 to 1."""

    field: str
    missing: int
    share: float
    most: float | None
    too_many: bool


def write_page(site: Site, report: LocalReport, study: str | None, earlier: Sequence[Line]) -> Path:
    """Write the page beside the report, and give its path.

    Raises:
        Refused: O-WRITE.
    """
    path = site.make_directory("reports") / file_name(report.contract, study, SUFFIX)
    page = render(report, site.file.name, study, of_one_kind(earlier, report.contract.id, study))
    write_atomic(path, page.encode(), OWNER_ONLY)
    return path


def render(report: LocalReport, hospital: str, study: str | None, earlier: Sequence[Line]) -> str:
    """Render the page; the same report and history give the same text.

    Args:
        report: of the check.
        hospital: its name for people.
        study: the study's name, if the check was for one.
        earlier: checks of the same kind that were made before, in the order of time.
    """
    filters: Filters = {
        "sentence": sentence,
        "effect": effect,
        "moved": history_table.moved,
        "visible": visible,
        "thousands": lambda number: f"{number:,}".replace(",", "\u202f"),
        "percent": lambda number: f"{100 * number:.1f} %",
    }
    new, gone = changes(earlier[-1], line_of(report, study, earlier[-1].time, cached=False)) if earlier else ((), ())
    return template("silo_node.local_report", TEMPLATE, filters).render(
        report=report,
        hospital=hospital,
        study=study,
        verdict=verdict_of(report),
        rows=[_row(each) for each in report.findings],
        says_more=says_more,
        charts=[(chart, _unit(chart)) for chart in charts(report.contract, report.profiles)],
        absent=_absences(report),
        before=earlier[-1].time if earlier else None,
        new=new,
        gone=gone,
        course=list(reversed(history_table.course(earlier)))[:MOST_CHECKS],
        version=__version__,
    )


def _row(finding: Finding) -> Row:
    shown = finding.lines[:LINES_SHOWN]
    return Row(
        what=standing(finding),
        finding=finding,
        place=finding.field or finding.rule or "",
        share=share(finding),
        lines=", ".join(str(line) for line in shown),
        more=finding.count > len(shown),
    )


def _unit(chart: Chart) -> str:
    return "" if chart.field.unit in (None, "1") else str(chart.field.unit)


def _absences(report: LocalReport) -> list[Absent]:
    """Give the fields by the share that is missing, the largest first."""
    rows = [_absent(report, each) for each in report.profiles]
    return sorted(rows, key=lambda row: (-row.share, report.contract.names.index(row.field)))


def _absent(report: LocalReport, profile: FieldProfile) -> Absent:
    field = report.contract.field(profile.field)
    of = profile.values + profile.missing
    portion = profile.missing / of if of else 0.0
    most = 0.0 if field.required else field.missing.max_fraction
    return Absent(profile.field, profile.missing, portion, most if most < 1.0 else None, portion > most)

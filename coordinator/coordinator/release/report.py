"""``report.html``: one page for a hospital's board. No script, no outside address; everything on it is from the study."""

from __future__ import annotations

from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from coordinator.release import charts, figures
from coordinator.release.attendance import CodeUse, Run, codes_of, explain, runs_of
from coordinator.release.by_class import Table, confusion_of, table_by_class
from coordinator.release.comparison import Comparison
from coordinator.release.curves import curves_of
from coordinator.release.drawing import Chart, Look, looks
from coordinator.release.evaluation import Alternatives, Headline, SiteRow, alternatives_of, headline_of, site_rows
from coordinator.release.holdings import FindingRow, Holding, Weight, findings_of, holdings_of, weights_of
from coordinator.release.performance_charts import performance_charts
from coordinator.release.settings import author_of, course_of, digests_of, limits_of, settings_of
from coordinator.release.traffic import Traffic, VisitLine, lines_of, totals_of, traffic_of
from coordinator.rounds.outcome import Outcome
from wardround.errors import Problem
from wardround.study.bundle import Bundle
from wardround.study.kind import predicted
from wardround.study.model import Study

TEMPLATE = "report.html.j2"


@dataclass(frozen=True)
class Page:
    """Everything that the template shows; see the modules that make the parts."""

    study: Study
    author: str
    centre: str
    names: tuple[str, ...]
    status: str
    counted: int
    explanation: str
    problems: tuple[Problem, ...]
    headline: Headline
    rows: tuple[SiteRow, ...]
    columns: figures.Columns
    main: str
    kind: str
    by_class: Table | None
    confusion: Table | None
    performance: tuple[Chart, ...]
    alternatives: Alternatives | None
    note: str
    chart: Chart | None
    course: str
    curves: tuple[Chart, ...]
    legend: tuple[tuple[str, Look], ...]
    runs: tuple[Run, ...]
    codes: tuple[CodeUse, ...]
    holdings: tuple[Holding, ...]
    true_counts: bool
    findings: tuple[FindingRow, ...]
    weights: tuple[Weight, ...]
    traffic: tuple[Traffic, ...]
    totals: dict[str, str]
    durations: Chart | None
    lines: tuple[VisitLine, ...]
    settings: tuple[tuple[str, str], ...]
    digests: tuple[tuple[str, str], ...]
    contents: tuple[tuple[str, str], ...]
    limits: tuple[str, ...]


def page_of(bundle: Bundle, outcome: Outcome, comparison: Comparison | None, contents: tuple[tuple[str, str], ...]) -> Page:
    """Gather what the page shows; ``contents`` are the release's files, and what each is."""
    names = {member.site: member.name for member in bundle.roster.silos}
    what = predicted(bundle.study, bundle.contract)
    headline, main = headline_of(outcome, names, what), figures.capitalised(figures.MAIN[what.kind][1])
    curves = curves_of(bundle.study, outcome, names)
    drawn = (charts.validation_chart(curves), charts.loss_chart(curves))
    return Page(
        study=bundle.study,
        author=author_of(bundle),
        centre=bundle.roster.coordinator.name,
        names=tuple(names.values()),
        status=outcome.status,
        counted=len(outcome.counted),
        explanation=explain(outcome, names),
        problems=outcome.problems,
        headline=headline,
        rows=site_rows(outcome, names, what),
        columns=figures.columns_of(what),
        main=main,
        kind=what.kind,
        by_class=None if headline.metrics is None else table_by_class(headline.metrics),
        confusion=None if headline.metrics is None else confusion_of(headline.metrics),
        performance=performance_charts(headline.metrics, outcome, names),
        alternatives=None if comparison is None else alternatives_of(comparison, names, what),
        note="" if comparison is None else comparison.note,
        chart=None if comparison is None else charts.comparison_chart(comparison, names, main),
        course=course_of(bundle.study, outcome),
        curves=tuple(chart for chart in drawn if chart is not None),
        legend=tuple(zip(names.values(), looks(len(names)), strict=True)),
        runs=runs_of(outcome),
        codes=codes_of(outcome, names),
        holdings=holdings_of(outcome, names, comparison),
        true_counts=comparison is not None and bool(comparison.records),
        findings=findings_of(outcome, names),
        weights=weights_of(outcome, names),
        traffic=traffic_of(outcome),
        totals=totals_of(outcome),
        durations=charts.seconds_chart(curves),
        lines=lines_of(outcome),
        settings=settings_of(bundle),
        digests=digests_of(bundle, outcome),
        contents=contents,
        limits=limits_of(bundle, outcome),
    )


def render_report(bundle: Bundle, outcome: Outcome, comparison: Comparison | None, contents: tuple[tuple[str, str], ...]) -> str:
    """Render the page as HTML; the same inputs give the same text."""
    environment = Environment(
        loader=PackageLoader("coordinator.release"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"capitalize_first": figures.capitalised, "thousands": figures.count}
    return environment.get_template(TEMPLATE).render(page=page_of(bundle, outcome, comparison, contents))

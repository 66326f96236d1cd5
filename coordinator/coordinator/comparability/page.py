"""``comparability.html``: one page, no script, nothing from outside; in the looks of the release's report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from coordinator.comparability.charts import field_chart
from coordinator.comparability.model import HIDDEN_WORDS, Comparability, ComparedField, Remark, SiteField, Thresholds
from coordinator.release.drawing import Chart
from wardround.canonical import canonical_bytes, model_json
from wardround.files import write_atomic
from wardround.study.bundle import Bundle
from wardround.study.model import Study

PAGE, FIGURES = "comparability.html", "comparability.json"
TEMPLATE = "comparability.html.j2"
MOST_IN_WORDS = 6
"""Hospitals of which a mark at a glance is said in words; of more a tick has to do, so that all stand side by side."""
KINDS = {"unit": "unit?", "drift": "values", "mean": "mean", "missing": "missing", "prevalence": "positive"}
"""What a kind of remark is called on the page."""


@dataclass(frozen=True)
class Mark:
    """One field at one hospital, at a glance: ``even``, ``look``, ``large``, ``unit``, or ``hidden``: nothing to say.

    ``shown``: what stands in its place where there are many hospitals; ``words`` say it in full.
    """

    level: str
    words: str
    shown: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """One field at all hospitals."""

    field: ComparedField
    marks: tuple[Mark, ...]
    chart: Chart


@dataclass(frozen=True)
class Line:
    """All that is remarked of one field at one hospital; ``level``: of the worst of it."""

    hospital: str
    field: str
    level: str
    kinds: tuple[tuple[str, str], ...]
    words: str


@dataclass(frozen=True)
class Page:
    """Everything that the template shows."""

    study: Study
    study_hash: str
    centre: str
    names: dict[str, str]
    found: Comparability
    rows: tuple[Row, ...]
    many: bool
    lines: tuple[Line, ...]
    thresholds: Thresholds


def write_for_coordinator(folder: Path, bundle: Bundle, found: Comparability) -> Path:
    """Write page and figures for the coordinator, who sees what a release may withhold; give the page's path.

    Raises:
        Refused: O-WRITE.
    """
    write_atomic(folder / PAGE, render(bundle, found).encode(), mode=0o600)
    write_atomic(folder / FIGURES, canonical_bytes(model_json(found)), mode=0o600)
    return folder / PAGE


def render(bundle: Bundle, found: Comparability) -> str:
    """Render the report as HTML; the same inputs give the same text."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("coordinator.comparability"), PackageLoader("coordinator.release")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    page = Page(
        study=bundle.study,
        study_hash=bundle.study_hash,
        centre=bundle.roster.coordinator.name,
        names=found.hospitals,
        found=found,
        rows=tuple(
            Row(field, tuple(_mark(site) for site in field.sites), field_chart(number, field, found.hospitals))
            for number, field in enumerate(found.fields)
        ),
        many=len(found.hospitals) > MOST_IN_WORDS,
        lines=tuple(_lines(found)),
        thresholds=found.thresholds,
    )
    return environment.get_template(TEMPLATE).render(page=page, hidden=HIDDEN_WORDS, kinds=KINDS)


def _lines(found: Comparability) -> Iterator[Line]:
    together: dict[tuple[str, str], list[Remark]] = {}
    titles = {field.field: field.title for field in found.fields}
    for field, site, remark in found.remarks:  # the worst first
        together.setdefault((site.site, field.field), []).append(remark)
    for (site_name, field_name), remarks in together.items():
        yield Line(
            hospital=found.hospitals[site_name],
            field=titles[field_name],
            level="unit" if remarks[0].kind == "unit" else remarks[0].level,
            kinds=tuple((KINDS[each.kind], "unit" if each.kind == "unit" else each.level) for each in remarks),
            words=" ".join(each.words for each in remarks),
        )


def _mark(site: SiteField) -> Mark:
    """Say in a word what is noticeable of a field at a hospital: of the worst kind only."""
    if site.hidden is not None:
        said = HIDDEN_WORDS[site.hidden]
        return Mark("hidden", said, (said.partition(":")[0],))
    if not site.remarks:
        compared = site.psi is not None or site.difference is not None
        return Mark("even", "as the others", ("",)) if compared else Mark("hidden", "not compared", ("–",))
    worst = min(site.remarks, key=lambda remark: (remark.kind != "unit", remark.level != "large"))
    kinds = tuple(dict.fromkeys(KINDS[remark.kind] for remark in site.remarks))
    return Mark("unit" if worst.kind == "unit" else worst.level, ", ".join(kinds), kinds)

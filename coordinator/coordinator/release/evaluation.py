"""How good the model is: pooled, by hospital, and beside other models where somebody holds all records."""

from __future__ import annotations

from dataclasses import dataclass, replace

from coordinator.release.comparison import Comparison, ModelRow
from coordinator.release.figures import (
    MAIN,
    UNKNOWN,
    Columns,
    Figure,
    columns_of,
    instead,
    listing,
    of_metrics,
    of_silo,
    plural,
    ratio,
)
from coordinator.rounds.outcome import Outcome
from wardround.metrics.pooled import Metrics
from wardround.study.kind import Predicted
from wardround.study.model import TargetKind

COMPARED = ("auroc", "accuracy", "sensitivity", "specificity", "dice", "r2", "rmse", "mae")
"""The figures of a model on all test records that stand in a comparison."""


@dataclass(frozen=True)
class Headline:
    """The released model's figures.

    Attributes:
        records: ``test``; ``validation`` where the study keeps no test records; ``none`` where there is no result.
        figures: by metric's name.
        basis: on what they rest, in a sentence.
        metrics: the same as numbers; None where there are none to be shown.
    """

    records: str
    figures: dict[str, Figure]
    basis: str
    metrics: Metrics | None = None


@dataclass(frozen=True)
class SiteRow:
    """One hospital's figures, or the word for why there are none."""

    name: str
    figures: dict[str, Figure]

    @property
    def word(self) -> str:
        """The one word that stands for all figures, where there is none; else empty."""
        texts = {figure.text for figure in self.figures.values()}
        return texts.pop() if len(texts) == 1 and not any(figure.shown for figure in self.figures.values()) else ""


@dataclass(frozen=True)
class AlternativeRow:
    """One model of the comparison: its main metric at each hospital, its figures overall.

    Attributes:
        own: index of the hospital whose records made it, if it is one hospital's model.
    """

    name: str
    kind: str
    own: int | None
    by_site: tuple[Figure, ...]
    overall: dict[str, Figure]


@dataclass(frozen=True)
class Alternatives:
    """The comparison as a table, and its sum in a sentence or two.

    Attributes:
        columns: of the figures overall, the main metric first.
    """

    columns: Columns
    sites: tuple[str, ...]
    rows: tuple[AlternativeRow, ...]
    verdict: str


def headline_of(outcome: Outcome, names: dict[str, str], what: Predicted) -> Headline:
    """Give the figures that stand for the released model."""
    columns = columns_of(what)
    if outcome.status == "failed":
        return Headline("none", instead(UNKNOWN, columns), "A failed study has no figures.")
    if outcome.test is not None:
        return _pooled("test", outcome.test.pooled, outcome.test.evaluated_by, names, columns, hidden=outcome.test.withheld)
    found = _pooled("validation", outcome.best_metrics, outcome.best_evaluated_by, names, columns, hidden=outcome.best_withheld)
    chosen = " The study keeps no test records: these figures chose the model, so they flatter it."
    return replace(found, basis=found.basis + chosen)


def _pooled(
    records: str, metrics: Metrics | None, evaluated_by: tuple[str, ...], names: dict[str, str], columns: Columns, *, hidden: bool
) -> Headline:
    if metrics is None and hidden:
        why = "they would give away those of a hospital that does not share its own"
        return Headline(records, instead("withheld", columns), f"The pooled figures on {records} records are withheld: {why}.")
    if metrics is None:
        return Headline(records, instead("withheld", columns), f"Every hospital withholds its figures on {records} records.")
    positive = "" if metrics.positives is None else f" ({metrics.positives} positive)"
    basis = (
        f"On {plural(metrics.records, f'{records} record')}{positive} of "
        f"{listing([names[site] for site in evaluated_by])}, pooled from counts."
    )
    absent = [name for site, name in names.items() if site not in evaluated_by]
    without = f" Without {listing(absent)}." if absent else ""
    return Headline(records, of_metrics(metrics), basis + without, metrics)


def site_rows(outcome: Outcome, names: dict[str, str], what: Predicted) -> tuple[SiteRow, ...]:
    """Give every hospital's test figures; empty where there was no test or no result."""
    if outcome.status == "failed" or outcome.test is None:
        return ()
    silos = {silo.site: silo for silo in outcome.test.silos}
    columns = columns_of(what)
    return tuple(SiteRow(name, of_silo(silos.get(site), columns)) for site, name in names.items())


def alternatives_of(comparison: Comparison, names: dict[str, str], what: Predicted) -> Alternatives:
    """Lay the comparison out: federated first, then pooled, then each hospital alone, in the roster's order."""
    order = {"federated": 0, "pooled": 1, "alone": 2}
    sites = [site for site in names if any(site in row.per_site for row in comparison.models)]
    rows = [
        AlternativeRow(
            name=row.name,
            kind=row.kind,
            own=_own(row, sites),
            by_site=tuple(_main(row.per_site.get(site), what.kind) for site in sites),
            overall=of_metrics(row.overall),
        )
        for row in comparison.models
    ]
    rows.sort(key=lambda row: (order[row.kind], len(sites) if row.own is None else row.own))
    return Alternatives(
        columns=tuple(column for column in columns_of(what) if column[0] in COMPARED),
        sites=tuple(names[site] for site in sites),
        rows=tuple(rows),
        verdict=_verdict(comparison, what.kind),
    )


def _own(row: ModelRow, sites: list[str]) -> int | None:
    """Find the hospital whose records made a model: by its site, or by the model's name where that is a site."""
    found = (index for index, site in enumerate(sites) if row.kind == "alone" and site in (row.site, row.name))
    return next(found, None)


def _main(metrics: Metrics | None, kind: TargetKind) -> Figure:
    return Figure(UNKNOWN, shown=False) if metrics is None else of_metrics(metrics)[MAIN[kind][0]]


def _verdict(comparison: Comparison, kind: TargetKind) -> str:
    federated = _overall(comparison.federated)
    if federated is None:
        return ""
    name = MAIN[kind][1]
    parts = [f"Over all test records the federated model reaches {'an' if name[0] in 'AR' else 'a'} {name} of {ratio(federated)}"]
    pooled = next((_overall(row) for row in comparison.models if row.kind == "pooled"), None)
    if pooled is not None:
        parts.append(f"a model trained on all records in one place {ratio(pooled)} ({pooled - federated:+.3f})".replace("-", "−"))
    alone = [value for row in comparison.models if row.kind == "alone" and (value := _overall(row)) is not None]
    if alone:
        spread = ratio(alone[0]) if len(alone) == 1 else f"between {ratio(min(alone))} and {ratio(max(alone))}"
        parts.append(f"the hospitals’ own models {spread}")
    return f"{'; '.join(parts)}."


def _overall(row: ModelRow) -> float | None:
    return row.overall.main[1]

"""The demonstration's last words: what each hospital gave, who counted, and how the models compare."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from coordinator.release.comparison import Comparison, SiteRecords
from coordinator.rounds.outcome import Outcome
from wardround.metrics.pooled import Metrics

NOTHING = "–"
"""Where the records cannot say, such as an AUROC without both classes."""
EVERYBODY = "all together"


def final_tables(comparison: Comparison, outcome: Outcome) -> tuple[Table, Table]:
    """Give the table of records and the table of models."""
    return records_table(comparison.records, outcome), models_table(comparison)


def records_table(records: Sequence[SiteRecords], outcome: Outcome) -> Table:
    """Say how many records each hospital had, how many were used, and in how many visits it counted."""
    table = plain_table("Records")
    table.add_column("hospital")
    for heading in ("found", "set aside", "used", "train/val./test", "counted in"):
        table.add_column(heading, justify="right", no_wrap=True)
    for each in records:
        table.add_row(escape(each.name), *_counts([each]), f"{visits_counted(outcome, each.site)} of {outcome.visits}")
    table.add_section()
    table.add_row(EVERYBODY, *_counts(records), f"{outcome.whole_visits} of {outcome.visits}")
    return table


def plain_table(title: str) -> Table:
    """Give a table without lines but under its headings, to be filled."""
    return Table(box=SIMPLE_HEAD, title=title, title_style="bold", title_justify="left", padding=(0, 1, 0, 0), pad_edge=False)


def _counts(records: Sequence[SiteRecords]) -> tuple[str, ...]:
    found, aside = sum(each.found for each in records), sum(each.quarantined for each in records)
    parts = (sum(each.train for each in records), sum(each.validation for each in records), sum(each.test for each in records))
    return str(found), str(aside), str(sum(each.used for each in records)), " / ".join(map(str, parts))


def visits_counted(outcome: Outcome, site: str) -> int:
    """Give the number of closed visits in which a hospital counted."""
    return sum(record.outcome == "closed" and site in record.counted for record in outcome.history)


def models_table(comparison: Comparison) -> Table:
    """Compare each hospital's own model with the federated and the pooled one, on its test records and on everybody's.

    On everybody's records, ``alone`` is the lowest and the highest figure of the hospitals' own models.
    """
    table = plain_table("On the test records")
    for heading in ("", "hospital"):
        table.add_column(heading)
    shared = [row for row in comparison.models if row.kind != "alone"]
    for heading in ("records", "alone", *(row.kind for row in shared)):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, pick in _metrics_of(comparison.federated.overall).items():
        for each in comparison.records:
            own = [row.per_site[each.site] for row in comparison.models if row.site == each.site]
            cells = [own, *([row.per_site[each.site]] for row in shared)]
            label = name if each is comparison.records[0] else ""
            table.add_row(label, escape(each.name), str(each.test), *(_span(map(pick, cell)) for cell in cells))
        alone = [row.overall for row in comparison.models if row.kind == "alone"]
        cells = [alone, *([row.overall] for row in shared)]
        overall = str(comparison.federated.overall.records)
        table.add_row("", f"[italic]{EVERYBODY}[/]", overall, *(_span(map(pick, cell)) for cell in cells), end_section=True)
    return table


def _auroc(metrics: Metrics) -> float | None:
    return metrics.auroc


def _accuracy(metrics: Metrics) -> float | None:
    return metrics.accuracy


def _dice(metrics: Metrics) -> float | None:
    return metrics.dice


def _r2(metrics: Metrics) -> float | None:
    return metrics.r2


Pick: TypeAlias = Callable[[Metrics], float | None]
METRICS: dict[str, Pick] = {"AUROC": _auroc, "accuracy": _accuracy}
OF_MASKS: dict[str, Pick] = {"Dice": _dice}
OF_NUMBERS: dict[str, Pick] = {"R²": _r2}
OF_LABELS: dict[str, Pick] = {"mean AUROC": _auroc}


def _metrics_of(overall: Metrics) -> dict[str, Pick]:
    if overall.rmse is not None:
        return OF_NUMBERS
    if overall.labels:
        return OF_LABELS
    return OF_MASKS if overall.regions else METRICS


def _span(values: Iterable[float | None]) -> str:
    """Write a figure, or the lowest and highest of several."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return NOTHING
    low, high = f"{known[0]:.3f}", f"{known[-1]:.3f}"
    return low if low == high else f"{low}–{high}"

"""Live progress of a study: one calm display on a terminal, a few plain lines elsewhere."""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from coordinator.rounds.admission import Admitted, Decision
from wardround.messages.record import RoundRecord, SiloRecord
from wardround.messages.round import Purpose
from wardround.metrics.pooled import Metrics
from wardround.study.model import Study

PURPOSE_TEXT: dict[Purpose, str] = {
    "statistics": "counting records and sums",
    "round": "training",
    "closing": "evaluating the last weights",
    "test": "reading the test records, once",
}
LINES_EVERY = 10
"""Off a terminal, one line for so many rounds (failures always have their own)."""


def figures(metrics: Metrics | None) -> str:
    """Give a metric pair as text; a dash where there is none."""
    metric, value = ("", None) if metrics is None else metrics.main
    if metrics is None or value is None or metrics.loss is None:
        return "–"
    return f"{metric} {value:.4f}, loss {metrics.loss:.4f}"


class Display(AbstractContextManager["Display"]):
    """Shows a study's visits as they happen."""

    def __init__(self, study: Study, console: Console) -> None:
        """Take the study and where to show it."""
        self._console = console
        self._states: dict[str, str] = {}
        self._last: dict[str, SiloRecord] = {}
        self._counted: tuple[str, ...] = ()
        self._caption = "beginning"
        self._bar = Progress(
            TextColumn("[bold]rounds"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console, transient=True
        )
        self._task = self._bar.add_task("rounds", total=study.rounds.maximum)
        self._live = Live(self._view(), console=console, refresh_per_second=8, transient=True) if console.is_terminal else None

    def __enter__(self) -> Self:
        """Begin to show."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Leave the terminal as it was."""
        if self._live is not None:
            self._live.stop()

    def opened(self, purpose: Purpose, round_number: int, attempt: int, sites: tuple[str, ...]) -> None:
        """Show that a visit begins."""
        repeat = f", attempt {attempt + 1}" if attempt else ""
        self._caption = f"{PURPOSE_TEXT[purpose]}{f' {round_number}' if purpose == 'round' else ''}{repeat}"
        self._states = dict.fromkeys(sites, "…")
        self._refresh()

    def answered(self, site: str, decision: Decision) -> None:
        """Show that a hospital answered."""
        self._states[site] = "✓" if isinstance(decision, Admitted) else decision.code
        self._refresh()

    def working(self, site: str, epoch: int, epochs: int, percent: int) -> None:
        """Show how far a hospital is."""
        self._states[site] = f"epoch {epoch} of {epochs}, {percent} %"
        self._refresh()

    def away(self, site: str) -> None:
        """Show that a hospital cannot be reached."""
        self._states[site] = "gone"
        self._refresh()

    def closed(self, record: RoundRecord) -> None:
        """Show how a visit ended."""
        self._last = {silo.site: silo for silo in record.silos}
        if record.purpose == "round" and record.outcome == "closed":
            self._bar.update(self._task, completed=record.round)
        self._caption = f"{self._caption}: {figures(record.pooled)}"
        self._refresh()
        changed = record.counted != self._counted
        self._counted = record.counted
        due = record.purpose != "round" or record.round % LINES_EVERY == 0 or record.outcome == "failed"
        if self._live is None and (due or changed):
            self._console.print(line(record), soft_wrap=True, markup=False)

    def _refresh(self) -> None:
        if self._live is not None:
            self._live.update(self._view())

    def _view(self) -> Group:
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        for site in sorted({*self._states, *self._last}):
            silo = self._last.get(site)
            records = "" if silo is None or silo.records is None else f"{silo.records} records"
            shown = "" if silo is None else ("withheld" if silo.evaluation == "withheld" else figures(silo.metrics))
            table.add_row(site, self._states.get(site, ""), records, shown)
        return Group(f"[dim]{self._caption}[/]", self._bar, table)


def line(record: RoundRecord) -> str:
    """Describe a visit in one line."""
    number = f" {record.round}" if record.purpose == "round" else ""
    absent = [f"{silo.site} {silo.code}" for silo in record.silos if silo.status != "counted"]
    hospitals = "1 hospital" if len(record.counted) == 1 else f"{len(record.counted)} hospitals"
    parts = [f"{record.purpose}{number}: {hospitals}, {record.records} records"]
    if record.pooled is not None:
        parts.append(figures(record.pooled))
    if absent:
        parts.append(f"not counted: {', '.join(absent)}")
    if record.outcome == "failed":
        parts.append(f"FAILED ({', '.join(record.shortfall)})")
    return "; ".join(parts)

"""A study as the centre sees it, shown calmly: one display on a terminal, a few plain lines elsewhere."""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from coordinator.studies import StudyState
from wardround_lab.progress import LINES_EVERY, PURPOSE_TEXT, figures

FRAMES_PER_SECOND = 8


class Watching(AbstractContextManager["Watching"]):
    """Shows the states of one study, one after the other."""

    def __init__(self, rounds: int, names: dict[str, str], console: Console) -> None:
        """Take the most rounds, the hospitals' names by site, and where to show them."""
        self._console = console
        self._names = names
        self._bar = Progress(
            TextColumn("[bold]rounds"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console, transient=True
        )
        self._task = self._bar.add_task("rounds", total=rounds)
        self._live = Live(console=console, refresh_per_second=FRAMES_PER_SECOND, transient=True) if console.is_terminal else None
        self._said: tuple[str | None, int] = (None, 0)

    def __enter__(self) -> Self:
        """Begin to show."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Leave the terminal as it was."""
        if self._live is not None:
            self._live.stop()

    def show(self, state: StudyState) -> None:
        """Show where the study is now."""
        if state.purpose == "round":
            self._bar.update(self._task, completed=max(state.round - 1, 0))
        if self._live is not None:
            self._live.update(self._view(state))
            return
        news = (state.purpose, state.round // LINES_EVERY)
        if state.purpose is not None and news != self._said:
            self._console.print(caption(state), soft_wrap=True, markup=False)
            self._said = news

    def _view(self, state: StudyState) -> Group:
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        for silo in state.silos:
            table.add_row(escape(self._names.get(silo.site, silo.site)), silo.activity)
        return Group(f"[dim]{caption(state)}[/]", self._bar, table)


def caption(state: StudyState) -> str:
    """Say in a line what goes on, with the figures of the last visit that had any."""
    if state.purpose is None:
        return state.phase
    number = f" {state.round}" if state.purpose == "round" else ""
    known = "" if state.metrics is None else f"; {figures(state.metrics)}"
    return f"{PURPOSE_TEXT[state.purpose]}{number}{known}"

"""Looking on at a study: calm off a terminal, and every hospital in view on one."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from coordinator.studies import SiloState, StudyState
from wardround.metrics.pooled import NO_RECORDS, measure
from wardround_lab.demo.watching import Watching, caption

FIRST = StudyState(
    study_hash="0" * 64,
    name="trial",
    version="1.0.0",
    title="A trial",
    phase="running",
    maximum=60,
    silos=(SiloState(site="north", status="answered"), SiloState(site="south", status="refused", code="R-SILENT")),
    updated_at="2026-01-01T00:00:00Z",
)
NAMES = {"north": "Northern [general]", "south": "Southern"}


def at(purpose: str, number: int) -> StudyState:
    return StudyState.model_validate({**FIRST.model_dump(), "purpose": purpose, "round": number})


def test_few_lines_where_nobody_watches() -> None:
    """Off a terminal, states that come many times a second are a line for each kind of visit and every tenth round."""
    text = StringIO()
    with Watching(60, NAMES, Console(file=text, width=80)) as watching:
        for state in (FIRST, at("statistics", 0), *(at("round", n) for n in range(1, 36)), at("closing", 35), at("test", 35)):
            for _ in range(3):
                watching.show(state)
    lines = text.getvalue().splitlines()
    assert lines == [
        "counting records and sums",
        "training 1",
        "training 10",
        "training 20",
        "training 30",
        "evaluating the last weights",
        "reading the test records, once",
    ]


def test_every_hospital_in_view() -> None:
    """On a terminal, every hospital stands with its name, as it is, and what it does; rounds that closed are counted."""
    text = StringIO()
    with Watching(60, NAMES, Console(file=text, width=80, force_terminal=True, highlight=False)) as watching:
        watching.show(at("round", 8))
    shown = text.getvalue()
    for words in ("Northern [general]", "answered", "Southern", "R-SILENT", "training 8", "7/60"):
        assert words in shown


def test_no_figure_is_no_figure() -> None:
    """Where the records cannot say, the caption has a dash and not a number."""
    assert caption(FIRST) == "running"
    nothing = FIRST.model_copy(update={"purpose": "round", "round": 3, "metrics": measure(NO_RECORDS)})
    assert caption(nothing) == "training 3; –"

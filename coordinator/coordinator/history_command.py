"""``wardround coordinator history``: what a study's journal says, verified line by line; the centre need not run."""

from __future__ import annotations

from pathlib import Path

import click

from coordinator.journal.chronicle import Absent, Chronicle, Summary, ToldVisit, read_chronicle
from coordinator.studies import HASH_SHOWN, StudyState, find_study
from wardround.canonical import model_json
from wardround.console import format_option, print_json, say
from wardround.directory import check_format
from wardround.reference import with_reference

NOTHING = "–"
HEAD = ("visit", "attempt", "seconds", "loss", "sent", "stepped", "resumed", "counted (records)", "not counted")
METRIC_COLUMN = 4
"""Where AUROC stands; of a study of masks, Dice; of one that predicts a number, R²."""
METRICS = (("Dice", "dice"), ("R²", "r2"), ("AUROC", "auroc"))
"""What the metric is called, by what a visit has; the last where none has any."""


@click.command()
@click.argument("study")
@click.option("--dir", "folder", required=True, type=click.Path(path_type=Path, file_okay=False), help="The centre's directory.")
@format_option
def history(study: str, folder: Path, form: str) -> None:
    """Tell the journal of STUDY, visit by visit: who counted, who did not and why, which weights came of it.

    STUDY is its name, NAME-VERSION, or the beginning of its hash. The journal is read from the disk and every line of it
    verified: a line that does not hold is named (L-BROKEN, exit status 1). The centre may run meanwhile, or not.
    """
    check_format(folder)
    found, state = find_study(folder, study)
    told = read_chronicle(found.path, state.study_hash)
    if form == "json":
        print_json(
            {
                "summary": model_json(told.summary),
                "visits": [model_json(visit) for visit in told.visits],
                "entries": [model_json(entry) for entry in told.entries],
            }
        )
        return
    for line in _page(state, told):
        say(line)


def _page(state: StudyState, told: Chronicle) -> list[str]:
    head = f"{state.name} {state.version}  {state.study_hash[:HASH_SHOWN]}"
    if told.summary.begun_by is None:
        return [head, "  Its journal has no line yet."]
    name, metric = next(
        (each for each in METRICS if any(getattr(visit, each[1]) is not None for visit in told.visits)), METRICS[-1]
    )
    rows = [_with_metric(HEAD, name)]
    rows += [_with_metric(_row(visit), _figure(getattr(visit, metric))) for visit in told.visits]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [head, *table, *_end(told.summary)]


def _with_metric(row: tuple[str, ...], metric: str) -> tuple[str, ...]:
    return (*row[:METRIC_COLUMN], metric, *row[METRIC_COLUMN:])


def _row(visit: ToldVisit) -> tuple[str, ...]:
    return (
        f"{visit.purpose} {visit.round}" if visit.purpose == "round" else visit.purpose,
        f"{visit.attempt + 1}" + (f" (raised {visit.raised})" if visit.raised else ""),
        "open" if visit.seconds is None else f"{visit.seconds:.1f}",
        _figure(visit.loss),
        _weights(visit.sent),
        _weights(visit.stepped),
        f"{visit.resumed} ×" if visit.resumed else NOTHING,
        f"{len(visit.counted)}: " + (", ".join(f"{each.site} {each.records}" for each in visit.counted) or NOTHING),
        _not_counted(visit),
    )


def _not_counted(visit: ToldVisit) -> str:
    parts = [_absent(each) for each in visit.absent] + [f"{site} late with an earlier reply" for site in visit.late]
    if visit.outcome == "failed":
        parts.append(f"FAILED ({', '.join(visit.shortfall)})")
    return ", ".join(parts) or NOTHING


def _absent(absent: Absent) -> str:
    return f"{absent.site} {with_reference(absent.code or 'not yet', absent.reference)}"


def _figure(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.4f}"


def _weights(digest: str | None) -> str:
    return NOTHING if digest is None else digest[:HASH_SHOWN]


def _end(summary: Summary) -> list[str]:
    """Say what became of the study, and what its journal went through."""
    fewest = NOTHING if summary.fewest is None else f"{summary.fewest}"
    visits = f"{summary.visits} visits, in those that closed at least {fewest} hospitals; failed rounds: {summary.failed_rounds}."
    whole = f"{summary.lines} lines, each verified, begun by Wardround {summary.begun_by};"
    lines = [f"{_ending(summary)} {visits}", f"{whole} conductors that died in a visit: {summary.resumed}."]
    if summary.torn:
        lines.append(
            "After the last whole line something follows: a line that was cut off, or one that is being written. It is not read."
        )
    return lines


def _ending(summary: Summary) -> str:
    if summary.ended is None:
        return "It has not ended."
    codes = f" ({', '.join(summary.ended.codes)})" if summary.ended.codes else ""
    return f"It ended: {summary.ended.summary}{codes}."

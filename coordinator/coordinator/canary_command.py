"""``wardround coordinator canary | begin``: try a study's hospitals on made-up numbers, and let a held study begin."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from coordinator.canary.files import (
    CanaryRequest,
    CanaryResult,
    Deadline,
    SiloCanary,
    now_ms,
    read_result,
    withdraw_request,
    write_request,
)
from coordinator.house import run_folder
from coordinator.studies import HELD_BEFORE_TRAINING, HOLD, HOLD_TRAINING, WAITING, StudyFolder, StudyState, find_study, folders
from wardround.canonical import model_json
from wardround.console import format_option, print_json, say, terminal
from wardround.directory import check_format
from wardround.errors import CATALOGUE, EXIT_DONE, EXIT_NOT_IN_ORDER, refuse
from wardround.reference import with_reference
from wardround.supervision.house import read_state

LOOK_SECONDS = 0.2
MARGIN_SECONDS = 2.0
"""The conductor stops waiting for hospitals so much earlier than the command for the conductor."""
SHORTEST_SECONDS = 5.0

study_argument = click.argument("named", metavar="STUDY")
folder_option = click.option(
    "--dir", "folder", required=True, type=click.Path(path_type=Path, file_okay=False), help="The centre's directory."
)


@click.command()
@study_argument
@folder_option
@click.option(
    "--seconds",
    default=120.0,
    show_default=True,
    type=click.FloatRange(SHORTEST_SECONDS, 3600.0),
    help="How long to wait for all answers.",
)
@click.option(
    "--records",
    type=click.IntRange(1, 10**9),
    help="Training records that a hospital is assumed to have [default: the study's silos.minimum_records].",
)
@format_option
def canary(named: str, folder: Path, seconds: float, records: int | None, form: str) -> int:
    """Try every hospital of STUDY with one step on made-up numbers: network, versions, clock, memory, disk, speed.

    STUDY is a submitted study's name, or the first digits of its hash. No record is opened. Says who is ready, who is not
    and why, and proposes a deadline for rounds. Exit status 0: every hospital is ready; 1: else.
    """
    check_format(folder)
    place, _ = find_study(folder, named)
    _ready(folder)
    request = _request(place, seconds, records)
    write_request(place.path, request)
    try:
        result = _wait(folder, place, request, seconds)
    finally:
        withdraw_request(place.path, request)
    if form == "json":
        print_json({**dict(model_json(result).items()), "ready": result.ready})
    else:
        _show(result)
    return EXIT_DONE if result.ready else EXIT_NOT_IN_ORDER


@click.command()
@study_argument
@folder_option
def begin(named: str, folder: Path) -> None:
    """Let STUDY begin that was submitted with --hold, as soon as all of its hospitals have decided.

    Or let it train, where it was submitted with --hold-training and its hospitals have answered the first visit.
    """
    check_format(folder)
    place, state = find_study(folder, named)
    if state.phase == "running" and place.training_held:
        (place.path / HOLD_TRAINING).unlink(missing_ok=True)
        say(f"{state.name} {state.version} goes on with its first round.")
        say(f"Next: wardround coordinator watch {folder}")
        return
    if state.phase != "submitted":
        raise refuse(
            "X-USAGE",
            f"{state.name} {state.version}",
            "A study that is held has not begun",
            f"it is {state.phase}",
            f"see: wardround coordinator status {folder}",
        )
    (place.path / HOLD).unlink(missing_ok=True)
    then = "; its first round waits for another begin" if place.training_held else ""
    say(f"{state.name} {state.version} begins when all of its hospitals have decided{then}.")
    say(f"Next: wardround coordinator watch {folder}")


def _request(place: StudyFolder, seconds: float, records: int | None) -> CanaryRequest:
    until = now_ms() + round((seconds - MARGIN_SECONDS) * 1000)
    if records is not None:
        return CanaryRequest(request=secrets.token_hex(32), records=records, assumed="given", until_ms=until)
    least = place.bundle().study.silos.minimum_records
    return CanaryRequest(request=secrets.token_hex(32), records=least, assumed="silos.minimum_records", until_ms=until)


def _ready(folder: Path) -> None:
    """Check that the conductor can answer.

    Raises:
        Refused: V-STOPPED when the centre does not run, V-BUSY while a study is conducted.
    """
    if read_state(run_folder(folder)) is None:
        raise refuse(
            "V-STOPPED",
            folder.absolute().name,
            "A canary is sent by a centre that runs",
            "nothing runs in this directory",
            f"start it first: wardround coordinator start {folder}",
        )
    running = next(
        (state for state in _states(folder) if state.phase == "running" and state.summary not in (WAITING, HELD_BEFORE_TRAINING)),
        None,
    )
    if running is not None:
        raise refuse(
            "V-BUSY",
            f"{running.name} {running.version}",
            "Canaries are sent between studies: no round is interrupted for one",
            "it is being conducted",
            "wait until it has ended: wardround coordinator watch --until-done",
        )


def _states(folder: Path) -> list[StudyState]:
    return [state for each in folders(folder) if (state := each.read()) is not None]


def _wait(folder: Path, place: StudyFolder, request: CanaryRequest, seconds: float) -> CanaryResult:
    """Wait for the conductor's answer.

    Raises:
        Refused: V-STOPPED, V-BUSY; the latter also when no answer came in time.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        result = read_result(place.path, request)
        if result is not None:
            return result
        _ready(folder)
        time.sleep(LOOK_SECONDS)
    raise refuse(
        "V-BUSY",
        folder.absolute().name,
        "The conductor answers between two of its visits",
        f"it did not in {seconds:.0f} seconds",
        "ask again with more --seconds; if that does not help, logs/conductor.log says what it is at",
    )


def _show(result: CanaryResult) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("hospital", no_wrap=True)
    table.add_column("ready", no_wrap=True)
    for heading in ("clock s", "step ms", "round s", "way s", "MB/s", "memory MiB", "disk MiB"):
        table.add_column(heading, justify="right", no_wrap=True)
    for silo in result.silos:
        codes = "\n".join(with_reference(code, silo.reference) for code in silo.codes)
        said = Text("yes", style="green") if silo.ready else Text(codes, style="red")
        table.add_row(silo.site, said, *_figures(silo))
    terminal().print(table)
    for line in _notes(result):
        say(line)
    say("No deadline can be proposed: nothing was measured." if result.deadline is None else _proposal(result.deadline))


def _notes(result: CanaryResult) -> list[str]:
    """Say what the codes mean, who has other packages, how many are ready, and what was assumed."""
    notes = [f"{code}: {CATALOGUE[code].title}" for code in dict.fromkeys(code for silo in result.silos for code in silo.codes)]
    notes += [
        f"{silo.site}: packages of other versions than where the study was built: {silo.figures.other_packages}"
        for silo in result.silos
        if silo.figures is not None and silo.figures.other_packages
    ]
    source = "given" if result.assumed == "given" else "the study's silos.minimum_records; --records assumes others"
    ready = sum(silo.ready for silo in result.silos)
    notes.append(
        f"{ready} of {len(result.silos)} hospitals are ready. Assumed training records of each: {result.records} ({source})."
    )
    return notes


def _figures(silo: SiloCanary) -> tuple[str, ...]:
    """Give the cells of what was measured; a dash where nobody can tell."""
    figures = silo.figures
    if figures is None:
        return ("–",) * 7
    return (
        _with(silo.ahead_seconds, "{:+.2f}"),
        f"{figures.step_us / 1000:.2f}",
        _with(silo.training_seconds, "{:.2f}"),
        _with(silo.transport_seconds, "{:.2f}"),
        _with(None if silo.bytes_per_second is None else silo.bytes_per_second / 1e6, "{:.2f}"),
        f"{figures.needed_mib}/{_with(figures.available_mib, '{}')}",
        _with(figures.disk_mib, "{}"),
    )


def _with(figure: float | None, form: str) -> str:
    return "–" if figure is None else form.format(figure)


def _proposal(deadline: Deadline) -> str:
    need = f"{deadline.slowest} needs {deadline.training_seconds:.2f} s of training and {deadline.transport_seconds:.2f} s of way"
    rule = f"times {deadline.factor}, at least {deadline.least_seconds} s, rounded up to tens"
    compared = "the study's is shorter" if deadline.of_the_study < deadline.seconds else "the study's is long enough"
    return f"Proposed rounds.deadline_seconds: {deadline.seconds} ({need}; {rule}); {compared}: {deadline.of_the_study:.0f} s."

"""``wardround coordinator start | stop | submit | status | watch``: run the centre and its studies."""

from __future__ import annotations

import time
from pathlib import Path

import click
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from coordinator.certificates import check_certificates, ending
from coordinator.house import LOGS, check_port, children, run_folder
from coordinator.identity import enrolled, load_centre, load_centre_file
from coordinator.removal import removed, when
from coordinator.studies import HASH_SHOWN, OPEN, StudyState, folders
from coordinator.studies import submit as submit_study
from coordinator.successions import kept_successions, newest
from wardround.canonical import model_json
from wardround.console import format_option, print_json, print_problems, say, terminal, warn
from wardround.directory import check_format
from wardround.errors import EXIT_DONE, EXIT_NOT_IN_ORDER, EXIT_PARTIAL, Problem, Refused, raise_all, refuse
from wardround.identity.address import split_address
from wardround.study.author_commands import author_json, signed_by_words
from wardround.study.bundle import Bundle, read_bundle
from wardround.supervision.ground import check_ground
from wardround.supervision.house import read_state, run_house, stop_house
from wardround.supervision.pulse import SILENCE_SECONDS

FRAMES_PER_SECOND = 4

folder_argument = click.argument("folder", type=click.Path(path_type=Path, file_okay=False))


@click.command()
@folder_argument
@click.option(
    "--silence-seconds",
    default=SILENCE_SECONDS,
    hidden=True,
    type=click.FloatRange(min=1.0),
    help="How long a process may give no sign of life before it is killed and started again.",
)
def start(folder: Path, silence_seconds: float) -> None:
    """Run the centre of FOLDER in the foreground: SuperLink and conductor, until Ctrl-C or `coordinator stop`."""
    coordinator = load_centre(folder).coordinator
    settings = load_centre_file(folder)
    check_certificates(folder)
    check_ground(folder)
    for line in ending(folder):
        warn(line)
    run_house(
        run_folder(folder),
        folder / LOGS,
        str(folder),
        children(folder, settings.listen, silence_seconds=silence_seconds),
        f"{coordinator.name} is up: hospitals connect to {settings.address}. Stop it with Ctrl-C.",
        lambda: check_port(split_address(settings.listen)),
    )


@click.command()
@folder_argument
def stop(folder: Path) -> None:
    """Stop the centre of FOLDER and wait until it has ended."""
    stop_house(run_folder(folder), str(folder))
    say("The centre has stopped.")


@click.command()
@click.argument("bundle_path", metavar="BUNDLE", type=click.Path(path_type=Path))
@click.option("--dir", "folder", required=True, type=click.Path(path_type=Path, file_okay=False), help="The centre's directory.")
@click.option("--hold", is_flag=True, help="Do not begin before `coordinator begin`, so that a canary can go first.")
@click.option("--hold-training", is_flag=True, help="No round before `coordinator begin`, so that statistics can be looked at.")
@format_option
def submit(bundle_path: Path, folder: Path, form: str, *, hold: bool, hold_training: bool) -> None:
    """Submit the study in BUNDLE: its hospitals are offered it, and it begins when all of them have decided.

    The centre signs the bundle: each hospital reads that this centre asks, and by which author's signature.
    """
    bundle = read_bundle(bundle_path)
    raise_all(_strangers(bundle, folder))
    submit_study(folder, bundle.countersigned(load_centre(folder).key), hold=hold, hold_training=hold_training)
    if form == "json":
        print_json(
            {"study_hash": bundle.study_hash, "phase": "submitted", "held": hold, "author": author_json(bundle)},
        )
        return
    study, sites = bundle.study, ", ".join(bundle.roster.sites)
    say(f"Submitted {study.name} {study.version} ({bundle.study_hash[:HASH_SHOWN]}) for {sites}.")
    say(f"  author {signed_by_words(bundle)}")
    following = f"canary {study.name} --dir" if hold else "watch"
    say(f"Next: wardround coordinator {following} {folder}")


def _strangers(bundle: Bundle, folder: Path) -> list[Problem]:
    """Say who on a study's roster is not enrolled here, and whether this is its centre at all."""
    coordinator = load_centre(folder).coordinator
    if bundle.roster.coordinator != coordinator:
        raise refuse(
            "P-ROSTER",
            bundle.study.name,
            "A study is conducted by the centre on its roster",
            "it names another centre",
            "build the bundle with this centre's coordinator.json",
        )
    known, kept = {member.site: member for member in enrolled(folder)}, kept_successions(folder)
    return [
        Problem(
            "P-ROSTER",
            f"{bundle.study.name}, site {member.site}",
            "The hospitals of a study are enrolled at its centre with the same keys",
            "it is not enrolled" if member.site not in known else "it is enrolled with other keys",
            "enrol it, or build the bundle with the request.json that was enrolled",
        )
        for member in bundle.roster.silos
        if member.site not in known or known[member.site].keys != newest(member, kept).keys
    ]


@click.command()
@folder_argument
@format_option
def status(folder: Path, form: str) -> int:
    """Say how the centre and its studies are.

    Exit status 0: it runs whole and no study failed or ended on part of its hospitals; 3: a study is partial; 1: else.
    """
    check_format(folder)
    load_centre_file(folder)  # a folder that holds no centre is said to be none, and nothing is made in it
    house = read_state(run_folder(folder))
    states = _states(folder)
    whole = house is not None and all(process.state == "ready" for process in house.processes)
    out = {site: when(folder, site) for site in sorted(removed(folder).sites)}
    soon = _ending(folder)
    if form == "json":
        print_json(
            {
                "certificates_end": [*soon],
                "running": house is not None,
                "whole": whole,
                "house": None if house is None else model_json(house),
                "studies": [model_json(state) for state in states],
                "removed": list(out),
            }
        )
    else:
        say("The centre does not run." if house is None else f"The centre runs since {house.since}: {house}.")
        for line in soon:
            warn(line)
        for state in states:
            terminal().print(_view(state))
        for site, words in out.items():
            say(f"{site} is out: {words}.")
    phases = {state.phase for state in states}
    unread = _unread(folder)
    print_problems(unread)
    waiting = any(state.problems for state in states if state.phase in OPEN)
    if not whole or "failed" in phases or unread or waiting:
        return EXIT_NOT_IN_ORDER
    return EXIT_PARTIAL if "partial" in phases else EXIT_DONE


def _ending(folder: Path) -> list[str]:
    """Give what `start` would warn of; nothing where certificates are missing or cannot be read, which the doctor tells."""
    try:
        return ending(folder)
    except (Refused, ValueError):
        return []


def _unread(folder: Path) -> list[Problem]:
    """Say which studies are there whose state cannot be read: none is left out in silence."""
    return [
        Problem(
            "O-STATE",
            f"study {each.path.name[:HASH_SHOWN]}",
            "Every study has a state that can be read",
            "the file is missing, damaged or of another version",
            "start the centre: it makes the state anew from the study's bundle and journal",
        )
        for each in folders(folder)
        if each.read() is None
    ]


def _states(folder: Path) -> list[StudyState]:
    return [state for each in folders(folder) if (state := each.read()) is not None]


@click.command()
@folder_argument
@click.option("--until-done", is_flag=True, help="End when no study is open any more.")
def watch(folder: Path, *, until_done: bool) -> int:
    """Look on live, calmly; Ctrl-C ends the looking, not the studies.

    With --until-done it ends with the exit status of the studies: 0 complete, 3 partial, 1 failed.
    """
    check_format(folder)
    load_centre_file(folder)
    console = Console()
    with Live(console=console, refresh_per_second=FRAMES_PER_SECOND, transient=False) as live:
        while True:
            states = _states(folder)
            live.update(Group(*(_view(state) for state in states)) if states else Text("No studies yet."))
            if until_done and not any(state.phase in OPEN for state in states):
                break
            time.sleep(1 / FRAMES_PER_SECOND)
    phases, unread = {state.phase for state in states}, _unread(folder)
    print_problems(unread)
    if "failed" in phases or unread:
        return EXIT_NOT_IN_ORDER
    return EXIT_PARTIAL if "partial" in phases else EXIT_DONE


def _view(state: StudyState) -> Group:
    """Draw one study in a few calm lines."""
    colours = {"complete": "green", "partial": "yellow", "failed": "red", "running": "cyan", "submitted": "dim"}
    head = Text.assemble(
        (f"{state.name} {state.version}", "bold"),
        f"  {state.study_hash[:HASH_SHOWN]}  ",
        (state.summary or state.phase, colours[state.phase]),
        f"  {_where(state)}",
    )
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
    for silo in state.silos:
        table.add_row(silo.site, silo.activity if state.phase in OPEN else silo.offer or "–")
    parts: list[Text | Table] = [head, Text(f"  {state.title}", style="dim"), table]
    parts += [Text(f"  {problem}", style="red") for problem in state.problems]
    if state.release is not None:
        parts.append(Text(f"  {state.release}"))
    return Group(*parts)


def _where(state: StudyState) -> str:
    metric, value = ("", None) if state.metrics is None else state.metrics.main
    figure = "" if value is None else f", {metric} {value:.4f}"
    if state.phase == "submitted":
        return "waiting for the hospitals' decisions"
    if state.purpose == "round":
        return f"round {state.round} of at most {state.maximum}{figure}"
    return f"{state.purpose or ''}{figure}"

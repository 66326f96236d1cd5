"""``wardround silo start | stop | status | studies``: run a hospital's node and see what it is asked."""

from __future__ import annotations

from pathlib import Path

import click

from silo_node.configuration import load_site
from silo_node.confinement import read_confinement
from silo_node.decision_commands import open_inbox, site_option
from silo_node.house import KEPT_OUT, VISIT_SECONDS, children, run_folder, way_out
from silo_node.identity import load_identity
from silo_node.joining import load_joined
from silo_node.porter.approvals import INBOX
from silo_node.porter.inbox import Entry
from silo_node.preflight import check_centre, ending
from silo_node.proxy_trouble import PROXY_TROUBLE, read_proxy_trouble
from silo_node.rekeying import take_up
from silo_node.running_code import changed
from silo_node.supernode_words import read_kept_out
from silo_node.training_state import read_training_state
from wardround.canonical import Json, model_json
from wardround.console import format_option, print_json, say, warn
from wardround.directory import check_format
from wardround.errors import EXIT_DONE, EXIT_NOT_IN_ORDER
from wardround.study.bundle import SUFFIX
from wardround.supervision.ground import check_ground
from wardround.supervision.house import read_state, run_house, stop_house
from wardround.supervision.pulse import SILENCE_SECONDS
from wardround.supervision.reminder import DAY_SECONDS, remind_daily


@click.command()
@site_option
@click.option(
    "--visit-seconds", default=VISIT_SECONDS, hidden=True, type=float, help="How long a visit may wait for the trainer."
)
@click.option(
    "--silence-seconds",
    default=SILENCE_SECONDS,
    hidden=True,
    type=click.FloatRange(min=1.0),
    help="How long a process may give no sign of life before it is killed and started again.",
)
def start(site_path: Path, visit_seconds: float, silence_seconds: float) -> None:
    """Run this hospital's node in the foreground: SuperNode, porter and trainer, until Ctrl-C or `silo stop`.

    Nothing runs on the records but studies that a person approved; starting approves nothing.
    """
    site = load_site(site_path)
    site.policy()
    take_up(site.folder)
    identity = load_identity(site.folder)
    joined = load_joined(site.folder)
    check_ground(site.folder)
    out = way_out(site, joined)
    for line in ending(joined, check_centre(joined, out)):
        warn(line)
    # in this process, as the look before the start: neither porter nor trainer goes out
    remind_daily(lambda: ending(joined, check_centre(joined, out)), warn, first_after_seconds=DAY_SECONDS)
    run_house(
        run_folder(site),
        site.make_directory("logs"),
        f"site {identity.site}",
        children(site, joined, visit_seconds=visit_seconds, silence_seconds=silence_seconds),
        f"{identity.name} is up and speaks to {joined.coordinator.name} at {joined.address}. Stop it with Ctrl-C.",
    )


@click.command()
@site_option
def stop(site_path: Path) -> None:
    """Stop this hospital's node and wait until it has ended."""
    site = load_site(site_path)
    stop_house(run_folder(site), f"site {site.file.site}")
    say(f"{site.file.name} has stopped.")


@click.command()
@site_option
@format_option
def status(site_path: Path, form: str) -> int:
    """Say whether this hospital's node runs and is let in, how its processes are, and how its last training stands.

    And whether the software was changed since it was started. Exit status 1 when it does not run whole.
    """
    site = load_site(site_path)
    check_format(site.folder)
    state, training = read_state(run_folder(site)), read_training_state(run_folder(site))
    confined = read_confinement(run_folder(site))
    kept_out = read_kept_out(run_folder(site) / KEPT_OUT)
    trouble = None if state is None else read_proxy_trouble(run_folder(site) / PROXY_TROUBLE)
    whole = state is not None and all(process.state == "ready" for process in state.processes)
    other = () if state is None else changed(run_folder(site))
    if form == "json":
        print_json(
            {
                "site": site.file.site,
                "running": state is not None,
                "whole": whole,
                "house": None if state is None else model_json(state),
                "other_code": list(other),
                "kept_out_since": None if kept_out is None else kept_out.since,
                "proxy": None if trouble is None else model_json(trouble),
                "confinement": None if confined is None else model_json(confined),
                "training": None if training is None else model_json(training),
            }
        )
        return EXIT_DONE if whole else EXIT_NOT_IN_ORDER
    if state is None:
        say(f"{site.file.name} does not run.")
    else:
        say(f"{site.file.name} runs since {state.since}: {state}")
    if other:
        say(f"Started from other software than is installed now: {', '.join(other)}. Stop the node, start it, and approve anew.")
    if kept_out is not None:
        say(f"The centre does not let its node in since {kept_out.since} (N-REFUSED): ask the operator whether it was removed.")
    if trouble is not None:
        say(f"No way through the proxy since {trouble.since} ({trouble.code}): {trouble.finding}. The node goes on trying.")
    if confined is not None:
        say(f"The trainer tried its confinement at its start; {confined.words()}.")
    if training is not None:
        say(f"Last training: {training.words()}.")
    return EXIT_DONE if whole else EXIT_NOT_IN_ORDER


@click.command()
@site_option
@format_option
def studies(site_path: Path, form: str) -> None:
    """List the studies in this hospital's inbox, and what was decided about each: by a person, or by the hospital's policy."""
    entries = open_inbox(load_site(site_path)).entries()
    if form == "json":
        rows: list[Json] = [
            {
                "study_hash": entry.bundle.study_hash,
                "name": entry.bundle.study.name,
                "version": entry.bundle.study.version,
                "title": entry.bundle.study.title,
                "state": entry.state,
                "expires_at": entry.expires_at,
                "codes": list(entry.codes),
            }
            for entry in entries
        ]
        print_json({"studies": rows})
        return
    if not entries:
        say("The inbox is empty.")
        return
    lines = [("study", "state", "until", "title"), *(_line(entry) for entry in entries)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    heading, *told = ("  ".join(map(str.ljust, cells, widths)).rstrip() for cells in lines)
    say(heading)
    for line, entry in zip(told, entries, strict=True):
        say(line)
        # whole, on a line of its own: the next command is given it
        say(f"  {site_path.parent / INBOX / entry.bundle.study_hash}{SUFFIX}")
    say("Next: wardround silo review BUNDLE, then silo approve BUNDLE or silo reject BUNDLE")


def _line(entry: Entry) -> tuple[str, str, str, str]:
    study = entry.bundle.study
    state = entry.state if not entry.codes else f"{entry.state} ({', '.join(entry.codes)})"
    return f"{study.name} {study.version}", state, entry.expires_at or "", study.title

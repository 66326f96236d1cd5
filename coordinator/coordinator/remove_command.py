"""``wardround coordinator remove``: let a hospital in no longer, at once."""

from __future__ import annotations

from pathlib import Path

import click

from coordinator.house import run_folder
from coordinator.identity import removal_path
from coordinator.removal import find_enrolled, remove
from coordinator.studies import OPEN, folders
from wardround.canonical import model_json
from wardround.console import format_option, print_json, say
from wardround.errors import EXIT_DONE, EXIT_NOT_IN_ORDER, refuse
from wardround.identity.roster import Member
from wardround.supervision.house import read_state


@click.command("remove")
@click.argument("site")
@click.option("--dir", "folder", required=True, type=click.Path(path_type=Path, file_okay=False), help="The centre's directory.")
@click.option("--reason", help="Why, for the centre's own record; it never leaves.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@format_option
def remove_hospital(site: str, folder: Path, reason: str | None, form: str, *, yes: bool) -> int:
    """Remove the hospital SITE: its node is let in no longer, and no answer of its counts any more.

    A running centre does so within seconds, also in the middle of a round. Studies under way go on without it where their
    own rules allow. Its entry and the record of the removal stay; only `coordinator enrol --again` lets it in again.
    """
    member = find_enrolled(folder, site)
    studies = _open_studies(folder, site)
    if not yes and not _confirmed(member, studies):
        click.echo("Nothing was removed.", err=True)
        return EXIT_NOT_IN_ORDER
    removal = remove(folder, member, reason)
    record, running = removal_path(folder, site), read_state(run_folder(folder)) is not None
    if form == "json":
        print_json(
            {
                "removal": model_json(removal),
                "fingerprint": member.fingerprint,
                "record": str(record),
                "open_studies": list(studies),
                "running": running,
            }
        )
        return EXIT_DONE
    say(f"Removed: {member.name} (site {site}).")
    say(f"  fingerprint {member.fingerprint}")
    say(f"  record      {record}, by {removal.removed_by} at {removal.removed_at}")
    for study in studies:
        say(f"  It is on the roster of {study}, which goes on without it if its rules allow.")
    say(
        "The running centre refuses its node within seconds."
        if running
        else "The centre does not run; at its start the node is not let in."
    )
    return EXIT_DONE


def _open_studies(folder: Path, site: str) -> tuple[str, ...]:
    states = [state for each in folders(folder) if (state := each.read()) is not None and state.phase in OPEN]
    return tuple(f"{state.name} {state.version}" for state in states if site in {silo.site for silo in state.silos})


def _confirmed(member: Member, studies: tuple[str, ...]) -> bool:
    """Ask on the terminal, beside what programs read.

    Raises:
        Refused: X-USAGE when nobody can answer.
    """
    click.echo(f"{member.name} (site {member.site})", err=True)
    click.echo(f"  fingerprint {member.fingerprint}", err=True)
    if studies:
        click.echo(f"  on the roster of {', '.join(studies)}", err=True)
    try:
        return click.confirm("Remove it? Its node is refused at once, and none of its answers counts any more", err=True)
    except click.Abort:
        raise refuse(
            "X-USAGE",
            "wardround coordinator remove",
            "A person decides that a hospital is removed",
            "nobody answered",
            "run it on a terminal; or with --yes",
        ) from None

"""``wardround coordinator reconcile``: a study's journal against a hospital's ledger, each verified with public keys."""

from __future__ import annotations

from pathlib import Path

import click

from coordinator.reconciliation import Reconciled, reconcile
from coordinator.studies import HASH_SHOWN, find_study
from wardround.console import format_option, print_json, print_problems, say
from wardround.directory import check_format
from wardround.errors import EXIT_DONE, EXIT_NOT_IN_ORDER, refuse
from wardround.identity.roster import Member, Roster
from wardround.ledger.folder import ledger_folder
from wardround.strict_yaml import nearest


@click.command("reconcile")
@click.argument("study")
@click.option("--dir", "folder", required=True, type=click.Path(path_type=Path, file_okay=False), help="The centre's directory.")
@click.option("--silo", "site", required=True, help="The hospital whose ledger it is, by its site name.")
@click.option(
    "--ledger",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="A copy of the hospital's ledger folder, or its export.",
)
@format_option
def reconcile_command(study: str, folder: Path, site: str, ledger: Path, form: str) -> int:
    """Compare the journal of STUDY with a hospital's ledger, and each side's receipts with the other's lines.

    Exit status 1 when the ledger does not hold a head that the hospital named to the centre (L-ANCHOR), or one of the two
    tells another story than the other (L-RECEIPT). A release that never arrived is listed, and is no error.
    """
    check_format(folder)
    found, state = find_study(folder, study)
    bundle = found.bundle()
    result = reconcile(found.path, bundle, _member(bundle.roster, site), ledger_folder(ledger))
    if form == "json":
        print_json(
            {
                "study_hash": state.study_hash,
                "silo": site,
                "entries": result.course.length,
                "head": result.course.head,
                "journal": {kind: result.lines[kind] for kind in ("admitted", "refused", "late")},
                "receipts": result.receipts,
                "rehearsed": result.rehearsed,
                "unheard": [{"sequence": each.sequence, "purpose": each.purpose, "round": each.round} for each in result.unheard],
                "problems": [dict(problem.as_json()) for problem in result.problems],
            }
        )
    else:
        for line in _page(f"{state.name} {state.version}  {state.study_hash[:HASH_SHOWN]}", site, result):
            say(line)
        print_problems(result.problems)
    return EXIT_NOT_IN_ORDER if result.problems else EXIT_DONE


def _page(head: str, site: str, result: Reconciled) -> list[str]:
    lines = result.lines
    told = f"{lines['admitted']} admitted, {lines['refused']} refused, {lines['late']} late"
    verdict = "they agree" if not result.problems else f"{len(result.problems)} differences"
    rehearsed = f" ({result.rehearsed} of them of a simulation)" if result.rehearsed else ""
    return [
        head,
        f"  journal: {told} of {site}; ledger: {result.course.length} entries, {result.receipts} receipts{rehearsed}: {verdict}.",
        *(
            f"  entry {each.sequence}, {each.purpose} {each.round}: left, and the journal has no line about it"
            for each in result.unheard
        ),
    ]


def _member(roster: Roster, site: str) -> Member:
    """Give the hospital from the study's roster.

    Raises:
        Refused: P-ROSTER when it is not on it, with the nearest name.
    """
    member = roster.member(site)
    if member is not None:
        return member
    guess = nearest(site, set(roster.sites))
    raise refuse(
        "P-ROSTER",
        f"--silo {site}",
        "A study's journal is about the hospitals on its roster",
        "it is not one of them",
        f"name one of: {', '.join(roster.sites)}" if guess is None else f"did you mean {guess}?",
    )

"""``wardround silo reject | pause | resume | revoke``: a person decides about a study, before and while it runs."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from silo_node.configuration import Site, load_site
from silo_node.house import run_folder
from silo_node.identity import load_identity
from silo_node.porter.approvals import APPROVALS, Approvals, missing_approval, pause, read_pause, resume
from silo_node.porter.inbox import Inbox, Reason
from wardround.console import say, warn
from wardround.errors import Refused
from wardround.study.bundle import Bundle, read_bundle
from wardround.supervision.house import read_state, stop_house

site_option = click.option(
    "--site", "site_path", required=True, type=click.Path(path_type=Path), help="The hospital's site.yaml."
)
study_argument = click.argument("study")
reason_option = click.option(
    "--reason", type=click.Choice(get_args(Reason)), default="other", show_default=True, help="Why; stays here."
)
cut_option = click.option(
    "--cut", is_flag=True, help="Stop the node, too: a result that is on its way to the centre right now is cut off."
)


def open_inbox(site: Site) -> Inbox:
    """Open a hospital's inbox to look at it or to decide."""
    identity = load_identity(site.folder)
    return Inbox(site.folder, identity, Approvals(site.folder, identity), None)


def which_study(site: Site, study: str) -> Bundle:
    """Give the study that is meant: a bundle file, or one of the inbox."""
    return read_bundle(Path(study)) if Path(study).is_file() else open_inbox(site).find(study)


def _require_given(site: Site, bundle: Bundle) -> None:
    if not (site.folder / APPROVALS / f"{bundle.study_hash}.json").exists():
        raise Refused([missing_approval(site.file.site, bundle.study_hash)])


def _say_what_leaves(site: Site, *, cut: bool) -> None:
    """Say, and see to it if asked, that what the SuperNode has already cannot be called back otherwise."""
    if read_state(run_folder(site)) is None:
        return
    if cut:
        stop_house(run_folder(site), f"site {site.file.site}")
        say("The node has stopped; what it was sending is cut off. Start it again with: wardround silo start")
    else:
        say("Nothing more leaves. A result that is on its way right now still arrives: --cut stops the node as well.")


@click.command()
@study_argument
@site_option
@reason_option
def reject(study: str, site_path: Path, reason: Reason) -> None:
    """Reject STUDY, a bundle or one of the inbox: the centre is told so, and an approval that was given is withdrawn."""
    site = load_site(site_path)
    bundle = which_study(site, study)
    open_inbox(site).reject(bundle, reason)
    say(f"Rejected {bundle.study.name} {bundle.study.version} for {site.file.site}.")


@click.command()
@study_argument
@site_option
@reason_option
@cut_option
def revoke(study: str, site_path: Path, reason: Reason, cut: bool) -> None:  # noqa: FBT001  (click's)
    """Withdraw the approval of STUDY for good, effective before the next result leaves; to go on it is approved anew."""
    site = load_site(site_path)
    bundle = which_study(site, study)
    _require_given(site, bundle)
    open_inbox(site).reject(bundle, reason)
    say(f"Revoked the approval of {bundle.study.name} {bundle.study.version} for {site.file.site}.")
    _say_what_leaves(site, cut=cut)


@click.command(name="pause")
@study_argument
@site_option
@cut_option
def pause_command(study: str, site_path: Path, cut: bool) -> None:  # noqa: FBT001  (click's)
    """Hold STUDY up, effective before the next result leaves; its approval stays, for `silo resume`."""
    site = load_site(site_path)
    bundle = which_study(site, study)
    _require_given(site, bundle)
    pause(site.folder, site.file.site, bundle.study_hash)
    say(f"Paused {bundle.study.name} {bundle.study.version} for {site.file.site}.")
    _say_what_leaves(site, cut=cut)


@click.command(name="resume")
@study_argument
@site_option
def resume_command(study: str, site_path: Path) -> None:
    """Let STUDY go on that was paused."""
    site = load_site(site_path)
    bundle = which_study(site, study)
    by = read_pause(site.folder, bundle.study_hash)
    was_paused = resume(site.folder, bundle.study_hash)
    words = "goes on" if was_paused else "was not paused"
    say(f"{bundle.study.name} {bundle.study.version} {words} for {site.file.site}.")
    if by == "gate":
        warn("the gate had paused it (H-GATE): the last 'blocked' entry of silo ledger show says what it kept back")

"""``wardround silo init | passphrase``: make the hospital's keys inside the hospital, and look after the approver's."""

from __future__ import annotations

from pathlib import Path

import click

from silo_node.configuration import load_site
from silo_node.identity import REQUEST, approval_key, change_passphrase, create_identity
from wardround.canonical import model_json
from wardround.console import format_option, print_json, say
from wardround.identity.passphrase import new_passphrase, passphrase_option, read_passphrase


@click.command()
@click.option("--site", "site_path", required=True, type=click.Path(path_type=Path), help="The hospital's site.yaml.")
@passphrase_option
@format_option
def init(site_path: Path, passphrase_file: Path | None, form: str) -> None:
    """Make this hospital's keys beside site.yaml, and the request.json that goes to the centre and to study authors.

    Private keys are made here, are readable by you only, and never leave. The key that approves studies also has a
    passphrase, of the person who approves: the node, which runs without it, can never approve anything. A policy.yaml with
    the defaults is written, too, unless there is one: what this hospital allows, whoever approves a study.
    """
    site = load_site(site_path)
    site.policy()  # one that is there is in order before anything is made
    member = create_identity(site.folder, site.file.site, site.file.name, new_passphrase(passphrase_file))
    if form == "json":
        print_json({"request": model_json(member), "fingerprint": member.fingerprint})
        return
    say(f"Made the keys of {member.name} in {site.folder / 'keys'} (readable by you only).")
    say(f"  fingerprint {member.fingerprint}")
    say(f"What this hospital allows stands in {site.policy_file.path}: read it, and change what it decides otherwise.")
    say(f"Next: send {site.folder / REQUEST} to the centre's operator and read them the fingerprint over the phone;")
    say(f"  then run: wardround silo join INVITATION --site {site_path}")


@click.command()
@click.option("--site", "site_path", required=True, type=click.Path(path_type=Path), help="The hospital's site.yaml.")
@passphrase_option
@click.option(
    "--new-passphrase-file", type=click.Path(path_type=Path), help="A file with the new one; it is asked for when not given."
)
def passphrase(site_path: Path, passphrase_file: Path | None, new_passphrase_file: Path | None) -> None:
    """Give the approver's key another passphrase, such as when another person takes over. The key stays the same."""
    site = load_site(site_path)
    old = read_passphrase(passphrase_file)
    approval_key(site.folder, old)  # a wrong one is said before a new one is asked for
    change_passphrase(site.folder, old, new_passphrase(new_passphrase_file))
    say(f"The approver's key of {site.file.name} has another passphrase.")

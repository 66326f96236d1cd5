"""``wardround silo init``: make the hospital's keys inside the hospital."""

from __future__ import annotations

from pathlib import Path

import click

from silo_node.configuration import load_site
from silo_node.identity import REQUEST, create_identity
from wardround.canonical import model_json
from wardround.console import format_option, print_json, say


@click.command()
@click.option("--site", "site_path", required=True, type=click.Path(path_type=Path), help="The hospital's site.yaml.")
@format_option
def init(site_path: Path, form: str) -> None:
    """Make this hospital's keys beside site.yaml, and the request.json that goes to the centre and to study authors.

    Private keys are made here, are readable by you only, and never leave. A policy.yaml with the defaults is written, too,
    unless there is one: what this hospital allows, whoever approves a study.
    """
    site = load_site(site_path)
    site.policy()  # one that is there is in order before anything is made
    member = create_identity(site.folder, site.file.site, site.file.name)
    if form == "json":
        print_json({"request": model_json(member), "fingerprint": member.fingerprint})
        return
    say(f"Made the keys of {member.name} in {site.folder / 'keys'} (readable by you only).")
    say(f"  fingerprint {member.fingerprint}")
    say(f"What this hospital allows stands in {site.policy_file.path}: read it, and change what it decides otherwise.")
    say(f"Next: send {site.folder / REQUEST} to the centre's operator and read them the fingerprint over the phone;")
    say(f"  then run: wardround silo join INVITATION --site {site_path}")

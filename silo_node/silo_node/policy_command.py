"""``wardround silo policy``: what this hospital allows, as the node understands it now."""

from __future__ import annotations

import json
from pathlib import Path

import click

from silo_node.configuration import load_site
from silo_node.policy import DISTRIBUTIONS_TOLD, SHOWN_TO_OTHERS
from wardround.canonical import model_json
from wardround.console import format_option, print_json, say
from wardround.directory import check_format


@click.command()
@click.option("--site", "site_path", required=True, type=click.Path(path_type=Path), help="The hospital's site.yaml.")
@click.option("--write-default", is_flag=True, help="Write a policy.yaml with the defaults, if there is none.")
@format_option
def policy(site_path: Path, write_default: bool, form: str) -> None:  # noqa: FBT001  (click passes flags by name)
    """Show the policy that holds at this hospital now: every setting of policy.yaml, and the defaults of those left out.

    The digest is the one that the ledger writes beside everything that leaves.
    """
    site = load_site(site_path)
    check_format(site.folder)
    written = write_default and site.policy_file.write_default()
    found = site.policy()
    settings = model_json(found)
    if form == "json":
        print_json({"policy": settings, "digest": found.policy_digest(), "written": written})
        return
    if written:
        say(f"Wrote {site.policy_file.path}.")
    width = max(len(name) for name in settings)
    for name, setting in settings.items():
        say(f"{name.ljust(width)}  {setting if isinstance(setting, str) else json.dumps(setting, ensure_ascii=False)}")
    say(f"{'digest'.ljust(width)}  {found.policy_digest()}")
    say(f"Figures shown to others? {SHOWN_TO_OTHERS[found.share_metrics].capitalize()}.")
    say(f"Distributions of fields told? {DISTRIBUTIONS_TOLD[found.share_distributions].capitalize()}.")

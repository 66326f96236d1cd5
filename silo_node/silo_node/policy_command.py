"""``wardround silo policy``: what this hospital allows, as the node understands it now."""

from __future__ import annotations

import json
from pathlib import Path

import click

from silo_node.configuration import load_site
from silo_node.policy import DISTRIBUTIONS_TOLD, SHOWN_TO_OTHERS, Policy
from wardround.canonical import model_json
from wardround.console import format_option, print_json, say
from wardround.contract import library
from wardround.directory import check_format
from wardround.strict_yaml import nearest


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
        unknown = tuple(unknown_schemas(found))
        print_json({"policy": settings, "digest": found.policy_digest(), "written": written, "unknown_schemas": unknown})
        return
    if written:
        say(f"Wrote {site.policy_file.path}.")
    width = max(len(name) for name in settings)
    for name, setting in settings.items():
        say(f"{name.ljust(width)}  {setting if isinstance(setting, str) else json.dumps(setting, ensure_ascii=False)}")
    say(f"{'digest'.ljust(width)}  {found.policy_digest()}")
    say(f"Figures shown to others? {SHOWN_TO_OTHERS[found.share_metrics].capitalize()}.")
    say(f"Distributions of fields told? {DISTRIBUTIONS_TOLD[found.share_distributions].capitalize()}.")
    for schema, guess in unknown_schemas(found).items():
        meant = f" Did you mean {guess}?" if guess else ""
        say(f"never_fields: no schema {schema} is installed here; it is for studies that bring one of that name.{meant}")


def unknown_schemas(policy: Policy) -> dict[str, str | None]:
    """Give the schemas under ``never_fields`` of which no version is installed, with what may be meant.

    They are no mistake for sure: a study may bring a schema of its own.
    """
    installed = {listing.id for listing in library.available_any()}
    return {schema: nearest(schema, installed) for schema in policy.never_fields if schema not in installed}

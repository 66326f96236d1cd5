"""``wardround silo join``: pin the centre that invited this hospital."""

from __future__ import annotations

from pathlib import Path

import click

from silo_node.configuration import load_site
from silo_node.joining import join as join_centre
from silo_node.rekey_command import refuse_running
from silo_node.rekeying import accept, take_up, waiting
from wardround.canonical import model_json
from wardround.console import format_option, print_json, say


@click.command()
@click.argument("invitation", type=click.Path(path_type=Path))
@click.option("--site", "site_path", required=True, type=click.Path(path_type=Path), help="The hospital's site.yaml.")
@click.option("--fingerprint", help="What the centre's operator read over the phone; joining is refused if it differs.")
@format_option
def join(invitation: Path, site_path: Path, fingerprint: str | None, form: str) -> None:
    """Join the centre that wrote INVITATION: verify it, and keep the centre's address, authority and key.

    Nothing connects yet, and nothing is approved. A newer invitation of the same centre may be joined in the same way. An
    invitation of the new keys that `silo rekey` made takes these up; the node must be stopped for it.
    """
    site = load_site(site_path)
    if waiting(site.folder) is not None:
        refuse_running(site)
    renewed = take_up(site.folder) or accept(site.folder, invitation, fingerprint)
    joined = renewed or join_centre(site.folder, invitation, fingerprint)
    centre = joined.coordinator
    if form == "json":
        print_json(
            {
                "site": site.file.site,
                "coordinator": model_json(centre),
                "fingerprint": centre.fingerprint,
                "fingerprint_compared": fingerprint is not None,
                "address": joined.address,
                "invited_at": joined.invited_at,
                "new_keys": renewed is not None,
            }
        )
        return
    if renewed is not None:
        say("The new keys are this hospital's from now on; the old private keys are gone from keys/.")
    say(f"{site.file.name} has joined {centre.name} at {joined.address}.")
    say(f"  fingerprint of the centre {centre.fingerprint}" + (" (as given)" if fingerprint is not None else ""))
    if fingerprint is None:
        say("Compare it with the operator over the phone before you start; if it differs, move config/ away and do not start.")
    say(f"Next: wardround silo start --site {site_path}")

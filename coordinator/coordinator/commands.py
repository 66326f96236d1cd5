"""``wardround coordinator``: the centre's commands."""

from __future__ import annotations

from pathlib import Path

import click

from coordinator.identity import create_centre
from wardround.canonical import model_json
from wardround.console import format_option, print_json, say


@click.group()
def coordinator() -> None:
    """Run the trusted centre."""


@coordinator.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--name", required=True, help="The centre's name, as hospitals will read it.")
@format_option
def init(folder: Path, name: str, form: str) -> None:
    """Make the centre's signing key in FOLDER, and the coordinator.json that study bundles name."""
    made = create_centre(folder, name)
    if form == "json":
        print_json({"coordinator": model_json(made), "fingerprint": made.fingerprint})
        return
    say(f"Made the key of {name} in {folder / 'keys'} (readable by you only).")
    say(f"  fingerprint {made.fingerprint}")
    say(f"Give {folder / 'coordinator.json'} to study authors; hospitals compare the fingerprint by phone.")

"""``wardround silo doctor``: is this hospital ready, line by line, before anything runs?"""

from __future__ import annotations

from pathlib import Path

import click

from wardround.console import format_option


@click.command()
@click.option("--site", "site_path", required=True, type=click.Path(path_type=Path), help="The hospital's site.yaml.")
@click.option("--deep", is_flag=True, help="Train each study's network for a few steps on made-up records, too.")
@format_option
def doctor(site_path: Path, form: str, *, deep: bool) -> int:
    """Look at everything that a node needs: software, keys, centre, clock, disk, memory, confinement, records.

    Works before anything runs, and beside a node that runs; nothing is changed, and nothing leaves but a sign-in that the
    centre answers with yes or no. Each line is ok, warn, fail or skipped, with the next step. Exit status 1 when a line
    fails. It takes a few seconds; each check is bounded in time.
    """
    from silo_node.doctor.checks import checks
    from wardround.doctor.lines import run_doctor

    return run_doctor(checks(site_path, deep=deep), form)

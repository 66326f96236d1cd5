"""``wardround coordinator doctor``: is this centre ready, line by line, before anything runs?"""

from __future__ import annotations

from pathlib import Path

import click

from wardround.console import format_option


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@format_option
def doctor(folder: Path, form: str) -> int:
    """Look at everything that the centre in FOLDER needs: software, keys, certificates, port, disk, journals, hospitals.

    Works before anything runs, and beside a centre that runs; nothing is changed. Each line is ok, warn, fail or skipped,
    with the next step. Exit status 1 when a line fails. It takes a few seconds; each check is bounded in time.
    """
    from coordinator.doctor import checks
    from wardround.doctor.lines import run_doctor

    return run_doctor(checks(folder), form)

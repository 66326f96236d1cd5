"""``wardround silo check`` for a schema of images: a folder of DICOM files, or of images that a table names."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wardround.console import print_json, say, say_rows, terminal
from wardround.errors import EXIT_DONE, EXIT_NOT_IN_ORDER, refuse

if TYPE_CHECKING:
    from silo_node.configuration import Site
    from silo_node.imaging.asked import Asked
    from silo_node.imaging.check import Progress
    from silo_node.imaging.report import Report
    from wardround.contract.imaging import ImagingContract
    from wardround.contract.model import Contract


MOST_TAGS = 12
"""What a de-identifier must still remove: lines on the terminal."""


def check_images(site: Site, contract: ImagingContract, table: Contract | None, asked: Asked, form: str) -> int:
    """Check the folder, write the report, and tell it.

    Args:
        site: the hospital.
        contract: of the images.
        table: that it names.
        asked: how they are checked.
        form: ``text`` or ``json``.

    Raises:
        Refused: X-EXTRA, M-SCHEMA, M-IMAGES, D-FOLDER, X-USAGE, O-WRITE.
    """
    try:
        from silo_node.imaging.check import check
        from silo_node.imaging.file_check import check_files
        from silo_node.imaging.page import write_report
    except ModuleNotFoundError as error:
        rule = "A folder of images needs packages that are not installed here"
        step = "install wardround-silo-node[imaging]"
        finding = f"the Python module {error.name} is absent"
        raise refuse("X-EXTRA", "wardround silo check", rule, finding, step) from None
    with _progress() as progress:
        if contract.protocol is not None or table is None:
            report = check(site, contract, asked, progress, table)
        else:
            report = check_files(site, contract, table, asked, progress)
    path, page = (f"{each.parent.name}/{each.name}" for each in write_report(site, report))
    if form == "json":
        from silo_node.imaging.report import as_json

        print_json({**as_json(report), "local_report": path, "local_page": page})
    else:
        _tell(report, page)
    return EXIT_DONE if report.passed else EXIT_NOT_IN_ORDER


@contextmanager
def _progress() -> Iterator[Progress]:
    """Show on a terminal how far the work is; elsewhere nothing."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Shown

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Shown(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as shown:
        tasks = {what: shown.add_task(what, total=None, visible=False) for what in ("headers", "masks", "pixels")}

        def told(what: str, done: int, of: int) -> None:
            shown.update(tasks[what], completed=done, total=of, visible=True)

        yield told


def _tell(report: Report, page: str) -> None:
    from silo_node.imaging.table import account, broken_tags, decoded, table, to_remove, verdict

    say(f"Source {report.source}:")
    say_rows(list(account(report)))
    say("")
    if report.findings:
        screen = terminal()
        for row in table(report.findings, screen.width):
            screen.print(row)
        say("")
    for line in to_remove(report, MOST_TAGS):
        say(line)
    if report.privacy is not None and report.privacy.counts:
        say("")
    for line in broken_tags(report):
        say(line)
    if report.kept:
        say(f"Let stand by the policy, as the contract requires it: {', '.join(report.kept)}.")
    say(decoded(report))
    if report.not_looked_at:
        say(f"Not looked at yet: {'; '.join(report.not_looked_at)}.")
    say(verdict(report))
    say(f"To read it in a browser, open {page} beside the site file. It names files: it stays in the hospital.")

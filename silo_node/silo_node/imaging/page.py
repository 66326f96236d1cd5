"""``reports/check-….html``: a check of images as one page to read. No script, nothing from elsewhere; it opens offline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from silo_node.configuration import Site
from silo_node.imaging.report import Report, as_json
from silo_node.imaging.table import account, broken_tags, decoded, share, verdict, where
from silo_node.pages import Filters, template
from wardround import __version__
from wardround.errors import sentence
from wardround.files import write_atomic

TEMPLATE: Final = "images.html.j2"
OWNER_ONLY: Final = 0o600


def write_report(site: Site, report: Report) -> tuple[Path, Path]:
    """Write the report as JSON and as a page, and give both paths.

    Raises:
        Refused: O-WRITE.
    """
    name = f"check-{report.contract.id}-{report.contract.version}"
    folder = site.make_directory("reports")
    path, page = folder / f"{name}.json", folder / f"{name}.html"
    write_atomic(path, (json.dumps(as_json(report), indent=2, sort_keys=True) + "\n").encode(), OWNER_ONLY)
    write_atomic(page, render(report, site.file.name).encode(), OWNER_ONLY)
    return path, page


def render(report: Report, hospital: str) -> str:
    """Render the page; the same report gives the same text."""
    filters: Filters = {"sentence": sentence, "share": share, "where": where}
    return template("silo_node.imaging", TEMPLATE, filters).render(
        report=report,
        hospital=hospital,
        verdict=verdict(report),
        decoded=decoded(report),
        broken_tags=list(broken_tags(report)),
        account=[(words.strip(), number) for words, number in account(report)],
        version=__version__,
    )

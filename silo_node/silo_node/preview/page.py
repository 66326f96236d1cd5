"""``reports/preview-….html``: the contact sheet as one page. No script, nothing from elsewhere; it opens offline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from silo_node.configuration import Site
from silo_node.pages import Filters, template
from silo_node.preview.sheet import Sheet
from wardround import __version__
from wardround.errors import sentence
from wardround.files import write_atomic
from wardround.study.bundle import Bundle

TEMPLATE: Final = "preview.html.j2"
OWNER_ONLY: Final = 0o600


def write_sheet(site: Site, bundle: Bundle, sheet: Sheet) -> Path:
    """Write the page, and give its path.

    Raises:
        Refused: O-WRITE.
    """
    path = site.make_directory("reports") / f"preview-{bundle.study.name}-{bundle.study.version}.html"
    write_atomic(path, render(bundle, sheet, site.file.name).encode(), OWNER_ONLY)
    return path


def render(bundle: Bundle, sheet: Sheet, hospital: str) -> str:
    """Render the page; the same sheet gives the same text."""
    filters: Filters = {"sentence": sentence, "millimetres": _millimetres}
    images = bundle.study.images
    return template("silo_node.preview", TEMPLATE, filters).render(
        study=bundle.study,
        imaging=bundle.imaging,
        sheet=sheet,
        varied=images is not None and bool(images.augmentation),
        prepared=() if images is None else images.describe(),
        hospital=hospital,
        version=__version__,
    )


def _millimetres(spacing: Sequence[float]) -> str:
    return " × ".join(f"{each:.3g}" for each in spacing)

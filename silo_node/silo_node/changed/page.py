"""``reports/changed-STUDY.html``: how the records have changed, to read at a glance. No script, nothing from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from silo_node.changed import words
from silo_node.changed.compare import Change, FieldChange
from silo_node.configuration import Site
from silo_node.pages import template
from wardround import __version__
from wardround.canonical import model_bytes
from wardround.contract.model import Contract
from wardround.files import write_atomic
from wardround.messages.distribution import scale_of
from wardround.study.bundle import Bundle

TEMPLATE = "changed.html.j2"
OWNER_ONLY = 0o600
WIDTH, HEIGHT = 300.0, 90.0
"""Of a chart, in its own units."""
LEAST = 1.0
"""Height of a bar that holds any record."""


@dataclass(frozen=True)
class Bar:
    """A cell now; ``words``: what it holds, then and now."""

    x: float
    y: float
    width: float
    height: float
    words: str


@dataclass(frozen=True)
class Drawn:
    """A field's chart: bars of now, and the line of before. ``ends``: what stands below its first and its last cell."""

    change: FieldChange
    bars: tuple[Bar, ...]
    line: str
    ends: tuple[str, str]


def write_change(site: Site, bundle: Bundle, change: Change) -> tuple[Path, Path]:
    """Write the change as JSON and as a page beside the check's reports, and give both paths.

    Raises:
        Refused: O-WRITE.
    """
    folder, name = site.make_directory("reports"), f"changed-{bundle.study.name}-{bundle.study.version}"
    report, page = folder / f"{name}.json", folder / f"{name}.html"
    write_atomic(report, model_bytes(change), OWNER_ONLY)
    write_atomic(page, render(bundle, change, site.file.name).encode(), OWNER_ONLY)
    return report, page


def render(bundle: Bundle, change: Change, hospital: str) -> str:
    """Render the page; the same change gives the same text."""
    return template("silo_node.changed", TEMPLATE).render(
        change=change,
        study=bundle.study,
        hospital=hospital,
        verdict=words.verdict(change),
        counts=words.counts(change),
        setting_aside=words.setting_aside(change),
        drawn=[_drawn(each, bundle.contract) for each in change.worst_first],
        worst=min((each.level for each in change.fields), key=("large", "moderate", "as before").index, default="as before"),
        units=[each for each in change.fields if each.unit is not None],
        version=__version__,
    )


def _drawn(change: FieldChange, contract: Contract) -> Drawn:
    labels = scale_of(contract, change.field).labels
    shares = [change.now.share(cell) for cell in range(len(labels))]
    earlier = [change.before.share(cell) for cell in range(len(labels))]
    width, scale = WIDTH / len(labels), HEIGHT / max(*shares, *earlier, 1e-9)
    bars, line = [], []
    for cell, label in enumerate(labels):
        height = max(LEAST, shares[cell] * scale) if change.now.counts[cell] else 0.0
        said = f"{label}: {change.before.counts[cell]} before, {change.now.counts[cell]} now"
        bars.append(Bar(round(cell * width + 1, 1), round(HEIGHT - height, 1), round(width - 2, 1), round(height, 1), said))
        top = round(HEIGHT - earlier[cell] * scale, 1)
        line += [f"{cell * width:.1f},{top}", f"{(cell + 1) * width:.1f},{top}"]
    return Drawn(change, tuple(bars), " ".join(line), (labels[0], labels[-1]))

"""Small multiples: a chart for each field, a row for each hospital: its own values as bars, those of all others as a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from coordinator.comparability.model import HIDDEN_WORDS, ComparedField, SiteField
from coordinator.release.drawing import ACCENT, GRID, INK, MUTED, Chart, draw
from wardround.messages.distribution import FieldDistribution, common_groups, count_in

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROW, _BAR = 1.0, 0.8
"""Height of a hospital's row, and of the highest bar in it, on the axis."""
_ROW_INCHES, _FOOT_INCHES = 0.42, 0.75
_NAME = 20
_MOST_TICKS = 7
_TICKS = 54
"""Characters of all names of categories below a chart together."""
_Bars = list[tuple[int, int, float, bool]]
"""First cell, number of cells, share of records in each of them, and whether several cells are told together."""


def field_chart(number: int, field: ComparedField, names: dict[str, str]) -> Chart:
    """Draw a field at every hospital."""
    rows = [(site, _bars(field, site), _rest(field, site)) for site in field.sites]
    highest = max((bar[2] for _, own, rest in rows for bar in (*own, *rest)), default=1.0) or 1.0
    cells = range(_cells(field))
    description = f"{field.title}: " + "; ".join(_said(names[site.site], site) for site in field.sites) + "."

    def paint(axes: Axes) -> None:
        for place, (site, own, rest) in enumerate(rows):
            foot = (len(rows) - 1 - place) * _ROW
            axes.axhline(foot, color=GRID, linewidth=0.8)
            if site.hidden is not None:
                axes.text(cells[0] + 0.1, foot + 0.25, HIDDEN_WORDS[site.hidden], color=MUTED, style="italic")
            for first, many, share, together in own:
                height, fill = _BAR * share / highest, MUTED if together else ACCENT
                axes.bar(first, height, width=many, bottom=foot, align="edge", color=fill, alpha=0.55, linewidth=0)
            _outline(axes, rest, foot, highest)
        axes.set_yticks(
            [(len(rows) - 1 - place) * _ROW + 0.25 for place in range(len(rows))],
            _hospitals(field, names),
        )
        axes.set_xlim(cells[0], cells[-1] + 1)
        axes.set_ylim(-0.05, len(rows) * _ROW)
        axes.set_xticks(*_ticks(field))
        axes.tick_params(length=0)
        axes.tick_params(axis="y", labelcolor=INK)
        axes.grid(visible=False)
        axes.spines["left"].set_visible(False)
        if field.edges:
            axes.set_xlabel(field.unit if field.unit not in (None, "1") else "")

    name = f"field{number}"
    return Chart(draw(name, description, _FOOT_INCHES + _ROW_INCHES * len(rows), paint), "", description)


def _outline(axes: Axes, rest: _Bars, foot: float, highest: float) -> None:
    x: list[float] = []
    y: list[float] = []
    for first, many, share, _ in rest:
        x += [first, first + many]
        y += [foot + _BAR * share / highest] * 2
    axes.plot(x, y, color=INK, linewidth=0.9)


def _cells(field: ComparedField) -> int:
    """Say how many cells are drawn: bins and what lies outside them; categories, and missing."""
    return len(field.edges) + 1 if field.edges else len(field.values) + 1


def _bars(field: ComparedField, site: SiteField) -> _Bars:
    if site.hidden is not None:
        return []
    told = FieldDistribution(field=field.field, groups=site.groups)
    return _shares(field, [group.cells for group in site.groups], [told])


def _rest(field: ComparedField, own: SiteField) -> _Bars:
    told = [
        FieldDistribution(field=field.field, groups=site.groups)
        for site in field.sites
        if site.hidden is None and site.site != own.site and not site.suspected
    ]
    return [] if own.hidden is not None else _shares(field, list(common_groups(told)), told)


def _shares(field: ComparedField, groups: Sequence[Sequence[int]], told: Sequence[FieldDistribution]) -> _Bars:
    """Give the share of each cell, of records that have a value where it is a number; a group's is spread over its cells."""
    drawn, bars = _cells(field), _Bars()
    counted = [(cells, sum(count_in(each, cells) for each in told)) for cells in groups]
    records = sum(count for cells, count in counted if any(cell < drawn for cell in cells))
    for cells, count in counted:
        inside = [cell for cell in cells if cell < drawn]
        share = count / records / len(inside) if records and inside else 0.0
        bars += [(cell, 1, share, len(cells) > 1) for cell in inside]
    return sorted(bars)


def _ticks(field: ComparedField) -> tuple[list[float], list[str]]:
    if field.edges:
        step = max(1, -(-len(field.edges) // _MOST_TICKS))
        return [place + 1.0 for place in range(0, len(field.edges), step)], [f"{edge:g}" for edge in field.edges[::step]]
    labels = [*field.values, "missing"]
    step = max(1, -(-len(labels) // _MOST_TICKS))
    shown = labels[::step]
    return [place + 0.5 for place in range(0, len(labels), step)], [_cut(label, _TICKS // len(shown)) for label in shown]


def _hospitals(field: ComparedField, names: dict[str, str]) -> list[str]:
    """Name the rows: by the hospitals' names, or by their short ones where two would be cut to the same."""
    sites = [site.site for site in field.sites]
    shown = [_cut(names[site], _NAME) for site in sites]
    return shown if len(set(shown)) == len(shown) else [_cut(site, _NAME) for site in sites]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _said(name: str, site: SiteField) -> str:
    if site.hidden is not None:
        return f"{name} {HIDDEN_WORDS[site.hidden]}"
    index = "no index" if site.psi is None else f"PSI {site.psi:.2f}"
    return f"{name} {site.records} records, {index}"

"""Matplotlib figures as inline SVG that take the page's colours and fonts.

Matplotlib knows fixed colours only; the page has a light and a dark theme. So a chart is drawn with placeholder colours,
each of which becomes a CSS variable afterwards. Text stays text. The same figure gives the same bytes: no date, no
random names.
"""

from __future__ import annotations

import html
import io
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wardround.errors import Broken

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH_INCHES = 4.3
"""Of a chart. The page scales it to its column: readable at 370 pixels and at 560."""
FONT_POINTS = 8

INK, MUTED, GRID, ACCENT = "#010101", "#020202", "#030303", "#040404"
SERIES = tuple(f"#0a0a{index:02x}" for index in range(1, 9))
MANY = "#0b0b0b"
"""The one colour of all hospitals, when they are more than there are colours to tell apart."""
_VARIABLES = {INK: "ink", MUTED: "muted", GRID: "grid", ACCENT: "accent", MANY: "many"}
_VARIABLES |= {colour: f"series-{index}" for index, colour in enumerate(SERIES, start=1)}

DASHES: tuple[tuple[float, ...], ...] = (
    (),
    (5, 2),
    (1.5, 1.5),
    (6, 2, 1.5, 2),
    (3, 1.5),
    (8, 2),
    (1, 2.5),
    (4, 1.5, 1, 1.5, 1, 1.5),
)
"""Lengths on and off in line widths, one pattern for each series colour: nobody has to tell colours apart."""


_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "wardround",
    "font.family": "sans-serif",
    "font.size": FONT_POINTS,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": GRID,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "axes.formatter.useoffset": False,
    "path.simplify": False,
    "text.parse_math": False,  # a dollar sign in a hospital's name is a dollar sign
}


@dataclass(frozen=True)
class Look:
    """How a series looks: placeholder colour and dashes, and the same for the page's legend."""

    colour: str
    dashes: tuple[float, ...]

    @property
    def line_style(self) -> tuple[int, tuple[float, ...] | None]:
        """Matplotlib's form of the dashes."""
        return (0, self.dashes or None)

    @property
    def css_colour(self) -> str:
        """The page's colour."""
        return f"var(--{_VARIABLES[self.colour]})"

    @property
    def css_dashes(self) -> str:
        """SVG's form of the dashes."""
        return " ".join(f"{length:g}" for length in self.dashes) or "none"


def looks(number: int) -> tuple[Look, ...]:
    """Give a look for each of ``number`` series; all the same when they are too many to tell apart."""
    if number > len(SERIES):
        return (Look(MANY, ()),) * number
    return tuple(Look(colour, dashes) for colour, dashes in zip(SERIES[:number], DASHES, strict=False))


@dataclass(frozen=True)
class Chart:
    """A chart: inline SVG, its caption, and what it shows in words for those who do not see it."""

    svg: str
    caption: str
    description: str


def draw(name: str, description: str, height_inches: float, paint: Callable[[Axes], None]) -> str:
    """Draw one chart as inline SVG.

    Args:
        name: unique on the page; it begins every id in the SVG.
        description: what the chart shows, in words.
        height_inches: its height; its width is ``WIDTH_INCHES``.
        paint: draws on the axes.
    """
    # Here, since importing it takes longer than most commands of the centre run.
    from matplotlib import rc_context, rcdefaults, rcParams  # noqa: PLC0415
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    with rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # the reader's fonts draw the text, matplotlib only measures it
        rcdefaults()  # not what the machine's own settings say
        rcParams.update(_SETTINGS)
        figure = Figure(figsize=(WIDTH_INCHES, height_inches), layout="constrained")
        FigureCanvasSVG(figure)
        figure.patch.set_visible(False)
        axes = figure.add_subplot()
        axes.patch.set_visible(False)
        paint(axes)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return _inline(stream.getvalue(), name, description)


def _inline(document: str, name: str, description: str) -> str:
    """Make matplotlib's stand-alone SVG part of a page."""
    found = re.search(r"<svg\b[^>]*viewBox=\"([^\"]+)\"[^>]*>(.*)</svg>", document, flags=re.DOTALL)
    if found is None:
        msg = "matplotlib wrote an SVG of another form"
        raise Broken(msg)
    view_box, body = found.groups()
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)
    body = body.replace(' id="', f' id="{name}-').replace("url(#", f"url(#{name}-").replace('href="#', f'href="#{name}-')
    body = body.replace("xlink:href", "href")
    body = re.sub(r"font: ([0-9.]+)px [^;\"]*", r"font-size: \1px", body)  # one form or the other, by matplotlib's version
    body = re.sub(r"font-family: [^;\"]*;? ?", "", body)
    for colour, variable in _VARIABLES.items():
        body = body.replace(colour, f"var(--{variable})")
    label = html.escape(description, quote=True)
    return f'<svg class="chart" role="img" aria-label="{label}" viewBox="{view_box}">{body.strip()}</svg>'

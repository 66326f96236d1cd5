"""The report's charts."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import fill
from typing import TYPE_CHECKING

from coordinator.release.comparison import Comparison, ModelRow
from coordinator.release.curves import Curves, Line
from coordinator.release.drawing import ACCENT, GRID, INK, MUTED, Chart, Look, draw, looks
from coordinator.release.figures import plural, ratio, seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

METRIC_NAMES = {"auroc": "AUROC", "dice": "mean Dice", "loss": "loss", "mae": "mean absolute error", "rmse": "RMSE", "r2": "R²"}
_BROKEN = " The pooled line breaks where the hospitals change: figures are comparable only between the same patients."
_HEIGHT = 2.6  # inches
_LABEL_WIDTH = 22  # characters of a hospital's name before it wraps
_APART = 0.24
"""How far models at one hospital are drawn apart, in rows: equal figures stay visible."""
_MANY_ROUNDS = 40
"""Above this, single points are no longer drawn on the lines."""


def _plot(axes: Axes, line: Line, look: Look, width: float, *, last: int) -> None:
    """Draw a line that breaks where a round has no figure; ``last`` is the last round of the chart."""
    x: list[float] = []
    y: list[float] = []
    for number, value in line.points:
        if x and number != x[-1] + 1:
            x.append(number)
            y.append(float("nan"))
        x.append(number)
        y.append(value)
    marker = "o" if last <= _MANY_ROUNDS or len(line.points) == 1 else ""
    axes.plot(x, y, color=look.colour, linestyle=look.line_style, linewidth=width, marker=marker, markersize=1.4 * width)


def _rounds_axis(axes: Axes, label: str) -> None:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415  (see drawing.draw)

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel(label)
    axes.grid(visible=False, axis="x")
    axes.tick_params(length=0)


def _ends(line: Line) -> str:
    (first, start), (last, end) = line.points[0], line.points[-1]
    return f"{ratio(start)} after round {first}, {ratio(end)} after round {last}"


def validation_chart(curves: Curves) -> Chart | None:
    """Draw the pooled validation metric and every hospital's, by round, with the best round."""
    if not curves.pooled:
        return None
    name, last = METRIC_NAMES[curves.metric], curves.pooled[-1].points[-1][0]
    best = "" if curves.best is None else f" Released: the weights after round {curves.best[0]} ({ratio(curves.best[1])})."
    broken = _BROKEN if len(curves.pooled) > 1 else ""
    description = f"Pooled validation {name}: {'; then '.join(_ends(line) for line in curves.pooled)}.{best}"

    def paint(axes: Axes) -> None:
        for line, look in zip(curves.sites, looks(len(curves.sites)), strict=True):
            _plot(axes, line, look, 1.0, last=last)
        for line in curves.pooled:
            _plot(axes, line, Look(INK, ()), 2.0, last=last)
        if curves.best is not None:
            axes.axvline(curves.best[0], color=ACCENT, linewidth=0.9, linestyle=(0, (2, 2)))
            axes.plot(*([value] for value in curves.best), marker="o", markersize=9, markerfacecolor="none", color=ACCENT)
        _rounds_axis(axes, "rounds that made the weights (0: initial weights)")
        axes.set_ylabel(f"validation {name}")

    caption = f"{name[0].upper()}{name[1:]} on the validation records, after each round.{best}{broken}"
    return Chart(draw("validation", description, _HEIGHT, paint), caption, description)


def loss_chart(curves: Curves) -> Chart | None:
    """Draw the training loss by round."""
    drawn = [line for line in (*curves.loss, *curves.site_loss) if line.points]
    if not drawn:
        return None
    ends = "; then ".join(_ends(line) for line in curves.loss) or "withheld for all hospitals together"
    description = f"Mean training loss: {ends}."
    broken = _BROKEN if len(curves.loss) > 1 else ""
    last = max(line.points[-1][0] for line in drawn)

    def paint(axes: Axes) -> None:
        for line, look in zip(curves.site_loss, looks(len(curves.site_loss)), strict=True):
            _plot(axes, line, look, 1.0, last=last)
        for line in curves.loss:
            _plot(axes, line, Look(INK, ()), 2.0, last=last)
        _rounds_axis(axes, "round")
        axes.set_ylabel("training loss")

    caption = f"Training loss in the last local epoch of each round.{broken}"
    return Chart(draw("loss", description, _HEIGHT, paint), caption, description)


def seconds_chart(curves: Curves) -> Chart | None:
    """Draw the duration of each round."""
    points = curves.seconds.points
    if not points:
        return None
    slowest = max(points, key=lambda point: point[1])
    description = f"{plural(len(points), 'round')}; the slowest was round {slowest[0]} with {seconds(slowest[1])}."

    def paint(axes: Axes) -> None:
        axes.bar([number for number, _ in points], [value for _, value in points], color=MUTED, width=0.7)
        _rounds_axis(axes, "round")
        axes.set_ylabel("seconds")

    return Chart(draw("seconds", description, 1.9, paint), f"How long each round took. {description}", description)


def _own(rows: Iterable[ModelRow], site: str) -> ModelRow | None:
    return next((row for row in rows if site in (row.site, row.name)), None)


def comparison_chart(comparison: Comparison, names: dict[str, str], metric: str) -> Chart | None:
    """Draw the main metric on the test records of each hospital and of all, for the federated model and those beside it."""
    sites = [site for site in names if any(site in row.per_site for row in comparison.models)]
    rows = [*sites, None]  # None: all test records
    alone = [row for row in comparison.models if row.kind == "alone"]
    pooled = next((row for row in comparison.models if row.kind == "pooled"), None)
    if not any(_main(row, site) is not None for row in comparison.models for site in rows):
        return None
    labels = [fill("all test records" if site is None else names[site], _LABEL_WIDTH) for site in rows]
    description = f"{metric} on the test records. " + " ".join(
        f"{'All' if site is None else names[site]}: federated {ratio(_main(comparison.federated, site))}"
        + (f", pooled {ratio(_main(pooled, site))}" if pooled else "")
        + (f", its own model {ratio(_main(own, site))}" if site and (own := _own(alone, site)) else "")
        + "."
        for site in rows
    )

    def paint(axes: Axes) -> None:
        for height, site in enumerate(rows):
            own = None if site is None else _own(alone, site)
            others = [value for row in alone if row is not own and (value := _main(row, site)) is not None]
            below, above = height + _APART, height - _APART
            axes.plot(others, [below] * len(others), linestyle="", marker="|", markersize=7, color=MUTED)
            _dot(axes, own, site, below, marker="s", markersize=5, color=MUTED, markerfacecolor="none")
            _dot(axes, pooled, site, height, marker="D", markersize=5, color=INK, markerfacecolor="none")
            _dot(axes, comparison.federated, site, above, marker="o", markersize=6, color=ACCENT)
        axes.set_yticks(range(len(rows)), labels)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.axhline(len(sites) - 0.5, color=GRID, linewidth=0.8)
        axes.tick_params(length=0)
        axes.tick_params(axis="y", labelcolor=INK)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(f"{metric} on the test records")

    height = 0.7 + 0.42 * len(rows)
    return Chart(draw("comparison", description, height, paint), f"{metric} on the test records, by hospital.", description)


def _main(row: ModelRow | None, site: str | None) -> float | None:
    if row is None:
        return None
    metrics = row.overall if site is None else row.per_site.get(site)
    return None if metrics is None else metrics.main[1]


def _dot(axes: Axes, row: ModelRow | None, site: str | None, height: float, **look: str | float) -> None:
    value = _main(row, site)
    if value is not None:
        axes.plot([value], [height], linestyle="", **look)  # type: ignore[arg-type]

"""The report's charts of the released model: ROC and calibration of a score, or of each label; Dice of masks by hospital."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING

from coordinator.release.drawing import ACCENT, INK, MUTED, Chart, draw
from coordinator.release.figures import plural, ratio
from coordinator.rounds.outcome import Outcome
from wardround.metrics.histograms import LEAST_IN_BAND
from wardround.metrics.pooled import Metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HEIGHT = 3.4  # inches: the charts of shares are nearly square
_LABEL_WIDTH = 22  # characters of a hospital's name before it wraps


def performance_charts(metrics: Metrics | None, outcome: Outcome, names: dict[str, str]) -> tuple[Chart, ...]:
    """Draw what there is to draw of the released model."""
    if metrics is None:
        return ()
    told = [(f" of {label.name}", label.metrics) for label in metrics.labels if label.metrics is not None] or [("", metrics)]
    scores = [chart for of, each in told for chart in (roc_chart(each, of), calibration_chart(each, of))]
    found = (*scores, dice_chart(metrics, outcome, names))
    return tuple(chart for chart in found if chart is not None)


def _shares(axes: Axes, across: str, up: str) -> None:
    """Two shares from 0 to 1, and the line on which they are equal."""
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=(0, (3, 3)))
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.tick_params(length=0)


def roc_chart(metrics: Metrics, of: str = "") -> Chart | None:
    """Draw the pooled ROC curve, and the threshold at a probability of one half; ``of`` says of which label it is."""
    points = [
        (1 - point.specificity, point.sensitivity)
        for point in metrics.roc
        if point.specificity is not None and point.sensitivity is not None
    ]
    if not points or metrics.sensitivity is None or metrics.specificity is None:
        return None
    even = (1 - metrics.specificity, metrics.sensitivity)
    points = sorted([*points, even])  # it is published by itself: the curve goes through it
    description = (
        f"ROC curve{of} of the pooled records: AUROC {ratio(metrics.auroc)}. At a probability of one half: sensitivity "
        f"{ratio(metrics.sensitivity)}, specificity {ratio(metrics.specificity)}."
    )

    def paint(axes: Axes) -> None:
        axes.plot([across for across, _ in points], [up for _, up in points], color=INK, linewidth=1.6)
        axes.plot([even[0]], [even[1]], marker="o", markersize=7, markerfacecolor="none", color=ACCENT)
        _shares(axes, "1 − specificity", "sensitivity")

    caption = f"{description} Between any two others of its points stand at least {LEAST_IN_BAND} records."
    return Chart(draw(f"roc{of.replace(' ', '-')}", description, _HEIGHT, paint), caption, description)


def calibration_chart(metrics: Metrics, of: str = "") -> Chart | None:
    """Draw observed shares by predicted probability; ``of`` says of which label."""
    groups = metrics.reliability
    if not groups:
        return None
    description = f"Calibration{of} of the pooled records: " + ", ".join(
        f"{ratio(group.predicted)} predicted, {ratio(group.observed)} observed" for group in groups
    )

    def paint(axes: Axes) -> None:
        axes.plot([g.predicted for g in groups], [g.observed for g in groups], color=INK, linewidth=1.2, marker="o", markersize=4)
        _shares(axes, "predicted probability", "observed share of positives")

    caption = (
        f"Calibration{of}: on the dashed line, predictions are observed shares. {plural(len(groups), 'group')} of records with "
        f"like scores, the smallest of {min(group.records for group in groups)}."
    )
    return Chart(draw(f"calibration{of.replace(' ', '-')}", f"{description}.", _HEIGHT, paint), caption, f"{description}.")


def dice_chart(metrics: Metrics, outcome: Outcome, names: dict[str, str]) -> Chart | None:
    """Draw the mean Dice on the test records of each hospital that is shown, and of all."""
    if not metrics.regions or metrics.dice is None or outcome.test is None:
        return None
    shown = {silo.site: silo.metrics.dice for silo in outcome.test.silos if silo.metrics is not None}
    sites = [(name, value) for site, name in names.items() if (value := shown.get(site)) is not None]
    rows = [*sites, ("all, pooled", metrics.dice)]
    description = "Mean Dice on the test records: " + ", ".join(f"{name} {ratio(value)}" for name, value in rows) + "."

    def paint(axes: Axes) -> None:
        heights, values = range(len(rows)), [value for _, value in rows]
        axes.barh(heights, values, color=[MUTED] * len(sites) + [ACCENT], height=0.55)
        axes.set_yticks(heights, [fill(name, _LABEL_WIDTH) for name, _ in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlim(0, 1)
        axes.grid(visible=False, axis="y")
        axes.tick_params(length=0)
        axes.tick_params(axis="y", labelcolor=INK)
        axes.set_xlabel("mean Dice on the test records")

    return Chart(
        draw("dice", description, 0.8 + 0.4 * len(rows), paint), "Mean Dice by hospital, as far as it is shown.", description
    )

"""Histograms as rectangles and lines, in the coordinates of a small SVG; the template draws them.

impossible │ below ┆ bins on the contract's range ┆ above │ impossible
          hard limit      ╎ plausible ╎                 hard limit
                        ─────▮▮|▮▮───   reference quantiles
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import accumulate, pairwise
from math import isfinite
from typing import Literal

from silo_node.validation.profiles import FieldProfile, bin_names, hard_limits
from wardround.contract.model import Contract, ContractField

WIDTH, PLOT, TOP = 340.0, 84.0, 8.0
"""Of a histogram's drawing: its width, the height of the highest bar, and the room above it."""
SLOT = 18.0
"""The width of a bar for what lies outside the bins."""
GAP = 4.0
"""Between such a bar and the bins."""
LEAST = 1.5
"""The height of the lowest bar that is not empty: one record among a million is seen."""
ROW = 22.0
"""The height of a category's bar with its gap."""
LABEL = 130.0
"""The room for a category's name."""
LONGEST_LABEL = 20
FIGURE = 88.0
"""The room for a category's count and share."""

Look = Literal["plain", "outer", "impossible"]


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle, with what it counts in words."""

    x: float
    y: float
    width: float
    height: float
    look: Look
    words: str


@dataclass(frozen=True, slots=True)
class Mark:
    """An upright line at a limit, with its words."""

    x: float
    look: Literal["hard", "plausible"]
    words: str


@dataclass(frozen=True, slots=True)
class Box:
    """The reference's quantiles: a line from the first to the last, a box for the middle half, the median."""

    low: float
    high: float
    middle: tuple[float, float] | None
    median: float | None
    words: str


@dataclass(frozen=True, slots=True)
class Label:
    """A word below the axis."""

    x: float
    anchor: Literal["start", "middle", "end"]
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One field's drawing.

    Attributes:
        wide: its height.
        rows: for categories, the names and figures beside the bars.
        ticks: for categories, where the reference's shares are: x, y.
        facts: what the drawing shows, in words.
    """

    field: ContractField
    values: int
    missing: int
    height: float
    bars: tuple[Bar, ...]
    marks: tuple[Mark, ...] = ()
    box: Box | None = None
    labels: tuple[Label, ...] = ()
    rows: tuple[tuple[float, str, str], ...] = ()
    ticks: tuple[tuple[float, float], ...] = ()
    facts: str = ""


def charts(contract: Contract, profiles: Sequence[FieldProfile]) -> tuple[Chart, ...]:
    """Draw every field that has values which are counted in bins or categories."""
    drawn = []
    for each in profiles:
        field = contract.field(each.field)
        if each.kind == "categories" and each.values:
            drawn.append(_categories(field, each))
        elif each.kind != "not shown" and each.values:
            drawn.append(_histogram(field, each))
    return tuple(drawn)


# ----------------------------------------------------------------------------------------------------------- histograms


@dataclass(frozen=True)
class _Axis:
    """Where the slots and bins of a histogram stand."""

    edges: tuple[float, ...]
    starts: tuple[float, ...]

    @property
    def left(self) -> float:
        return self.starts[2]

    @property
    def right(self) -> float:
        return self.starts[3] - GAP

    def at(self, value: float) -> float | None:
        """Give where a value stands among the bins; nothing when it is outside."""
        low, high = self.edges[0], self.edges[-1]
        if not low <= value <= high:
            return None
        return self.left + (value - low) / (high - low) * (self.right - self.left)


def _axis(field: ContractField, profile: FieldProfile) -> _Axis:
    """Lay out impossible, below, bins, above, impossible; a slot that nothing can be in has no width."""
    low, high = hard_limits(field)
    slots = [
        SLOT if isfinite(low) else 0.0,
        SLOT if low < profile.edges[0] else 0.0,
        SLOT if high > profile.edges[-1] else 0.0,
        SLOT if isfinite(high) else 0.0,
    ]
    bins = WIDTH - sum(slot + GAP for slot in slots if slot) - GAP
    widths = (slots[0], slots[1], bins, slots[2], slots[3])
    return _Axis(profile.edges, tuple(accumulate((width + GAP if width else 0.0 for width in widths), initial=0.0)))


def _histogram(field: ContractField, profile: FieldProfile) -> Chart:
    axis = _axis(field, profile)
    outer = (profile.too_low, profile.below, profile.above, profile.too_high)
    scale = PLOT / max(1, *outer, *profile.counts)
    low, high = hard_limits(field)
    bars = [
        _bar(axis.starts[0], SLOT, profile.too_low, scale, "impossible", f"below the minimum {_words(low, profile)}"),
        _bar(
            axis.starts[1],
            SLOT,
            profile.below,
            scale,
            "outer",
            f"from {_words(low, profile)} up to {_words(profile.edges[0], profile)}",
        ),
        _bar(
            axis.starts[3],
            SLOT,
            profile.above,
            scale,
            "outer",
            f"from {_words(profile.edges[-1], profile)} up to {_words(high, profile)}",
        ),
        _bar(axis.starts[4], SLOT, profile.too_high, scale, "impossible", f"above the maximum {_words(high, profile)}"),
    ]
    for count, name, (start, end) in zip(profile.counts, bin_names(profile), pairwise(profile.edges), strict=True):
        x, until = axis.at(start), axis.at(end)
        if x is not None and until is not None:
            bars.append(_bar(x + 0.5, max(until - x - 1, 0.5), count, scale, "plain", name))
    marks, facts = _marks(field, profile, axis)
    box = _box(field, axis)
    facts += [box.words] if box is not None else []
    return Chart(
        field,
        profile.values,
        profile.missing,
        TOP + PLOT + (36 if box is not None else 24),
        tuple(bar for bar in bars if bar is not None),
        marks=tuple(marks),
        box=box,
        labels=(
            Label(axis.left, "start", _words(profile.edges[0], profile)),
            Label(axis.right, "end", _words(min(profile.edges[-1], high), profile)),
        ),
        facts="; ".join(facts),
    )


def _bar(x: float, width: float, count: int, scale: float, look: Look, words: str) -> Bar | None:
    if not count:
        return None
    height = max(LEAST, count * scale)
    return Bar(round(x, 1), round(TOP + PLOT - height, 1), round(width, 1), round(height, 1), look, f"{words}: {count}")


def _words(value: float, profile: FieldProfile) -> str:
    if not isfinite(value):
        return "any"
    return date.fromordinal(int(value)).isoformat() if profile.kind == "dates" else f"{value:.6g}"


def _marks(field: ContractField, profile: FieldProfile, axis: _Axis) -> tuple[list[Mark], list[str]]:
    """Give the limits as lines, and the same in words: a hard limit stands between what is possible and what is not."""
    low, high = hard_limits(field)
    marks: list[Mark] = []
    facts: list[str] = []
    if isfinite(low):
        marks.append(Mark(round(axis.starts[1] - GAP / 2, 1), "hard", f"minimum {_words(low, profile)}"))
    if isfinite(high):
        marks.append(Mark(round(axis.starts[4] - GAP / 2, 1), "hard", f"maximum {_words(high, profile)}"))
    if isfinite(low) or isfinite(high):
        facts.append(f"possible: {_words(low, profile)} to {_words(high, profile)}")
    if field.plausible is not None:
        likely = [(value, axis.at(float(value))) for value in (field.plausible.low, field.plausible.high)]
        marks += [Mark(round(x, 1), "plausible", f"plausible limit {value:.6g}") for value, x in likely if x is not None]
        facts.append(f"plausible: {field.plausible.low:.6g} to {field.plausible.high:.6g}")
    return marks, facts


def _box(field: ContractField, axis: _Axis) -> Box | None:
    """Give the reference's quantiles, cut off at the ends of the bins."""
    if field.reference is None or len(quantiles := field.reference.quantiles) < 2:  # noqa: PLR2004  (a line has two ends)
        return None
    low, high = axis.edges[0], axis.edges[-1]
    at = {share: axis.left + (min(max(value, low), high) - low) / (high - low) * (axis.right - axis.left)
          for share, value in quantiles.items()}  # fmt: skip
    shares = sorted(at)
    middle = (round(at[0.25], 1), round(at[0.75], 1)) if 0.25 in at and 0.75 in at else None  # noqa: PLR2004
    told = ", ".join(f"{100 * share:.0f} % below {quantiles[share]:.6g}" for share in shares)
    return Box(round(at[shares[0]], 1), round(at[shares[-1]], 1), middle, at.get(0.5), f"reference: {told}")


# ----------------------------------------------------------------------------------------------------------- categories


def _categories(field: ContractField, profile: FieldProfile) -> Chart:
    names = [*field.values, *(["(not in the list)"] if profile.unlisted else [])]
    counts = [*profile.counts, *([profile.unlisted] if profile.unlisted else [])]
    room = WIDTH - LABEL - FIGURE
    scale = room / max(1, *counts)
    shares = field.reference.shares if field.reference is not None else {}
    if shares and profile.values:
        scale = min(scale, room / max(share * profile.values for share in shares.values()))
    bars, rows, ticks = [], [], []
    for at, (name, count) in enumerate(zip(names, counts, strict=True)):
        y = TOP + at * ROW
        look: Look = "impossible" if at == len(field.values) else "plain"
        if count:
            bars.append(Bar(LABEL, y, round(max(LEAST, count * scale), 1), ROW - 8, look, f"{name}: {count}"))
        share = f" ({100 * count / profile.values:.1f} %)" if profile.values else ""
        rows.append((y + ROW - 11, name if len(name) <= LONGEST_LABEL else f"{name[: LONGEST_LABEL - 1]}…", f"{count}{share}"))
        if name in shares and profile.values:
            ticks.append((round(LABEL + shares[name] * profile.values * scale, 1), y))
    facts = "reference: " + ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares.items()) if shares else ""
    return Chart(
        field, profile.values, profile.missing, TOP + len(names) * ROW, tuple(bars), rows=tuple(rows), ticks=tuple(ticks),
        facts=facts,
    )  # fmt: skip

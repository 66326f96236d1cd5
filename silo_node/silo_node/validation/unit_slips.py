"""Numbers in a wrong unit, found by the contract's reference: a column as a whole (T-UNIT), or a part of it (T-UNITMIX).

A slip of units multiplies numbers by a factor that is known beforehand. A hospital's patients may differ from those of
the reference, too, by ``CASE_MIX`` in either direction; factors that are not clearly further than that are left alone.
All distances are natural logarithms of ratios. How often the thresholds find a slip, and that they find none where none is:
``benchmarks/unit_slips.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from silo_node.mapping.resolve import FieldMapping
from wardround.contract.model import Reference
from wardround.contract.slips import LEAST_OF_PARTS, LEAST_VALUES, Slip, after, slips

CASE_MIX: Final = math.log(1 / 0.7)
"""How far a hospital's median may be from the reference because its patients are others: 30 % below, 43 % above."""
NEAREST: Final = 0.45
"""Distance of the nearest factor that is looked for (0.64 and 1.57): nearer ones look like other patients."""
OF_THE_WAY: Final = 0.25
"""A median that is no further from a slip than this part of the way to it is taken for the slip; at most ``CASE_MIX``."""
ERRORS: Final = 4.0
"""Standard errors that chance is allowed."""
BETTER: Final = 0.5
"""With the slip, most of the reference's quantiles fit so much better: their middle distance is at most this part."""
POSITIVE_SHARE: Final = 0.95
"""Share of the values that is positive, at least: logarithms say nothing of the others."""

CLEAR, UNCLEAR = 3.0, 2.0
"""How many of the reference's spreads a slip's values lie away, for its part of a column to be an error, and a warning."""
LEAST_PART: Final = 0.05
"""Estimated share of the values in a wrong unit, from which on a part is reported."""
LEAST_CAUGHT: Final = 0.4
"""Share of the slip's values that a window holds, at least; the far half of them is half."""
TAILS: Final = 2.0
"""The few values that lie further, up to so many times, count as such when rows are named."""
PART_OFF: Final = 0.2
"""How far the median of such a part may be from the column's own, once it is in the right unit."""
LEAST_HUMP: Final = 0.2
"""Share of the values around each of two medians, at least, where the column's own median may be near neither."""
BODY: Final = 2.58
"""Spreads around the median within which 99 % of the values lie."""
TOGETHER: Final = 0.8
"""Share of the values that lie near one of two medians, at least, where the column's own median is near neither."""
BETWEEN: Final = 0.35
"""Share of the values in the middle half of the way between two medians, at most: else the column has one hump, not two."""

Logs: TypeAlias = npt.NDArray[np.float64]
Mask: TypeAlias = npt.NDArray[np.bool_]

_NORMAL: Final = NormalDist()
_SCORES: Final = np.array([_NORMAL.inv_cdf((at + 0.5) / 2000) for at in range(2000)])
"""Scores of the normal distribution at 2000 equal steps of its mass."""


@dataclass(frozen=True)
class Shape:
    """The reference's distribution, in logarithms: a median, and how far the values spread below and above it.

    Attributes:
        quantiles: logarithms of the reference's, by share.
        below: the standard deviation of a normal distribution with this lower half; ``None`` with ``above`` when only one
            quantile is given.
    """

    quantiles: dict[float, float]
    median: float
    below: float | None
    above: float | None

    @property
    def spread(self) -> float | None:
        """The mean of both sides."""
        return None if self.below is None or self.above is None else (self.below + self.above) / 2

    def grid(self, centre: float) -> Logs:
        """Give 2000 values in equal steps of the mass, around another median: straight between the quantiles' scores."""
        assert self.below is not None and self.above is not None  # noqa: S101, PT018  (only asked where there is a spread)
        known = {_NORMAL.inv_cdf(share): value for share, value in self.quantiles.items()} | {0.0: self.median}
        low, high = min(known), max(known)
        known |= {low - BODY: known[low] - BODY * self.below, high + BODY: known[high] + BODY * self.above}
        scores = sorted(known)
        made: Logs = np.interp(_SCORES, scores, [known[score] for score in scores])
        return made - self.median + centre


def shape(reference: Reference) -> Shape | None:
    """Give a reference's shape; ``None`` where it has no quantiles, or some that are not positive."""
    if not reference.quantiles or min(reference.quantiles.values()) <= 0:
        return None
    logs = {share: math.log(value) for share, value in reference.quantiles.items()}
    first, last = min(logs), max(logs)
    median = float(np.interp(0.0, [_NORMAL.inv_cdf(share) for share in logs], list(logs.values())))
    below = (median - logs[first]) / -_NORMAL.inv_cdf(first) if first < 0.5 else None  # noqa: PLR2004  (the median)
    above = (logs[last] - median) / _NORMAL.inv_cdf(last) if last > 0.5 else None  # noqa: PLR2004
    return Shape(logs, median, below if below is not None else above, above if above is not None else below)


@dataclass(frozen=True)
class Hypothesis:
    """What if the column were in another unit than the site file says.

    Attributes:
        slip: the unit; ``also``: others that come to the same.
        factor: with ``offset``: the right number, from the one that stands there.
        times: how many times the right number the one that stands there is, at the reference's median.
        expected: whether the contract itself names the unit as one that hospitals export by mistake.
        near: units that would fit as well, but not as closely.
    """

    slip: Slip
    also: tuple[Slip, ...]
    factor: float
    offset: float
    times: float
    expected: bool = False
    near: tuple[Slip, ...] = ()

    @property
    def apart(self) -> float:
        """The distance of the slip from no slip."""
        return abs(math.log(self.times))

    def right(self, logs: Logs) -> Logs:
        """Give the right numbers' logarithms; NaN where the right number would not be positive."""
        return _logs_of(logs, self.factor, self.offset)

    def reversed(self) -> Hypothesis:
        """Give the opposite slip: right values in a column of wrong ones."""
        return replace(self, factor=1 / self.factor, offset=-self.offset / self.factor, times=1 / self.times)

    def slipped(self, logs: Logs) -> Logs:
        """Give the logarithms of what stands there for the right numbers."""
        return _logs_of(logs, 1 / self.factor, -self.offset / self.factor)


def _logs_of(logs: Logs, factor: float, offset: float) -> Logs:
    if offset == 0:
        return logs + math.log(factor)
    number = np.exp(logs) * factor + offset
    return np.log(number, where=number > 0, out=np.full_like(number, np.nan))


def hypotheses(mapping: FieldMapping, median: float) -> tuple[Hypothesis, ...]:
    """Give the slips of a column that its numbers can tell from other patients, each once.

    Args:
        mapping: the field, and what the site file says of its column.
        median: the reference's, in the field's unit.
    """
    found: list[Hypothesis] = []
    reference = mapping.field.reference
    expected = {each.unit for each in reference.wrong_units} if reference is not None else set()
    for slip in slips(mapping.field):
        changed = after(slip, mapping.factor, mapping.offset)
        times = changed.local(median) / median
        if times <= 0 or changed.factor <= 0 or abs(math.log(times)) < NEAREST:
            continue
        one = Hypothesis(slip, (), changed.factor, changed.offset, times, slip.unit in expected)
        same = next((at for at, each in enumerate(found) if _alike(each, one)), None)
        if same is None:
            found.append(one)
        else:
            found[same] = replace(found[same], also=(*found[same].also, slip))
    return tuple(found)


def _alike(one: Hypothesis, other: Hypothesis) -> bool:
    return math.isclose(one.factor, other.factor, rel_tol=0.01) and math.isclose(one.times, other.times, rel_tol=0.01)


@dataclass(frozen=True)
class Found:
    """A slip that the numbers show.

    Attributes:
        centre: logarithm of the right values' median, by which a part is told from the rest; ``None`` for a whole column.
        reach: how far below and above the centre right values lie.
        share: for a part: how large it is, about.
        clear: for a part: whether the slip's values lie far enough away to be sure.
    """

    hypothesis: Hypothesis
    centre: float | None = None
    reach: tuple[float, float] = (0.0, 0.0)
    share: float = 0.0
    clear: bool = True

    def wrong(self, logs: Logs) -> Mask:
        """Say which values are nearer to what the slip makes of the right median than to that, and not far beyond it."""
        assert self.centre is not None  # noqa: S101  (only asked of parts)
        below, above = self.reach
        return _nearer(logs, self.hypothesis.right, self.centre, (TAILS * below, TAILS * above))


@dataclass(frozen=True)
class Sample:
    """Logarithms of a column's values, their median, and that median's standard error."""

    logs: Logs
    median: float
    error: float

    @property
    def chance(self) -> float:
        """How far the median may be off by chance."""
        return ERRORS * self.error


def sample(values: npt.NDArray[np.float64]) -> Sample | None:
    """Give the logarithms of some values; ``None`` when they are too few, or too many are not positive."""
    positive = values[values > 0]
    if len(values) < LEAST_VALUES or len(positive) < POSITIVE_SHARE * len(values):
        return None
    logs = np.log(positive)
    low, median, high = np.quantile(logs, (0.25, 0.5, 0.75))
    error = math.sqrt(math.pi / 2) * (high - low) / (2 * _NORMAL.inv_cdf(0.75)) / math.sqrt(len(logs))
    return Sample(logs, float(median), float(error))


def wider(share: float) -> float:
    """Give how many times the median's standard error that of another quantile is, for a normal distribution."""
    return math.sqrt(share * (1 - share)) / _NORMAL.pdf(_NORMAL.inv_cdf(share)) / math.sqrt(math.pi / 2)


def find(mapping: FieldMapping, reference: Shape, numbers: Sample) -> Found | None:
    """Find the slip that a column's numbers show; ``None`` when they show none."""
    tried = hypotheses(mapping, math.exp(reference.median))
    if abs(numbers.median - reference.median) <= CASE_MIX + numbers.chance:
        few = _largest(_few_wrong(each, reference, numbers) for each in tried)
        if few is not None:
            return few
    elif (best := _whole(tried, reference, numbers)) is not None:
        return _few_right(best, reference, numbers) or _two_humps(best, reference, numbers) or Found(best)
    return _largest(_two_humps(each, reference, numbers) for each in tried)


def _whole(tried: tuple[Hypothesis, ...], reference: Shape, numbers: Sample) -> Hypothesis | None:
    """Give the slip under which the median, and the other quantiles, are those of the reference."""
    shares = sorted(reference.quantiles)
    there = np.quantile(numbers.logs, shares)
    wanted = np.array([reference.quantiles[share] for share in shares])
    without = float(np.median(np.abs(there - wanted)))
    fits: list[tuple[bool, float, int]] = []
    for at, each in enumerate(tried):
        off = abs(float(each.right(np.array([numbers.median]))[0]) - reference.median)
        fit = float(np.median(np.abs(each.right(there) - wanted)))
        if off <= min(CASE_MIX, OF_THE_WAY * each.apart) + numbers.chance and fit <= BETTER * without:
            fits.append((not each.expected, fit, at))
    if not fits:
        return None
    first, *others = (tried[at] for _, _, at in sorted(fits))
    return replace(first, near=tuple(each.slip for each in others))


def _largest(parts: Iterable[Found | None]) -> Found | None:
    return max((part for part in parts if part is not None), key=lambda part: part.share, default=None)


def _nearer(logs: Logs, other: Callable[[Logs], Logs], centre: float, reach: tuple[float, float]) -> Mask:
    """Say which values would be nearer to a median in the other unit, and no further from it than values lie."""
    moved = other(logs) - centre
    with np.errstate(invalid="ignore"):
        return (moved >= -reach[0]) & (moved <= reach[1]) & (np.abs(moved) < np.abs(logs - centre))


def _reach(reference: Shape, more: float = 0.0) -> tuple[float, float]:
    assert reference.below is not None and reference.above is not None  # noqa: S101, PT018  (only asked where there is a spread)
    return BODY * reference.below + more, BODY * reference.above + more


def _few_wrong(tried: Hypothesis, reference: Shape, numbers: Sample) -> Found | None:
    """Find a smaller part in a wrong unit, in a column whose median is right."""
    if reference.spread is None or tried.apart < UNCLEAR * reference.spread or len(numbers.logs) < LEAST_OF_PARTS:
        return None
    clear, centre = tried.apart >= CLEAR * reference.spread, numbers.median
    reach = _reach(reference)
    below, above = reach if clear else ((0.0, reach[1]) if tried.times > 1 else (reach[0], 0.0))  # unclear: the far half alone

    def window(logs: Logs) -> Mask:
        return _nearer(logs, tried.right, centre, (below, above))

    part = _share(window, tried, reference, numbers.logs, centre)
    return None if part is None else Found(tried, centre, reach, part, clear)


def _few_right(tried: Hypothesis, reference: Shape, numbers: Sample) -> Found | None:
    """Find a smaller part in the right unit, in a column whose median is in a wrong one."""
    if reference.spread is None or tried.apart < CLEAR * reference.spread or len(numbers.logs) < LEAST_OF_PARTS:
        return None
    moved = tried.right(numbers.logs)
    moved = moved[np.isfinite(moved)]
    centre, reach, back = float(np.median(moved)), _reach(reference), tried.reversed()

    def window(logs: Logs) -> Mask:
        return _nearer(logs, back.right, centre, reach)

    part = _share(window, back, reference, moved, centre)
    return None if part is None else Found(tried, centre, reach, part)


def _share(window: Callable[[Logs], Mask], tried: Hypothesis, reference: Shape, logs: Logs, centre: float) -> float | None:
    """Give the share of values in a wrong unit, by those in a window that nothing else explains; ``None`` for too few.

    The reference has some values there, too. A wider spread than the reference's puts as many more on the other side: those
    are taken off. What is left has to lie around the right median, once it is in the right unit.

    Args:
        window: says which values lie in it.
        tried: the slip.
        reference: the right values' shape.
        logs: the column's values.
        centre: the right values' median.
    """
    there = logs[window(logs)]
    if len(there) < LEAST_PART * LEAST_CAUGHT * len(logs):
        return None  # nothing there: what every clean column answers, at the least cost
    grid = reference.grid(centre)
    caught = tried.slipped(grid)
    caught = caught[window(caught)]
    if len(caught) < LEAST_CAUGHT * len(grid):
        return None
    expected, mirrored = float(window(grid).mean()), float(window(2 * centre - grid).mean())
    other_side = float(window(2 * centre - logs).mean())
    excess = len(there) / len(logs) - expected - max(0.0, other_side - mirrored)
    by_chance = max(expected, other_side) * (1 - max(expected, other_side)) + max(mirrored, other_side, 1 / len(logs))
    part = excess / (len(caught) / len(grid))
    if part < LEAST_PART or excess < ERRORS * math.sqrt(by_chance / len(logs)):
        return None
    off = float(np.median(tried.right(there)) - np.median(tried.right(caught)))
    return part if _around(off, len(there), reference, PART_OFF) else None


def _around(off: float, count: int, reference: Shape, limit: float) -> bool:
    """Say whether a median of so many values is off by no more than a limit and chance."""
    assert reference.spread is not None  # noqa: S101  (only asked where there is a spread)
    return abs(off) <= limit + ERRORS * math.sqrt(math.pi / 2) * reference.spread / math.sqrt(count)


def _two_humps(tried: Hypothesis, reference: Shape, numbers: Sample) -> Found | None:
    """Find about as many values in a wrong unit as in the right one: the column's median says nothing then."""
    if reference.spread is None or tried.apart < CLEAR * reference.spread or len(numbers.logs) < LEAST_OF_PARTS:
        return None
    reach, centre = _reach(reference, CASE_MIX), reference.median
    wrong = _nearer(numbers.logs, tried.right, centre, reach)
    away = numbers.logs - centre
    right = (away >= -reach[0]) & (away <= reach[1]) & ~wrong
    way = away / math.log(tried.times)
    between = float(((way > 0.25) & (way < 0.75)).mean())  # noqa: PLR2004  (the middle half of the way)
    shares = float(wrong.mean()), float(right.mean())
    if min(shares) < LEAST_HUMP or sum(shares) < TOGETHER or between > BETWEEN:
        return None
    medians = float(np.median(tried.right(numbers.logs[wrong]))) - centre, float(np.median(away[right]))
    if not all(_around(off, int(share * len(away)), reference, CASE_MIX) for off, share in zip(medians, shares, strict=True)):
        return None
    return Found(tried, centre, reach, shares[0])

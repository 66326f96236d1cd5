"""How far two sets of records are apart, each measure a function of counts and sums: two hospitals, or one then and now."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from wardround.contract.model import ContractField
from wardround.contract.slips import slips
from wardround.messages.round import FieldSums
from wardround.weights.fixed_point import STATISTICS_STEPS

PSI_LOOK, PSI_LARGE = 0.1, 0.25
"""Population stability index from which distributions differ moderately and largely, as scorecard practice has it (Siddiqi
2006, "Credit Risk Scorecards"); a convention, not a test."""
MEAN_LOOK, MEAN_LARGE = 0.1, 0.25
"""Standardised difference of means: above 0.1 groups are called imbalanced (Austin 2009, Statistics in Medicine 28), above
0.25 by Rubin 2001 (Health Services and Outcomes Research Methodology 2) too far apart to adjust."""
SHARE_LOOK, SHARE_LARGE = 0.1, 0.25
"""Difference of two shares (of missing values, of positive targets); this project's own."""
UNIT_RATIO = 0.1
"""How near the logarithm of a ratio is to that of a wrong unit's factor."""
SMOOTHING = 0.5
"""Added to the count of every group before shares are taken, so that an empty one has a logarithm."""

_Z95 = 1.959963984540054
_Z95_ONE_SIDED = 1.6448536269514722
"""The 0.975 and 0.95 quantiles of the normal distribution."""
_APART = 0.5
"""Standard deviations by which means differ at least before a unit is suspected: close means have no wrong unit."""
_DIGITS = 9
"""Decimals by which distances differ, where they do."""
_SAME = 0.15
"""A factor whose logarithm is smaller is none that anybody could tell from patients of another kind."""


@dataclass(frozen=True)
class Moments:
    """How many values, their mean and their variance, in the field's unit."""

    records: int
    mean: float
    variance: float

    @property
    def deviation(self) -> float:
        """The standard deviation."""
        return math.sqrt(self.variance)


def moments(sums: Sequence[FieldSums], low: float, high: float) -> Moments | None:
    """Pool exact sums; None where there is no value."""
    records = sum(each.records for each in sums)
    if not records:
        return None
    total, squares = sum(int(each.total) for each in sums), sum(int(each.squares) for each in sums)
    unit = (high - low) / STATISTICS_STEPS
    variance = max(squares * records - total * total, 0) / (records * records)
    return Moments(records, low + total / records * unit, variance * unit * unit)


def psi(own: Sequence[int], rest: Sequence[int]) -> float | None:
    """Give the population stability index of counts in the same groups, each smoothed; None where nothing can be compared."""
    if len(own) < 2 or not sum(own) or not sum(rest):  # noqa: PLR2004  (one group holds everything)
        return None
    here, there = _shares(own), _shares(rest)
    return sum((a - b) * math.log(a / b) for a, b in zip(here, there, strict=True))


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts) + SMOOTHING * len(counts)
    return [(count + SMOOTHING) / total for count in counts]


def psi_by_chance(groups: int, own: int, rest: int) -> float:
    """Give the index that equal distributions exceed by chance once in twenty: it is (1/n + 1/m) times a chi-squared number of
    groups − 1 degrees (Yurdakul and Naranjo 2020, Journal of Risk Model Validation 14); its quantile by Wilson and Hilferty.
    """
    degrees = groups - 1
    quantile = degrees * (1 - 2 / (9 * degrees) + _Z95_ONE_SIDED * math.sqrt(2 / (9 * degrees))) ** 3
    return quantile * (1 / own + 1 / rest)


def standardised_difference(own: Moments, rest: Moments) -> float | None:
    """Give the difference of means in pooled standard deviations; None where nothing varies."""
    spread = math.sqrt((own.variance + rest.variance) / 2)
    return (own.mean - rest.mean) / spread if spread > 0 else None


def by_chance(own: int, rest: int) -> float:
    """Give the standardised difference that equal hospitals exceed by chance once in twenty."""
    return _Z95 * math.sqrt(1 / own + 1 / rest)


def shares_by_chance(own: float, own_records: int, rest: float, rest_records: int) -> float:
    """Give the difference of two shares that equal hospitals exceed by chance once in twenty."""
    share = (own * own_records + rest * rest_records) / (own_records + rest_records)
    return _Z95 * math.sqrt(share * (1 - share) * (1 / own_records + 1 / rest_records))


def suspected_unit(field: ContractField, own: Moments, rest: Moments) -> str | None:
    """Name the unit in which a hospital's values seem to be, where its mean is what the others' would be in that unit.

    Units that convert into the field's, with the factors of its analyte where it has one, and those in which the contract knows
    the field to come by mistake; of several that come to the same, the contract's own first, then in the order of units.yaml.
    """
    difference = standardised_difference(own, rest)
    if own.mean <= 0 or rest.mean <= 0 or difference is None or abs(difference) < _APART:
        return None
    found: list[tuple[float, str]] = []
    for slip in slips(field):
        expected = slip.local(rest.mean)
        if expected > 0 and abs(math.log(expected / rest.mean)) > _SAME:
            found.append((round(abs(math.log(own.mean / expected)), _DIGITS), slip.name))
    nearest = min(found, default=None, key=lambda each: each[0])
    return None if nearest is None or nearest[0] >= UNIT_RATIO else nearest[1]

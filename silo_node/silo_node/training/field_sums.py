"""A hospital's share of the federated statistics: exact integer sums over its training records."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardround.contract.model import Contract
from wardround.messages.round import FieldSums
from wardround.study.encoding import bounds
from wardround.weights.fixed_point import STATISTICS_STEPS

CHUNK = 2**14
"""Squares of 2**48 at most: so many of them stay below 2**63."""


def field_sums(train: pl.DataFrame, contract: Contract, features: tuple[str, ...], small_cell: int) -> tuple[FieldSums, ...]:
    """Sum every numeric feature over the training records.

    Counts of missing values are data too: where 1 to ``small_cell - 1`` values are missing, they are filled with the
    hospital's own mean before summing, so that the count is the number of training records and the small cell stays
    inside. Where only so few are present, the feature is left out altogether.
    """
    numeric = [name for name in features if not contract.field(name).values]
    sums = (_sums(name, train[name], *bounds(contract, name), small_cell) for name in numeric)
    return tuple(each for each in sums if each is not None)


def _sums(name: str, values: pl.Series, low: float, high: float, small_cell: int) -> FieldSums | None:
    numbers = values.drop_nulls().cast(pl.Float64).to_numpy()
    present, everyone = len(numbers), len(values)
    if 0 < present < small_cell:
        return None
    steps = np.rint((np.clip(numbers, low, high) - low) / (high - low) * STATISTICS_STEPS).astype(np.int64)
    total, squares = int(steps.sum()), _sum_of_squares(steps)
    if present and 0 < everyone - present < small_cell:
        total, squares, present = _scaled(total, everyone, present), _scaled(squares, everyone, present), everyone
    return FieldSums(field=name, records=present, total=str(total), squares=str(squares))


def _sum_of_squares(steps: NDArray[np.int64]) -> int:
    return sum(int(np.square(steps[start : start + CHUNK]).sum()) for start in range(0, len(steps), CHUNK))


def _scaled(total: int, everyone: int, present: int) -> int:
    """Give the total that all records would have if the missing ones were like the present ones, to the nearest."""
    return (2 * total * everyone + present) // (2 * present)

"""The exact weighted sum of changes of weights, in integers.

What is summed is each hospital's change ``d`` (float32), weighted by its integer record count ``n_i``:

    q = rint(float64(d) * 2**(b - e)),   S = sum of n_i * q in int64,   w' = w + float64(S) / N_U * 2**(e - b)

``N`` is the sum of the signed record counts of the whole roster, ``b = 63 - bitlen(N)``, so that ``N * 2**b < 2**63``:
no admitted subset can overflow. Each tensor has an exponent ``e``, taken from the weights that were broadcast, never
from anybody's change. Integers add in any order, grouping or chunking to the same bits. A change outside ``±2**e`` is
refused, never clipped. Only ``+ - * / sqrt`` and ``rint`` touch shared numbers, so every machine gets the same digits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from wardround.errors import Broken
from wardround.values import Value
from wardround.weights.packing import Manifest, Vector

RECORD_LIMIT = 2**33
"""Fewer records than this in a study keep the sum's error under 2**-30 of a tensor's largest weight."""
STATISTICS_STEPS = 2**24
"""A numeric value is counted in statistics as an integer from 0 (low end of its range) to this (high end)."""
BLOCK = 65_536
"""Elements handled at once: large enough for numpy, small enough for the cache."""
HEADROOM_FLOOR = 30
HEADROOM_LIMIT = 10
ZERO_TENSOR_EXPONENT = 0
"""Exponent, before headroom, of a tensor whose broadcast weights are all zero (fresh biases)."""


class SumPlan(Value):
    """The fixed-point plan of one round: ``bits`` is ``b``, ``exponents`` has one ``e`` for each tensor."""

    bits: Annotated[int, Field(ge=30, le=62)]
    exponents: tuple[Annotated[int, Field(ge=-300, le=300)], ...]


@dataclass(eq=False)  # not frozen: Python itself writes an exception's traceback
class OutOfRange(Exception):
    """A change that the plan cannot hold: larger than ``2**exponent``, or not a number."""

    tensor: str
    finite: bool


def plan_sum(weights: Vector, manifest: Manifest, total_records: int) -> SumPlan:
    """Plan a round's sum from the weights that are broadcast and the roster's signed record counts.

    Raises:
        Broken: when the total is not in ``1 .. 2**33 - 1`` or the weights are not finite.
    """
    if not 1 <= total_records < RECORD_LIMIT:
        msg = f"the exact sum holds 1 to {RECORD_LIMIT - 1} records. Found {total_records}."
        raise Broken(msg)
    bits = 63 - total_records.bit_length()
    headroom = min(max(bits - HEADROOM_FLOOR, 0), HEADROOM_LIMIT)
    exponents = tuple(_exponent(weights[part]) + headroom for _, part in manifest.slices())
    return SumPlan(bits=bits, exponents=exponents)


def _exponent(values: Vector) -> int:
    """Give ceil(log2(max |w|)) without a logarithm: frexp is exact on every machine.

    Raises:
        Broken: when a value is not finite.
    """
    largest = float(np.max(np.abs(values))) if values.size else 0.0
    if not math.isfinite(largest):
        msg = "numbers that are not finite have no exponent"
        raise Broken(msg)
    if largest == 0.0:
        return ZERO_TENSOR_EXPONENT
    mantissa, exponent = math.frexp(largest)
    return exponent - 1 if mantissa == 0.5 else exponent  # noqa: PLR2004  (frexp: an exact power of two)


def check_range(change: Vector, manifest: Manifest, plan: SumPlan) -> None:
    """Refuse a change that the plan cannot hold, before anything of it is added.

    Raises:
        OutOfRange: naming the first tensor that is too large or not finite.
    """
    for (tensor, part), exponent in zip(manifest.slices(), plan.exponents, strict=True):
        values = change[part]
        if values.size == 0:
            continue
        low, high, limit = float(values.min()), float(values.max()), math.ldexp(1.0, exponent)
        if not (low >= -limit and high <= limit):  # written so that NaN is caught too
            raise OutOfRange(tensor.name, finite=math.isfinite(low) and math.isfinite(high))


def needed_exponents(change: Vector, manifest: Manifest, plan: SumPlan) -> tuple[int, ...]:
    """Give the smallest exponent of each tensor under which the plan would hold this change, never below the plan's own.

    Raises:
        Broken: when the change is not finite: no exponent holds it.
    """
    parts = zip(manifest.slices(), plan.exponents, strict=True)
    return tuple(max(exponent, _exponent(change[part])) if change[part].any() else exponent for (_, part), exponent in parts)


def quantise(values: Vector, exponent: int, bits: int) -> NDArray[np.int64]:
    """Give the integers of some values within ``±2**exponent``."""
    scaled = values.astype(np.float64)
    scaled *= math.ldexp(1.0, bits - exponent)
    np.rint(scaled, out=scaled)
    return scaled.astype(np.int64)


class ExactSum:
    """The running sum of one round: add changes in any order, then step."""

    def __init__(self, manifest: Manifest, plan: SumPlan) -> None:
        """Begin with nothing."""
        self._manifest = manifest
        self._plan = plan
        self._sum = np.zeros(manifest.size, dtype=np.int64)
        self._records = 0

    @property
    def records(self) -> int:
        """The records that have been counted so far."""
        return self._records

    def add(self, change: Vector, records: int) -> None:
        """Add a hospital's change, ``records`` times.

        Raises:
            OutOfRange: and nothing is added.
            Broken: when more records are counted than the plan's bits can hold.
        """
        if change.shape != self._sum.shape:
            msg = "a change of another size reached the sum"
            raise Broken(msg)
        self._check_records(records, least=1)
        check_range(change, self._manifest, self._plan)
        for (_, part), exponent in zip(self._manifest.slices(), self._plan.exponents, strict=True):
            for start in range(part.start, part.stop, BLOCK):
                block = slice(start, min(start + BLOCK, part.stop))
                integers = quantise(change[block], exponent, self._plan.bits)
                integers *= records
                self._sum[block] += integers
        self._records += records

    def merge(self, other: ExactSum) -> None:
        """Add another partial sum of the same round.

        Raises:
            Broken: when it is of another round, or both count more records than the plan's bits can hold.
        """
        if other._plan != self._plan or other._manifest != self._manifest:
            msg = "partial sums of different rounds"
            raise Broken(msg)
        self._check_records(other._records, least=0)
        self._sum += other._sum
        self._records += other._records

    def _check_records(self, records: int, least: int) -> None:
        """More records than the plan was made for could overflow the integers."""
        if records < least or (self._records + records) >> (63 - self._plan.bits):
            msg = f"record counts that the plan cannot hold: {self._records} + {records}"
            raise Broken(msg)

    def step(self, weights: Vector) -> Vector:
        """Give the new weights: the old ones plus the mean change, weighted by records; infinite where float32 ends."""
        if self._records == 0:
            msg = "a step without a single record"
            raise Broken(msg)
        stepped = np.empty_like(weights)
        for (_, part), exponent in zip(self._manifest.slices(), self._plan.exponents, strict=True):
            mean = self._sum[part].astype(np.float64)
            mean /= float(self._records)
            mean *= math.ldexp(1.0, exponent - self._plan.bits)
            mean += weights[part]
            with np.errstate(over="ignore"):
                stepped[part] = mean.astype(np.float32)
        return stepped

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
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from wardround.canonical import sha256
from wardround.errors import Broken
from wardround.values import Value
from wardround.weights.packing import Manifest, Vector

RECORD_LIMIT = 2**33
"""Fewer records than this in a study keep the sum's error under 2**-30 of a tensor's largest weight."""
STATISTICS_STEPS = 2**24
"""A numeric value is counted in statistics as an integer from 0 (low end of its range) to this (high end)."""
BLOCK = 262_144
"""Elements handled at once: large enough for numpy, small enough for the cache (2 MiB of float64)."""
HEADROOM_FLOOR = 30
HEADROOM_LIMIT = 10
MOST_RAISES = 2
"""How often the exponents of one round may be raised."""
HIGHEST_RAISE = 24
"""How far above the plan from the broadcast weights: beyond it, a change is no step of training but an explosion."""
MANTISSA_BITS = 52
"""Of a float64, without the leading one."""
ZERO_TENSOR_EXPONENT = 0
"""Exponent, before headroom, of a tensor whose broadcast weights are all zero (fresh biases)."""


class SumPlan(Value):
    """The fixed-point plan of one round: ``bits`` is ``b``, ``exponents`` has one ``e`` for each tensor.

    ``raised`` counts how often exponents were raised since a hospital's change was too large for the first plan.
    """

    bits: Annotated[int, Field(ge=30, le=62)]
    raised: Annotated[int, Field(ge=0, le=MOST_RAISES)] = 0
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


def _highest(first: SumPlan, largest_norm: float | None) -> list[int]:
    """Say how far each exponent may be raised: where the study limits a change's L2 norm, none needs to hold more than that."""
    highest = [exponent + HIGHEST_RAISE for exponent in first.exponents]
    if largest_norm is None:
        return highest
    enough = _ceiling_of_log2(largest_norm)
    return [min(high, max(low, enough)) for low, high in zip(first.exponents, highest, strict=True)]


def raise_plan(
    plan: SumPlan, first: SumPlan, wanted: Iterable[Sequence[int]], largest_norm: float | None = None
) -> SumPlan | None:
    """Give the plan that also holds changes which need these exponents, one for each tensor; ``first`` is the round's first.

    ``wanted`` are the needs of those hospitals whose changes did not fit. A need that reaches too far above the first plan
    is left out: its hospital stays refused. None when nothing is left to raise, or it was raised often enough.
    """
    highest = _highest(first, largest_norm)
    exponents = list(plan.exponents)
    for needs in wanted:
        if len(needs) == len(exponents) and all(need <= top for need, top in zip(needs, highest, strict=True)):
            exponents = [max(pair) for pair in zip(exponents, needs, strict=True)]
    if tuple(exponents) == plan.exponents or plan.raised == MOST_RAISES:
        return None
    return SumPlan(bits=plan.bits, exponents=tuple(exponents), raised=plan.raised + 1)


def follows(plan: SumPlan, first: SumPlan, largest_norm: float | None = None) -> bool:
    """Say whether a plan is the one from the broadcast weights, or that one with raised exponents."""
    if plan.raised == 0:
        return plan == first
    if plan.bits != first.bits or len(plan.exponents) != len(first.exponents):
        return False
    places = zip(first.exponents, plan.exponents, _highest(first, largest_norm), strict=True)
    return all(low <= exponent <= high for low, exponent, high in places)


def _exponent(values: Vector) -> int:
    """Give ceil(log2(max |w|)), or the study constant of a tensor that is all zero.

    Raises:
        Broken: when a value is not finite.
    """
    largest = peak_of(values)
    if not math.isfinite(largest):
        msg = "numbers that are not finite have no exponent"
        raise Broken(msg)
    return exponent_of(largest)


def exponent_of(peak: float) -> int:
    """Give a tensor's exponent, before headroom, from its largest magnitude."""
    return ZERO_TENSOR_EXPONENT if peak == 0.0 else _ceiling_of_log2(peak)


def _ceiling_of_log2(value: float) -> int:
    """Give ceil(log2(value)) without a logarithm: frexp is exact on every machine."""
    mantissa, exponent = math.frexp(value)
    return exponent - 1 if mantissa == 0.5 else exponent  # noqa: PLR2004  (frexp: an exact power of two)


def peak_of(values: Vector) -> float:
    """Give the largest magnitude, without a copy of the values; NaN when there is one."""
    if values.size == 0:
        return 0.0
    low, high = float(values.min()), float(values.max())
    return max(-low, high) if low == low and high == high else math.nan  # noqa: PLR0124  (NaN is unlike itself)


def check_range(change: Vector, manifest: Manifest, plan: SumPlan) -> None:
    """Refuse a change that the plan cannot hold, before anything of it is added.

    Raises:
        OutOfRange: naming the first tensor that is too large or not finite.
    """
    _peaks(change, manifest, plan)


def _peaks(change: Vector, manifest: Manifest, plan: SumPlan) -> list[float]:
    """Give each tensor's largest magnitude, all of them within the plan's range."""
    peaks = []
    for (tensor, part), exponent in zip(manifest.slices(), plan.exponents, strict=True):
        peak = peak_of(change[part])
        if not peak <= math.ldexp(1.0, exponent):  # written so that NaN is caught too
            raise OutOfRange(tensor.name, finite=math.isfinite(peak))
        peaks.append(peak)
    return peaks


def needed_exponents(change: Vector, manifest: Manifest, plan: SumPlan) -> tuple[int, ...]:
    """Give the smallest exponent of each tensor under which the plan would hold this change, never below the plan's own.

    Raises:
        Broken: when the change is not finite: no exponent holds it.
    """
    parts = zip(manifest.slices(), plan.exponents, strict=True)
    return tuple(max(exponent, _exponent(change[part])) if change[part].any() else exponent for (_, part), exponent in parts)


def quantise(values: Vector, exponent: int, bits: int) -> NDArray[np.int64]:
    """Give the integers of some values within ``±2**exponent``."""
    return _integers(values, exponent, bits, peak_of(values), np.empty(values.size))


def _integers(values: Vector, exponent: int, bits: int, peak: float, scratch: NDArray[np.float64]) -> NDArray[np.int64]:
    """Give the integers of some values whose magnitudes are at most ``peak``; they may lie in ``scratch``.

    Integers of up to ``2**51`` come from one addition: beside ``1.5 * 2**52`` steps of the plan a float64 holds whole
    steps only, so that the addition rounds as rint does (ties to even), and the mantissa then is the integer. It is
    what rint gives, without a pass for it and for the conversion.
    """
    reals = scratch[: values.size]
    np.copyto(reals, values)
    if math.ldexp(peak, bits - exponent) <= 2.0 ** (MANTISSA_BITS - 1):
        anchor = np.float64(math.ldexp(1.5, MANTISSA_BITS + exponent - bits))
        reals += anchor
        mantissas = reals.view(np.int64)
        mantissas -= anchor.view(np.int64)
        return mantissas
    reals *= math.ldexp(1.0, bits - exponent)
    np.rint(reals, out=reals)
    return reals.astype(np.int64)


class ExactSum:
    """The running sum of one round: add changes in any order, then step."""

    def __init__(self, manifest: Manifest, plan: SumPlan) -> None:
        """Begin with nothing."""
        self._manifest = manifest
        self._plan = plan
        self._sum = np.zeros(manifest.size, dtype=np.int64)
        self._scratch = np.empty(min(BLOCK, manifest.size))
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
        peaks = _peaks(change, self._manifest, self._plan)
        for (_, part), exponent, peak in zip(self._manifest.slices(), self._plan.exponents, peaks, strict=True):
            for block in _blocks(part):
                integers = _integers(change[block], exponent, self._plan.bits, peak, self._scratch)
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

    def digest(self) -> str:
        """Give the SHA-256 of the integers (int64, little-endian): the same for the same replies, in whatever order they came."""
        return sha256(self._sum.astype("<i8", copy=False).data.cast("B"))

    def step(self, weights: Vector, *, out: Vector | None = None) -> Vector:
        """Give the new weights: the old ones plus the mean change, weighted by records; infinite where float32 ends.

        They are written to ``out`` where it is given, which may be the old ones.
        """
        if self._records == 0:
            msg = "a step without a single record"
            raise Broken(msg)
        stepped = np.empty_like(weights) if out is None else out
        for (_, part), exponent in zip(self._manifest.slices(), self._plan.exponents, strict=True):
            unit = math.ldexp(1.0, exponent - self._plan.bits)
            for block in _blocks(part):
                mean = self._scratch[: block.stop - block.start]
                np.copyto(mean, self._sum[block])
                mean /= float(self._records)
                mean *= unit
                mean += weights[block]
                with np.errstate(over="ignore"):
                    stepped[block] = mean
        return stepped


def _blocks(part: slice) -> Iterator[slice]:
    """Cut a tensor's place into blocks."""
    for start in range(part.start, part.stop, BLOCK):
        yield slice(start, min(start + BLOCK, part.stop))

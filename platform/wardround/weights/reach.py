"""How far weights can be from those of an earlier round, if all that lies between are steps of the exact sum.

A step adds the mean of admitted changes, so it goes no further than the largest of them may be (``fixed_point``):

    a study with ``rounds.maximum_change_norm``     that L2 norm, whatever the exponents are
    one without                                     in each element 2**exponent, however often the exponents were raised

The bounds are from above, with room for every rounding on the way: weights that were reached so are never outside. They
are for plain averaging alone; another strategy needs bounds of its own.
"""

from __future__ import annotations

import math

from wardround.weights.fixed_point import HEADROOM_LIMIT, HIGHEST_RAISE, ZERO_TENSOR_EXPONENT, exponent_of, peak_of
from wardround.weights.norm import BLOCK, SLACK, l2_distance, l2_norm
from wardround.weights.packing import Manifest, Vector

FLOAT32_EXPONENT = 130
"""2**130 is further than any two float32 numbers are apart."""


def reachable(earlier: Vector, later: Vector, manifest: Manifest, rounds: int, largest_norm: float | None) -> bool:
    """Say whether so many rounds, or fewer, can have made the later weights of the earlier ones; with none they are the same.

    ``largest_norm`` is of the changes that the study admits, None where it has no limit. Both weights are finite, of shape
    ``(manifest.size,)``; they are read in blocks, and may lie on disk.
    """
    if largest_norm is not None:
        reach = _reach_of_norm(l2_norm(earlier), earlier.size, rounds, largest_norm)
        return l2_distance(earlier, later) <= reach
    for _, part in manifest.slices():
        reach = _reach_of_element(peak_of(earlier[part]), rounds)
        if _largest_distance(earlier[part], later[part]) > reach:
            return False
    return True


def _reach_of_norm(norm: float, size: int, rounds: int, largest: float) -> float:
    """Bound the L2 distance after some rounds from weights of this norm.

    One step is the mean of changes of at most ``largest`` (each rounded to the sum's grid), rounded to float32. No step
    of the grid is longer than 2**-29 of the largest weight, of ``largest`` (a raised plan) or of 1 (a tensor of zeros).
    """
    reach = 0.0
    for _ in range(rounds):
        grid = math.sqrt(size) * math.ldexp(max(norm + reach, largest, 1.0), -30)
        step = largest * (1 + SLACK) + grid
        reach += step + math.ldexp(norm + reach + step, -23)
        if not math.isfinite(reach):
            return math.inf
    return reach * (1 + SLACK)


def _reach_of_element(peak: float, rounds: int) -> float:
    """Bound how far an element can be after some rounds in a tensor whose largest magnitude was this."""
    reach = 0.0
    for number in range(rounds):
        exponent = exponent_of(peak + reach)
        if number > 0:  # the tensor may have become all zero in between
            exponent = max(exponent, ZERO_TENSOR_EXPONENT)
        exponent += HEADROOM_LIMIT + HIGHEST_RAISE
        if exponent > FLOAT32_EXPONENT:
            return math.inf
        reach += math.ldexp(1 + 2.0**-20, exponent)
    return reach


def _largest_distance(one: Vector, other: Vector) -> float:
    """Give the largest distance of two elements, without a copy of all of them."""
    largest = 0.0
    for start in range(0, one.size, BLOCK):
        part = slice(start, start + BLOCK)
        block = one[part].astype(float)
        block -= other[part]
        largest = max(largest, float(block.max()), -float(block.min()))
    return largest

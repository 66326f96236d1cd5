"""The size of a change of weights."""

from __future__ import annotations

import math

import numpy as np

from wardround.weights.packing import Vector

BLOCK = 2**16
"""Weights that are taken at once, so that no second copy of a large change is made."""
SLACK = 1e-9
"""More than a norm can differ between machines, as a share of it: another machine that holds a norm against the same limit
allows so much more."""


def l2_norm(vector: Vector) -> float:
    """Give the L2 norm, summed in 64-bit numbers; NaN or infinite where an element is.

    Its last digits depend on the machine: it decides at one hospital, and is no shared number.
    """
    total = 0.0
    for start in range(0, vector.size, BLOCK):
        block = vector[start : start + BLOCK].astype(np.float64)
        total += float(np.dot(block, block))
    return math.sqrt(total)


def l2_distance(one: Vector, other: Vector) -> float:
    """Give the L2 norm of the difference of two vectors of one size, as ``l2_norm`` would, without a copy of it."""
    total = 0.0
    for start in range(0, one.size, BLOCK):
        part = slice(start, start + BLOCK)
        block = one[part].astype(np.float64)
        block -= other[part]
        total += float(np.dot(block, block))
    return math.sqrt(total)

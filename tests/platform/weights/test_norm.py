"""The size of a change of weights."""

import math

import numpy as np
import pytest

from wardround.weights.norm import BLOCK, l2_norm


@pytest.mark.parametrize("size", [0, 1, 5, BLOCK, BLOCK + 1, 3 * BLOCK + 7])
def test_it_is_the_root_of_the_sum_of_squares(size):
    """Over every block, as Python's exact sum has it."""
    vector = np.random.default_rng(size).normal(size=size).astype(np.float32)
    assert l2_norm(vector) == pytest.approx(math.sqrt(math.fsum(float(each) ** 2 for each in vector)), rel=1e-12)


def test_large_weights_do_not_overflow():
    """The largest float32 has a norm."""
    largest = np.full(4, np.finfo(np.float32).max, np.float32)
    assert l2_norm(largest) == pytest.approx(2 * float(np.finfo(np.float32).max))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_has_no_finite_norm(wrong):
    """So that no limit is ever kept by it."""
    vector = np.zeros(BLOCK + 2, np.float32)
    vector[-1] = wrong
    assert not math.isfinite(l2_norm(vector))

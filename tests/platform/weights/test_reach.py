"""How far rounds can move weights: honest rounds are never outside the bound, and what moved further is."""

import math
from contextlib import suppress
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardround.study.model import Strategy
from wardround.weights.fixed_point import ExactSum, OutOfRange, SumPlan, follows, needed_exponents, plan_sum, raise_plan
from wardround.weights.norm import SLACK, l2_distance, l2_norm
from wardround.weights.packing import Manifest, Tensor, all_finite
from wardround.weights.reach import reachable

MANIFEST = Manifest(
    tensors=(
        Tensor(name="bias", shape=(3,)),
        Tensor(name="empty", shape=(0, 2)),
        Tensor(name="scale", shape=()),
        Tensor(name="weight", shape=(4, 5)),
    )
)
RECORDS = 2**33 - 1

sizes = st.sampled_from([0.0, 1e-30, 1e-6, 0.3, 40.0, 1e9])
directions = st.sampled_from(["random", "away", "back to zero", "one element", "power of two", "nothing"])


def test_the_bound_is_for_the_strategies_there_are():
    """Another strategy moves weights in another way: give it a bound in ``reach`` before a study may name it."""
    assert get_args(Strategy) == ("fedavg",)


def drawn(random: np.random.Generator, direction: str, weights: np.ndarray, length: float) -> np.ndarray:
    """Draw a change of at most this L2 norm, for most directions exactly that long as far as float32 goes."""
    change = random.normal(size=weights.size)
    if direction == "away":
        change = np.sign(weights) + (weights == 0)
    elif direction == "back to zero":
        change = -weights.astype(float)
        length = min(length, float(np.linalg.norm(change)))
    elif direction == "one element":
        change = np.eye(1, weights.size, int(random.integers(weights.size)))[0]
    elif direction == "power of two":
        change = np.ldexp(1.0, random.integers(-20, 20, size=weights.size))
    norm = float(np.linalg.norm(change))
    if direction == "nothing" or norm == 0 or not math.isfinite(norm):
        return np.zeros(weights.size, np.float32)
    scaled = (change * (length / norm)).astype(np.float32)
    while l2_norm(scaled) > length:
        scaled *= np.float32(1 - 2**-20)
    return scaled


def admitted_round(weights: np.ndarray, changes: list[np.ndarray], counts: list[int], largest: float | None) -> np.ndarray:
    """Make a round as the centre does: plan, raise the plan for who needs it, admit, add, step."""
    first = plan = plan_sum(weights, MANIFEST, RECORDS if counts[0] % 2 else sum(counts))
    for _ in range(3):
        wanted = [needed_exponents(change, MANIFEST, plan) for change in changes]
        raised = raise_plan(plan, first, wanted, largest)
        if raised is None:
            break
        plan = raised
    assert follows(plan, first, largest)
    total = ExactSum(MANIFEST, plan)
    for change, records in zip(changes, counts, strict=True):
        with suppress(OutOfRange):  # refused
            total.add(change, records)
    return total.step(weights) if total.records else weights


@settings(max_examples=300)
@given(st.data())
@pytest.mark.parametrize("limited", [True, False], ids=["norm", "range"])
def test_an_honest_study_is_never_outside(limited, data):
    """Any two weights of a study, with whatever between them: raised plans, lone hospitals, zeros, changes at the limit."""
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    weights = (random.normal(size=MANIFEST.size) * data.draw(sizes)).astype(np.float32)
    if data.draw(st.booleans()):
        weights[:3] = 0.0
    largest = data.draw(st.sampled_from([1e-9, 0.01, 1.0, 2.0, 700.0]))
    made = [weights]
    for _ in range(data.draw(st.integers(1, 4))):
        counts = data.draw(st.lists(st.integers(1, 10**6), min_size=1, max_size=3))
        reach = largest if limited else 2.0 ** data.draw(st.integers(-40, 60))
        changes = [drawn(random, data.draw(directions), made[-1], reach) for _ in counts]
        stepped = admitted_round(made[-1], changes, counts, largest if limited else None)
        if not all_finite(stepped):
            break
        made.append(stepped)
    for older, before in enumerate(made):
        for newer, after in list(enumerate(made))[older:]:
            assert reachable(before, after, MANIFEST, newer - older, largest if limited else None)


@given(st.integers(1, 5), st.sampled_from([0.01, 1.0, 50.0]), sizes)
def test_what_moved_further_than_the_norm_is_outside(rounds, largest, size):
    """A hundredth further than so many rounds may go is refused, a hundredth less is not."""
    random = np.random.default_rng(3)
    weights = (random.normal(size=MANIFEST.size) * min(size, 40.0)).astype(np.float32)
    direction = random.normal(size=MANIFEST.size)
    direction /= np.linalg.norm(direction)
    for share, inside in ((0.99, True), (1.01, False)):
        moved = (weights + direction * (share * rounds * largest)).astype(np.float32)
        assert reachable(weights, moved, MANIFEST, rounds, largest) == inside
        assert reachable(moved, weights, MANIFEST, rounds, largest) == inside


def test_without_a_norm_the_range_of_the_sum_is_the_bound():
    """Without the study's limit an element goes as far as its tensor's exponent may be raised, and no further."""
    weights = np.full(MANIFEST.size, 0.5, np.float32)
    weights[4:] = 100.0
    moved = weights.copy()
    moved[0] = 0.5 + 2.0**33
    assert reachable(weights, moved, MANIFEST, 1, None)
    moved[0] = 0.5 + 2.0**33 * 1.001
    assert not reachable(weights, moved, MANIFEST, 1, None)
    assert reachable(weights, moved, MANIFEST, 2, None)


@pytest.mark.parametrize("largest", [None, 3.0])
def test_after_no_round_the_weights_are_the_same(largest):
    """Nothing moves them, however little."""
    weights = np.ones(MANIFEST.size, np.float32)
    moved = weights.copy()
    moved[-1] = np.nextafter(np.float32(1), np.float32(2))
    assert reachable(weights, weights, MANIFEST, 0, largest)
    assert not reachable(weights, moved, MANIFEST, 0, largest)


@pytest.mark.parametrize(("largest", "inside"), [(None, True), (1e30, False), (1e35, True)])
def test_a_hundred_thousand_rounds_have_a_bound(largest, inside):
    """The longest study there is, and the largest numbers: the bound is there, and overflows nowhere."""
    weights = np.full(MANIFEST.size, -3e38, np.float32)
    assert reachable(weights, -weights, MANIFEST, 100_000, largest) == inside


def test_a_plan_is_raised_no_further_than_the_studys_norm():
    """Nobody's refusal coarsens the sum for changes that the study admits of nobody."""
    weights = np.full(MANIFEST.size, 0.5, np.float32)
    first = plan_sum(weights, MANIFEST, RECORDS)  # no headroom: every exponent is -1
    need = [(3, 0, 3, 5)]
    assert raise_plan(first, first, need) == SumPlan(bits=30, exponents=(3, 0, 3, 5), raised=1)
    assert raise_plan(first, first, need, 32.0) == SumPlan(bits=30, exponents=(3, 0, 3, 5), raised=1)
    assert raise_plan(first, first, need, 31.9) is not None
    assert raise_plan(first, first, need, 16.0) is None
    raised = SumPlan(bits=30, exponents=(4, 0, -1, -1), raised=1)
    assert follows(raised, first)
    assert follows(raised, first, 16.0)
    assert not follows(raised, first, 8.0)


def test_distances_are_norms_of_differences():
    """In blocks, without a copy, and within what machines differ by."""
    random = np.random.default_rng(1)
    one, other = random.normal(size=(2, 200_000)).astype(np.float32)
    exact = float(np.linalg.norm(one.astype(float) - other.astype(float)))
    assert l2_distance(one, other) == pytest.approx(exact, rel=SLACK)

"""The exact sum: integers, so that neither order nor grouping nor chunking can matter."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.errors import Broken
from wardround.weights import fixed_point
from wardround.weights.fixed_point import (
    RECORD_LIMIT,
    ExactSum,
    OutOfRange,
    SumPlan,
    check_range,
    needed_exponents,
    plan_sum,
    quantise,
)
from wardround.weights.packing import Manifest, Tensor, to_bytes

MANIFEST = Manifest(
    tensors=(
        Tensor(name="bias", shape=(2,)),
        Tensor(name="empty", shape=(0, 3)),
        Tensor(name="slope", shape=()),
        Tensor(name="weight", shape=(2, 2)),
    )
)
WEIGHTS = np.array([0.0, 0.0, 0.25, -1.5, 0.75, 2.0, -0.125], dtype=np.float32)

small = st.floats(-100, 100, width=32)
changes = st.lists(small, min_size=MANIFEST.size, max_size=MANIFEST.size).map(lambda x: np.array(x, dtype=np.float32))
updates = st.lists(st.tuples(changes, st.integers(1, 5000)), min_size=1, max_size=6)


def planned(total: int) -> SumPlan:
    return plan_sum(WEIGHTS, MANIFEST, total)


def summed(given_updates, plan) -> ExactSum:
    total = ExactSum(MANIFEST, plan)
    for change, records in given_updates:
        total.add(change, records)
    return total


@given(updates, st.randoms(use_true_random=False))
def test_any_permutation_gives_identical_bytes(given_updates, random):
    """The order in which changes are added cannot be seen in the new weights."""
    plan = planned(sum(records for _, records in given_updates))
    shuffled = given_updates.copy()
    random.shuffle(shuffled)
    assert to_bytes(summed(given_updates, plan).step(WEIGHTS)) == to_bytes(summed(shuffled, plan).step(WEIGHTS))


@given(updates, st.data())
def test_any_grouping_gives_identical_bytes(given_updates, data):
    """Partial sums, however grouped and merged, step to the same bytes as one sum."""
    plan = planned(sum(records for _, records in given_updates))
    groups = [data.draw(st.integers(0, 2)) for _ in given_updates]
    parts = [summed([u for u, g in zip(given_updates, groups, strict=True) if g == group], plan) for group in range(3)]
    merged = ExactSum(MANIFEST, plan)
    for part in data.draw(st.permutations(parts)):
        merged.merge(part)
    assert merged.records == sum(records for _, records in given_updates)
    assert to_bytes(merged.step(WEIGHTS)) == to_bytes(summed(given_updates, plan).step(WEIGHTS))


@given(updates, st.integers(1, 5))
def test_any_chunking_gives_identical_bytes(given_updates, block):
    """How many elements are handled at once cannot be seen in the new weights."""
    plan = planned(sum(records for _, records in given_updates))
    whole = to_bytes(summed(given_updates, plan).step(WEIGHTS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fixed_point, "BLOCK", block)
        assert to_bytes(summed(given_updates, plan).step(WEIGHTS)) == whole


@given(updates, st.integers(0, 1000))
def test_the_sum_is_that_of_big_integers(given_updates, absent):
    """The int64 sums are Python's unbounded integers, and the step is their correctly scaled mean."""
    records = sum(count for _, count in given_updates)
    plan = planned(records + absent)
    total = summed(given_updates, plan)
    exponents = [e for (_, part), e in zip(MANIFEST.slices(), plan.exponents, strict=True) for _ in range(part.stop - part.start)]
    for index, exponent in enumerate(exponents):
        exact = sum(n * round(Fraction(float(d[index])) * Fraction(2) ** (plan.bits - exponent)) for d, n in given_updates)
        assert int(total._sum[index]) == exact
        mean = float(exact) / float(records) * 2.0 ** (exponent - plan.bits)
        assert total.step(WEIGHTS)[index] == np.float32(mean + float(WEIGHTS[index]))


@given(
    st.lists(st.tuples(st.floats(-0.875, 0.875, width=32), st.integers(1, 2**30)), min_size=1, max_size=5),
    st.integers(0, RECORD_LIMIT - 5 * 2**30 - 1),
)
def test_the_error_is_below_2_to_the_minus_30_of_the_largest_weight(given_updates, absent):
    """For fewer than 2**33 records on the roster the mean change is right to 2**-30 of the tensor's largest weight."""
    manifest, weights = Manifest(tensors=(Tensor(name="w", shape=(1,)),)), np.array([0.875], dtype=np.float32)
    records = sum(count for _, count in given_updates)
    plan = plan_sum(weights, manifest, records + absent)
    total = ExactSum(manifest, plan)
    for value, count in given_updates:
        total.add(np.array([value], dtype=np.float32), count)
    true = sum(Fraction(value) * count for value, count in given_updates) / records
    got = Fraction(int(total._sum[0]), records) * Fraction(2) ** (plan.exponents[0] - plan.bits)
    assert abs(got - true) <= Fraction(1, 2**30) * Fraction(float(weights[0]))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30, -1e30])
@pytest.mark.parametrize("place", [0, 2, 3, 6])
def test_out_of_range_is_refused_and_nothing_is_added(bad, place):
    """A change that the plan cannot hold is refused, never clipped, and leaves the sum as it was."""
    plan = planned(100)
    total = ExactSum(MANIFEST, plan)
    total.add(np.full(7, 0.5, dtype=np.float32), 10)
    before = total._sum.copy()
    change = np.full(7, 0.25, dtype=np.float32)
    change[place] = bad
    with pytest.raises(OutOfRange) as caught:
        total.add(change, 10)
    assert caught.value.tensor == ("bias", "bias", "slope", "weight", "weight", "weight", "weight")[place]
    assert caught.value.finite == math.isfinite(bad)
    assert total.records == 10
    assert np.array_equal(total._sum, before)


def test_the_limit_itself_is_in_range():
    """A change of exactly ±2**exponent is counted; the next float32 above is refused."""
    plan = planned(1000)
    limit = np.float32(2.0 ** plan.exponents[3])
    change = np.zeros(7, dtype=np.float32)
    change[3], change[4] = limit, -limit
    ExactSum(MANIFEST, plan).add(change, 1000)
    change[3] = np.nextafter(limit, np.float32(np.inf))
    with pytest.raises(OutOfRange):
        check_range(change, MANIFEST, plan)


any_change = st.lists(
    st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=MANIFEST.size, max_size=MANIFEST.size
).map(lambda values: np.array(values, dtype=np.float32))


@given(any_change, st.integers(1, RECORD_LIMIT - 1))
def test_needed_exponents_hold_the_change_and_none_smaller_does(change, total):
    """The plan with the needed exponents takes the change; each is the plan's own, or one less would refuse it."""
    plan = planned(total)
    needed = needed_exponents(change, MANIFEST, plan)
    check_range(change, MANIFEST, SumPlan(bits=plan.bits, exponents=needed))
    for index, (exponent, own) in enumerate(zip(needed, plan.exponents, strict=True)):
        assert exponent >= own
        if exponent > own:
            smaller = SumPlan(bits=plan.bits, exponents=(*needed[:index], exponent - 1, *needed[index + 1 :]))
            with pytest.raises(OutOfRange):
                check_range(change, MANIFEST, smaller)


@pytest.mark.parametrize("power", [-149, -126, -1, 0, 1, 20, 127])
def test_needed_exponents_are_exact_at_powers_of_two(power):
    """Exactly ±2**e needs e, the next float32 above needs e + 1; a tensor that did not change keeps the plan's."""
    manifest = Manifest(tensors=(Tensor(name="a", shape=(2,)), Tensor(name="b", shape=(2,))))
    plan = SumPlan(bits=40, exponents=(-160, -160))
    at = np.float32(2.0**power)
    assert needed_exponents(np.array([at, 0, 0, 0], dtype=np.float32), manifest, plan) == (power, -160)
    assert needed_exponents(np.array([0, 0, -at, at], dtype=np.float32), manifest, plan) == (-160, power)
    above = np.nextafter(at, np.float32(np.inf))
    assert needed_exponents(np.array([above, 0, 0, 0], dtype=np.float32), manifest, plan) == (
        math.frexp(float(above))[1] if power > -149 else -148,
        -160,
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_no_exponent_holds_what_is_not_finite(bad):
    """A change that is not finite needs no exponent: it is a mistake to ask."""
    change = np.zeros(7, dtype=np.float32)
    change[5] = bad
    with pytest.raises(Broken):
        needed_exponents(change, MANIFEST, planned(10))


def test_a_refused_change_passes_through_context_managers():
    """The refusal is an ordinary exception: it may cross a context manager on its way."""
    from contextlib import contextmanager

    @contextmanager
    def around():
        yield

    with pytest.raises(OutOfRange), around():
        check_range(np.full(7, np.nan, dtype=np.float32), MANIFEST, planned(1))


@pytest.mark.parametrize("total", [1, 2, 3, 225, 2**20, 2**32, 2**33 - 1])
def test_all_records_at_the_limits_of_the_range_do_not_overflow(total):
    """N records whose changes all stand at the end of the range still fit 63 bits."""
    manifest = Manifest(tensors=(Tensor(name="w", shape=(2,)),))
    weights = np.ones(2, dtype=np.float32)
    plan = plan_sum(weights, manifest, total)
    limit = 2.0 ** plan.exponents[0]
    exact = ExactSum(manifest, plan)
    exact.add(np.array([limit, -limit], dtype=np.float32), total)
    assert int(exact._sum[0]) == total * 2**plan.bits < 2**63
    assert exact.step(weights).tolist() == [1 + limit, 1 - limit]


def test_the_plan_holds_at_most_its_records():
    """More records than the plan was made for could overflow: they are refused, and nothing is added, merged sums included."""
    plan = planned(7)
    zero = np.zeros(7, dtype=np.float32)
    total = summed([(zero, 7)], plan)
    with pytest.raises(Broken):
        total.add(zero, 1)
    with pytest.raises(Broken):
        total.merge(summed([(zero, 1)], plan))
    assert total.records == 7
    for records in (0, -1):
        with pytest.raises(Broken):
            ExactSum(MANIFEST, plan).add(zero, records)


@pytest.mark.parametrize("total", [0, -1, RECORD_LIMIT])
def test_impossible_totals_are_not_planned(total):
    """A plan is for 1 to 2**33 - 1 records."""
    with pytest.raises(Broken):
        planned(total)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_not_planned(bad):
    """No exponent comes from weights that are not numbers."""
    weights = WEIGHTS.copy()
    weights[3] = bad
    with pytest.raises(Broken):
        plan_sum(weights, MANIFEST, 10)


@pytest.mark.parametrize("power", [-149, -126, -1, 0, 1, 10, 127])
def test_exponents_are_exact_at_powers_of_two(power):
    """ceil(log2 max|w|) without a logarithm: right at, just below and just above every power of two."""
    at = np.float32(2.0**power)
    manifest = Manifest(tensors=(Tensor(name="w", shape=(1,)),))

    def exponent(value) -> int:
        plan = plan_sum(np.array([value], dtype=np.float32), manifest, 2**33 - 1)
        assert plan.bits == 30, "no headroom here"
        return plan.exponents[0]

    assert exponent(at) == exponent(-at) == power
    if power > -149:
        below = np.nextafter(at, np.float32(0))
        assert exponent(below) == (power if power > -126 else math.frexp(float(below))[1])
    if power < 127:
        assert exponent(np.nextafter(at, np.float32(np.inf))) == power + 1


def test_scalar_empty_and_zero_tensors_have_a_place():
    """A zero bias gets the study constant, an empty tensor takes part without an element."""
    plan = planned(2**33 - 1)
    assert plan.exponents == (fixed_point.ZERO_TENSOR_EXPONENT, fixed_point.ZERO_TENSOR_EXPONENT, -2, 1)
    total = ExactSum(MANIFEST, plan)
    total.add(np.zeros(7, dtype=np.float32), 5)
    stepped = total.step(WEIGHTS)
    assert stepped.dtype == np.float32
    assert np.array_equal(stepped, WEIGHTS)


def test_a_step_beyond_float32_is_infinite():
    """Where the new weight has no float32 the step says so, without a warning in between, for the conductor to end the study."""
    weights = np.full(7, 3e38, dtype=np.float32)
    total = ExactSum(MANIFEST, plan_sum(weights, MANIFEST, 1))
    total.add(np.full(7, 3e38, dtype=np.float32), 1)
    assert np.isposinf(total.step(weights)).all()


def test_a_step_needs_records():
    """There is no mean of nothing."""
    with pytest.raises(Broken):
        ExactSum(MANIFEST, planned(1)).step(WEIGHTS)


def test_sums_of_different_rounds_do_not_merge():
    """Partial sums merge only under the same plan of the same tensors, and a change of another size is a bug."""
    with pytest.raises(Broken):
        ExactSum(MANIFEST, planned(10)).merge(ExactSum(MANIFEST, planned(10_000)))
    with pytest.raises(Broken):
        ExactSum(MANIFEST, planned(10)).add(np.zeros(6, dtype=np.float32), 1)


def test_halves_round_to_even():
    """rint is IEEE's: ties go to the even integer on every machine."""
    assert quantise(np.array([0.5, 1.5, 2.5, -0.5, -1.5], dtype=np.float32), 0, 0).tolist() == [0, 2, 2, 0, -2]


@given(st.integers(-(2**24), 2**24), st.integers(0, 40), st.integers(30, 62), st.integers(-60, 60))
def test_the_integers_are_those_of_rint(halves, shift, bits, exponent):
    """Whichever way a value becomes an integer, it is the nearest one to it, and the even one of two that are as near."""
    value = Fraction(halves, 2) * Fraction(2) ** (shift + exponent - bits)
    steps = value / Fraction(2) ** (exponent - bits)
    assert quantise(np.array([value, 0], dtype=np.float32), exponent, bits).tolist() == [round(steps), 0]


def test_large_integers_are_exact_on_both_sides_of_the_seam():
    """Up to 2**51 one addition makes the integers, above it rint and a conversion: nobody sees where one ends."""
    around = [np.nextafter(np.float32(2.0**51), np.float32(end)) for end in (0, np.inf)]
    values = [sign * each for each in (2.0**51, *map(float, around)) for sign in (1, -1)]
    for value in values:
        assert quantise(np.array([value, 1.5], dtype=np.float32), 0, 0).tolist() == [int(value), 2]


def test_the_weights_are_records():
    """Twice the records pull twice as far: 3 records at +3 and 1 at -1 move the weight by 2."""
    total = summed([(np.full(7, 3.0, dtype=np.float32), 3), (np.full(7, -1.0, dtype=np.float32), 1)], planned(4))
    assert (total.step(WEIGHTS) - WEIGHTS).tolist() == [2.0] * 7

"""The study's own rules: enough hospitals, when to stop, which weights are best."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from studies_on_paper import scores

from coordinator.rounds.policy import Progress, shortfall
from wardround.metrics.pooled import Metrics, measure
from wardround.study.model import Convergence, Silos

ALL, FEW = ("alpha", "beta", "gamma"), ("alpha", "beta")


def metrics(loss: int, records: int = 10) -> Metrics:
    return measure(scores([150] * (records // 2), [100] * (records - records // 2), loss * records << 10))


def weights(number: int) -> np.ndarray:
    return np.full(2, number, dtype=np.float32)


def watched(*observations, **rules) -> Progress:
    progress = Progress(Convergence(**{"metric": "loss", "patience": 2, "minimum_change": 0.0, **rules}))
    for number, found, by in observations:
        progress.observe(number, weights(number), found, by)
    return progress


@given(
    st.integers(1, 4),
    st.sets(st.sampled_from("abcd")),
    st.dictionaries(st.sampled_from("abcd"), st.integers(1, 50)),
    st.integers(1, 120),
)
def test_a_visit_counts_iff_all_rules_hold(minimum, required, counted, least):
    """Hospitals, records and required sites: a visit closes exactly when all three are satisfied."""
    rules = Silos(minimum=minimum, required=tuple(sorted(required)), minimum_records=least)
    missing = shortfall(rules, counted)
    assert ("C-QUORUM" in missing) == (len(counted) < minimum or sum(counted.values()) < least)
    assert ("C-REQUIRED" in missing) == (not required <= set(counted))


def test_the_best_is_of_one_set_of_hospitals():
    """The largest set decides, then most records, then the set seen last; within a set the best value, the earliest of equals."""
    best = watched((1, metrics(50), ALL), (2, metrics(40), ALL), (3, metrics(1), FEW), (4, metrics(40), ALL)).best
    assert best is not None
    assert (best.round, best.evaluated_by) == (2, ALL)
    by_records = watched((1, metrics(50, 20), FEW), (2, metrics(1, 10), ("alpha", "gamma"))).best
    assert by_records is not None
    assert by_records.round == 1
    latest = watched((1, metrics(50), FEW), (2, metrics(60), ("alpha", "gamma"))).best
    assert latest is not None
    assert latest.round == 2


def test_initial_and_unseen_weights_are_no_candidates():
    """Untrained weights and weights that nobody could judge are never the best."""
    assert watched((0, metrics(1), ALL)).best is None
    assert watched((1, None, ())).best is None
    assert watched((1, measure(scores([3], [])), ALL), metric="auroc").best is None


@pytest.mark.parametrize(
    ("losses", "stale"),
    [
        ((50, 40, 30), False),
        ((50, 50, 50), True),
        ((50, 60, 55), True),
        ((50, 60, 40), False),
        ((50, 40, 41), False),
        ((50, 40, 41, 42), True),
    ],
)
def test_patience(losses, stale):
    """The rounds end after `patience` evaluations in a row that do not improve on the reference."""
    assert watched(*((number, metrics(loss), ALL) for number, loss in enumerate(losses))).converged == stale


def test_another_set_of_hospitals_starts_the_clock_anew():
    """Figures of other patients are no sign of stagnation."""
    assert not watched((0, metrics(50), ALL), (1, metrics(50), ALL), (2, metrics(50), FEW), (3, metrics(50), FEW)).converged
    assert watched((2, metrics(50), FEW), (3, metrics(50), FEW), (4, metrics(50), FEW)).converged


def test_rounds_without_figures_do_not_converge():
    """Where nothing can be judged, nothing has converged."""
    assert not watched(*((number, None, ()) for number in range(9))).converged


@given(st.lists(st.tuples(st.integers(0, 60), st.sampled_from([ALL, FEW])), min_size=1, max_size=12))
def test_the_best_is_never_beaten_within_its_set(observations):
    """No evaluation by the deciding set is better than the chosen one."""
    seen = [(number, metrics(loss), by) for number, (loss, by) in enumerate(observations, start=1)]
    best = watched(*seen).best
    assert best is not None
    assert best.evaluated_by == (ALL if any(by == ALL for _, _, by in seen) else FEW)
    losses = [found.loss for _, found, by in seen if by == best.evaluated_by]
    assert best.metrics.loss == min(losses)
    assert float(best.weights[0]) == best.round

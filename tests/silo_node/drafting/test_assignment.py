"""Columns go to fields with the best total, each at most once."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from silo_node.drafting.assignment import assign


@settings(max_examples=100)
@given(
    st.tuples(st.integers(1, 6), st.integers(1, 6)).flatmap(
        lambda size: st.lists(
            st.lists(st.one_of(st.just(0.0), st.floats(0, 1, width=16)), min_size=size[1], max_size=size[1]),
            min_size=size[0],
            max_size=size[0],
        )
    )
)
def test_the_total_is_that_of_an_independent_solver(scores: list[list[float]]) -> None:
    """No row and no column stands twice, and no other assignment has a greater sum."""
    found = assign(scores)
    taken = [column for column in found if column is not None]
    assert len(found) == len(scores)
    assert len(set(taken)) == len(taken)
    rows, columns = linear_sum_assignment(-np.array(scores))
    best = np.array(scores)[rows, columns].sum()
    assert abs(sum(scores[row][column] for row, column in enumerate(found) if column is not None) - best) < 1e-9


def test_what_fits_nothing_goes_nowhere() -> None:
    """A score of 0 is no fit; nothing to choose from is no error."""
    assert assign([[0.0, 0.5], [0.0, 0.9]]) == [None, 1]
    assert assign([[], []]) == [None, None]
    assert assign([]) == []

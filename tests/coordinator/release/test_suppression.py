"""No combination of the sums that are shown gives a protected figure away, not even to a hospital that stands in them."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.release.suppression import Audit, hidden_with

SITES = tuple("abcdef")


def follows(rows, size, target, known=()):
    """Say by rank, in floating point, whether a figure follows from sums and known figures: not as the audit does it."""
    unit = np.eye(size)
    matrix = np.array([*rows, *(unit[each] for each in known), np.zeros(size)])
    return np.linalg.matrix_rank(np.vstack([matrix, unit[target]])) == np.linalg.matrix_rank(matrix)


@given(st.lists(st.sets(st.sampled_from(SITES)), max_size=8), st.sets(st.sampled_from(SITES), min_size=1))
def test_what_is_shown_gives_nobody_away(sums, protected):
    """For everybody who may look, and for every protected hospital; and a sum is withheld for a reason only."""
    audit, rows = Audit(SITES, protected), []
    for sites in sums:
        row = np.array([float(site in sites) for site in SITES])
        together = [*rows, row]
        given_away = any(
            follows(together, len(SITES), SITES.index(site), known)
            for site in protected
            for known in [(), *((SITES.index(each),) for each in SITES if each != site)]
        )
        shown = audit.shows(sites)
        assert shown is not given_away
        rows += [row] if shown else []


@pytest.mark.parametrize(
    ("protected", "table", "hidden"),
    [
        ("", "abcd", ""),
        ("b", "abcd", "abc"),  # one more would not do: it could take itself off
        ("bd", "abcd", "abd"),
        ("abc", "abcd", "abc"),
        ("c", "abc", "abc"),
        ("a", "ab", "a"),  # nothing helps: the sum is withheld, and hiding the other would hide nothing
        ("c", "abd", "c"),  # it stands in no sum
    ],
)
def test_no_more_are_hidden_than_it_takes(protected, table, hidden):
    """Further hospitals in the roster's order, until the sum over all can be shown."""
    assert "".join(hidden_with(protected, "abcd", [table])) == hidden


@given(st.sets(st.sampled_from(SITES), min_size=1), st.lists(st.sets(st.sampled_from(SITES)), min_size=1, max_size=3))
def test_each_table_can_be_shown_if_hiding_helps_at_all(protected, tables):
    """With what is hidden for all tables together, each of them alone gives nobody away, if there are three to hide among."""
    hidden = hidden_with(protected, SITES, tables)
    assert protected <= set(hidden)
    for table in tables:
        if len(table) > 2 or not protected & table:
            assert Audit(hidden, protected).shows(table)


def test_the_order_of_the_roster_decides_alone():
    """The same hospitals are hidden whatever the tables' order, so a second release hides the same."""
    tables = [("a", "b", "c"), ("b", "c", "d", "e"), ("a", "e")]
    assert len({hidden_with({"e"}, SITES, order) for order in permutations(tables)}) == 1

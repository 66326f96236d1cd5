"""Distributions: true counts in groups, and no attack on all that is published restores a cell that is hidden."""

from collections import defaultdict
from collections.abc import Callable, Iterator

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from studies_on_paper import contract, study

from silo_node.training.distributions import alone_or_together, cell_counts, distributions, enough, neighbours
from wardround.messages.distribution import BINS, is_possible, scale_of, shows_few
from wardround.study.encoding import bounds
from wardround.study.model import Study

CONTRACT = contract()
SMALL = 11


def told(pressure, small_cell=SMALL, pain=None):
    count = len(pressure)
    table = pl.DataFrame(
        {
            "age": pl.Series([59] * count, dtype=pl.Int64),
            "pressure": pl.Series(pressure, dtype=pl.Float64),
            "pain": pain or ["none"] * count,
            "disease": ["absent"] * count,
        }
    )
    found = distributions(table, CONTRACT, asked(), small_cell, "coordinator")
    return {each.field: each for each in found.fields}


def asked() -> Study:
    return study(statistics={"distributions": True})


values = st.lists(st.none() | st.floats(30, 310), min_size=1, max_size=60)


@given(values, st.integers(1, 12))
def test_groups_hold_each_record_once_and_none_is_small(pressure, small_cell):
    """What is told is what the table holds, is possible beside the sums, and passes the gate's own rule."""
    found = told(pressure, small_cell)["pressure"]
    scale = scale_of(CONTRACT, "pressure")
    if found.withheld is None:
        missing = sum(value is None for value in pressure)
        present = len(pressure) - (0 if 0 < missing < small_cell else missing)
        assert is_possible(found, scale, len(pressure), present)
        assert not shows_few(found, small_cell)
        counts = [*cell_counts(pl.Series(pressure, dtype=pl.Float64), scale), missing]
        assert [sum(counts[cell] for cell in group.cells) for group in found.groups] == [group.count for group in found.groups]


def test_bins_are_the_contracts():
    """Ten bins of the plausible range, and what lies outside; an edge belongs to the bin above it, the last one to its bin."""
    low, high = bounds(CONTRACT, "pressure")
    scale, step = scale_of(CONTRACT, "pressure"), (high - low) / BINS
    column = pl.Series([low - 1, low, low + step, high, high + 1], dtype=pl.Float64)
    assert cell_counts(column, scale) == [1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1]
    assert len(scale.labels) == scale.cells == BINS + 3


def splits(records: int, cells: int) -> Iterator[tuple[int, ...]]:
    """Give every table of so many records in so many cells."""
    if cells == 1:
        yield (records,)
        return
    for first in range(records + 1):
        yield from ((first, *rest) for rest in splits(records - first, cells - 1))


def restored(tell: Callable, cells: int, records: int, small: int) -> tuple[list, int]:
    """Do what a reader does who knows the rule and the number of records: try every table there is, and keep those of which
    exactly this would have been told. Gives the hidden cells of which a small count is known, or ruled out, and how many
    small counts were hidden at all.
    """
    tables = defaultdict(list)
    for counts in splits(records, cells):
        groups = tell(counts)
        said = None if groups is None else tuple((tuple(c for c, _ in group), sum(n for _, n in group)) for group in groups)
        tables[said].append(counts)
    found, hidden = [], 0
    for said, same in tables.items():
        for cell in range(cells) if said is None else [cell for group, _ in said if len(group) > 1 for cell in group]:
            possible = {counts[cell] for counts in same}
            if any(0 < count < small for count in possible):
                hidden += 1
                known = len(possible) == 1 if said is None else not possible.issuperset(range(1, small))
                found += [(said, cell, possible)] if known else []
    return found, hidden


RULES = {
    "coded": lambda counts: alone_or_together(counts, 4, whole=False),
    "whole": lambda counts: alone_or_together(counts, 4, whole=True),
    "bins, mean below": lambda counts: neighbours(counts[:-1], counts[-1], 0, 4),
    "bins, mean inside": lambda counts: neighbours(counts[:-1], counts[-1], 1, 4),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("records", [8, 13, 19, 24])
def test_no_reasoning_restores_a_hidden_cell(rule, records):
    """Total minus rest, and every other inference: each count that a hidden small cell may have stays possible."""
    found, hidden = restored(RULES[rule], 4, records, 4)
    assert found == []
    assert hidden or rule == "whole"


def test_the_attack_restores_what_hides_behind_nobody():
    """Else the test above would prove nothing: small cells that leave together with empty ones follow from the total."""

    def naive(counts):
        few = [(cell, count) for cell, count in enumerate(counts) if count < 4]
        return [few, *([(cell, count)] for cell, count in enumerate(counts) if count >= 4)]

    found, hidden = restored(naive, 4, 19, 4)
    assert found
    assert hidden


def attack_by_moments(
    group: np.ndarray, counts: np.ndarray, numbers: np.ndarray, edges: np.ndarray, cell: int
) -> tuple[int, int]:
    """Give the bounds of a hidden cell from the group sums and the exact sum and sum of squares of all values: a linear
    programme over the records, the sum and the squares in each bin.
    """
    bins = len(counts)
    low, high = edges[:-1], edges[1:]
    groups = np.unique(group)
    equal = np.zeros((len(groups) + 2, 3 * bins))
    for row, each in enumerate(groups):
        equal[row, :bins] = group == each
    equal[-2, bins : 2 * bins] = 1
    equal[-1, 2 * bins :] = 1
    right = [*(counts[group == each].sum() for each in groups), numbers.sum(), (numbers**2).sum()]
    rows = []
    for b in range(bins):
        for t in np.linspace(low[b], high[b], 21):  # squares lie above every tangent
            row = np.zeros(3 * bins)
            row[b], row[bins + b], row[2 * bins + b] = -t * t, 2 * t, -1
            rows.append(row)
        below, above, chord = np.zeros(3 * bins), np.zeros(3 * bins), np.zeros(3 * bins)
        below[b], below[bins + b] = low[b], -1
        above[b], above[bins + b] = -high[b], 1
        chord[b], chord[bins + b], chord[2 * bins + b] = low[b] * high[b], -(low[b] + high[b]), 1
        rows += [below, above, chord]
    target = np.zeros(3 * bins)
    target[cell] = 1
    ends = [linprog(sign * target, np.array(rows), np.zeros(len(rows)), equal, right) for sign in (1, -1)]
    assert all(end.status == 0 for end in ends)
    return int(np.ceil(ends[0].fun - 1e-6)), int(np.floor(-ends[1].fun + 1e-6))


@pytest.mark.parametrize("records", [60, 150])
def test_exact_sums_do_not_restore_a_hidden_bin(records):
    """The exact sums leave too: with them, at least three counts stay possible for each small bin."""
    edges, attacked = np.linspace(0, 1, BINS + 1), 0
    for seed in range(8):
        numbers = np.clip(np.random.default_rng(seed).lognormal(0, 0.8, records), 0, 9.999) / 10
        counts = np.histogram(numbers, edges)[0]
        middle = int(numbers.mean() * BINS) + 1
        groups = neighbours([0, *counts.tolist(), 0], 0, middle, SMALL) or []
        group = np.zeros(BINS, dtype=int)
        for number, members in enumerate(groups):
            group[[cell - 1 for cell, _ in members if 1 <= cell <= BINS]] = number
        for cell in range(BINS) if groups else ():
            if 0 < counts[cell] < SMALL:
                low, high = attack_by_moments(group, counts, numbers, edges, cell)
                assert low <= counts[cell] <= high
                assert high - low >= 2, (seed, cell, low, counts[cell], high)
                attacked += 1
    assert attacked > 10


@settings(max_examples=200)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=6), st.integers(3, 12))
def test_a_group_hides_each_of_its_small_cells(members, small_cell):
    """Whatever the small cells of a group hold, the large ones stay large with what is left of the sum."""
    small = [count for count in members if 0 < count < small_cell]
    large = [count for count in members if count >= small_cell]
    if small and enough(members, small_cell):
        assert sum(members) - len(small) * (small_cell - 1) >= len(large) * small_cell > 0


def test_few_missing_values_go_with_the_mean():
    """As in the exact sums: their count does not follow from all records less the bins."""
    found = told([100.0] * 40 + [200.0] * 40 + [None] * 3)["pressure"]
    together = next(group for group in found.groups if scale_of(CONTRACT, "pressure").missing in group.cells)
    assert len(together.cells) > 1
    assert found.records == 83


def test_codes_hide_with_the_first_large_one():
    """A category of three records leaves only together with another; the others stand alone."""
    pain = ["none"] * 50 + ["some"] * 3 + ["much"] * 30
    found = told([100.0] * 83, pain=pain)["pain"]
    sizes = {group.count for group in found.groups if len(group.cells) > 1}
    assert sizes == {53}
    assert told([100.0] * 83, pain=["none"] * 80 + ["some"] * 3)["pain"].withheld == "few"

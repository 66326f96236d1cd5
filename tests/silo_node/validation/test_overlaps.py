"""What to fix first: counts of who sets what aside, and a greedy list that is the same every time."""

from __future__ import annotations

import itertools
from pathlib import Path

from clinic_on_disk import make_site, rows
from hypothesis import given, settings
from hypothesis import strategies as st

from silo_node.validation.check import check
from silo_node.validation.overlaps import Cause, Overlap, first_repairs
from wardround.contract.model import Contract

A, B, C = Cause("T-MAP", "sex"), Cause("T-RANGE", "pulse"), Cause("T-TYPE", "pulse")


def test_the_masks_of_a_check_are_counted_by_their_causes(tmp_path: Path, clinic: Contract) -> None:
    """A record with two faults counts once, with both; no record and no line is in it."""
    content = rows((0, "Puls", "x"), (1, "Puls", "x"), (1, "Geschlecht", "?"), (2, "Geschlecht", "?"), (3, "Puls", "5"))
    result = check(make_site(tmp_path, content), clinic, max_fraction=1.0)
    assert set(result.overlaps) == {Overlap((A,), 1), Overlap((A, C), 1), Overlap((B,), 1), Overlap((C,), 1)}
    assert sum(each.records for each in result.overlaps) == result.quarantined


def test_a_clean_check_has_nothing_to_fix(tmp_path: Path, clinic: Contract) -> None:
    assert check(make_site(tmp_path, rows()), clinic).overlaps == ()
    assert first_repairs(()) == ()


def test_lines_that_were_never_read_are_to_be_repaired_too(tmp_path: Path, clinic: Contract) -> None:
    """A line with a cell too many is set aside like any other: the last repair leaves nobody."""
    content = rows((0, "Puls", "x")).rstrip("\n") + ";one more\n"
    result = check(make_site(tmp_path, content), clinic, max_fraction=1.0)
    assert set(result.overlaps) == {Overlap((C,), 1), Overlap((Cause("T-RAGGED", ""),), 1)}
    assert (result.quarantined, first_repairs(result.overlaps)[-1].left) == (2, 0)


def test_the_repair_that_frees_most_comes_first() -> None:
    """Not the one that concerns most: who is set aside twice is freed only by the second repair."""
    found = (Overlap((A, B), 10), Overlap((B,), 3), Overlap((C,), 4))
    repairs = [(each.cause, each.records, each.frees, each.left) for each in first_repairs(found)]
    assert repairs == [(C, 4, 4, 13), (B, 13, 3, 10), (A, 10, 10, 0)]


def test_what_frees_nothing_alone_comes_by_how_many_it_concerns() -> None:
    repairs = first_repairs((Overlap((A, B), 5), Overlap((B, C), 2)))
    assert [(each.cause, each.frees, each.left) for each in repairs] == [(B, 0, 7), (A, 5, 2), (C, 2, 0)]


OVERLAPS = st.dictionaries(
    st.sets(st.sampled_from([A, B, C]), min_size=1).map(lambda causes: tuple(sorted(causes))), st.integers(1, 50), min_size=1
)


@settings(max_examples=30)
@given(found=OVERLAPS)
def test_the_list_frees_everybody_and_does_not_depend_on_the_order(found: dict[tuple[Cause, ...], int]) -> None:
    """Every order of the same overlaps gives the same list, whose first repair frees as many as any could."""
    overlaps = [Overlap(causes, records) for causes, records in found.items()]
    repairs = first_repairs(overlaps)
    assert {first_repairs(order) for order in itertools.islice(itertools.permutations(overlaps), 20)} == {repairs}
    assert repairs[-1].left == 0
    assert sum(each.frees for each in repairs) == sum(found.values())
    assert repairs[0].frees == max(found.get((cause,), 0) for cause in (A, B, C))

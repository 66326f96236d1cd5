"""What is wrong with a header: the first of many are told one by one, the rest in one line."""

from __future__ import annotations

from silo_node.sources.header import MOST_TOLD, Wanted, judge

WANTED = Wanted(
    fields={"age": "alter", "sex": "sex"}, known=frozenset({"alter", "sex", "note"}), names=("age", "sex"), exact=True
)


def test_a_few_columns_that_nobody_knows_are_told_one_by_one() -> None:
    header = ["alter", "sex", *(f"x{at}" for at in range(MOST_TOLD))]
    faults = judge(header, WANTED)
    assert [(each.code, each.count, each.warning) for each in faults] == [("T-EXTRACOL", 1, False)] * MOST_TOLD
    assert faults[0].finding == "the column at position 3 is neither mapped nor ignored"


def test_of_many_the_rest_is_told_in_one_line() -> None:
    header = ["alter", "sex", *(f"x{at}" for at in range(MOST_TOLD + 2))]
    *_, last = faults = judge(header, WANTED)
    assert len(faults) == MOST_TOLD + 1
    assert (last.code, last.count, last.warning) == ("T-EXTRACOL", 2, False)
    assert last.finding == f"2 further columns are neither mapped nor ignored, from position {MOST_TOLD + 3} on"


def test_of_many_names_that_stand_twice_too_and_those_of_fields_come_first() -> None:
    names = [f"x{at}" for at in range(MOST_TOLD + 2)]
    faults = judge([*names, *names, "sex", "sex", "alter"], WANTED)
    twice = [each for each in faults if each.code == "T-HDRDUP"]
    assert [(each.field, each.count) for each in twice] == [("sex", 2), *[(None, 2)] * (MOST_TOLD - 1), (None, 3)]
    assert twice[-1].finding == "3 further names stand more than once"

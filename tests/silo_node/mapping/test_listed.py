"""One look tells whether values are on a list and whether marks stand among them: it has to tell what two would."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from silo_node.mapping import listed
from silo_node.mapping.facts import Facts

VALUES, MARKS = ("i", "ii", "a long code, kept elsewhere"), ("", "NA")


def asked(parts, marks):
    """Give whether others are on the list, and whether a mark is there, as the parts of a table tell it together."""
    facts = Facts()
    marked = listed.marked("stage", VALUES, marks, facts)
    others = listed.others("stage", VALUES, facts)
    answers = pl.concat(
        [pl.DataFrame({"stage": pl.Series(part, dtype=pl.String)}).select(facts.asked_of_parts) for part in parts]
    )
    return answers.select(facts.together).select(others.alias("others"), marked.alias("marked")).row(0)


@pytest.mark.parametrize(
    ("texts", "others", "marked"),
    [
        (["i", "ii", "a long code, kept elsewhere"], False, False),
        (["i", None], False, False),
        ([None, None], False, False),
        ([], False, False),
        (["i", "I"], True, False),
        (["i", "a long code, kept elsewher"], True, False),
        (["i", ""], True, True),
        (["II", "i", "NA"], True, True),
    ],
)
def test_others_and_marks(texts, others, marked):
    assert asked([texts], MARKS) == (others, marked)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.sampled_from([*VALUES, *MARKS, "iii", "n", None])), min_size=1, max_size=3), st.integers(1, 4))
def test_one_look_tells_what_two_would_in_parts_and_batches(parts, batch):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(listed, "BATCH", batch)
        found = asked(parts, MARKS)
    texts = [text for part in parts for text in part if text is not None]
    assert found == (any(text not in VALUES for text in texts), any(text in MARKS for text in texts))


def test_a_mark_that_is_a_code_is_told_by_itself():
    assert listed.told(VALUES, MARKS)
    assert not listed.told(VALUES, ("i",))
    assert not listed.told((), MARKS)
    assert not listed.told([str(each) for each in range(listed.SHORT_LIST + 1)])


def test_marks_are_seen_whoever_asks_first() -> None:
    """Asked for what is not on the list before it is asked for marks, a table still tells of its marks."""
    facts = Facts()
    outside = listed.others("code", ("a", "b"), facts)
    mark = listed.marked("code", ("a", "b"), ("-9",), facts)
    answers = pl.DataFrame({"code": ["a", "-9", "b"]}).select(facts.asked).select(outside=outside, mark=mark)
    assert answers.row(0) == (True, True)

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from silo_node.validation.findings import SHAPE_LENGTH, SHOWN_MARKS, Shape, shape, shapes


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("Meier, Hans", "Aaaaa, Aaaa"),
        ("12,5", "99,9"),
        ("<0.01", "<9.99"),
        ("Müller 3", "Aaaaaa 9"),
        ("1234567890", "999999"),
        ("日本", "aa"),
        ("a\tb\x00", "a?a?"),
        ("", ""),
        ("-" * 40, "-" * SHAPE_LENGTH + "…"),
    ],
)
def test_shapes_say_what_cells_look_like(cell: str, expected: str) -> None:
    """Letters, digits and signs, long runs cut, never the letters and digits themselves."""
    assert shape(cell) == expected


@given(cell=st.text(max_size=200))
def test_a_shape_holds_no_letter_or_digit_of_its_cell(cell: str) -> None:
    """Whatever the cell, its shape is made of A, a, 9, ?, harmless signs and an ellipsis, and is short."""
    found = shape(cell)
    assert set(found) <= {"A", "a", "9", "?", "…"} | SHOWN_MARKS
    assert len(found) <= SHAPE_LENGTH + 1


def test_the_most_frequent_shapes_come_first() -> None:
    """At most five, by frequency, then by name; missing cells have none."""
    found = shapes(["a", "b", "1", None, "22", "A", "A1", "A-", "A_"])
    assert found == (Shape("a", 2), Shape("9", 1), Shape("99", 1), Shape("A", 1), Shape("A-", 1))

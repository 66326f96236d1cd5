from __future__ import annotations

import re

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from silo_node.validation.patterns import Pattern

PATTERNS = [
    "^[0-9a-f]{4}$",
    "[A-Z]{1,2}",
    "^[A-Z][0-9]{1,6}$",
    "a|b",
    "^(?=a)[ab]+$",
    r"(a|b)\1",
    r"\d+",
    "^[a-f_0-9]{2}$",
    "[x9_a-cb-f]{2,3}",
    "[A-BC]{1,2}",
    "x?",
]
"""Single classes with their own suspicion, ordinary ones, and two that only Python's engine knows."""

texts = st.lists(st.none() | st.text(alphabet="abfgxAZ09_\n\u00e9 ", max_size=5), max_size=12)


@given(pattern=st.sampled_from(PATTERNS), cells=texts)
def test_patterns_match_whole_texts_as_python_does(pattern: str, cells: list[str | None]) -> None:
    """Whatever engine does the work, the answer is that of ``re.fullmatch``, and unknown where there is no text."""
    column = pl.Series("x", cells, dtype=pl.String)
    expected = [None if cell is None else re.fullmatch(pattern, cell) is not None for cell in cells]
    compiled = Pattern(pattern)
    assert pl.select(compiled.matches(pl.lit(column))).to_series().to_list() == expected
    suspected = pl.DataFrame({"x": column}).select(compiled.suspicion(pl.col("x"))).item()
    assert bool(suspected) == (False in expected)


@pytest.mark.parametrize("spoilt", ["0123", "012", "01234", "012g", "012G", "01\n3", "012\u00e9"])
def test_one_wrong_text_among_many_is_suspected(spoilt: str) -> None:
    """The joined bytes of a long column hide nothing, wherever the wrong text stands."""
    column = pl.Series("x", ["beef"] * 300_000 + [spoilt] + ["cafe"] * 10)
    suspected = pl.DataFrame({"x": column}).select(Pattern("^[0-9a-f]{4}$").suspicion(pl.col("x"))).item()
    assert suspected == (spoilt != "0123")


@given(cells=st.lists(st.text(alphabet="abfgxAZ09_\u00e9", min_size=1, max_size=4).filter(lambda cell: len(cell.encode()) == 4)))
def test_texts_of_one_length_are_judged_by_their_bytes(cells: list[str]) -> None:
    """Where all texts have as many bytes, these are looked at side by side; in several chunks, too."""
    parts = [pl.Series("x", part, dtype=pl.String) for part in (cells[:3], cells[3:])]
    table = pl.concat(parts, rechunk=False).to_frame()
    suspected = table.select(Pattern("^[0-9a-f]{4}$").suspicion(pl.col("x"))).item()
    assert bool(suspected) == any(re.fullmatch("[0-9a-f]{4}", cell) is None for cell in cells)

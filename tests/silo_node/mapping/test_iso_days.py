"""Plain ISO dates, and nothing else."""

from __future__ import annotations

import re
from datetime import date

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from silo_node.mapping import iso_days as module
from silo_node.mapping.iso_days import iso_days

SIGNS = st.text(alphabet="0123456789-+ /é", min_size=8, max_size=11)
NEARLY = st.builds("{:04d}-{:02d}-{:02d}".format, st.integers(0, 10_001), st.integers(0, 13), st.integers(0, 32))
TEXTS = st.one_of(st.none(), st.dates().map(date.isoformat), NEARLY, SIGNS)


def by_the_book(text: str | None) -> date | None:
    if text is None or not re.fullmatch(r"[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}", text, re.ASCII):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


@given(chunks=st.lists(st.lists(TEXTS, max_size=6), min_size=1, max_size=4))
def test_each_text_is_the_day_that_it_says_or_none(chunks: list[list[str | None]]) -> None:
    """As Python reads it, in as many chunks as it came."""
    texts = pl.concat([pl.Series("day", chunk, dtype=pl.String) for chunk in chunks], rechunk=False)
    days = iso_days(texts)
    assert days.dtype == pl.Date
    assert days.to_list() == [by_the_book(text) for chunk in chunks for text in chunk]
    assert days.chunk_lengths() == texts.chunk_lengths()


def test_any_sign_in_any_place_of_a_day() -> None:
    """What is no digit or hyphen in its place makes no day, beyond ASCII either."""
    signs = [chr(code) for code in range(1, 0x100)]
    texts = [f"{day[:at]}{sign}{day[at + 1 :]}" for day in ("2024-02-29", "1999-12-31") for at in range(10) for sign in signs]
    shorter = [f"{day[:at]}{sign}{day[at + 2 :]}" for day in ("2024-02-29", "1999-12-31") for at in range(9) for sign in signs]
    found = iso_days(pl.Series(texts + shorter)).to_list()
    assert found == [by_the_book(text) for text in texts + shorter]


def test_every_day_of_all_years_over_many_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each day there is from 1000 on comes back, whatever the batches."""
    monkeypatch.setattr(module, "BATCH", 100_003)
    monkeypatch.setattr(module, "BLOCK", 1001)
    days = pl.date_range(date(1000, 1, 1), date(9999, 12, 31), eager=True)
    assert (iso_days(days.cast(pl.String)) == days).all()

"""Every code that a person can meet has its entry in ``docs/reference/errors.md``, and every entry has its code."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from wardround.errors import CATALOGUE

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "errors.md"
HEADING = re.compile(r"^### (\S+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def entries() -> dict[str, str]:
    """Give the text of each entry by its heading."""
    parts = HEADING.split(PAGE.read_text(encoding="utf-8"))[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_every_code_has_its_entry_and_every_entry_its_code(entries: dict[str, str]) -> None:
    """A message without a page helps nobody, and a page without a message misleads."""
    assert set(entries) == set(CATALOGUE)


def test_no_code_has_two_entries() -> None:
    """A link to a code leads to one place."""
    headings = Counter(HEADING.findall(PAGE.read_text(encoding="utf-8")))
    assert not [code for code, times in headings.items() if times > 1]


@pytest.mark.parametrize("code", CATALOGUE)
def test_an_entry_says_what_it_means_shows_an_example_and_how_to_mend_it(code: str, entries: dict[str, str]) -> None:
    """An entry has the catalogue's title, the exit status of a command, an example that bears the code, and the way out."""
    entry, known = entries[code], CATALOGUE[code]
    assert known.title.lower() in entry.lower()
    assert "Mend it: " in entry
    example = re.search(r"```text\n(.+?)```", entry, re.DOTALL)
    assert example is not None
    assert code in example[1]
    if not code.startswith(("H-", "R-")):  # a message refused: no command ends with it
        assert f"Exit status {known.exit_status}" in entry

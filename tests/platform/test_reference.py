"""Reference numbers say nothing, are read as people type them, and stand beside everything that is logged under them."""

from __future__ import annotations

import json
import logging
import threading
import warnings

import pytest
from pydantic import TypeAdapter, ValidationError

from wardround.json_log import LONGEST_TEXT, close_log, open_log
from wardround.messages.round import SiloRefusal
from wardround.reference import (
    Reference,
    current_reference,
    new_reference,
    read_reference,
    refer_to,
    referred,
    with_reference,
)


def test_references_are_random_and_typed():
    """Each is eight characters of base 32, and no two of a thousand are the same."""
    made = {new_reference() for _ in range(1000)}
    assert len(made) == 1000
    for each in made:
        TypeAdapter(Reference).validate_python(each)


@pytest.mark.parametrize("typed", ["ABCD-2345", "abcd-2345", "ABCD2345", " abcd 2345 "])
def test_a_reference_is_read_as_it_is_typed(typed):
    assert read_reference(typed) == "ABCD-2345"


@pytest.mark.parametrize("typed", ["", "ABCD", "ABCD-234", "ABCD-23456", "ABCD-0189", "ABCD-EFGH; rm"])
def test_what_is_none_is_not_taken_for_one(typed):
    assert read_reference(typed) is None


@pytest.mark.parametrize("text", ["patient", "ABCD-EFG1", "abcd-efgh", "ABCD-EFGHI", "ABCD-EFGH\n"])
def test_a_refusal_has_no_place_for_another_text(text):
    """What leaves in the reference's place has exactly its form: nothing else fits."""
    assert SiloRefusal(site="a", study_hash=None, task_id=None, code="H-FAILED", reference="ABCD-EFGH").reference == "ABCD-EFGH"
    with pytest.raises(ValidationError):
        SiloRefusal(site="a", study_hash=None, task_id=None, code="H-FAILED", reference=text)


def test_it_holds_in_its_thread_and_for_its_time():
    """A visit's reference ends with the visit, may be taken over from the one that began the work, and is nobody else's."""
    assert current_reference() is None
    with referred("AAAA-AAAA"):
        seen: list[str | None] = []
        thread = threading.Thread(target=lambda: seen.append(current_reference()))
        thread.start()
        thread.join()
        assert seen == [None]
        refer_to("BBBB-BBBB")
        assert current_reference() == "BBBB-BBBB"
    assert current_reference() is None
    assert with_reference("H-DATA", None) == "H-DATA"
    assert with_reference("H-DATA", "AAAA-AAAA") == "H-DATA, reference AAAA-AAAA"


class Unspeakable(Exception):
    """An error whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError


def test_lines_of_a_log_have_it_whatever_was_raised(tmp_path):
    """An error without a text, one with a text of ten million characters, one that was raised in itself: each is a line."""
    log = open_log(tmp_path / "a.log", "test.reference")
    errors = [Unspeakable(), ValueError("x" * 10_000_000), RecursionError(), MemoryError(), SystemExit("text")]
    for error in errors:
        with referred("AAAA-AAAA"):
            log.error("failed", exc_info=error)
    log.info("later")
    close_log(log)
    lines = [json.loads(line) for line in (tmp_path / "a.log").read_text().splitlines()]
    assert [line.get("reference") for line in lines] == ["AAAA-AAAA"] * len(errors) + [None]
    assert all("exception" in line for line in lines[:-1])
    assert (tmp_path / "a.log").stat().st_size < 2 * LONGEST_TEXT
    assert logging.getLogger("test.reference").handlers == []


def test_warnings_are_still_errors_here():
    """The hooks of a hospital's processes are theirs: no test has put them into this one."""
    with pytest.raises(UserWarning):
        warnings.warn("a warning", UserWarning, stacklevel=1)

"""A canary's answer has no free string and no number without bounds; its messages are read back as they were written."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from wardround.canonical import model_bytes
from wardround.messages.canary import CANARY, CANARY_ANSWER, MOST_ROWS, Canary, CanaryFigures, CanaryReport
from wardround.messages.envelope import Envelope, read
from wardround.messages.offer import OFFER
from wardround.messages.round import ORDER

HASH = st.text("0123456789abcdef", min_size=64, max_size=64)
MIB = st.integers(0, 2**40)
FIGURES = st.builds(
    CanaryFigures,
    same_version=st.booleans(),
    other_packages=st.integers(0, 1000),
    clock_ms=st.integers(0, 2**53 - 1),
    inside_us=st.integers(0, 10**12),
    needed_mib=MIB,
    available_mib=st.none() | MIB,
    disk_mib=st.none() | MIB,
    rows=st.integers(1, MOST_ROWS),
    step_us=st.integers(0, 10**12),
)
REPORTS = st.builds(
    CanaryReport,
    site=st.just("alpha"),
    study_hash=HASH,
    nonce=HASH,
    approval=HASH,
    ledger=HASH,
    figures=FIGURES,
    bodies=st.tuples(HASH),
)


@given(REPORTS)
def test_a_report_is_read_as_it_was_written(report):
    """Every report within its bounds comes through its canonical bytes unchanged."""
    assert read(Envelope(model_bytes(report), ""), CANARY_ANSWER) == report


@given(
    st.builds(
        Canary,
        to=st.just("beta"),
        study_hash=HASH,
        nonce=HASH,
        wardround=st.just("1.2.3"),
        rows=st.integers(1, 9),
        bodies=st.tuples(HASH),
    )
)
def test_a_canary_is_no_other_order(canary):
    """A canary is read as itself, and neither as a task's order nor as an offer."""
    envelope = Envelope(model_bytes(canary), "")
    assert read(envelope, CANARY) == canary
    assert read(envelope, ORDER) is None
    assert read(envelope, OFFER) is None


@pytest.mark.parametrize("name", CanaryReport.model_fields)
def test_no_string_of_a_report_is_free(name):
    """A site's name, hashes and fixed words: no string of a report holds a text."""
    node = CanaryReport.model_json_schema()["properties"][name]
    if node.get("type") == "string" and "const" not in node:
        assert re.fullmatch(r"\^\[[0-9a-z]+(-[0-9a-z])*\S*\$", node["pattern"])
        assert "." not in node["pattern"]


@pytest.mark.parametrize("name", CanaryFigures.model_fields)
def test_figures_are_bounded_integers_and_one_boolean(name):
    """Nothing that was measured is a string, a fraction, or larger than a machine can be."""
    node = CanaryFigures.model_json_schema()["properties"][name]
    kinds = [each for each in node.get("anyOf", [node]) if each["type"] != "null"]
    for kind in kinds:
        assert kind["type"] in ("integer", "boolean")
        if kind["type"] == "integer":
            assert kind["minimum"] >= 0
            assert kind.get("maximum", kind.get("exclusiveMaximum")) <= 2**53


def test_no_key_that_nobody_named_is_read():
    """A figure more, or one of another type, makes the answer unreadable."""
    honest = {
        "same_version": True,
        "other_packages": 0,
        "clock_ms": 1,
        "inside_us": 1,
        "needed_mib": 1,
        "available_mib": None,
        "disk_mib": None,
        "rows": 1,
        "step_us": 1,
    }
    assert CanaryFigures.model_validate(honest)
    for change in ({"patients": 3}, {"rows": "1"}, {"rows": 1.0}, {"same_version": 1}, {"rows": MOST_ROWS + 1}):
        with pytest.raises(ValidationError):
            CanaryFigures.model_validate({**honest, **change})

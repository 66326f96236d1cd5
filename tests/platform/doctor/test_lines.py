"""A doctor always ends, with a line for everything that it looked at, and never with a trace or a foreign text."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest

from wardround.doctor.lines import Check, Line, bounded, examine, run_doctor
from wardround.errors import Problem, Refused

PATIENT = "patient 4711"


def fine():
    return [Line(name="a", state="ok", finding="in order")]


def uneasy():
    return [Line(name="b", state="warn", finding="[soon] over", next_step="renew it")]


def refusing():
    yield Line(name="c", state="ok", finding="one thing holds")
    raise Refused([Problem("K-MODE", "x.pem", "Private", "others may read it", "run: chmod 600 x.pem")])


def broken():
    raise ValueError(PATIENT)


def test_an_unexpected_error_is_a_line_with_a_place_and_without_its_text(capsys, monkeypatch):
    """What an exception says may hold anything; only its type and a place in the code are told, unless a person asks."""
    monkeypatch.delenv("WARDROUND_DEBUG", raising=False)
    (line,) = bounded(Check("d", broken))
    assert (line.name, line.state, line.code) == ("d", "fail", "X-BUG")
    assert line.finding.startswith("an unexpected ValueError at test_lines.py:")
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("WARDROUND_DEBUG", "1")
    assert bounded(Check("d", broken)) == (line,)
    assert "Traceback" in capsys.readouterr().err


def test_a_refusal_keeps_its_code_and_next_step_and_what_was_seen_before():
    first, second = bounded(Check("c", refusing))
    assert first.state == "ok"
    assert (second.state, second.code, second.next_step) == ("fail", "K-MODE", "run: chmod 600 x.pem")
    assert second.finding == "x.pem: others may read it"


def test_a_check_that_hangs_is_left():
    """The doctor goes on, and says so."""
    begun = time.monotonic()
    slow = Check("slow", lambda: time.sleep(30) or [], seconds=0.2)
    done = examine([slow, replace(slow, late="warn"), Check("a", fine)])
    assert time.monotonic() - begun < 10
    assert [(line.name, line.state) for line in done.lines] == [("slow", "fail"), ("slow", "warn"), ("a", "ok")]


@pytest.mark.parametrize(("checks", "status"), [((fine,), 0), ((fine, uneasy), 0), ((fine, refusing, uneasy), 1), ((broken,), 1)])
def test_only_a_line_that_fails_makes_the_exit_status_1(checks, status, capsys):
    """As text for people and as one JSON object for programs: the same lines, the same status."""
    named = [Check(look.__name__, look) for look in checks]
    assert run_doctor(named, "json") == status
    said = json.loads(capsys.readouterr().out)
    assert said["in_order"] is (status == 0)
    assert sum(said["counts"].values()) == len(said["lines"])
    assert run_doctor(named, "text") == status
    text = capsys.readouterr().out
    assert PATIENT not in text
    assert "Traceback" not in text
    for line in said["lines"]:
        assert line["finding"] in text
        assert line["next_step"] is None or line["next_step"] in text

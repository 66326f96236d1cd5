"""Our logs are whole JSON lines, of limited size, for their owner only, and never in anybody's way."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround import json_log
from wardround.json_log import JsonLines, close_log, open_log, private_log


@pytest.fixture
def log(tmp_path):
    """A log in a file."""
    opened = open_log(tmp_path / "a.log", "test.json_log")
    yield opened
    close_log(opened)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_is_a_record(tmp_path, log):
    """Time in UTC, level, logger, message; a trace is a field of the same line."""
    log.info("site %s may connect", "north")
    try:
        int("in row 17")
    except ValueError:
        log.exception("a task failed")
    first, second = lines(tmp_path / "a.log")
    assert set(first) == {"time", "level", "logger", "message"}
    assert (first["level"], first["logger"], first["message"]) == ("INFO", "test.json_log", "site north may connect")
    assert abs((datetime.fromisoformat(first["time"]) - datetime.now(UTC)).total_seconds()) < 60
    assert first["time"].endswith("Z")
    assert second["exception"].splitlines()[-1] == "ValueError: invalid literal for int() with base 10: 'in row 17'"


@given(st.text())
def test_no_text_breaks_a_line(text):
    """Whatever is logged, a record is one line, and is read back as it was."""
    line = JsonLines().format(logging.LogRecord("a", logging.INFO, "", 0, "%s", (text,), None))
    assert line.splitlines() == [line] or not {"\n", "\r"} & set(line)
    assert json.loads(line)["message"] == text


def test_it_is_put_aside_when_it_is_large(tmp_path, log, monkeypatch):
    """Five files are kept beside it, each its owner's only, and none is larger than the limit."""
    monkeypatch.setattr(log.handlers[0], "maxBytes", 1000)
    for number in range(100):
        log.info("%d %s", number, "x" * 100)
    files = sorted(each.name for each in tmp_path.iterdir())
    assert files == ["a.log", *(f"a.log.{number}" for number in range(1, json_log.KEPT_FILES + 1))]
    assert {each.stat().st_mode & 0o777 for each in tmp_path.iterdir()} == {0o600}
    assert all(each.stat().st_size <= 1000 for each in tmp_path.iterdir())
    assert lines(tmp_path / "a.log")[-1]["message"].startswith("99 ")


def test_a_text_that_no_file_takes_is_kept_readable(tmp_path, capsys):
    """A lone surrogate, from a file's name say, is written in another form; nothing is printed."""
    handler = private_log(tmp_path / "a.log")
    # straight to the handler: what a logger is given, pytest keeps, and its workers can send each other UTF-8 only
    handler.handle(logging.LogRecord("test", logging.INFO, __file__, 1, "\udcff", None, None))
    handler.close()
    assert "udcff" in (tmp_path / "a.log").read_text()
    assert capsys.readouterr() == ("", "")

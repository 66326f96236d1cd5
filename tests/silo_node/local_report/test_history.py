"""The history of checks: a line each, whole or not there, bounded, and read whatever happened to it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from clinic_on_disk import make_site, rows

from silo_node.local_report import history
from silo_node.local_report.history import HISTORY, Line, append, changes, line_of, of_one_kind, read
from silo_node.local_report.history_table import course, history_rows
from silo_node.validation.check import check
from silo_node.validation.reports import local_report
from wardround.contract.model import Contract

FIRST = "2026-01-01T00:00:00Z"


def line(folder: Path, clinic: Contract, *changed: tuple[int, str, str], time: str = FIRST, study: str | None = None) -> Line:
    return line_of(local_report(check(make_site(folder, rows(*changed)), clinic)), study, time, cached=False)


def test_a_line_names_codes_places_and_counts_only(tmp_path: Path, clinic: Contract) -> None:
    """What was found where, how many records; no line number, no shape, no cell."""
    append(tmp_path, line(tmp_path, clinic, (0, "Puls", "Geheim"), (1, "Puls", "Geheim")))
    written = json.loads((tmp_path / HISTORY).read_text())
    assert written["findings"] == [
        {"code": "T-TYPE", "place": "pulse", "count": 2},
        {"code": "T-QUARANTINE", "place": None, "count": 2},
    ]
    assert (written["verdict"], written["found"], written["set_aside"], written["valid"]) == ("not in order", 12, 2, 10)
    assert (tmp_path / HISTORY).stat().st_mode & 0o777 == 0o600
    assert "Aaaa" not in (tmp_path / HISTORY).read_text()


def test_a_torn_tail_is_dropped_and_a_foreign_line_is_kept(tmp_path: Path, clinic: Contract) -> None:
    """A power cut costs no more than its own line; what a newer version wrote stays in the file."""
    append(tmp_path, line(tmp_path, clinic))
    path = tmp_path / HISTORY
    newer = b'{"format":2,"of a newer version":true}\n'
    path.write_bytes(path.read_bytes() + newer + b'{"format":1,"ti')
    assert len(read(tmp_path)) == 1
    append(tmp_path, line(tmp_path, clinic))
    assert len(read(tmp_path)) == 2
    assert newer in path.read_bytes()
    assert path.read_bytes().count(b"\n") == 3
    assert path.read_bytes().endswith(b"}\n")


def test_the_oldest_lines_go(tmp_path: Path, clinic: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST_LINES", 3)
    for second in range(5):
        append(tmp_path, line(tmp_path, clinic).model_copy(update={"time": f"2026-01-01T00:00:0{second}Z"}))
    assert [each.time[-3:] for each in read(tmp_path)] == ["02Z", "03Z", "04Z"]


def test_new_and_gone_findings_are_named(tmp_path: Path, clinic: Contract) -> None:
    one, two = line(tmp_path, clinic, (0, "Puls", "x")), line(tmp_path, clinic, (0, "Geschlecht", "?"))
    assert changes(one, two) == (("T-MAP sex",), ("T-TYPE pulse",))


def test_the_same_answers_stand_together_and_kinds_apart(tmp_path: Path, clinic: Contract) -> None:
    """A study's checks are no course with those of the whole schema."""
    bad, good = line(tmp_path, clinic, (0, "Puls", "x")), line(tmp_path, clinic)
    other = good.model_copy(update={"study": "pulse-study"})
    lines = (bad, other, bad.model_copy(update={"cached": True}), good)
    assert of_one_kind(lines, "test.clinic", "pulse-study") == (other,)
    found = course(of_one_kind(lines, "test.clinic", None))
    assert [(each.times, each.new, each.gone) for each in found] == [(2, (), ()), (1, (), ("T-TYPE pulse", "T-QUARANTINE"))]
    assert [row[-1] for row in history_rows(lines)][1:] == ["2 checks", "gone: T-TYPE pulse, T-QUARANTINE", ""]


def test_no_file_is_no_history(tmp_path: Path) -> None:
    assert read(tmp_path / "absent") == ()

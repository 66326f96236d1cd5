"""Lines above a table's header: left out where the site file says so, named where it does not."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from clinic_on_disk import CLINIC, GERMAN, load_contract, make_site, rows
from hypothesis import given
from hypothesis import strategies as st

from silo_node.sources import layout
from silo_node.sources import rows as kept
from silo_node.sources.dialect import sniff
from silo_node.validation.check import check
from wardround.console import run

TITLE = "Export vom 3.5.2021, Station 4\nsep=;\n\n"
ABOVE = 3
BAD = ((3, "Puls", "x"), (7, "Geschlecht", "Q"), (9, "Bemerkung", "zu lang ist diese"))


def found(folder: Path, content: bytes, **dialect: object) -> list[tuple[str, tuple[int, ...]]]:
    folder.mkdir(exist_ok=True)
    site = make_site(folder, content, dialect={**GERMAN, **dialect})
    result = check(site, load_contract(CLINIC, folder))
    return [(each.code, tuple(int(line) for line in each.lines)) for each in result.findings]


@pytest.fixture(params=["held", "in blocks"])
def reading(request, monkeypatch):
    if request.param == "in blocks":
        monkeypatch.setattr(kept, "HELD_BYTES", 0)
    return request.param


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_all_is_found_so_many_lines_further_down(tmp_path, reading, encoding, ends):
    plain = rows(*BAD).replace("\n", ends)
    alone = found(tmp_path / "a", plain.encode(encoding), encoding=encoding)
    below = found(tmp_path / "b", (TITLE.replace("\n", ends) + plain).encode(encoding), encoding=encoding, skip_lines=ABOVE)
    assert below == [(code, tuple(line + ABOVE for line in lines)) for code, lines in alone]
    assert {code for code, _ in alone} >= {"T-TYPE", "T-MAP"}


@pytest.mark.parametrize("wrong", [(4, "A;B"), (4, 'P4;01.03.2021;W;6"0;1,2;100;abc;g')])
def test_lines_that_are_wrong_are_counted_from_the_first_of_the_file(tmp_path, reading, wrong):
    at, line = wrong
    lines = rows().splitlines()
    lines[at] = line
    text = "\n".join([*lines, ""])
    alone = found(tmp_path / "a", text.encode())
    below = found(tmp_path / "b", (TITLE + text).encode(), skip_lines=ABOVE)
    assert below == [(code, tuple(each + ABOVE for each in places)) for code, places in alone]
    assert alone[0][0] == "T-RAGGED"


def test_a_stray_quote_is_on_a_line_of_the_file(tmp_path, reading):
    lines = rows().splitlines()
    lines[4] = 'P4;01.03.2021;W;6"0;1,2;100;abc;g'
    site = make_site(tmp_path, TITLE + "\n".join([*lines, ""]), dialect={**GERMAN, "skip_lines": ABOVE})
    (finding,) = check(site, load_contract(CLINIC, tmp_path)).findings
    assert finding.code == "T-RAGGED"
    assert f"first on line {ABOVE + 5}" in finding.finding


def test_a_title_may_be_in_any_encoding_and_the_place_of_a_bad_byte_is_the_files(tmp_path):
    title, text = "Auszug für Ärzte\n".encode("cp1252"), rows().encode()
    assert found(tmp_path / "a", title + text, skip_lines=1) == []
    site = make_site(tmp_path, title + text + b"\xfc\n", dialect={**GERMAN, "skip_lines": 1})
    (finding,) = check(site, load_contract(CLINIC, tmp_path)).findings
    assert finding.code == "T-ENCODING"
    assert f"offset {len(title) + len(text)}" in finding.finding


def test_a_file_that_ends_above_its_table_is_empty(tmp_path, reading):
    assert [code for code, _ in found(tmp_path, TITLE.encode(), skip_lines=10)] == ["T-EMPTY"]


def test_a_check_says_how_many_lines_stand_above(tmp_path):
    site = make_site(tmp_path, TITLE + rows())
    (finding,) = check(site, load_contract(CLINIC, tmp_path)).findings
    assert finding.code == "T-NOHEADER"
    assert "'skip_lines: 3'" in finding.next_step


@pytest.mark.parametrize(
    ("text", "above", "header"),
    [
        ("a;b;c\n1;2;3\n4;5;6\n", 0, True),
        ("sep=;\na;b;c\n1;2;3\n4;5;6\n", 1, True),
        ("\na;b;c\n1;2;3\n4;5;6\n", 1, True),
        ("Report\n\na;b;c\n1;2;3\n4;5;6\n", 2, True),
        ("Report;;\n;;\na;b;c\n1;2;3\n4;5;6\n", 2, True),
        ("# made on Monday\r\na;b;c\r\n1;2;3\r\n4;5;6\r\n", 1, True),
        ("Report; all; of it\na;b;c;d;e;f\n1;2;3;4;5;6\n4;5;6;7;8;9\n", 1, True),
        ("A17;;\n1;2;3\n4;5;6\n", 0, False),
        ("a;b\n1;2;3\n4;5;6\n", 0, None),
        ("a;b\n1;2\n4;5\n", 0, True),
        ("title\na;b\n1;2\n4;5\n", 1, True),
        ("one column\n1\n2\n", 0, True),
    ],
)
def test_what_stands_above_a_table_is_counted(text, above, header):
    seen = sniff(text.encode())
    assert (seen.above, bool(seen.header)) == (above, bool(header))


@given(st.binary(max_size=60), st.integers(0, 4))
def test_a_text_goes_on_after_its_first_lines(raw, lines):
    mark = b"\n" if b"\n" in raw else b"\r"
    assert raw[layout.after_lines(raw, lines) :] == mark.join(raw.split(mark)[lines:])


def test_a_draft_leaves_them_out_and_its_check_reads_the_table(tmp_path, capsys):
    """Made of a shipped schema's own names, so that nothing is asked."""
    made, site = tmp_path / "made.csv", tmp_path / "site.yaml"
    assert run(["schema", "synthesise", "breast.cytology", "-n", "600", "--out", str(made)]) == 0
    (tmp_path / "records.csv").write_text("Cytology, all clinics\n\n" + made.read_text())
    site.write_text("site: north\nname: Northern Infirmary\nsources: {}\nschemas: {}\n")
    named = ["--site", str(site), "--schema", "breast.cytology"]
    assert run(["silo", "map", *named, "--file", str(tmp_path / "records.csv"), "--header", "first-line"]) == 0
    assert "2 line(s) above the header" in capsys.readouterr().out
    draft = site.with_name("site.draft.yaml")
    assert "skip_lines: 2" in draft.read_text()
    assert run(["silo", "map", "--site", str(site), "--confirm", "--yes"]) == 0
    capsys.readouterr()
    run(["silo", "check", *named, "--format", "json"])
    assert {each["code"] for each in json.loads(capsys.readouterr().out)["findings"]} <= {"T-SYNTHETIC"}


def test_a_pipe_is_no_file(tmp_path, capsys, monkeypatch):
    """Whoever opened it would wait for ever."""
    monkeypatch.chdir(tmp_path)
    assert run(["schema", "synthesise", "breast.cytology", "-n", "60", "--site", "north"]) == 0
    (records,) = (tmp_path / "north").rglob("*.csv")
    records.unlink()
    os.mkfifo(records)
    capsys.readouterr()
    assert run(["silo", "check", "--site", str(tmp_path / "north" / "site.yaml"), "--schema", "breast.cytology"]) != 0
    assert "T-FILE" in capsys.readouterr().out

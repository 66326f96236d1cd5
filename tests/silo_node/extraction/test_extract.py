from __future__ import annotations

import json
import os
import sqlite3
import stat
import subprocess
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pyreadstat
import pytest
from clinic_on_disk import CLINIC, load_contract
from exports_on_disk import DECLARED, NAMES, export_site, in_this_process, typed, write_export, write_workbook

from silo_node.extraction import extract as extraction
from silo_node.extraction.extract import extract
from silo_node.local_report import earlier
from silo_node.local_report.question import Question
from silo_node.sources import snapshot
from silo_node.sources.snapshot import METADATA, described
from silo_node.validation.check import CheckResult, check
from wardround.errors import Refused
from wardround.values import instant


@pytest.fixture
def here(monkeypatch):
    in_this_process(monkeypatch)


def checked(folder: Path, site: Any) -> CheckResult:
    return check(site, load_contract(CLINIC, folder))


def codes(result: CheckResult) -> list[tuple[str, list[Any]]]:
    return [(each.code, list(each.lines)) for each in result.findings]


def refused(site: Any, name: str, **more: Any) -> str:
    with pytest.raises(Refused) as caught:
        extract(site, name, **more)
    assert [problem.place.startswith("site.yaml, line") or problem.code.startswith("X") for problem in caught.value.problems] == [
        True
    ]
    return str(caught.value.problems[0].code)


@pytest.mark.parametrize("form", DECLARED)
def test_every_format_gives_the_same_records(tmp_path, here, form):
    """What one program's export means does not depend on the program."""
    write_export(tmp_path, form, typed())
    site = export_site(tmp_path, DECLARED, form)
    done = extract(site, form)
    assert (done.state, done.records, done.columns, done.files) == ("written", 12, 8, 1)
    path = site.extract_path(form)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    result = checked(tmp_path, site)
    assert codes(result) == []
    table = typed()
    assert result.valid["patient_key"].to_list() == [row[0] for row in table]
    assert result.valid["visit"].to_list() == [row[1].date() for row in table]
    assert result.valid["pulse"].to_list() == [row[3] for row in table]
    assert result.valid["radius"].to_list() == [row[4] * 10 for row in table]


@pytest.mark.parametrize("form", DECLARED)
def test_a_snapshot_of_what_was_changed_since_is_never_used(tmp_path, here, form):
    """The check says so, and a new extraction mends it; a source that was not changed is not read again."""
    path = write_export(tmp_path, form, typed())
    site = export_site(tmp_path, DECLARED, form)
    assert codes(checked(tmp_path, site)) == [("T-STALE", [])]
    extract(site, form)
    assert extract(site, form).state == "current"
    assert extract(site, form, again=True).state == "written"
    write_export(tmp_path, form, typed(13))
    result = checked(tmp_path, site)
    assert (codes(result), result.passed, result.found) == ([("T-STALE", [])], False, 0)
    assert extract(site, form).records == 13
    assert checked(tmp_path, site).passed
    path.unlink()
    assert codes(checked(tmp_path, site)) == [("T-STALE", [])]


def test_a_snapshot_is_of_the_lines_in_the_site_file(tmp_path, here):
    """Another sheet, header or query is another table; another password or patience is not."""
    write_export(tmp_path, "sql", typed())
    extract(export_site(tmp_path, DECLARED, "sql"), "sql")
    patient = {"sql": {**DECLARED["sql"], "timeout": 5, "max_age_days": 3, "credentials": {"variable": "UNSET"}}}
    assert codes(checked(tmp_path, export_site(tmp_path, patient, "sql"))) == []
    other = {"sql": {**DECLARED["sql"], "query": "SELECT * FROM visits WHERE Puls > 60"}}
    assert codes(checked(tmp_path, export_site(tmp_path, other, "sql"))) == [("T-STALE", [])]


def test_what_waits_in_a_databases_log_counts_as_a_change(tmp_path, here):
    """SQLite's write-ahead log holds records that are not in the file yet."""
    path = write_export(tmp_path, "sql", typed())
    site = export_site(tmp_path, DECLARED, "sql")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        extract(site, "sql")
        connection.execute("DELETE FROM visits WHERE Puls = 60")
        connection.commit()
        assert codes(checked(tmp_path, site)) == [("T-STALE", [])]
        assert extract(site, "sql").records == 11


def test_an_answer_is_not_kept_over_a_change_in_a_databases_log(tmp_path, here):
    """What decides whether a snapshot is stale decides whether an answer from before still stands."""
    path = write_export(tmp_path, "sql", typed())
    site, question = export_site(tmp_path, DECLARED, "sql"), Question(load_contract(CLINIC, tmp_path))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        extract(site, "sql")
        before = earlier.basis_of(site, question, "2026-11-27")
        connection.execute("DELETE FROM visits WHERE Puls = 60")
        connection.commit()
        assert before is not None
        assert earlier.basis_of(site, question, "2026-11-27") != before


@pytest.mark.parametrize(("hours", "expected"), [((25, 48), []), ((49, 72), [("T-STALE", [])])])
def test_the_age_of_a_snapshot_is_counted_in_days_of_the_calendar(tmp_path, here, monkeypatch, hours, expected):
    """Within a day nothing is said anew, so that an answer of the day is an answer of the hour."""
    path = write_export(tmp_path, "sql", typed())
    site = export_site(tmp_path, DECLARED, "sql")
    extract(site, "sql")
    source = site.file.sources["sql"].model_copy(update={"max_age_days": 2})
    taken = datetime(2026, 11, 25, 23, tzinfo=UTC)
    about = described(site.extract_path("sql")).model_copy(update={"files": (), "taken_at": instant(taken)})
    about = about.model_copy(update={"source": snapshot.source_digest(source)})
    pl.read_parquet(site.extract_path("sql")).write_parquet(path, metadata={METADATA: about.model_dump_json()})
    for later in hours:
        monkeypatch.setattr(snapshot, "datetime", SimpleNamespace(now=lambda _, now=taken + timedelta(hours=later): now))
        assert [(each.code, list(each.lines)) for each in snapshot.look(path, source, ())] == expected


def test_of_a_server_the_age_is_said(tmp_path, here, monkeypatch):
    """Nobody can tell whether a server's records were changed; a snapshot older than its limit is a warning."""
    write_export(tmp_path, "sql", typed())
    site = export_site(tmp_path, DECLARED, "sql")
    extract(site, "sql")
    server = {"server": {**DECLARED["sql"], "url": "postgresql://db.example/clinic", "max_age_days": 2}}
    site = export_site(tmp_path, server, "server")
    frame = pl.read_parquet(tmp_path / "extracts" / "sql.parquet")
    about = described(tmp_path / "extracts" / "sql.parquet")
    from silo_node.sources.snapshot import source_digest

    for days, expected in ((1, []), (3, [("T-STALE", [])])):
        taken = instant(datetime.now(UTC) - timedelta(days=days, hours=1))
        ours = about.model_copy(update={"source": source_digest(site.file.sources["server"]), "files": (), "taken_at": taken})
        frame.write_parquet(site.extract_path("server"), metadata={METADATA: ours.model_dump_json()})
        result = checked(tmp_path, site)
        assert (codes(result), result.passed) == (expected, True)


@pytest.mark.parametrize("spoil", [b"", b"PAR1", b"PAR1" + b"\0" * 64 + b"PAR1"])
def test_a_snapshot_that_is_none_is_stale(tmp_path, here, spoil):
    """What lies in the snapshot's place is taken for one only if it is."""
    write_export(tmp_path, "sql", typed())
    site = export_site(tmp_path, DECLARED, "sql")
    extract(site, "sql")
    site.extract_path("sql").write_bytes(spoil)
    assert codes(checked(tmp_path, site)) == [("T-STALE", [])]
    pl.DataFrame({"a": [1]}).write_parquet(site.extract_path("sql"))
    assert codes(checked(tmp_path, site)) == [("T-STALE", [])]
    assert extract(site, "sql").state == "written"


def test_a_failed_extraction_leaves_what_was_there(tmp_path, here):
    """Nothing half-written, and no leftover; the old snapshot is there and known as stale."""
    path = write_export(tmp_path, "excel", typed())
    site = export_site(tmp_path, DECLARED, "excel")
    extract(site, "excel")
    before = site.extract_path("excel").read_bytes()
    path.write_bytes(path.read_bytes()[:200])
    assert refused(site, "excel") == "T-FILE"
    assert site.extract_path("excel").read_bytes() == before
    assert len(list((tmp_path / "extracts").iterdir())) == 1
    assert codes(checked(tmp_path, site)) == [("T-STALE", [])]
    path.unlink()
    assert refused(site, "excel") == "T-FILE"


def test_a_file_that_changes_while_it_is_read_gives_no_snapshot(tmp_path, monkeypatch):
    """Half of it is of one export and half of another."""
    path = write_export(tmp_path, "excel", typed())
    site = export_site(tmp_path, DECLARED, "excel")
    from silo_node.extraction.process import answer

    def run_job(job, seconds):
        given = answer(job)
        path.write_bytes(path.read_bytes() + b"\0")
        return 0, given.model_dump_json().encode()

    monkeypatch.setattr(extraction, "run_job", run_job)
    assert refused(site, "excel") == "T-FILE"
    assert not site.extract_path("excel").exists()


@pytest.mark.parametrize(
    ("status", "said", "code"),
    [(-9, b"", "T-SIZE"), (-6, b"", "T-SIZE"), (-11, b"", "T-FILE"), (1, b"{}x", "T-FILE")],
)
def test_a_reader_that_ends_without_an_answer_has_a_code(tmp_path, monkeypatch, status, said, code):
    """A parser in native code that crashes, or is ended for want of memory, takes nothing with it."""
    write_export(tmp_path, "spss", typed())
    site = export_site(tmp_path, DECLARED, "spss")
    monkeypatch.setattr(extraction, "run_job", lambda *_: (status, said))
    assert refused(site, "spss") == code
    assert list((tmp_path / "extracts").iterdir()) == []


def test_a_reader_that_takes_too_long_is_ended_with_a_code(tmp_path, monkeypatch):
    """How long it may take is said, and a query is given its own time on top."""
    write_export(tmp_path, "spss", typed())
    write_export(tmp_path, "sql", typed())
    site = export_site(tmp_path, {**DECLARED, "sql": {**DECLARED["sql"], "timeout": 30}}, "spss")
    given = []

    def run_job(_, seconds):
        given.append(seconds)
        raise subprocess.TimeoutExpired("reader", seconds)

    monkeypatch.setattr(extraction, "run_job", run_job)
    assert [refused(site, name) for name in ("spss", "sql")] == ["T-SIZE", "T-SIZE"]
    assert given == [extraction.SECONDS, 30 + extraction.SECONDS_BESIDE_THE_QUERY]


@pytest.mark.parametrize("files", [{"path": "absent.sav"}, {"path": "."}, {"paths": ["absent-*.sav"]}])
def test_a_file_that_is_not_there_is_refused_before_anything_is_read(tmp_path, monkeypatch, files):
    """By its name, by a folder in its place, and by a pattern that fits none."""
    sources = {"spss": {"format": "spss", **files}}
    monkeypatch.setattr(extraction, "run_job", lambda *_: pytest.fail("nothing is there to read"))
    assert refused(export_site(tmp_path, sources, "spss"), "spss") == "T-FILE"


def test_a_package_that_is_absent_is_named(tmp_path, monkeypatch):
    """A hospital with CSV needs none of them; the one that does is told which."""
    write_export(tmp_path, "spss", typed())
    site = export_site(tmp_path, DECLARED, "spss")
    for module, step in (("pyreadstat", "wardround-silo-node[formats]"), ("psycopg", "psycopg")):
        monkeypatch.setattr(extraction, "run_job", lambda *_, m=module: (0, json.dumps({"absent": m}).encode()))
        with pytest.raises(Refused) as caught:
            extract(site, "spss")
        problem = caught.value.problems[0]
        assert problem.code == "X-EXTRA"
        assert step in problem.next_step


def test_a_process_of_its_own_reads_under_its_limit(tmp_path):
    """The real thing: a result that does not fit into the memory is a finding, and the snapshots before it stay."""
    write_export(tmp_path, "sql", typed())
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9000000)"
    many = f"{numbers} SELECT i, printf('%0200d', i) AS t FROM n"  # noqa: S608  (our own words)
    sources = {**DECLARED, "many": {**DECLARED["sql"], "query": many}}
    site = export_site(tmp_path, sources, "sql")
    assert extract(site, "sql").records == 12
    site = export_site(tmp_path, sources, "sql")
    content = json.loads(site.path.read_text())
    site.path.write_text(json.dumps({**content, "resources": {"memory": "300 MiB"}}))
    from silo_node.configuration import load_site

    assert refused(load_site(site.path), "many") == "T-SIZE"
    assert [path.name for path in (tmp_path / "extracts").iterdir()] == ["sql.parquet"]


def test_a_reader_of_files_has_no_network(tmp_path, monkeypatch):
    """Only a database server is asked over one; everything else is read by a process that has no way out."""
    from silo_node.extraction import process
    from silo_node.training import network

    cut: list[str] = []
    monkeypatch.setattr(process.resource, "setrlimit", lambda *_: None)
    monkeypatch.setattr(network, "cut_network", lambda: cut.append("cut"))
    server = {"server": {**DECLARED["sql"], "url": "postgresql://db.example/clinic"}}
    for name, source in export_site(tmp_path, {**DECLARED, **server}, "sql").file.sources.items():
        before = len(cut)
        process.confine(
            process.Job(source=source, folder=".", files=(), digests=(), output="x", memory_bytes=1, now="2026-01-01T00:00:00Z")
        )
        assert (len(cut) > before) == (name != "server")


def test_the_doctor_looks_at_files_and_snapshots(tmp_path, here):
    """What the check would stumble over is said before: a pattern that fits nothing, a file that is empty, a stale snapshot."""
    from silo_node.doctor.checks import _sources

    write_export(tmp_path, "excel", typed())
    (tmp_path / "b.csv").write_bytes(b"")
    (tmp_path / "a.csv").write_text("x")
    more = {"none": {"format": "csv", "paths": ["x-*.csv"]}, "csv": {"format": "csv", "paths": ["?.csv"]}}
    site = export_site(tmp_path, {"excel": DECLARED["excel"], **more}, "excel")
    said = [(line.state, line.code) for line in _sources(site)]
    assert said == [("ok", None), ("fail", "T-STALE"), ("fail", "T-FILE"), ("ok", None), ("fail", "T-EMPTY")]
    extract(site, "excel")
    assert [(line.state, line.code) for line in _sources(site)][:2] == [("ok", None), ("fail", "T-FILE")]


def test_no_piece_of_a_table_is_printed(tmp_path, here, wardround):
    """Cells, headers, names of files, sheets and tables: none of them is in what the command says, whatever is wrong."""
    birds = ["qzkfjwmx", "wvhpqjzr", "xkqbvzmd"]
    table = [[birds[0], *row[1:6], birds[1], birds[2]] for row in typed()]
    for form in DECLARED:
        path = write_export(tmp_path, form, table)
        content = path.read_bytes()
        query = f"SELECT {birds[0]}, '{birds[1]}' FROM {birds[2]}"  # noqa: S608  (canaries)
        sources = {form: DECLARED[form], "query": {**DECLARED["sql"], "query": query}}
        site = export_site(tmp_path, sources, form)
        for spoilt in (content, content[: len(content) // 2], content.replace(b"Puls", b"Datum"), content[:-300] + b"\xff" * 300):
            path.write_bytes(spoilt)
            said = [wardround("silo", "extract", "--site", site.path, "--again", *more) for more in ((), ("--format", "json"))]
            result = check(site, load_contract(CLINIC, tmp_path))
            words = "".join(each.out + each.err for each in said) + repr(result.findings) + result.outgoing.model_dump_json()
            assert [bird for bird in birds if bird in words or bird[:5] in words] == []


# ------------------------------------------------------------------------------------------------------------- workbooks


def test_a_workbook_is_read_by_sheet_and_header(tmp_path, here):
    """Rows before the header are not read, blank ones are none, and findings name the rows of the sheet."""

    def change(page):
        page.cell(7, 4).value = 5  # a pulse that is impossible
        page.insert_rows(6)

    write_workbook(tmp_path / "t.xlsx", typed(), before=2, change=change)
    source = {"excel": {**DECLARED["excel"], "header": 3, "sheet": "visits"}}
    site = export_site(tmp_path, source, "excel")
    assert extract(site, "excel").records == 12
    assert ("T-RANGE", [8]) in codes(checked(tmp_path, site))
    for sheet, words in (("visit", "none has the name"), (None, "the site file names none of them")):
        write_workbook(tmp_path / "t.xlsx", typed(), before=2, change=lambda page: page.parent.create_sheet("notes"))
        site = export_site(tmp_path, {"excel": {**source["excel"], "sheet": sheet}}, "excel")
        with pytest.raises(Refused) as caught:
            extract(site, "excel")
        assert caught.value.problems[0].code == "T-FILE"
        assert "the workbook has 2 sheets" in caught.value.problems[0].finding
        assert words in caught.value.problems[0].finding


def test_cells_without_a_value_of_their_own_are_found(tmp_path, here):
    """A formula that was never computed, and merged cells, are no missing values; an error is text, which the check finds."""

    def change(page):
        page["E3"] = "=1+1"
        page["F4"] = "#DIV/0!"
        page["F4"].data_type = "e"
        page.merge_cells("H5:H7")
        page.merge_cells("G8:H8")

    write_workbook(tmp_path / "t.xlsx", typed(), change=change)
    site = export_site(tmp_path, DECLARED, "excel")
    extract(site, "excel")
    found = codes(checked(tmp_path, site))
    assert ("T-CELL", [3]) in found
    assert ("T-TYPE", [3]) in found
    assert ("T-CELL", [6, 8]) in found
    assert ("T-CELL", [4]) in found
    assert ("T-TYPE", [4]) in found
    site = export_site(tmp_path, DECLARED, "excel", missing=["#DIV/0!"])
    assert ("T-TYPE", [4]) not in codes(checked(tmp_path, site))


def test_numbers_that_are_text_stay_text(tmp_path, here):
    """Nothing is mended: a decimal comma in one cell is that cell's finding, and the numbers beside it are read."""

    def change(page):
        page["E3"] = "5,6"
        page["D4"] = "70"

    write_workbook(tmp_path / "t.xlsx", typed(), change=change)
    site = export_site(tmp_path, DECLARED, "excel")
    extract(site, "excel")
    result = checked(tmp_path, site)
    assert [each for each in codes(result) if each[0] != "T-QUARANTINE"] == [("T-TYPE", [3])]
    assert result.valid["pulse"].to_list() == [60, 70, *range(63, 72)]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda page: page.merge_cells("B1:C1"), "T-NOHEADER"),
        (lambda page: page.__setitem__("A1", "Datum"), "T-HDRDUP"),
        (lambda page: page.__setitem__("K5", 1), "T-NOHEADER"),
        (lambda page: page.delete_rows(2, 20), "T-EMPTY"),
        (lambda page: page.delete_rows(1, 20), "T-NOHEADER"),
        (lambda page: page.__setitem__("A1", "wardround:row"), "T-HDRDUP"),
    ],
)
def test_a_header_that_names_not_each_column_once_is_refused(tmp_path, here, change, code):
    """Merged, absent, doubled: never a column without a name, or a second one of the same."""
    write_workbook(tmp_path / "t.xlsx", typed(), change=change)
    assert refused(export_site(tmp_path, DECLARED, "excel"), "excel") == code


# --------------------------------------------------------------------------------------------------- statistics programs


def test_codes_stay_codes_and_missing_values_are_missing(tmp_path, here):
    """Value labels are for people; what SPSS was told to be missing is, unless the site file wants to see it."""
    table = typed()
    table[3][5] = 999.0
    write_export(tmp_path, "spss", table)
    site = export_site(tmp_path, DECLARED, "spss")
    extract(site, "spss")
    result = checked(tmp_path, site)
    assert (result.valid["pulse"][0], result.valid["glucose"][3]) == (60, None)
    site = export_site(tmp_path, {"spss": {**DECLARED["spss"], "user_missing": "values"}}, "spss")
    extract(site, "spss")
    assert checked(tmp_path, site).valid["glucose"][3] == pytest.approx(999 * 0.0555)


@pytest.mark.parametrize("form", ["spss", "stata", "sas"])
def test_a_moment_that_is_none_of_ours_stays_a_number(tmp_path, here, form):
    """A day beyond the calendar is found by the check, never wrapped around or dropped."""
    path = write_export(tmp_path, form, typed())
    write = {"spss": pyreadstat.write_sav, "stata": pyreadstat.write_dta, "sas": pyreadstat.write_xport}[form]
    days = {"spss": 86_400 * 4_000_000.0, "stata": 4_000_000.0, "sas": 4_000_000.0}[form]
    frame = pl.DataFrame(typed(), schema=NAMES, orient="row").with_columns(pl.lit(days).alias("Datum"))
    write(frame, path, variable_format={"Datum": {"spss": "DATE11", "stata": "%td", "sas": "DATE9"}[form]})
    site = export_site(tmp_path, DECLARED, form)
    extract(site, form)
    assert codes(checked(tmp_path, site))[0][0] == "T-DATEFMT"


def test_a_file_of_another_program_is_refused(tmp_path, here):
    """What a file is decides how it begins, not its name."""
    write_export(tmp_path, "stata", typed()).rename(tmp_path / "t.sav")
    assert refused(export_site(tmp_path, DECLARED, "spss"), "spss") == "T-FILE"


def test_files_of_one_source_with_other_columns_are_refused(tmp_path, here):
    """Cells do not change columns because a later export has them in another order."""
    write_workbook(tmp_path / "t1.xlsx", typed())
    write_workbook(tmp_path / "t2.xlsx", typed(), change=lambda page: setattr(page["B1"], "value", "Tag"))
    site = export_site(tmp_path, {"excel": {"format": "excel", "paths": ["t*.xlsx"]}}, "excel")
    assert refused(site, "excel") == "T-PARTS"


def test_texts_in_another_encoding_are_refused(tmp_path, here):
    """Neither is taken for the other, nor is a sign left out."""
    table = [[*row[:6], "größer", row[7]] for row in typed()]
    write_export(tmp_path, "spss", table)
    assert refused(export_site(tmp_path, {"spss": {**DECLARED["spss"], "encoding": "ascii"}}, "spss"), "spss") == "T-ENCODING"


# ------------------------------------------------------------------------------------------------------------- databases


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"query": "SELECT * FROM absent"}, "T-QUERY"),
        ({"query": "SELECT 1 AS a, 2 AS a"}, "T-HDRDUP"),
        ({"query": "SELECT x'00ff' AS a"}, "T-FILE"),
        ({"query": "SELECT * FROM visits", "max_rows": 5}, "T-SIZE"),
        ({"query": "SELECT * FROM visits WHERE 1 = 0"}, "T-EMPTY"),
        ({"url": "sqlite:///absent.sqlite"}, "T-FILE"),
        (
            {
                "query": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i) AS s FROM n",
                "timeout": 1,
            },
            "T-SIZE",
        ),
        ({"url": "nosuchdialect://host/name"}, "T-QUERY"),
        ({"url": "postgresql+psycopg://127.0.0.1:9/x"}, "X-EXTRA"),
        ({"url": "mysql+pymysql://127.0.0.1:9/x", "credentials": {"file": "absent"}}, "N-CREDENTIALS"),
    ],
)
def test_a_query_that_cannot_be_answered_has_a_code(tmp_path, here, more, code):
    """None of the database's or driver's words is said."""
    write_export(tmp_path, "sql", typed())
    site = export_site(tmp_path, {"sql": {**DECLARED["sql"], **more}}, "sql")
    assert refused(site, "sql") == code
    if "x'00ff'" in more.get("query", ""):
        with pytest.raises(Refused, match="the column at position 1 holds something else, such as binary data"):
            extract(site, "sql")
    assert not list((tmp_path / "extracts").iterdir())


def test_a_database_cannot_be_changed_by_its_query(tmp_path, here):
    """The file is opened to be read only; the site file's own look at the words is not what holds."""
    from silo_node.extraction.database import _opens

    path = write_export(tmp_path, "sql", typed())
    with closing(_opens(path, 5)()) as connection, pytest.raises(sqlite3.OperationalError):
        connection.execute("DELETE FROM visits")


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM visits",
        "SELECT 1; SELECT 2",
        "WITH x AS (DELETE FROM visits RETURNING *) SELECT * FROM x",
        "SELECT * INTO other FROM visits",
        "",
        "  -- nothing",
    ],
)
def test_a_query_that_is_no_select_is_refused_in_the_site_file(tmp_path, query):
    with pytest.raises(Refused) as caught:
        export_site(tmp_path, {"sql": {**DECLARED["sql"], "query": query}}, "sql")
    assert caught.value.problems[0].code == "Y-VALUE"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:word@host/name",
        "postgresql://user@host/name",
        "postgresql://host/name?password=word",
        "mssql+pyodbc:///?odbc_connect=DRIVER%3DX%3BPWD%3Dword",
        "sqlite://",
        "sqlite:///:memory:",
        "host/name",
        "PostgreSQL://host/name",
    ],
)
def test_a_url_with_credentials_or_without_a_database_is_refused(tmp_path, url):
    with pytest.raises(Refused) as caught:
        export_site(tmp_path, {"sql": {**DECLARED["sql"], "url": url}}, "sql")
    assert {problem.code for problem in caught.value.problems} == {"Y-VALUE"}
    assert "word" not in "".join(problem.finding + problem.rule for problem in caught.value.problems).replace("password", "")


def test_words_in_quotes_are_no_words_of_sql(tmp_path, here):
    """A column may be named 'update', and a text may hold a semicolon."""
    path = write_export(tmp_path, "sql", typed())
    with closing(sqlite3.connect(path)) as connection:
        connection.execute('ALTER TABLE visits ADD COLUMN "update"')
        connection.commit()
    query = """SELECT *, "update", 'a;b; DROP' AS "into" FROM visits -- delete; nothing"""
    site = export_site(tmp_path, {"sql": {**DECLARED["sql"], "query": query.replace(', "update"', "", 1)}}, "sql")
    assert extract(site, "sql").columns == 10


# --------------------------------------------------------------------------------------------------------- the command


def test_the_command_reads_all_and_says_what_it_did(tmp_path, here, wardround):
    for form in DECLARED:
        write_export(tmp_path, form, typed())
    site = export_site(tmp_path, DECLARED, "excel")
    answer = wardround("silo", "extract", "--site", site.path, "--format", "json")
    assert answer.status == 0
    told = json.loads(answer.out)["sources"]
    assert [(each["source"], each["state"], each["records"]) for each in told] == [(form, "written", 12) for form in DECLARED]
    answer = wardround("silo", "extract", "--site", site.path, "excel")
    assert (answer.status, answer.out) == (0, "excel: its files were not changed since.\n")
    (tmp_path / "t.sav").write_bytes(b"$FL2" + os.urandom(50))
    answer = wardround("silo", "extract", "--site", site.path)
    assert answer.status == 1
    assert "T-FILE site.yaml, line" in answer.err
    answer = wardround("silo", "extract", "--site", site.path, "exce")
    assert (answer.status, "did you mean 'excel'?" in answer.err) == (2, True)

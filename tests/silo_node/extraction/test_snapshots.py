"""Snapshots of what other programs wrote: the same records from each format, and never one that is not of now."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import polars as pl
import pytest
from clinic_on_disk import CLINIC, load_contract
from exports_on_disk import DECLARED, checked, codes, export_site, refused, typed, write_export

from silo_node.extraction.extract import extract
from silo_node.local_report import earlier
from silo_node.local_report.question import Question
from silo_node.sources import snapshot
from silo_node.sources.snapshot import METADATA, described
from wardround.values import instant


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

"""The process that reads a source, with its limits, and the command and the doctor that people have of it."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from clinic_on_disk import CLINIC, load_contract
from exports_on_disk import DECLARED, export_site, refused, typed, write_export

from silo_node.extraction import extract as extraction
from silo_node.extraction.extract import extract
from silo_node.validation.check import check
from wardround.errors import Refused


def test_a_file_that_changes_while_it_is_read_gives_no_snapshot(tmp_path, monkeypatch):
    """Half of it is of one export and half of another."""
    path = write_export(tmp_path, "excel", typed())
    site = export_site(tmp_path, DECLARED, "excel")
    from silo_node.extraction.process import answer

    def run_job(job, seconds, environment):
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

    def run_job(_, seconds, _environment):
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

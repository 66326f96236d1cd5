"""A trainer tries its own confinement at its start, says what held and no more, and opens no record without what is required."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from flower_processes import eventually
from paper_records import real_paper, rows, work, write_site

from silo_node.confinement import CONFINEMENT, Confinement, read_confinement, write_confinement
from silo_node.porter.bench_client import BenchClient
from silo_node.training import confinement as confinement_module
from silo_node.training.confinement import tried
from silo_node.training.probes import CutOff, kernel_facts, python_gets_out
from silo_node.training.trainer import Trainer
from silo_node.work import Done, NotDone
from wardround.confinement import MEANING, MEASURES
from wardround.study.bundle import SUFFIX

PAPER = real_paper()
FACTS = {"Uid": "1000 1000 1000 1000", "NoNewPrivs": "1", "Seccomp": "2"}


@pytest.fixture
def site(tmp_path):
    return write_site(tmp_path, rows(80))


def network(**changed):
    return CutOff(**{"cut": "kernel", "facts": FACTS, "native": False, "python": False, **changed})


def test_what_was_tried_is_said(site):
    """Each measure by its own try; the network is the kernel's only if native code was tried and did not get out."""
    found = tried(site, network())
    assert {"network-kernel", "network-python", "not-root", "no-new-privileges", "system-calls-filtered"} <= set(found.holds)
    assert found.fails == ("memory-limit", "data-read-only")
    assert "network-kernel" in tried(site, network(cut="python")).fails
    assert "network-kernel" in tried(site, network(native=True)).fails
    assert "network-python" in tried(site, network(python=True)).fails
    for name, facts in (
        ("not-root", {**FACTS, "Uid": "1000 0 0 0"}),
        ("no-new-privileges", {**FACTS, "NoNewPrivs": "0"}),
        ("system-calls-filtered", {**FACTS, "Seccomp": "0"}),
    ):
        assert name in tried(site, network(facts=facts)).fails


def test_what_could_not_be_tried_is_in_neither_list(site):
    """No listening port, a kernel that says nothing, a source that is not there: nothing is claimed of them."""
    (site.folder / "records.csv").unlink()
    found = tried(site, network(native=None, facts={}))
    for name in ("network-kernel", "no-new-privileges", "system-calls-filtered", "data-read-only"):
        assert name not in (*found.holds, *found.fails)


@pytest.mark.parametrize("where", ["the file", "its folder"])
def test_data_is_read_only_where_neither_file_nor_folder_can_be_written(site, monkeypatch, where):
    """Both are tried, since a file in a folder that can be written can be replaced; trying changes nothing."""
    before = (site.folder / "records.csv").stat()
    monkeypatch.setattr(confinement_module.os, "access", lambda *_: where == "its folder")
    opened = []

    def refuses(path, flags, *rest):
        opened.append((path, flags))
        raise PermissionError

    monkeypatch.setattr(confinement_module.os, "open", refuses)
    assert "data-read-only" in (tried(site, network()).fails if where == "its folder" else tried(site, network()).holds)
    assert all(not flags & (os.O_TRUNC | os.O_CREAT) for _, flags in opened)
    after = (site.folder / "records.csv").stat()
    assert (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)


def test_no_record_is_opened_without_what_the_policy_requires(site, caplog):
    """Not even read: the file is not there, and still the answer is H-CONFINEMENT. What nobody tried does not hold."""
    (site.folder / "records.csv").unlink()
    (site.folder / "policy.yaml").write_text('{"small_cell": 3, "required_confinement": ["not-root"]}')
    log = logging.getLogger("tests.confinement")
    for found in (None, Confinement(process=1, holds=(), fails=("not-root",))):
        assert Trainer(site, log, None, found).perform(work(PAPER, "statistics")) == NotDone("H-CONFINEMENT")
    assert "confinement" in caplog.text
    (site.folder / "records.csv").write_text(rows(80))
    held = Confinement(process=1, holds=("not-root",), fails=())
    assert isinstance(Trainer(site, log, None, held).perform(work(PAPER, "statistics")), Done)


def test_every_measure_has_its_words():
    assert set(MEANING) == set(MEASURES)


def test_only_the_one_that_runs_is_read(tmp_path):
    """What a trainer left that is gone, or somebody else's process of the same number, is not taken for the one that runs."""
    for process in (os.getpid(), 2**30):
        write_confinement(tmp_path, Confinement(process=process, holds=(), fails=()))
        assert read_confinement(tmp_path) is None
    assert (tmp_path / CONFINEMENT).stat().st_mode & 0o777 == 0o600


def test_here_nothing_keeps_this_process_in():
    """Positive control of the tries: this test's own process makes sockets, and the kernel says something of it."""
    assert python_gets_out()
    assert "NoNewPrivs" in kernel_facts() or sys.platform != "linux"


def test_a_running_trainer_proves_and_tells(site):
    """The real process: what it found is in its log, in run/, and with its porter, and its network holds as it says."""
    run = site.folder / "run"
    run.mkdir()
    PAPER.bundle.write(site.make_directory("inbox") / f"{PAPER.bundle.study_hash}{SUFFIX}")
    words = ["--site", str(site.path.absolute()), "--socket", "trainer.sock", "--patience", "15"]
    process = subprocess.Popen(
        [sys.executable, "-m", "silo_node.training.process", *words], cwd=run, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    try:
        eventually((run / "trainer.sock").exists, 90.0, "the trainer is ready")
        client = BenchClient(run / "trainer.sock", 15.0)
        found = client.confinement()
        assert found is not None
        assert found == read_confinement(run)
        assert found.process == process.pid
        assert "network-python" in found.holds
        apart = Path(f"/proc/{process.pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
        assert ("network-kernel" in found.holds) == apart
        assert ("not-root" in found.holds) == (os.geteuid() != 0)
        lines = [json.loads(line)["message"] for line in (site.folder / "logs" / "trainer.log").read_text().splitlines()]
        assert f"confinement {found.words()}" in lines
        assert isinstance(client.perform(work(PAPER, "statistics")), Done)
        assert client.confinement() is found, "asked once for each connection"
    finally:
        process.kill()
        process.wait()
    assert client.confinement() is found, "of the connection that was; the next one asks again"
    client._drop()
    assert client.confinement() is None
    assert read_confinement(run) is None

"""A trainer's start without a task: what keeps it in is tried, records are counted, nothing is written."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from approved_study import approved
from hospitals_on_disk import deal, write_study

from silo_node.configuration import load_site
from silo_node.doctor import rehearsal
from silo_node.doctor.confinement import kernel_facts, memory_limit, network, of_running, privileges
from silo_node.doctor.rehearsal import Asked, rehearse
from wardround.study.check import load_study

HELD = {"Uid": "1000\t1000\t1000\t1000", "NoNewPrivs": "1", "Seccomp": "2"}


@pytest.fixture
def study(tmp_path):
    """A hospital of 110 records that has approved a study."""
    (hospital,) = deal(tmp_path / "hospitals", (110,))
    path = write_study(tmp_path / "study.yaml", silos={"minimum": 1, "minimum_records": 20})
    study, contract, _ = load_study(path)
    return approved(tmp_path, study, contract, [Path(hospital.site)]), hospital


def by_name(lines) -> dict:
    return {line.name: line for line in lines}


def files(folder) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_an_approved_study_is_rehearsed_to_the_first_steps(study):
    """Records are counted, a step is measured, nothing in the directory changes."""
    made, hospital = study
    before = files(hospital.folder)
    lines = by_name(rehearse(made.sites[0], [Asked(made.bundle.study_hash, approved=True)], deep=True))
    assert files(hospital.folder) == before
    assert {name: line.state for name, line in lines.items() if name not in ("network cut", "privileges")} == {
        "GPU": "ok",
        "memory limit": "warn",
        "codecs": "ok",
        "records": "ok",
        "memory for training": "ok",
        "local step": "ok",
    }
    assert "trial 1.0.0: in order; 110 found" in lines["records"].finding
    assert " ms for 16 records" in lines["local step"].finding


@pytest.mark.parametrize(("is_approved", "state"), [(True, "fail"), (False, "warn")])
def test_records_that_are_not_in_order_are_told_by_code_and_count(study, is_approved, state):
    """No value, no key of a patient; of a study that waits for a decision it is no fault yet."""
    made, hospital = study
    lines = hospital.table.read_text().splitlines()
    hospital.table.write_text("\n".join(line.replace("malignant", "verdachtig") for line in lines) + "\n")
    found = list(rehearse(made.sites[0], [Asked(made.bundle.study_hash, approved=is_approved)], deep=False))
    line = by_name(found)["records"]
    assert (line.state, line.code) == (state, "T-ENUM")
    assert "110 found" in line.finding
    assert f"silo check --site {hospital.site}" in str(line.next_step)
    assert not any("verdachtig" in each.model_dump_json() or "p00" in each.model_dump_json() for each in found)


def test_an_unreadable_source_and_a_lost_bundle_are_lines(study):
    made, hospital = study
    hospital.table.unlink()
    asked = [Asked(made.bundle.study_hash, approved=True), Asked("0" * 64, approved=True)]
    codes = [line.code for line in rehearse(made.sites[0], asked, deep=False) if line.name == "records"]
    assert codes == ["T-FILE", "B-READ"]


def limited(hospital, memory: str):
    site = Path(hospital.site)
    site.write_text(site.read_text() + f"resources: {{memory: {memory}}}\n")
    return load_site(site)


def test_the_memory_limit_is_set_and_seen(study):
    """The kernel keeps the process to it; one that leaves no room for records fails, as the trainer's start would."""
    made, hospital = study
    asked = [Asked(made.bundle.study_hash, approved=True)]
    lines = by_name(rehearse(limited(hospital, "3 GiB"), asked, deep=False))
    assert (lines["memory limit"].state, lines["memory limit"].finding) == ("ok", "the kernel keeps the trainer to 3072 MiB")
    assert lines["records"].state == "ok"
    narrow = load_site(Path(hospital.site).rename(hospital.folder / "old.yaml"))
    narrow.path.write_text(narrow.path.read_text().replace("3 GiB", "64 MiB"))
    narrow.path.rename(hospital.site)
    line = by_name(rehearse(load_site(Path(hospital.site)), asked, deep=False))["memory limit"]
    assert (line.state, line.code) == ("fail", "V-CHILD")


def test_a_rehearsal_that_takes_too_long_or_dies_is_told(study, monkeypatch):
    """What was seen before stays; what is missing is said to be missing."""
    made, _ = study
    asked = [Asked(made.bundle.study_hash, approved=True)]
    monkeypatch.setattr(rehearsal, "SECONDS", 0.05)
    late = list(rehearse(made.sites[0], asked, deep=False))
    assert (late[-1].name, late[-1].state) == ("rehearsal", "warn")
    monkeypatch.setattr(rehearsal, "SECONDS", 60.0)
    monkeypatch.setenv("PYTHONOPTIMIZE", "not a number")  # Python itself does not start
    monkeypatch.setattr(rehearsal, "MODULE", "silo_node.no_such_module")
    (dead,) = rehearse(made.sites[0], asked, deep=False)
    assert (dead.name, dead.state) == ("rehearsal", "fail")


def test_confinement_is_tried_and_not_believed():
    """The line is ok just where native code does not reach a port of this machine; this process itself reaches it."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
        script = (
            "from silo_node.doctor.confinement import network\nfrom silo_node.training import network as cutting\n"
            "import sys\nif sys.argv[2] == 'python': cutting._unshare = lambda: False\n"
            "print(network(cutting.cut_network(), int(sys.argv[1])).model_dump_json())"
        )
        said = {}
        for how in ("python", "kernel"):
            done = subprocess.run([sys.executable, "-c", script, str(port), how], capture_output=True, text=True, check=True)
            said[how] = done.stdout
        assert '"state":"warn"' in said["python"]
        assert "native code reaches" in said["python"]
        cut = [sys.executable, "-c", "from silo_node.training import network; print(network.cut_network())"]
        allowed = subprocess.run(cut, capture_output=True, text=True, check=True).stdout.strip() == "kernel"
        assert ('"state":"ok"' in said["kernel"]) is allowed
        assert network("kernel", port).state == "fail"  # nothing is cut here: Python makes sockets


@pytest.mark.parametrize(
    ("facts", "state", "words"),
    [
        (HELD, "ok", "is not root's, may gain no privileges, its system calls are filtered"),
        ({**HELD, "Uid": "0\t0\t0\t0"}, "warn", "is root's"),
        ({**HELD, "NoNewPrivs": "0"}, "warn", "may gain privileges"),
        ({**HELD, "Seccomp": "0"}, "warn", "are not filtered"),
        ({}, "skipped", "does not say"),
    ],
)
def test_privileges_are_told_as_the_kernel_tells_them(facts, state, words):
    line = privileges(facts, "it")
    assert line.state == state
    assert words in line.finding


def test_no_two_lines_have_one_name():
    """What is said of the trainer that runs stands apart from what is said of one that the doctor starts."""
    names = [line.name for line in (*of_running(os.getpid()), privileges(kernel_facts(), "it"))]
    assert names == ["running trainer", "running privileges", "privileges"]


def test_the_kernel_is_read_for_this_process():
    assert kernel_facts()["Pid"] == str(os.getpid())
    assert kernel_facts(2**31) == {}
    assert memory_limit(12345 * 2**20).state == "warn"  # not set in this process

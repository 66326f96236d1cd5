"""``wardround silo explain``: by its reference a hospital finds what happened, and nobody else's."""

from __future__ import annotations

import json

import click
import pytest
from hospitals_on_disk import deal

from silo_node.explanation import look_up
from silo_node.identity import signing_key
from silo_node.local_log import open_log
from silo_node.policy import PolicyFile
from silo_node.porter.gate import Gate
from silo_node.porter.ledger import Ledger
from silo_node.work import NotDone
from wardround import console
from wardround.json_log import close_log
from wardround.messages.envelope import read
from wardround.messages.round import ANSWER, SiloRefusal
from wardround.reference import referred

TEXT = "row 17 of patient Meyer"


@pytest.fixture
def hospital(tmp_path, wardround):
    """A hospital in which two things went wrong, one of them with a refusal."""
    (made,) = deal(tmp_path, (20,))
    assert wardround("silo", "init", "--site", made.site).status == 0
    log = open_log(made.folder / "logs", "alpha") if (made.folder / "logs").exists() else None
    if log is None:
        (made.folder / "logs").mkdir(mode=0o700)
        log = open_log(made.folder / "logs", "alpha")
    with referred("AAAA-AAAA"):
        log.error("a visit failed", exc_info=ValueError(TEXT))
        ledger = Ledger(made.folder / "ledger", signing_key(made.folder))
        gate = Gate("alpha", signing_key(made.folder), ledger, PolicyFile(made.folder))
        answer = read(gate.refuse(NotDone("H-FAILED"), "1" * 64, "2" * 64).envelope, ANSWER)
        ledger.close()
    with referred("BBBB-BBBB"):
        log.error("another, which mentions AAAA-AAAA")
    close_log(log)
    assert isinstance(answer, SiloRefusal)
    assert answer.reference == "AAAA-AAAA"
    return made


def test_a_reference_is_explained(wardround, hospital):
    """Typed in small letters and without its dash: what was sent, and the whole trace, and nothing of another failure."""
    answer = wardround("silo", "explain", "aaaaaaaa", "--site", hospital.site)
    assert answer.status == 0
    assert "H-FAILED" in answer.out
    assert TEXT in answer.out
    assert "another" not in answer.out
    assert "may hold patient data" in answer.err
    told = wardround("silo", "explain", "AAAA-AAAA", "--site", hospital.site, "--format", "json").json()
    assert [each["code"] for each in told["sent"]] == ["H-FAILED"]
    assert [line["message"] for line in told["lines"]] == ["a visit failed"]
    assert TEXT in told["lines"][0]["exception"]


def test_a_reference_of_nobody_is_told(wardround, hospital):
    """One that stands nowhere here is X-REFERENCE, what is none is X-USAGE; neither is an empty answer."""
    unknown = wardround("silo", "explain", "CCCC-CCCC", "--site", hospital.site)
    assert (unknown.status, unknown.err.split()[0]) == (1, "X-REFERENCE")
    wrong = wardround("silo", "explain", "row 17", "--site", hospital.site)
    assert (wrong.status, wrong.err.split()[0]) == (2, "X-USAGE")
    assert "row 17" not in wrong.err


def test_damaged_lines_hide_nothing_else(hospital):
    """A line that was cut off, and one that is no object, are passed over."""
    log = hospital.folder / "logs" / "node.log"
    log.write_text('{"reference": "AAAA-AA\n["AAAA-AAAA"]\n"AAAA-AAAA\n' + log.read_text())
    assert [line.message for line in look_up(hospital.folder, "AAAA-AAAA").lines] == ["a visit failed"]


def test_a_command_that_ends_unexpectedly_leaves_its_trace(wardround, hospital, monkeypatch):
    """X-BUG shows the kind of error and a reference; its text stands in logs/commands.log, for the owner only."""

    def fails(*_arguments):
        raise KeyError(TEXT)

    monkeypatch.setattr("silo_node.service_commands.load_site", fails)
    for form in ([], ["--format", "json"]):
        answer = wardround("silo", "status", "--site", hospital.site, *form)
        assert answer.status == 2
        assert TEXT not in answer.out + answer.err
        text = answer.err or answer.json()["problems"][0]["finding"]
        reference = text[text.index("reference ") + 10 :][:9]
        explained = wardround("silo", "explain", reference, "--site", hospital.site)
        assert TEXT in explained.out
    assert (hospital.folder / "logs" / "commands.log").stat().st_mode & 0o777 == 0o600
    assert json.loads((hospital.folder / "logs" / "commands.log").read_text().splitlines()[0])["level"] == "ERROR"


def test_without_a_directory_nothing_is_written(capsys, tmp_path, monkeypatch):
    """A command that names no directory that is there leaves no file; the person is told how to see the trace."""
    monkeypatch.chdir(tmp_path)

    @click.command()
    @click.option("--site")
    def fails(site: str) -> None:
        raise KeyError(TEXT, site)

    monkeypatch.setitem(console.cli.commands, "fails", fails)
    assert console.run(["fails", "--site", str(tmp_path / "nowhere" / "site.yaml")]) == 2
    error = capsys.readouterr().err
    assert console.DEBUG_VARIABLE in error
    assert TEXT not in error
    assert list(tmp_path.iterdir()) == []

"""``wardround silo init``: by options, or asked on a terminal; checked at once, shown, and written whole or not at all."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from contextlib import suppress

import pytest
from hospitals_on_disk import write_hospital

from silo_node.configuration import load_site
from silo_node.identity import load_identity
from wardround.identity.roster import Request, read_member, read_party

PATIENCE_SECONDS = 120
GOOD = "correct horse battery"
OPTIONS = ("--site-name", "north", "--institution", "Northern Infirmary", "--city", "Northport", "--contact", "A. Ruiz, ext. 12")


class Terminal:
    """A command on a terminal of its own, and the person who types there."""

    def __init__(self, folder, *words):
        self.person, terminal = pty.openpty()
        command = [sys.executable, "-m", "wardround", "silo", "init", *words]
        self.process = subprocess.Popen(
            command, cwd=folder, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True
        )
        os.close(terminal)
        self.shown = ""

    def read(self):
        ready, _, _ = select.select([self.person], [], [], PATIENCE_SECONDS)
        assert ready, f"nothing more is shown, and nothing ends: {self.shown}"
        return os.read(self.person, 1000).decode()

    def until_asked(self, mark):
        asked = ""
        while not asked.endswith(mark):
            asked += self.read()
        self.shown += asked

    def answer(self, mark, text):
        self.until_asked(mark)
        os.write(self.person, f"{text}\n".encode())

    def interrupt(self):
        """Press Ctrl-C until it is heard: one that comes between a prompt and the wait for its answer may be lost."""
        for _ in range(20):
            self.process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
                return

    def ended(self):
        while True:
            try:
                self.shown += self.read()
            except OSError:
                break
        os.close(self.person)
        self.shown = re.sub(r"\x1b\[[0-9;]*m", "", self.shown)
        return self.process.wait(60)


@pytest.fixture
def unhelped(monkeypatch):
    monkeypatch.delenv("WARDROUND_PASSPHRASE_FILE")


def test_by_options_alone(tmp_path, wardround):
    """Nothing is asked; there was no site file, so one is written, which the other commands read."""
    site = tmp_path / "north" / "site.yaml"
    answer = wardround("silo", "init", "--site", site, *OPTIONS, "--format", "json")
    assert answer.status == 0, answer.err
    file = load_site(site).file
    assert (file.site, file.name, file.sources, file.schemas) == ("north", "Northern Infirmary", {}, {})
    request = read_party(site.parent / "request.json", Request)
    assert (request.city, request.contact) == ("Northport", "A. Ruiz, ext. 12")
    assert request.member == load_identity(site.parent) == read_member(site.parent / "request.json")
    assert answer.json()["site_file_written"] is True


def test_a_request_without_a_contact_has_no_empty_lines(tmp_path, wardround):
    """What was not said is not there; and a request of before is one of now."""
    hospital = write_hospital(tmp_path / "alpha", "alpha", range(40))
    assert wardround("silo", "init", "--site", hospital.site).status == 0
    assert {"city", "contact"}.isdisjoint(json.loads((hospital.folder / "request.json").read_bytes()))


@pytest.mark.usefixtures("unhelped")
def test_without_a_terminal_every_missing_option_is_named(tmp_path, wardround):
    """In one refusal, and nothing is made."""
    answer = wardround("silo", "init", "--site", tmp_path / "site.yaml", "--city", "Northport")
    assert answer.status == 2
    assert answer.err.startswith("X-USAGE")
    assert "--site-name, --institution, --passphrase-file" in answer.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "text"),
    [("--site-name", "North"), ("--institution", ""), ("--city", "a\nb"), ("--contact", "x" * 201), ("--site-name", "south")],
)
def test_every_option_is_checked_before_anything_is_made(tmp_path, wardround, option, text):
    """Also one that says otherwise than the site file."""
    site = tmp_path / "north" / "site.yaml"
    if text == "south":
        write_hospital(site.parent, "north", range(4))
    words = [text if OPTIONS[index - 1] == option else word for index, word in enumerate(OPTIONS)]
    before = sorted(tmp_path.rglob("*"))
    answer = wardround("silo", "init", "--site", site, *words)
    assert answer.status == 2
    assert f"Y-VALUE {option}" in answer.err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_name_that_yaml_would_read_otherwise_is_written_as_text(tmp_path, wardround):
    """An institution called NO is no truth value."""
    site = tmp_path / "site.yaml"
    assert wardround("silo", "init", "--site", site, "--site-name", "no", "--institution", "NO: 1 # x").status == 0
    assert (load_site(site).file.site, load_site(site).file.name) == ("no", "NO: 1 # x")


def test_what_cannot_be_made_leaves_no_site_file(tmp_path, wardround):
    """All or nothing."""
    (tmp_path / "request.json").mkdir()
    answer = wardround("silo", "init", "--site", tmp_path / "site.yaml", *OPTIONS)
    assert "O-WRITE" in answer.err
    assert [path.name for path in tmp_path.iterdir()] == ["request.json"]


@pytest.mark.usefixtures("unhelped")
def test_a_person_is_asked_for_what_is_missing(tmp_path):
    """A wrong answer is asked again with the message of its option; the summary comes before anything is written."""
    terminal = Terminal(tmp_path, "--city", "Northport")
    terminal.answer("such as north: ", "North Infirmary")
    terminal.answer("such as north: ", "north")
    terminal.answer("for people: ", "Northern Infirmary")
    terminal.answer("leave it out): ", "A. Ruiz")
    terminal.answer("approves: ", "short")
    terminal.answer("confirmation: ", "short")
    terminal.answer("approves: ", GOOD)
    terminal.answer("confirmation: ", GOOD)
    terminal.until_asked("[Y/n]: ")
    assert list(tmp_path.iterdir()) == []
    os.write(terminal.person, b"\n")
    assert terminal.ended() == 0
    assert "Y-VALUE --site-name" in terminal.shown
    assert "K-PASSPHRASE" in terminal.shown
    assert GOOD not in terminal.shown
    summary = terminal.shown[: terminal.shown.index("Make the keys?")]
    assert all(text in summary for text in ("Northern Infirmary", "Northport", "A. Ruiz", "site.yaml, keys/"))
    request = read_party(tmp_path / "request.json", Request)
    assert (request.site, request.city, request.contact) == ("north", "Northport", "A. Ruiz")
    assert b"ENCRYPTED PRIVATE KEY" in (tmp_path / "keys" / "approval.pem").read_bytes()


@pytest.mark.usefixtures("unhelped")
@pytest.mark.parametrize("way", ["no", "Ctrl-C"])
def test_who_stops_leaves_nothing(tmp_path, way):
    """At the last question, after all was typed."""
    terminal = Terminal(tmp_path, *OPTIONS)
    terminal.answer("approves: ", GOOD)
    terminal.answer("confirmation: ", GOOD)
    terminal.until_asked("[Y/n]: ")
    if way == "no":
        os.write(terminal.person, b"n\n")
    else:
        terminal.interrupt()
    assert terminal.ended() == (1 if way == "no" else 130)
    assert list(tmp_path.iterdir()) == []


def test_keys_that_are_there_are_told_before_anything_is_asked(tmp_path):
    """Nobody types a whole form for nothing."""
    hospital = write_hospital(tmp_path / "alpha", "alpha", range(4))
    (hospital.folder / "keys").mkdir()
    (hospital.folder / "keys" / "signing.pem").touch()
    (hospital.folder / "policy.yaml").write_text("small_cell: 11\n")
    terminal = Terminal(hospital.folder)
    assert terminal.ended() == 2
    assert "K-EXISTS" in terminal.shown

"""The approver's key is a person's: nobody approves without the passphrase, and the node never has it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest
from hospitals_on_disk import deal, prepare, write_hospital

GOOD, OTHER = "correct horse battery", "another person's secret"


@pytest.fixture
def secret(tmp_path):
    """Write a passphrase file."""

    def write(words, mode=0o600):
        file = tmp_path / f"secret{len(list(tmp_path.iterdir()))}"
        file.write_text(words)
        file.chmod(mode)
        return file

    return write


@pytest.fixture
def hospital(tmp_path):
    return write_hospital(tmp_path / "alpha", "alpha", range(40))


@pytest.mark.parametrize(
    ("words", "mode", "code"), [("tooshort!", 0o600, "K-PASSPHRASE"), ("", 0o600, "K-PASSPHRASE"), (GOOD, 0o644, "K-MODE")]
)
def test_no_keys_are_made_with_a_passphrase_that_protects_nothing(hospital, wardround, secret, words, mode, code):
    """Too short, none, or readable by others: refused before anything is written."""
    answer = wardround("silo", "init", "--site", hospital.site, "--passphrase-file", secret(words, mode))
    assert answer.status == 2
    assert code in answer.err
    assert not words or words not in answer.err
    assert not (hospital.folder / "keys").exists()


@pytest.mark.parametrize("command", ["init", "approve"])
def test_without_a_file_and_a_terminal_it_is_said_and_nothing_hangs(tmp_path, wardround, monkeypatch, command):
    """A script that forgot it hears so."""
    ready = prepare(wardround, tmp_path, deal(tmp_path, (60, 60)), approve=False)
    fresh = write_hospital(tmp_path / "gamma", "gamma", range(40))
    monkeypatch.delenv("WARDROUND_PASSPHRASE_FILE")
    words = {
        "init": ("--site", fresh.site),
        "approve": (ready.bundle, "--site", ready.hospitals[0].site, "--approver", "Dr A", "--role", "DPO"),
    }[command]
    answer = wardround("silo", command, *words)
    assert answer.status == 2
    assert "K-PASSPHRASE" in answer.err
    assert not (fresh.folder / "keys").exists()


def typed(person, answers):
    """Type each answer when it is asked for; gives all that the terminal showed."""
    shown = ""
    for answer in (*answers, None):
        asked = ""
        while answer is None or not asked.endswith(": "):
            try:
                asked += os.read(person, 1000).decode()
            except OSError:  # the command has ended, and its terminal with it
                break
        shown += asked
        if answer is not None:
            os.write(person, f"{answer}\n".encode())
    return shown


def test_it_is_typed_twice_and_not_shown(hospital, wardround, monkeypatch):
    """On a terminal it is asked for; two that differ are asked for again."""
    monkeypatch.delenv("WARDROUND_PASSPHRASE_FILE")
    person, terminal = pty.openpty()
    words = [sys.executable, "-m", "wardround", "silo", "init", "--site", hospital.site]
    with subprocess.Popen(words, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True) as process:
        os.close(terminal)
        shown = typed(person, ("", "", GOOD, OTHER, GOOD, GOOD, ""))
        assert process.wait(60) == 0
    os.close(person)
    assert shown.count("Repeat for confirmation") == 2
    assert GOOD not in shown
    assert OTHER not in shown
    assert b"ENCRYPTED PRIVATE KEY" in (hospital.folder / "keys" / "approval.pem").read_bytes()
    assert b"ENCRYPTED" not in (hospital.folder / "keys" / "signing.pem").read_bytes()


def test_nobody_approves_without_it(tmp_path, wardround, secret):
    """Another passphrase: K-PASSPHRASE for all hospitals named, and not one approval is written."""
    ready = prepare(wardround, tmp_path, deal(tmp_path, (60, 60)), approve=False)
    words = ("silo", "approve", ready.bundle, *ready.sites, "--approver", "Dr A", "--role", "DPO")
    answer = wardround(*words, "--passphrase-file", secret(OTHER))
    assert answer.status == 2
    assert "K-PASSPHRASE" in answer.err
    assert OTHER not in answer.err
    assert not any((hospital.folder / "approvals").exists() for hospital in ready.hospitals)
    assert wardround(*words).status == 0


def test_a_key_whose_protection_was_taken_away_is_not_used(tmp_path, wardround):
    """A plain key in its place, even the same one, is said: somebody opened it."""
    ready = prepare(wardround, tmp_path, deal(tmp_path, (60, 60)), approve=False)
    keys = ready.hospitals[0].folder / "keys"
    (keys / "approval.pem").write_bytes((keys / "signing.pem").read_bytes())
    words = ("silo", "approve", ready.bundle, "--site", ready.hospitals[0].site, "--approver", "Dr A", "--role", "DPO")
    answer = wardround(*words)
    assert answer.status == 2
    assert "K-PASSPHRASE" in answer.err


def test_another_person_takes_over(tmp_path, wardround, secret):
    """The key stays, and with it every approval; only the new passphrase opens it."""
    ready = prepare(wardround, tmp_path, deal(tmp_path, (60, 60)))
    site, key = ready.hospitals[0].site, ready.hospitals[0].folder / "keys" / "approval.pem"
    before = key.read_bytes()
    wrong = wardround(
        "silo", "passphrase", "--site", site, "--passphrase-file", secret(OTHER), "--new-passphrase-file", secret(GOOD)
    )
    assert "K-PASSPHRASE" in wrong.err
    assert key.read_bytes() == before
    file = secret(OTHER)
    changed = wardround("silo", "passphrase", "--site", site, "--new-passphrase-file", file)
    assert changed.status == 0, changed.err
    assert key.stat().st_mode & 0o777 == 0o600
    (study,) = wardround("silo", "studies", "--site", site, "--format", "json").json()["studies"]
    assert study["state"] == "approved"
    words = ("silo", "approve", ready.bundle, "--site", site, "--approver", "Dr B", "--role", "DPO")
    assert "K-PASSPHRASE" in wardround(*words).err
    assert wardround(*words, "--passphrase-file", file).status == 0

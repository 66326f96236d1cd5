"""No command works in a directory that a newer release made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hospitals_on_disk import Command, write_hospital, write_study

from wardround.directory import FORMAT_FILE

INIT = ("--name", "The centre", "--address", "centre.example:8443")
NEWER = {"format": 2, "written_by": "9.8.7"}
SILO = ("start", "status", "studies", "ledger show", "init", "pause trial", "revoke trial")
BUNDLE = ("review", "reject")
CENTRE = ("start", "status", "watch", "renew")


@pytest.fixture
def folder(tmp_path: Path, wardround: Command) -> Path:
    """Make a centre, a hospital that has joined it, and a bundle; then all is marked as of a newer release."""
    hospital = write_hospital(tmp_path / "alpha", "alpha", range(60))
    request, centre = tmp_path / "alpha" / "request.json", tmp_path / "centre"
    study = write_study(tmp_path / "study.yaml", name="trial", silos={"minimum": 1})
    invitation = centre / "invitations" / "alpha.json"
    for words in (
        ("silo", "init", "--site", hospital.site),
        ("coordinator", "init", centre, *INIT),
        ("coordinator", "enrol", request, "--dir", centre, "--yes"),
        ("silo", "join", invitation, "--site", hospital.site),
        *[
            (
                "study",
                "build",
                study,
                "--coordinator",
                centre / "coordinator.json",
                "--silo",
                request,
                "--out",
                tmp_path / "b.wardround",
            )
        ],
    ):
        answer = wardround(*words)
        assert answer.status == 0, (words, answer.err)
    for each in (tmp_path / "alpha", centre):
        assert json.loads((each / FORMAT_FILE).read_text())["format"] == 1
        (each / FORMAT_FILE).write_text(json.dumps(NEWER))
    return tmp_path


def test_every_command_refuses_and_says_who_can_read_it(folder: Path, wardround: Command) -> None:
    """Each ends with V-FORMAT and names the release; what is in the directories is left as it is."""
    site, centre, bundle = folder / "alpha" / "site.yaml", folder / "centre", folder / "b.wardround"
    person = ("--approver", "Dr A", "--role", "DPO")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    for words in (
        *[("silo", *words.split(), "--site", site) for words in SILO],
        *[("silo", name, bundle, "--site", site) for name in BUNDLE],
        ("silo", "approve", bundle, "--site", site, *person),
        ("silo", "join", centre / "invitations" / "alpha.json", "--site", site),
        ("silo", "check", "--site", site, "--study", bundle),
        *[("coordinator", name, centre) for name in CENTRE],
        ("coordinator", "submit", bundle, "--dir", centre),
        ("coordinator", "enrol", folder / "alpha" / "request.json", "--dir", centre, "--yes"),
        ("coordinator", "init", centre, *INIT),
    ):
        answer = wardround(*words)
        assert answer.status == 2, (words, answer.out, answer.err)
        assert "V-FORMAT" in answer.err, (words, answer.err)
        assert "9.8.7" in answer.err
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.name != "run"} == {
        path: when for path, when in before.items() if path.name != "run"
    }


def test_one_from_before_the_file_is_marked(folder: Path, wardround: Command) -> None:
    """A directory with keys and without the file is worked in, and has the file afterwards."""
    for each in ("alpha", "centre"):
        (folder / each / FORMAT_FILE).unlink()
    assert (
        wardround("silo", "review", folder / "b.wardround", "--site", folder / "alpha" / "site.yaml", "--no-example").status == 0
    )
    assert wardround("coordinator", "submit", folder / "b.wardround", "--dir", folder / "centre").status == 0
    for each in ("alpha", "centre"):
        assert json.loads((folder / each / FORMAT_FILE).read_text())["format"] == 1

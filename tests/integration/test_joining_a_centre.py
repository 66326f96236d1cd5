"""From two folders to a joined hospital, by the commands that people type."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hospitals_on_disk import Command, Hospital, write_hospital

from coordinator.certificates import expires
from coordinator.enrolment import enrol
from coordinator.identity import load_centre
from silo_node.identity import load_identity
from wardround.values import instant

INIT = ("--name", "The centre", "--address", "centre.example:8443")


@pytest.fixture
def hospital(tmp_path: Path, wardround: Command) -> Hospital:
    """Make a hospital with keys, and a centre beside it."""
    made = write_hospital(tmp_path / "alpha", "alpha", range(5))
    assert wardround("silo", "init", "--site", made.site).status == 0
    assert wardround("coordinator", "init", tmp_path / "centre", *INIT).status == 0
    return made


def codes(answer) -> set[str]:
    return {problem["code"] for problem in answer.json()["problems"]}


def test_three_commands_join_a_hospital(tmp_path: Path, wardround: Command, hospital: Hospital) -> None:
    """Init, enrol, join: the hospital's fingerprint is shown to the operator, the centre's to the hospital."""
    centre = tmp_path / "centre"
    enrolled = wardround("coordinator", "enrol", hospital.folder / "request.json", "--dir", centre, "--yes", "--city", "Lyon")
    assert enrolled.status == 0, enrolled.err
    assert load_identity(hospital.folder).fingerprint in enrolled.out
    joined = wardround("silo", "join", centre / "invitations" / "alpha.json", "--site", hospital.site, "--format", "json")
    assert joined.status == 0, joined.out
    said = joined.json()
    assert said["fingerprint"] == load_centre(centre).coordinator.fingerprint
    assert (said["address"], said["fingerprint_compared"]) == ("centre.example:8443", False)
    again = ("silo", "join", centre / "invitations" / "alpha.json", "--site", hospital.site, "--fingerprint", said["fingerprint"])
    text = wardround(*again)
    assert text.status == 0
    assert "has joined The centre" in text.out


@pytest.mark.parametrize(("typed", "status", "invited"), [("y\n", 0, True), ("n\n", 1, False), ("\n", 1, False), ("", 2, False)])
def test_the_operator_is_asked(
    tmp_path: Path,
    wardround: Command,
    hospital: Hospital,
    monkeypatch: pytest.MonkeyPatch,
    typed: str,
    status: int,
    invited: bool,
) -> None:
    """Only a yes enrols; no answer at all is told as such, without waiting. What programs read stays JSON."""
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    request, centre = hospital.folder / "request.json", tmp_path / "centre"
    answer = wardround("coordinator", "enrol", request, "--dir", centre, "--format", "json")
    assert answer.status == status
    assert load_identity(hospital.folder).fingerprint in answer.err
    assert (centre / "invitations" / "alpha.json").exists() is invited
    assert (centre / "silos").exists() is invited
    if status == 2:
        assert codes(answer) == {"X-USAGE"}
    elif invited:
        assert answer.json()["again"] is False


def test_init_tells_what_comes_next(tmp_path: Path, wardround: Command) -> None:
    """The fingerprint, when the certificate expires, and the next command; the files are where it says."""
    answer = wardround("coordinator", "init", tmp_path / "centre", *INIT, "--also-named", "10.1.2.3")
    assert answer.status == 0
    assert load_centre(tmp_path / "centre").coordinator.fingerprint in answer.out
    assert instant(expires(tmp_path / "centre")) in answer.out
    assert "coordinator enrol" in answer.out
    assert "address: centre.example:8443\nlisten: 0.0.0.0:8443\n" in (tmp_path / "centre" / "centre.yaml").read_text()
    again = wardround("coordinator", "init", tmp_path / "centre", *INIT, "--format", "json")
    assert (again.status, codes(again)) == (2, {"K-EXISTS"})


def test_init_tells_every_bad_option(tmp_path: Path, wardround: Command) -> None:
    """A name and two addresses that are none: three problems, one run, and nothing is made."""
    bad = ("--name", "a\nb", "--address", "0.0.0.0:8443", "--listen", "here:1", "--format", "json")
    answer = wardround("coordinator", "init", tmp_path / "centre", *bad)
    assert (answer.status, codes(answer)) == (2, {"Y-VALUE"})
    assert [each["place"] for each in answer.json()["problems"]] == ["--name", "--address", "--listen"]
    assert wardround("coordinator", "init", tmp_path / "centre", "--name", "A", "--address", "nowhere").status == 2
    assert wardround("coordinator", "init", tmp_path / "centre", *INIT, "--also-named", "a/b").status == 2
    assert not (tmp_path / "centre").exists()


def test_renewing_is_one_command(tmp_path: Path, wardround: Command, hospital: Hospital) -> None:
    """The server certificate changes, the authority does not."""
    keys = tmp_path / "centre" / "keys"
    before = (keys / "server.pem").read_bytes(), (keys / "authority.pem").read_bytes()
    answer = wardround("coordinator", "renew", tmp_path / "centre", "--also-named", "b.example", "--format", "json")
    assert answer.status == 0
    assert "certificate_expires_at" in answer.json()
    assert (keys / "server.pem").read_bytes() != before[0]
    assert (keys / "authority.pem").read_bytes() == before[1]


def test_a_stranger_with_an_enrolled_name_is_refused(tmp_path: Path, wardround: Command, hospital: Hospital) -> None:
    """Even with --yes: the name is taken."""
    centre = tmp_path / "centre"
    assert wardround("coordinator", "enrol", hospital.folder / "request.json", "--dir", centre, "--yes").status == 0
    stranger = write_hospital(tmp_path / "stranger", "alpha", range(5))
    assert wardround("silo", "init", "--site", stranger.site).status == 0
    answer = wardround("coordinator", "enrol", stranger.folder / "request.json", "--dir", centre, "--yes", "--format", "json")
    assert (answer.status, codes(answer)) == (1, {"I-ENROLLED"})


def test_wrong_invitations_are_told_apart(tmp_path: Path, wardround: Command, hospital: Hospital) -> None:
    """The request itself, an expired one, an edited one, another hospital's, another fingerprint: a code and a next step each."""
    centre, member = tmp_path / "centre", load_identity(hospital.folder)
    month = timedelta(days=30)
    beta = write_hospital(tmp_path / "beta", "beta", range(5))
    assert wardround("silo", "init", "--site", beta.site).status == 0
    done = enrol(centre, member, month, now=datetime.now(UTC) - 2 * month)
    old = tmp_path / "old.json"
    done.invitation_path.rename(old)
    good = enrol(centre, member, month).invitation_path
    edited = tmp_path / "edited.json"
    edited.write_bytes(good.read_bytes().replace(b"centre.example", b"others.example"))
    cases = [
        (hospital.folder / "request.json", hospital, (), 2, "I-READ"),
        (tmp_path / "nowhere.json", hospital, (), 2, "Y-FILE"),
        (old, hospital, (), 1, "I-EXPIRED"),
        (edited, hospital, (), 1, "I-SIGNATURE"),
        (good, beta, (), 1, "I-SITE"),
        (good, hospital, ("--fingerprint", "12345 12345 12345 12345 12345 12345"), 1, "I-FINGERPRINT"),
    ]
    for path, who, options, status, code in cases:
        answer = wardround("silo", "join", path, "--site", who.site, *options, "--format", "json")
        assert (answer.status, codes(answer)) == (status, {code})
        text = wardround("silo", "join", path, "--site", who.site, *options)
        assert "Next:" in text.err
        assert "Traceback" not in text.err
        assert not (who.folder / "config").exists()

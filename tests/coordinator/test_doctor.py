"""``wardround coordinator doctor`` as it is typed: on a new centre, and on spoiled ones."""

from __future__ import annotations

import shutil
import socket

import pytest
from flower_processes import free_port
from hospitals_on_disk import deal, write_study

from coordinator.identity import centre_files
from coordinator.studies import StudyFolder, folders
from wardround.errors import Problem
from wardround.identity.tls import KeyPair, issue_server
from wardround.supervision.lock import Lock


@pytest.fixture
def port():
    """A port that nobody listens on."""
    return free_port()


@pytest.fixture
def centre(tmp_path, wardround, port):
    """A new centre."""
    address = ("--address", f"localhost:{port}", "--listen", f"127.0.0.1:{port}")
    assert wardround("coordinator", "init", tmp_path / "centre", "--name", "The centre", *address).status == 0
    return tmp_path / "centre"


@pytest.fixture
def doctor(wardround, centre):
    """Ask the doctor; gives the lines by name."""

    def ask(status: int) -> dict[str, list[dict]]:
        answer = wardround("coordinator", "doctor", centre, "--format", "json")
        assert answer.status == status, answer.out + answer.err
        found: dict[str, list[dict]] = {}
        for line in answer.json()["lines"]:
            found.setdefault(line["name"], []).append(line)
        return found

    return ask


def states(lines) -> set[tuple[str, str | None]]:
    return {(line["state"], line["code"]) for line in lines}


def test_a_new_centre_is_in_order(doctor, port):
    """Nothing runs, nobody is enrolled: both are said, neither is a fault."""
    found = doctor(0)
    found.pop("time service")  # of this machine, not of the centre
    assert {name for name, lines in found.items() if states(lines) != {("ok", None)}} == set()
    assert f"127.0.0.1:{port} is free" in found["port"][0]["finding"]
    assert "coordinator enrol" in found["hospitals"][0]["next_step"]
    assert "localhost" in found["certificates"][0]["finding"]


def test_no_centre_is_told(wardround, tmp_path):
    answer = wardround("coordinator", "doctor", tmp_path / "nowhere")
    assert answer.status == 1
    assert "centre file" in answer.out
    assert "Y-FILE" in answer.out


@pytest.mark.parametrize("name", ["token", "authority.key", "coordinator.pem"])
def test_a_secret_that_others_read_is_told(doctor, centre, name):
    (centre / "keys" / name).chmod(0o640)
    assert states(doctor(1)["keys"]) == {("fail", "K-MODE")}


def test_a_key_in_the_place_of_another_is_told(doctor, centre):
    shutil.rmtree(centre / "run", ignore_errors=True)
    authority = (centre / "keys" / "authority.key").read_bytes()
    (centre / "keys" / "coordinator.pem").write_bytes(authority)
    assert states(doctor(1)["keys"]) == {("ok", None), ("fail", "K-FORMAT")}


def test_certificates_that_end_or_do_not_hold_are_told(doctor, centre):
    """Soon over: a warning and the command; of another name: a failure."""
    files = centre_files(centre)
    authority = KeyPair((centre / "keys" / "authority.key").read_bytes(), files.authority.read_bytes())
    server = issue_server(authority, ["localhost"], days=20)
    files.certificate.write_bytes(server.public)
    files.key.write_bytes(server.private)
    found = doctor(0)
    assert states(found["certificates end"]) == {("warn", None)}
    assert "coordinator renew" in found["certificates end"][0]["next_step"]
    settings = centre / "centre.yaml"
    settings.write_text(settings.read_text().replace("localhost:", "nobody.invalid:"))
    found = doctor(1)
    assert states(found["certificates"]) == {("fail", "K-CERTIFICATE")}
    assert states(found["name"]) == {("warn", "N-UNREACHABLE")}


def test_a_taken_port_is_told(doctor, port):
    """By another program; held by a centre that starts or hangs, it does not answer."""
    with socket.create_server(("127.0.0.1", port)):
        assert states(doctor(1)["port"]) == {("fail", "N-PORT")}
    assert states(doctor(0)["port"]) == {("ok", None)}


def test_a_centre_that_runs_and_does_not_answer_is_told(doctor, centre):
    with Lock(centre / "run", "centre"):
        found = doctor(1)
    assert states(found["service"]) == {("warn", None)}
    assert states(found["port"]) == {("fail", "N-UNREACHABLE")}


@pytest.fixture
def submitted(centre, tmp_path, wardround) -> StudyFolder:
    """A study of one enrolled hospital."""
    (hospital,) = deal(tmp_path / "hospitals", (40,))
    assert wardround("silo", "init", "--site", hospital.site).status == 0
    request = hospital.folder / "request.json"
    assert wardround("coordinator", "enrol", request, "--dir", centre, "--yes").status == 0
    study, bundle = write_study(tmp_path / "study.yaml", silos={"minimum": 1}), tmp_path / "trial.wardround"
    built = ("--coordinator", centre / "coordinator.json", "--silo", request, "--out", bundle)
    assert wardround("study", "build", study, *built).status == 0
    assert wardround("coordinator", "submit", bundle, "--dir", centre).status == 0
    return next(folders(centre))


def test_removed_hospitals_are_listed(doctor, centre, submitted, wardround):
    """By doctor and status: they are no longer enrolled, and not forgotten."""
    assert wardround("coordinator", "remove", "alpha", "--dir", centre, "--yes").status == 0
    found = doctor(0)
    assert "1 removed, and let in no longer: alpha" in found["removed hospitals"][0]["finding"]
    assert "none is enrolled" in found["hospitals"][0]["finding"]
    assert wardround("coordinator", "status", centre, "--format", "json").json()["removed"] == ["alpha"]
    assert "alpha is out: it was removed at " in wardround("coordinator", "status", centre).out


def test_open_studies_and_their_hospitals_are_told(doctor, submitted):
    """Room for the next visit, who is enrolled, and who is away."""
    found = doctor(0)
    assert "1 submitted" in found["studies"][0]["finding"]
    assert "1 enrolled: alpha" in found["hospitals"][0]["finding"]
    assert "removed hospitals" not in found
    state = submitted.read()
    gone = tuple(silo.now("gone", since="2026-01-01T00:00:00Z") for silo in state.silos)
    submitted.write(state.model_copy(update={"silos": gone, "phase": "running"}))
    found = doctor(0)
    assert "alpha is gone since 2026-01-01T00:00:00Z" in found["hospitals"][1]["finding"]
    assert found["hospitals"][1]["state"] == "warn"
    problem = Problem("O-SPACE", "study", "There is room", "there is none", "make room")
    submitted.write(state.model_copy(update={"problems": (str(problem),)}))
    (line, _) = doctor(1)["studies"]
    assert (line["state"], line["next_step"]) == ("fail", "make room.")
    assert "O-SPACE study: there is none" in line["finding"]


def test_damaged_studies_are_told_each_by_its_code(doctor, submitted):
    """A state, a bundle and a journal that are not what they were."""
    (submitted.path / "state.json").write_text("{}")
    assert states(doctor(0)["studies"]) == {("warn", "O-STATE"), ("ok", None)}
    (submitted.path / "state.json").unlink()
    journal = submitted.path / "journal"
    journal.mkdir()
    (journal / "journal.jsonl").write_text('{"seq":1}\n')
    found = doctor(1)
    assert ("fail", "L-BROKEN") in states(found["journals"])


def test_a_damaged_bundle_is_told(doctor, submitted):
    bundle = submitted.path / "bundle.wardround"
    bundle.write_bytes(bundle.read_bytes()[:100])
    assert ("fail", "B-READ") in states(doctor(1)["studies"])

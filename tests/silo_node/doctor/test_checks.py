"""``wardround silo doctor`` as it is typed: on directories that are new, in order, and spoiled."""

from __future__ import annotations

import json

import pytest
from hospitals_on_disk import deal, write_study

from wardround.supervision.lock import Lock

SKIPPED_BEFORE_JOINING = {"name", "centre", "records", "GPU", "local step"}


@pytest.fixture
def hospital(tmp_path, wardround):
    """A hospital with keys, which has joined nobody."""
    (made,) = deal(tmp_path / "hospitals", (110,))
    assert wardround("silo", "init", "--site", made.site).status == 0
    return made


@pytest.fixture
def doctor(wardround, hospital):
    """Ask the doctor; gives the exit status, and the lines by name."""

    def ask(status: int, *options: str) -> dict[str, list[dict]]:
        answer = wardround("silo", "doctor", "--site", hospital.site, "--format", "json", *options)
        assert answer.status == status, answer.out + answer.err
        found: dict[str, list[dict]] = {}
        for line in answer.json()["lines"]:
            found.setdefault(line["name"], []).append(line)
        return found

    return ask


def states(lines) -> set[tuple[str, str | None]]:
    return {(line["state"], line["code"]) for line in lines}


def test_a_new_directory_is_in_order_and_says_what_comes_next(doctor, hospital):
    """Not joined is no fault, and what cannot be seen yet is skipped, not passed."""
    found = doctor(0)
    assert states(found["joined"]) == {("warn", "I-MISSING")}
    assert "silo join" in found["joined"][0]["next_step"]
    assert {name for name, lines in found.items() if states(lines) == {("skipped", None)}} == SKIPPED_BEFORE_JOINING
    for name in ("software", "site file", "directory", "disk", "keys", "identity", "service", "studies", "sources"):
        assert states(found[name]) == {("ok", None)}, name


def test_a_folder_of_images(doctor, hospital):
    """It is there and can be read, or is not; what lies in it is the check's business."""
    site = hospital.folder / "site.yaml"
    site.write_text(site.read_text().replace("sources:\n", "sources:\n  ct_export: {format: dicom, path: export}\n", 1))
    assert states(doctor(1)["sources"]) == {("ok", None), ("fail", "D-FOLDER")}
    folder = hospital.folder / "export"
    folder.mkdir()
    assert states(doctor(1)["sources"]) == {("ok", None), ("fail", "D-FOLDER")}
    (folder / "image").touch()
    assert states(doctor(0)["sources"]) == {("ok", None)}


def test_text_is_a_line_each(wardround, hospital):
    answer = wardround("silo", "doctor", "--site", hospital.site)
    assert answer.status == 0
    lines = answer.out.splitlines()
    assert lines[0].startswith("ok      software")
    assert any(line.startswith("warn    joined") and "I-MISSING" in line for line in lines)
    assert lines[-1].endswith("seconds.")


def test_before_there_are_keys(wardround, tmp_path):
    """Nothing was made yet: every line says so, and none fails but what is really wrong."""
    (made,) = deal(tmp_path / "hospitals", (20,))
    answer = wardround("silo", "doctor", "--site", made.site, "--format", "json")
    assert answer.status == 0
    named = {line["name"]: line for line in answer.json()["lines"]}
    assert (named["keys"]["state"], named["joined"]["state"], named["studies"]["state"]) == ("warn", "skipped", "skipped")
    assert not (made.folder / "keys").exists()
    assert not (made.folder / "run").exists()


def test_a_site_file_that_cannot_be_read_is_a_line(wardround, tmp_path):
    for path, code in ((tmp_path / "nowhere.yaml", "Y-FILE"), (tmp_path / "bad.yaml", "Y-KEY")):
        if code == "Y-KEY":
            path.write_text("site: north\nname: Northern\nsources: {}\nschemas: {}\nsource: {}\n")
        answer = wardround("silo", "doctor", "--site", path, "--format", "json")
        assert answer.status == 1
        assert ("site file", "fail", code) in {(line["name"], line["state"], line["code"]) for line in answer.json()["lines"]}


def test_spoiled_files_are_told_each_by_its_code(doctor, hospital):
    """A key that others read, another key in its place, data that cannot be read, a format of tomorrow."""
    (hospital.folder / "keys" / "node.key").chmod(0o644)
    hospital.table.unlink()
    hospital.table.mkdir()
    found = doctor(1)
    assert states(found["keys"]) == {("fail", "K-MODE")}
    assert found["keys"][0]["next_step"] == "run: chmod 600 node.key"
    assert states(found["sources"]) == {("fail", "T-FILE")}
    (hospital.folder / "keys" / "node.key").chmod(0o600)
    (hospital.folder / "keys" / "signing.pem").write_bytes((hospital.folder / "keys" / "encryption.pem").read_bytes())
    hospital.table.rmdir()
    hospital.table.write_bytes(b"")
    (hospital.folder / "format").write_text(json.dumps({"format": 99, "written_by": "9.0.0"}))
    found = doctor(1)
    assert states(found["directory"]) == {("fail", "V-FORMAT")}
    assert states(found["sources"]) == {("fail", "T-EMPTY")}
    (hospital.folder / "format").unlink()
    assert states(doctor(1)["keys"]) == {("ok", None), ("fail", "K-FORMAT")}


def test_the_approvers_key_may_be_kept_elsewhere(doctor, hospital):
    (hospital.folder / "keys" / "approval.pem").unlink()
    assert states(doctor(0)["keys"]) == {("ok", None)}


def test_studies_are_listed_with_their_approvals_and_records(doctor, hospital, wardround, tmp_path):
    """A centre that is joined and down fails; an approved study's records are looked at, and its memory is estimated."""
    centre = tmp_path / "centre"
    address = ("--address", "localhost:9", "--listen", "127.0.0.1:9")
    assert wardround("coordinator", "init", centre, "--name", "The centre", *address).status == 0
    assert wardround("coordinator", "enrol", hospital.folder / "request.json", "--dir", centre, "--yes").status == 0
    assert wardround("silo", "join", centre / "invitations" / "alpha.json", "--site", hospital.site).status == 0
    study = write_study(tmp_path / "study.yaml", silos={"minimum": 1})
    bundle = tmp_path / "trial.wardround"
    built = ("--coordinator", centre / "coordinator.json", "--silo", hospital.folder / "request.json", "--out", bundle)
    assert wardround("study", "build", study, *built).status == 0
    assert wardround("silo", "approve", bundle, "--site", hospital.site, "--approver", "Dr A", "--role", "DPO").status == 0
    found = doctor(1)
    assert (states(found["joined"]), states(found["name"])) == ({("ok", None)}, {("ok", None)})
    assert states(found["centre"]) == {("fail", "N-UNREACHABLE")}
    assert states(found["enrolled"]) == {("skipped", None)}
    assert "approved until" in found["studies"][0]["finding"]
    assert "largest model" in found["memory"][0]["finding"]
    assert states(found["records"]) == {("ok", None)}
    assert wardround("silo", "pause", "trial", "--site", hospital.site).status == 0
    (paused,) = doctor(1)["studies"]
    assert (paused["code"], "silo resume" in paused["next_step"], "approve" in paused["next_step"]) == ("A-PAUSED", True, False)
    again = wardround("silo", "approve", bundle, "--site", hospital.site, "--approver", "Dr A", "--role", "DPO")
    assert (again.status, "silo resume" in again.err) == (0, True)
    assert wardround("silo", "resume", "trial", "--site", hospital.site).status == 0
    approval = next((hospital.folder / "approvals").glob("*.json"))
    approval.write_bytes(approval.read_bytes().replace(b"Dr A", b"Dr B"))
    assert states(doctor(1)["studies"]) == {("warn", "A-INVALID")}


def test_a_node_that_is_starting_is_told(doctor, hospital):
    """Somebody holds the directory and says nothing of its processes yet."""
    with Lock(hospital.folder / "run", "site alpha"):
        assert states(doctor(0)["service"]) == {("warn", None)}
    assert states(doctor(0)["service"]) == {("ok", None)}

"""``wardround silo reject | pause | resume | revoke`` as a hospital's people have them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hospitals_on_disk import deal, prepare

from wardround.study.bundle import read_bundle


@pytest.fixture
def ready(tmp_path, wardround):
    return prepare(wardround, tmp_path, deal(tmp_path, (60, 60)))


def state(wardround, hospital):
    """What `silo studies` says of the one study: its state, and why its approval does not hold."""
    (study,) = wardround("silo", "studies", "--site", hospital.site, "--format", "json").json()["studies"]
    return study["state"], study["codes"]


def names(ready):
    """All the ways in which a person may name the study."""
    study_hash = read_bundle(ready.bundle).study_hash
    return [ready.bundle, "trial", "trial 1.0.0", "trial-1.0.0", study_hash, study_hash[:8]]


@pytest.mark.parametrize("way", range(6))
def test_a_study_is_paused_and_resumed_by_any_of_its_names(ready, wardround, way):
    """Its approval stays; that it is paused is the reason why it does not hold."""
    hospital, name = ready.hospitals[0], names(ready)[way]
    paused = wardround("silo", "pause", name, "--site", hospital.site)
    assert (paused.status, paused.out) == (0, "Paused trial 1.0.0 for alpha.\n")
    assert state(wardround, hospital) == ("waiting", ["A-PAUSED"])
    resumed = wardround("silo", "resume", name, "--site", hospital.site)
    assert (resumed.status, resumed.out) == (0, "trial 1.0.0 goes on for alpha.\n")
    assert state(wardround, hospital) == ("approved", [])
    assert "was not paused" in wardround("silo", "resume", name, "--site", hospital.site).out


def test_revoked_is_withdrawn_for_good_and_kept_for_the_auditor(ready, wardround):
    """Only a new approval lets it go on; the old one can still be read."""
    hospital = ready.hospitals[0]
    assert wardround("silo", "revoke", "trial", "--site", hospital.site, "--reason", "ethics").status == 0
    assert state(wardround, hospital) == ("rejected", [])
    assert wardround("silo", "resume", "trial", "--site", hospital.site).status == 0
    assert state(wardround, hospital) == ("rejected", [])
    (given,) = (hospital.folder / "approvals" / "given").iterdir()
    assert json.loads(given.read_bytes())["approval"]["approver"]["name"] == "Dr A"
    again = wardround("silo", "revoke", "trial", "--site", hospital.site)
    assert again.status != 0
    assert "A-MISSING" in again.err


def test_with_a_paused_hospital_nothing_begins(ready, wardround):
    """A simulation says so before the first visit, as of an approval that is missing."""
    assert wardround("silo", "pause", "trial", "--site", ready.hospitals[1].site).status == 0
    answer = ready.simulate(wardround)
    assert answer.status == 1
    assert [problem["code"] for problem in answer.json()["problems"]] == ["A-PAUSED"]
    assert not ready.release().exists()


@pytest.mark.parametrize("command", ["reject", "pause", "resume", "revoke"])
def test_a_name_that_is_none_is_said(ready, wardround, command):
    """Nothing is decided about a study that was not meant."""
    for name in ("tria", "deadbeef", read_bundle(ready.bundle).study_hash[:7]):
        answer = wardround("silo", command, name, "--site", ready.hospitals[0].site)
        assert answer.status != 0
        assert "A-STUDY" in answer.err
    assert state(wardround, ready.hospitals[0]) == ("approved", [])


def test_the_list_of_studies_names_each_bundle_whole(ready, wardround):
    """What stands there can be given to the next command as it is, however narrow the terminal."""
    hospital = ready.hospitals[0]
    answer = wardround("silo", "studies", "--site", hospital.site)
    heading, study, path, following = answer.out.splitlines()
    assert heading.split() == ["study", "state", "until", "title"]
    assert study.startswith("trial 1.0.0  approved  ")
    assert following.startswith("Next: wardround silo review BUNDLE")
    assert read_bundle(Path(path.strip())).study_hash == read_bundle(ready.bundle).study_hash

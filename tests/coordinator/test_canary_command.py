"""``coordinator canary`` and ``begin``: what a person reads and a program gets; how it ends when nobody answers."""

from __future__ import annotations

import threading

import pytest
from paper_canaries import Canaried
from paper_hospitals import PaperGrid
from studies_on_paper import RECORDS, SITES, paper

from coordinator import canary_command
from coordinator import scheduler as scheduler_module
from coordinator.canary.files import REQUEST
from coordinator.identity import CentreFile, init_centre
from coordinator.scheduler import Scheduler
from coordinator.studies import HOLD, WAITING, submit


@pytest.fixture
def centre(tmp_path, monkeypatch):
    """A centre on disk that counts as running, with a held study and hospitals on paper; and a conductor to start."""
    monkeypatch.setattr(scheduler_module, "WAIT_SECONDS", 0.01)
    monkeypatch.setattr(canary_command, "read_state", lambda _folder: object())
    monkeypatch.setattr(canary_command, "SHORTEST_SECONDS", 5.0)
    folder = tmp_path / "centre"
    init_centre(folder, CentreFile(name="Centre", address="localhost:8443", listen="127.0.0.1:8443"), ())
    made = paper()
    place = submit(folder, made.bundle, hold=True)
    hospitals = {site: Canaried(made, site, RECORDS[site]) for site in SITES}
    scheduler = Scheduler(folder, made.key, lambda _roster: PaperGrid(list(hospitals.values())))
    stop = threading.Event()
    conductor = threading.Thread(target=scheduler.run, args=(stop,), daemon=True)
    yield folder, place, hospitals, conductor
    stop.set()
    if conductor.is_alive():
        conductor.join(20)


def test_all_ready_is_exit_0(wardround, centre):
    """The table has every hospital and says yes; a deadline is proposed, and which records were assumed is said."""
    folder, place, _, conductor = centre
    conductor.start()
    answer = wardround("coordinator", "canary", "trial", "--dir", folder, "--seconds", 20, "--records", 5000)
    assert answer.status == 0, answer
    lines = answer.out.splitlines()
    assert [line.split()[:2] for line in lines[1:4]] == [[site, "yes"] for site in SITES]
    assert "3 of 3 hospitals are ready. Assumed training records of each: 5000 (given)." in answer.out
    assert "Proposed rounds.deadline_seconds: 60 (" in answer.out
    assert "the study's is shorter: 30 s" in answer.out
    assert not (place.path / REQUEST).exists()


def test_one_that_is_not_ready_is_exit_1_and_the_json_says_why(wardround, centre):
    """JSON has the typed value: codes by hospital, figures, the deadline; the text explains each code."""
    folder, place, hospitals, conductor = centre
    hospitals["beta"].refuses = "H-STUDY"
    conductor.start()
    named = place.path.name[:12]
    answer = wardround("coordinator", "canary", named, "--dir", folder, "--seconds", 20, "--format", "json")
    assert answer.status == 1
    found = answer.json()
    assert found["ready"] is False
    assert {silo["site"]: silo["codes"] for silo in found["silos"]} == {"alpha": [], "beta": ["H-STUDY"], "gamma": []}
    assert (found["records"], found["assumed"]) == (1, "silos.minimum_records")
    text = wardround("coordinator", "canary", named, "--dir", folder, "--seconds", 20)
    assert text.status == 1
    assert [line.split()[:2] for line in text.out.splitlines()[1:4]] == [["alpha", "yes"], ["beta", "H-STUDY"], ["gamma", "yes"]]
    assert "H-STUDY: a task of a study that is not approved here" in text.out


def test_a_centre_that_does_not_run_is_said(wardround, centre, monkeypatch):
    """Without a supervisor nobody answers: V-STOPPED at once, and no request is left."""
    folder, place, _, _ = centre
    monkeypatch.undo()
    answer = wardround("coordinator", "canary", "trial", "--dir", folder)
    assert answer.status == 2
    assert "V-STOPPED" in answer.err
    assert not (place.path / REQUEST).exists()


def test_no_round_is_interrupted(wardround, centre):
    """While a study is conducted the command says so, V-BUSY; one that waits for the operator hinders nobody."""
    folder, place, _, _ = centre
    running = place.read().model_copy(update={"phase": "running", "purpose": "round", "round": 2})
    place.write(running)
    answer = wardround("coordinator", "canary", "trial", "--dir", folder)
    assert answer.status == 2
    assert "V-BUSY trial 1.0.0" in answer.err.replace("\n", " ")
    place.write(running.model_copy(update={"summary": WAITING}))
    answer = wardround("coordinator", "canary", "trial", "--dir", folder, "--seconds", 5)
    assert "did not in 5 seconds" in answer.err, "no conductor runs here"
    assert not (place.path / REQUEST).exists(), "a request that nobody waits for is taken back"


@pytest.mark.parametrize("named", ["other", "", "zz"])
def test_a_study_that_is_not_there_is_named(wardround, centre, named):
    """What names no study is X-STUDY, with the nearest name or where to look."""
    answer = wardround("coordinator", "canary", named, "--dir", centre[0])
    assert answer.status == 2
    assert "X-STUDY" in answer.err
    assert "no such study" in answer.err
    assert "did you mean" in answer.err or "coordinator status" in answer.err


def test_a_name_of_two_studies_names_neither(wardround, centre):
    """Two versions of a study are told apart by their hashes."""
    other = submit(centre[0], paper(version="1.0.1").bundle)
    answer = wardround("coordinator", "begin", "trial", "--dir", centre[0])
    assert answer.status == 2
    assert "2 studies go by it" in answer.err
    assert other.path.name[:12] in answer.err


def test_begin_lets_a_held_study_begin(wardround, centre):
    """After `begin` the conductor takes it up; one that has ended cannot be begun."""
    folder, place, _, _ = centre
    assert wardround("coordinator", "begin", "trial", "--dir", folder).status == 0
    assert not (place.path / HOLD).exists()
    assert not place.held
    place.write(place.read().model_copy(update={"phase": "complete"}))
    answer = wardround("coordinator", "begin", "trial", "--dir", folder)
    assert answer.status == 2
    assert "it is complete" in answer.err

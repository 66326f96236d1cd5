"""Canaries at the conductor: asked by a file, flown between studies, answered by a file; rounds are what they were."""

from __future__ import annotations

import secrets
import time

import pytest
from paper_canaries import Canaried
from paper_hospitals import PaperGrid
from studies_on_paper import RECORDS, SITES, paper

from coordinator import scheduler as module
from coordinator.canary.files import (
    ANSWER,
    REQUEST,
    CanaryRequest,
    now_ms,
    pending_request,
    read_result,
    withdraw_request,
    write_request,
)
from coordinator.scheduler import Scheduler
from coordinator.studies import HELD, HOLD, StudyFolder, release_folder, submit
from wardround.messages.canary import MOST_ROWS


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(module, "ASK_AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.01)
    monkeypatch.setattr(module, "OFFER_SECONDS", 0.2)


def ask(folder: StudyFolder, seconds: float = 20.0, records: int = 100) -> CanaryRequest:
    """Ask as the command does."""
    until = now_ms() + round(seconds * 1000)
    request = CanaryRequest(request=secrets.token_hex(32), records=records, assumed="given", until_ms=until)
    write_request(folder.path, request)
    return request


class Ward:
    """A centre with one study, and hospitals on paper."""

    def __init__(self, centre, *, hold=True, **changes):
        self.centre = centre
        self.paper = paper(**changes)
        self.hospitals = {site: Canaried(self.paper, site, RECORDS[site]) for site in SITES}
        self.folder = submit(centre, self.paper.bundle, hold=hold)
        self.grid = PaperGrid(list(self.hospitals.values()))
        self.scheduler = Scheduler(centre, self.paper.key, lambda _roster: self.grid)

    def fly(self, **words):
        """Ask for a canary, and have the conductor answer it in one tick."""
        request = ask(self.folder, **words)
        self.scheduler.tick()
        result = read_result(self.folder.path, request)
        assert result is not None
        assert not (self.folder.path / REQUEST).exists()
        return result

    def until(self, holds, seconds=20.0):
        """Let the conductor work until something holds of the study's state."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.scheduler.tick()
            state = self.folder.read()
            if holds(state):
                return state
        raise AssertionError(state)


def test_all_are_ready_before_the_first_round(tmp_path):
    """A held study whose hospitals approved is canaried, then begun, and ends with the bytes of one without a canary."""
    ward = Ward(tmp_path / "a")
    ward.until(lambda state: all(silo.offer == "approved" for silo in state.silos))
    result = ward.fly()
    assert result.ready
    assert [silo.site for silo in result.silos] == list(SITES)
    assert result.deadline is not None
    assert (result.name, result.records) == ("trial", 100)
    assert ward.folder.read().summary == HELD
    assert not any(hospital.tasks for hospital in ward.hospitals.values())
    nonces = {hospital.flown[0].nonce for hospital in ward.hospitals.values()}
    assert len(nonces) == 1
    assert nonces != {result.request}
    (ward.folder.path / HOLD).unlink()
    assert ward.until(lambda state: state.phase not in ("submitted", "running")).phase == "complete"
    other = Ward(tmp_path / "b", hold=False)
    assert other.until(lambda state: state.phase not in ("submitted", "running")).phase == "complete"
    weights = [(release_folder(each.centre, each.paper.bundle) / "model.safetensors").read_bytes() for each in (ward, other)]
    assert weights[0] == weights[1]


def test_a_held_study_waits_for_a_word(tmp_path):
    """However long all have approved, a held study does not begin; unheld it does, and says so."""
    ward = Ward(tmp_path)
    for _ in range(15):
        ward.scheduler.tick()
    assert (ward.folder.read().phase, ward.folder.read().summary) == ("submitted", HELD)
    (ward.folder.path / HOLD).unlink()
    assert ward.until(lambda state: state.phase != "submitted").summary != HELD


def test_who_is_not_ready_is_named_with_the_reason(tmp_path):
    """One refuses, one is silent, one has too little disk: each by its code; the silent one costs no more than the wait."""
    ward = Ward(tmp_path)
    ward.hospitals["alpha"].refuses = "H-STUDY"
    ward.hospitals["beta"].silent = True
    ward.hospitals["gamma"].figures = {"disk_mib": 1}
    begun = time.monotonic()
    result = ward.fly(seconds=1.5)
    assert time.monotonic() - begun < 5.0
    assert {silo.site: silo.codes for silo in result.silos} == {
        "alpha": ("H-STUDY",),
        "beta": ("R-SILENT",),
        "gamma": ("O-SPACE",),
    }
    assert not result.ready
    assert result.deadline.slowest == "gamma"


def test_who_cannot_be_reached_is_silent_at_once(tmp_path):
    """What the transport does not deliver is R-SILENT without a wait."""
    ward = Ward(tmp_path)
    del ward.grid.hospitals["beta"]
    begun = time.monotonic()
    result = ward.fly(seconds=20.0)
    assert time.monotonic() - begun < 10.0
    assert [silo.codes for silo in result.silos] == [(), ("R-SILENT",), ()]


def test_a_canary_has_no_more_rows_than_an_evaluation(tmp_path):
    """However many records are assumed, the order asks for no larger step than hospitals take."""
    ward = Ward(tmp_path)
    ward.fly(records=10**9)
    assert ward.hospitals["alpha"].flown[0].rows == MOST_ROWS


def test_nobody_is_canaried_for_nobody(tmp_path):
    """A request whose time is over, or that cannot be read, is left alone."""
    ward = Ward(tmp_path)
    request = ask(ward.folder, seconds=-1.0)
    ward.scheduler.tick()
    (ward.folder.path / REQUEST).write_bytes(b"{}")
    ward.scheduler.tick()
    assert read_result(ward.folder.path, request) is None
    assert not any(hospital.flown for hospital in ward.hospitals.values())


def test_a_request_is_taken_back_by_who_made_it(tmp_path):
    """Another one's request stays where it is."""
    folder = submit(tmp_path, paper().bundle)
    first = ask(folder)
    second = ask(folder)
    withdraw_request(folder.path, first)
    assert pending_request(folder.path) == second
    withdraw_request(folder.path, second)
    assert not (folder.path / REQUEST).exists()


def test_a_round_goes_before_a_canary(tmp_path, monkeypatch):
    """A study that is being conducted is gone on with first; the canary flies when it has ended."""
    ward = Ward(tmp_path, hold=False)
    ward.folder.write(ward.folder.read().model_copy(update={"phase": "running"}))
    request = ask(ward.folder)
    ward.scheduler.tick()
    assert ward.folder.read().phase == "complete"
    assert not any(hospital.flown for hospital in ward.hospitals.values())
    ward.scheduler.tick()
    assert read_result(ward.folder.path, request).ready


def test_a_damaged_study_costs_its_canary_alone(tmp_path):
    """Where the bundle cannot be read the request is dropped, and the conductor goes on."""
    ward = Ward(tmp_path)
    (ward.folder.path / "bundle.wardround").write_bytes(b"damaged")
    request = ask(ward.folder)
    ward.scheduler.tick()
    assert pending_request(ward.folder.path) is None
    assert read_result(ward.folder.path, request) is None


def test_an_older_answer_is_not_this_one(tmp_path):
    """The answer names its request: what an earlier canary found is not shown for a later one."""
    ward = Ward(tmp_path)
    ward.fly()
    assert (ward.folder.path / ANSWER).exists()
    assert read_result(ward.folder.path, ask(ward.folder)) is None

"""The conductor's day: offers, decisions, when a study begins, and what is left on disk of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import pytest
from paper_hospitals import PaperGrid, PaperHospital
from pydantic import ValidationError
from studies_on_paper import RECORDS, SITES, Paper, paper, signing_key

from coordinator import scheduler as module
from coordinator.journal.journal import DiskJournal, read_entries
from coordinator.rounds.admission import NotAdmitted
from coordinator.rounds.grid import Incoming
from coordinator.scheduler import Scheduler, StateKeeper
from coordinator.studies import SiloState, StudyFolder, StudyState, folders, release_folder, submit
from wardround.chain import Chain
from wardround.errors import Refused, refuse
from wardround.messages.envelope import Envelope, bodies_hold, read, seal, signed_by
from wardround.messages.offer import OFFER, OfferAnswer, OfferState
from wardround.messages.record import RoundRecord, SiloRecord
from wardround.study.bundle import bundle_bytes


@dataclass
class Invited(PaperHospital):
    """A hospital that is offered a study: what it says of it, and what it was sent."""

    decision: OfferState = "approved"
    signs_as: str = ""
    sent: list[int] = field(default_factory=list)
    has: bool = False
    away: bool = False

    def knock(self, envelope: Envelope) -> Envelope | None:
        """Take an offer, or an order as ever."""
        offer = read(envelope, OFFER)
        if offer is None:
            return super().knock(envelope)
        assert signed_by(envelope, "offer", self.paper.key.public)
        assert bodies_hold(envelope, offer.bodies)
        if self.away:
            return None
        self.sent.append(len(envelope.arrays))
        if envelope.arrays:
            assert envelope.arrays[0] == bundle_bytes(self.paper.bundle)
            self.has = True
        state: OfferState = self.decision if self.has else "unknown"
        key = signing_key(self.signs_as) if self.signs_as else self.paper.parties[self.site].key
        return seal("reply", OfferAnswer(site=self.site, study_hash=offer.study_hash, state=state), key)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(module, "ASK_AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.01)
    monkeypatch.setattr(module, "OFFER_SECONDS", 0.2)


def centre_of(study: Paper, tmp_path, invited):
    submit(tmp_path, study.bundle)
    return Scheduler(tmp_path, study.key, lambda _keys: PaperGrid(invited))


def state_of(tmp_path) -> StudyState:
    (folder,) = folders(tmp_path)
    state = folder.read()
    assert state is not None
    return state


def ticks(scheduler, tmp_path, holds, seconds=20.0) -> StudyState:
    """Let the scheduler work until something holds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        scheduler.tick()
        state = state_of(tmp_path)
        if holds(state):
            return state
    raise AssertionError(state_of(tmp_path))


def test_a_study_is_brought_approved_and_conducted(tmp_path, monkeypatch):
    """Each hospital is asked first, gets the bundle once if it has none, and the study begins when all approved."""
    monkeypatch.setattr(module, "OFFER_SECONDS", 60.0)  # nobody is asked twice for being slow
    study = paper()
    invited = [Invited(study, site, RECORDS[site]) for site in SITES]
    invited[1].has = True  # it was brought as a file
    scheduler = centre_of(study, tmp_path, invited)
    state = ticks(scheduler, tmp_path, lambda state: state.phase not in ("submitted", "running"))
    assert state.phase == "complete", state
    assert [hospital.sent for hospital in invited] == [[0, 1], [0], [0, 1]]
    assert (tmp_path / str(state.release)).resolve() == release_folder(tmp_path, study.bundle).resolve()
    assert (release_folder(tmp_path, study.bundle) / "model.safetensors").exists()


def test_a_study_waits_between_statistics_and_training(tmp_path, wardround):
    """With --hold-training no hospital is asked to train before somebody says so, over a restart too; nothing is asked twice."""
    study = paper()
    invited = [Invited(study, site, RECORDS[site]) for site in SITES]
    folder = submit(tmp_path, study.bundle, hold_training=True)

    def scheduler():
        return Scheduler(tmp_path, study.key, lambda _keys: PaperGrid(invited))

    ticks(scheduler(), tmp_path, lambda state: state.summary == "held before training")
    again = scheduler()
    for _ in range(5):
        again.tick()
    assert {task.core.purpose for hospital in invited for task in hospital.tasks} == {"statistics"}
    assert folder.training_held
    begun = wardround("coordinator", "begin", study.bundle.study.name, "--dir", tmp_path)
    assert begun.status == 0, begun.err
    assert "goes on with its first round" in begun.out
    assert ticks(again, tmp_path, lambda state: state.phase not in ("submitted", "running")).phase == "complete"
    assert [[task.core.purpose for task in hospital.tasks].count("statistics") for hospital in invited] == [1, 1, 1]


class Timed(PaperGrid):
    """A grid that notes how long each message is worth delivering, and how many bytes of arrays it has."""

    def __init__(self, invited):
        super().__init__(invited)
        self.noted = []

    def push_messages(self, messages):
        """Note, and send."""
        self.noted += [(message.seconds_to_live, sum(map(len, message.envelope.arrays))) for message in messages]
        return super().push_messages(messages)


def test_a_bundle_has_the_time_of_a_slow_line(tmp_path, monkeypatch):
    """A bundle lives as long as it takes over the slowest line that is meant, beside an offer's own time."""
    monkeypatch.setattr(module, "SLOWEST_BYTES_A_SECOND", 1000)
    study = paper()
    grid = Timed([Invited(study, site, RECORDS[site], decision="waiting") for site in SITES])
    submit(tmp_path, study.bundle)
    scheduler = Scheduler(tmp_path, study.key, lambda _keys: grid)
    ticks(scheduler, tmp_path, lambda state: all(silo.offer == "waiting" for silo in state.silos))
    size = len(bundle_bytes(study.bundle))
    assert {arrays for _, arrays in grid.noted} == {0, size}
    assert all(seconds == pytest.approx(0.2 + arrays / 1000) for seconds, arrays in grid.noted)


def test_a_bundle_goes_only_to_who_is_there(tmp_path):
    """A hospital that was lost while its bundle was under way is first asked whether it is there, without the bundle."""
    study = paper()
    invited = [Invited(study, site, RECORDS[site], decision="waiting") for site in SITES]
    grid = Timed(invited)
    submit(tmp_path, study.bundle)
    scheduler = Scheduler(tmp_path, study.key, lambda _keys: grid)
    ticks(scheduler, tmp_path, lambda state: all(silo.offer == "unknown" for silo in state.silos))
    for hospital in invited:
        hospital.away = True
    ticks(scheduler, tmp_path, lambda _: [size > 0 for _, size in grid.noted].count(True) == len(SITES))
    brought = len(grid.noted)
    ticks(scheduler, tmp_path, lambda _: len(grid.noted) >= brought + 2 * len(SITES))
    assert not any(size for _, size in grid.noted[brought:])
    for hospital in invited:
        hospital.away = False
    ticks(scheduler, tmp_path, lambda state: all(silo.offer == "waiting" for silo in state.silos))


def test_nobody_is_overtaken(tmp_path):
    """While one hospital has not decided, the study waits, and nobody is sent a task."""
    study = paper()
    invited = [Invited(study, site, RECORDS[site], decision="waiting" if site == "beta" else "approved") for site in SITES]
    scheduler = centre_of(study, tmp_path, invited)
    for _ in range(12):
        scheduler.tick()
    assert state_of(tmp_path).phase == "submitted"
    assert {silo.site: silo.offer for silo in state_of(tmp_path).silos} == {
        "alpha": "approved",
        "beta": "waiting",
        "gamma": "approved",
    }
    assert not any(hospital.tasks for hospital in invited)
    invited[1].decision = "approved"
    assert ticks(scheduler, tmp_path, lambda state: state.phase != "submitted").phase == "complete"


def test_too_many_refusals_fail_it_at_once(tmp_path):
    """A study that cannot reach its minimum any more fails with the decisions, and nobody is sent a task."""
    study = paper()
    decisions: list[OfferState] = ["approved", "rejected", "refused-by-policy"]
    invited = [Invited(study, site, RECORDS[site], decision=each) for site, each in zip(SITES, decisions, strict=True)]
    scheduler = centre_of(study, tmp_path, invited)
    state = ticks(scheduler, tmp_path, lambda state: state.phase != "submitted")
    assert state.phase == "failed"
    assert "C-QUORUM" in state.problems[0]
    assert "beta: rejected, gamma: refused-by-policy" in state.problems[0]
    assert not any(hospital.tasks for hospital in invited)


def test_a_forged_decision_counts_for_nothing(tmp_path):
    """An approval that the hospital did not sign changes nothing."""
    study = paper()
    invited = [Invited(study, site, RECORDS[site], signs_as="stranger" if site == "beta" else "") for site in SITES]
    scheduler = centre_of(study, tmp_path, invited)
    for _ in range(12):
        scheduler.tick()
    assert state_of(tmp_path).phase == "submitted"
    assert {silo.offer for silo in state_of(tmp_path).silos if silo.site == "beta"} == {None}


def test_who_is_away_is_asked_again(tmp_path):
    """An offer that nobody took is made again when its time is over."""
    study = paper()
    invited = [Invited(study, site, RECORDS[site], away=site == "gamma") for site in SITES]
    scheduler = centre_of(study, tmp_path, invited)
    for _ in range(6):
        scheduler.tick()
    invited[2].away = False
    assert ticks(scheduler, tmp_path, lambda state: state.phase != "submitted").phase == "complete"


def test_what_was_interrupted_goes_on(tmp_path, monkeypatch):
    """A conductor that dies in the middle of a study leaves it running; the next one goes on by itself, to the same end."""
    study = paper()
    invited = [Invited(study, site, RECORDS[site], has=True) for site in SITES]
    scheduler = centre_of(study, tmp_path, invited)
    honest = DiskJournal.write

    def dying(journal, entry):
        honest(journal, entry)
        if entry.event == "admitted" and len(read_entries(journal._folder)) > 12:
            raise Death

    monkeypatch.setattr(DiskJournal, "write", dying)
    with pytest.raises(Death):
        ticks(scheduler, tmp_path, lambda state: state.phase not in ("submitted", "running"))
    assert state_of(tmp_path).phase == "running"
    monkeypatch.setattr(DiskJournal, "write", honest)
    again = Scheduler(tmp_path, study.key, lambda _keys: PaperGrid(invited))
    state = ticks(again, tmp_path, lambda state: state.phase != "running")
    assert state.phase == "complete"
    assert len([task for task in invited[0].tasks if task.core.purpose == "statistics"]) == 1, "it was not begun anew"


class Death(BaseException):
    """As SIGKILL."""


def test_a_full_disk_fails_no_study(tmp_path, monkeypatch):
    """While the disk does not take the journal the study waits and says so; with space it goes on and ends whole."""
    monkeypatch.setattr(module, "HALTED_SECONDS", 0.05)
    study = paper()
    invited = [Invited(study, site, RECORDS[site], has=True) for site in SITES]
    scheduler = centre_of(study, tmp_path, invited)
    honest, full = Chain.append, iter([False] * 8 + [True] * 3)

    def append(chain, entry):
        if next(full, False):
            raise refuse("O-WRITE", "journal.jsonl", "Every line is on disk", "the disk is full", "free space")
        return honest(chain, entry)

    monkeypatch.setattr(Chain, "append", append)
    waiting = ticks(scheduler, tmp_path, lambda state: state.summary == module.WAITING)
    assert waiting.phase == "running"
    assert "O-WRITE" in waiting.problems[0]
    state = ticks(scheduler, tmp_path, lambda state: state.phase != "running")
    assert (state.phase, state.problems) == ("complete", ())


def test_a_release_that_was_written_is_not_written_again(tmp_path, monkeypatch):
    """Killed between the release and its state: the next conductor finds both whole."""
    study = paper()
    invited = [Invited(study, site, RECORDS[site], has=True) for site in SITES]
    scheduler = centre_of(study, tmp_path, invited)
    honest = module.ended

    def dying(*_arguments):
        raise Death

    monkeypatch.setattr(module, "ended", dying)
    with pytest.raises(Death):
        ticks(scheduler, tmp_path, lambda state: state.phase not in ("submitted", "running"))
    release = release_folder(tmp_path, study.bundle)
    before = {path.name: path.read_bytes() for path in release.iterdir()}
    monkeypatch.setattr(module, "ended", honest)
    again = Scheduler(tmp_path, study.key, lambda _keys: PaperGrid(invited))
    state = ticks(again, tmp_path, lambda state: state.phase != "running")
    assert state.phase == "complete"
    assert {path.name: path.read_bytes() for path in release.iterdir()} == before


def test_a_study_is_submitted_once(tmp_path):
    """The very same study is not taken in twice."""
    study = paper()
    submit(tmp_path, study.bundle)
    with pytest.raises(Refused) as refused:
        submit(tmp_path, study.bundle)
    assert refused.value.codes == ("O-EXISTS",)


def test_a_damaged_study_stops_no_other(tmp_path):
    """A bundle that was damaged on disk fails its own study; the others go on."""
    study, other = paper(), paper(name="other")
    folder = submit(tmp_path, other.bundle)
    (folder.path / "bundle.wardround").write_bytes(b"damaged")
    invited = [Invited(study, site, RECORDS[site]) for site in SITES]
    scheduler = centre_of(study, tmp_path, invited)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        scheduler.tick()
        states = {state.name: state.phase for each in folders(tmp_path) if (state := each.read()) is not None}
        if states == {"trial": "complete", "other": "failed"}:
            return
    raise AssertionError(states)


def test_transport_errors_are_no_decision(tmp_path):
    """A hospital that cannot be reached has not decided."""
    study = paper()

    class Dead(PaperGrid):
        def push_messages(self, messages):
            ids = [f"{self.numbers + index}" for index, _ in enumerate(messages, 1)]
            self.numbers += len(messages)
            self.waiting |= {each: Incoming(each, None) for each in ids}
            return ids

    submit(tmp_path, study.bundle)
    scheduler = Scheduler(tmp_path, study.key, lambda _keys: Dead([]))
    for _ in range(5):
        scheduler.tick()
    assert {silo.offer for silo in state_of(tmp_path).silos} == {None}


def test_the_state_shows_how_far_a_hospital_is(tmp_path):
    """While a hospital works, its epoch and the percentage of its whole training stand in the study's state."""
    submit(tmp_path, paper().bundle)
    (folder,) = folders(tmp_path)
    keeper = StateKeeper(folder, state_of(tmp_path))
    keeper.working("beta", 3, 10, 27)
    shown = {silo.site: silo.activity for silo in state_of(tmp_path).silos}
    assert shown["beta"] == "epoch 3 of 10, 27 %"


def test_a_state_that_cannot_be_written_fails_no_study(tmp_path, monkeypatch):
    """The state only shows. While it cannot be written the study goes on, and its end is written when there is room."""
    monkeypatch.setattr(module, "HALTED_SECONDS", 0.05)
    study = paper()
    invited = [Invited(study, site, RECORDS[site], has=True) for site in SITES]
    scheduler = centre_of(study, tmp_path, invited)
    honest, room = StudyFolder.write, [True]

    def write(folder, state):
        if not room[0]:
            raise refuse("O-WRITE", "state.json", "It is written", "the disk is full", "free space")
        honest(folder, state)
        room[0] = state.phase != "running"

    monkeypatch.setattr(StudyFolder, "write", write)
    for _ in range(8):
        scheduler.tick()
    room[0] = True
    monkeypatch.setattr(StudyFolder, "write", honest)
    state = ticks(scheduler, tmp_path, lambda state: state.phase != "running")
    assert state.phase == "complete"
    assert (tmp_path / str(state.release) / "model.safetensors").exists()


def test_a_release_of_another_end_is_not_taken_for_ones_own(tmp_path, monkeypatch):
    """A release that is there and says another status halts the study: no state says complete over a release without a model."""
    study = paper()
    invited = [Invited(study, site, RECORDS[site], has=True) for site in SITES]
    release = release_folder(tmp_path, study.bundle)
    release.mkdir(parents=True)
    (release / "history.json").write_text('{"status": "failed"}')
    scheduler = centre_of(study, tmp_path, invited)
    state = ticks(scheduler, tmp_path, lambda state: bool(state.problems))
    assert state.phase == "running"
    assert "O-EXISTS" in state.problems[0]


def test_a_lost_state_is_made_anew(tmp_path):
    """A state that cannot be read is made from bundle and journal; the study goes on where it was."""
    study = paper()
    invited = [Invited(study, site, RECORDS[site], has=True) for site in SITES]
    scheduler = centre_of(study, tmp_path, invited)
    (folder,) = folders(tmp_path)
    (folder.path / "state.json").write_text("damaged")
    assert ticks(scheduler, tmp_path, lambda state: state.phase not in ("submitted", "running")).phase == "complete"


def test_a_submission_is_whole_or_not_there(tmp_path, monkeypatch):
    """Killed before the bundle is written: nothing is there, and the study can be submitted."""
    study = paper()

    def dying(*_arguments, **_more):
        raise Death

    monkeypatch.setattr("coordinator.studies.bundle_bytes", dying)
    with pytest.raises(Death):
        submit(tmp_path, study.bundle)
    monkeypatch.undo()
    assert list(folders(tmp_path)) == []
    submit(tmp_path, study.bundle)
    assert len(list(folders(tmp_path))) == 1


def keeper_of(tmp_path) -> StateKeeper:
    submit(tmp_path, paper().bundle)
    (folder,) = folders(tmp_path)
    return StateKeeper(folder, state_of(tmp_path))


def beta_of(tmp_path) -> SiloState:
    return next(silo for silo in state_of(tmp_path).silos if silo.site == "beta")


def record_of(**beta) -> RoundRecord:
    silos = (SiloRecord(site="alpha", status="counted", records=120), SiloRecord(site="beta", **beta))
    return RoundRecord(purpose="round", round=1, attempt=0, outcome="failed", records=120, silos=silos, seconds=1.0)


def test_every_state_of_a_hospital_is_told(tmp_path, monkeypatch):
    """Invited, asked, working, answered, refused, gone and silent: each typed, each in its words, nothing of the one before."""
    monkeypatch.setattr(module, "STATE_SECONDS", 0.0)
    keeper = keeper_of(tmp_path)
    assert (beta_of(tmp_path).status, beta_of(tmp_path).activity) == ("invited", "invited")
    keeper.opened("round", 1, 0, SITES)
    assert (beta_of(tmp_path).status, beta_of(tmp_path).activity) == ("asked", "asked")
    keeper.working("beta", 3, 10, 27)
    beta = beta_of(tmp_path)
    assert (beta.status, beta.epoch, beta.epochs, beta.percent, beta.activity) == ("working", 3, 10, 27, "epoch 3 of 10, 27 %")
    keeper.away("beta")
    gone = beta_of(tmp_path)
    assert (gone.status, gone.epoch, gone.activity) == ("gone", None, f"gone since {gone.since}")
    monkeypatch.setattr(module, "instant", lambda _when: "2099-01-01T00:00:00Z")
    keeper.closed(record_of(status="silent", code="R-SILENT"))
    assert beta_of(tmp_path) == gone, "it is gone since then, not since the deadline"
    keeper.opened("round", 1, 1, SITES)
    assert beta_of(tmp_path).activity == "asked again (2)"
    keeper.closed(record_of(status="silent", code="R-SILENT"))
    assert beta_of(tmp_path).activity == "silent since 2099-01-01T00:00:00Z"
    keeper.closed(record_of(status="silent", code="R-SILENT", seconds=0.5))
    assert beta_of(tmp_path).activity == "gone since 2099-01-01T00:00:00Z"
    keeper.answered("beta", NotAdmitted("R-SHAPE", "0" * 64))
    beta = beta_of(tmp_path)
    assert (beta.status, beta.code, beta.activity, beta.since) == ("refused", "R-SHAPE", "R-SHAPE", None)
    keeper.closed(record_of(status="not asked", code="H-FEW"))
    assert (beta_of(tmp_path).status, beta_of(tmp_path).activity) == ("refused", "H-FEW")


@pytest.mark.parametrize(
    "state",
    [
        {"status": "refused"},
        {"status": "answered", "code": "H-FEW"},
        {"status": "working", "epoch": 1, "epochs": 2},
        {"status": "working", "epoch": 1, "epochs": 2, "percent": 3, "since": "2026-01-01T00:00:00Z"},
        {"status": "silent"},
        {"status": "gone", "since": "yesterday"},
        {"status": "asleep"},
    ],
)
def test_half_a_state_is_none(state):
    """A state without what belongs to it, or with what belongs to another, is refused."""
    with pytest.raises(ValidationError):
        SiloState(site="beta", **state)


def removing(study: Paper, tmp_path, invited, out: set[str]) -> Scheduler:
    """Give a scheduler whose centre removes whom a test says."""
    submit(tmp_path, study.bundle)
    return Scheduler(tmp_path, study.key, lambda _bundle: PaperGrid(invited), lambda _roster: frozenset(out))


def test_nobody_waits_for_the_decision_of_a_removed_hospital(tmp_path):
    """It had not decided when it was removed: it is offered nothing more, and the study begins and ends without it."""
    study, out = paper(), set[str]()
    invited = [Invited(study, site, RECORDS[site], decision="waiting" if site == "beta" else "approved") for site in SITES]
    scheduler = removing(study, tmp_path, invited, out)
    ticks(scheduler, tmp_path, lambda state: all(silo.offer in ("approved", "waiting") for silo in state.silos))
    out.add("beta")
    scheduler.tick()
    offers = len(invited[1].sent)
    state = ticks(scheduler, tmp_path, lambda state: state.phase not in ("submitted", "running"))
    assert state.phase == "partial"
    assert {silo.site: silo.code for silo in state.silos} == {"alpha": None, "beta": "R-REMOVED", "gamma": None}
    assert len(invited[1].sent) == offers
    assert not invited[1].tasks


def test_an_approval_of_a_removed_hospital_counts_for_nothing(tmp_path):
    """It approved and was removed then: with it gone the study has too few, and fails by its own rules before it begins."""
    study, out = paper(), set[str]()
    decisions: list[OfferState] = ["approved", "approved", "waiting"]
    invited = [Invited(study, site, RECORDS[site], decision=each) for site, each in zip(SITES, decisions, strict=True)]
    scheduler = removing(study, tmp_path, invited, out)
    ticks(scheduler, tmp_path, lambda state: [silo.offer for silo in state.silos] == decisions)
    out.add("beta")
    invited[2].decision = "rejected"
    state = ticks(scheduler, tmp_path, lambda state: state.phase != "submitted")
    assert state.phase == "failed"
    assert "beta: removed from the centre, gamma: rejected" in state.problems[0]
    assert not any(hospital.tasks for hospital in invited)

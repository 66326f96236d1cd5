"""A hospital that is removed in a running study: sent nothing, waited for by nobody, refused whatever it says, and recorded."""

from __future__ import annotations

from contextlib import closing

import pytest
from paper_hospitals import Onlooker, PaperGrid, PaperHospital, conduct
from paper_visits import STUDY, codes, hospitals
from studies_on_paper import RECORDS, paper

from coordinator.journal.chronicle import read_chronicle
from coordinator.journal.entries import ReplyAdmitted, ReplyLate, ReplyRefused, VisitOpened
from coordinator.journal.journal import FOLDER, DiskJournal, read_entries
from coordinator.rounds.conductor import Conductor, Surroundings
from wardround.canonical import sha256
from wardround.weights.packing import to_bytes


class Removing(PaperGrid):
    """Beta is removed while a round's task is out, before its answer is pulled."""

    def __init__(self, asked, number: int) -> None:
        super().__init__(asked)
        self.number = number
        self.out: frozenset[str] = frozenset()

    def push_messages(self, messages):
        assert not self.out & {message.site for message in messages}, "a removed hospital is sent something"
        ids = super().push_messages(messages)
        last = self.hospitals["beta"].tasks[-1].core
        if (last.purpose, last.round) == ("round", self.number):
            self.out = frozenset({"beta"})
        return ids

    def removed(self) -> frozenset[str]:
        return self.out


def study_with(asked, grid: Removing, study=STUDY, journal=None):
    return Conductor(study.bundle, study.key, grid, Onlooker(), journal, Surroundings(removed=grid.removed)).run()


def test_its_answer_is_refused_and_the_study_goes_on(tmp_path):
    """The reply was signed, whole and in time: it does not count, the journal says so, and nothing more is sent to it."""
    asked = hospitals()
    with closing(DiskJournal(tmp_path, STUDY.bundle)) as journal:
        outcome = study_with(asked, Removing(asked, 2), journal=journal)
    assert outcome.status == "partial"
    assert codes(outcome) == [None, None, *["R-REMOVED"] * (len(outcome.history) - 2)]
    assert {record.counted for record in outcome.history[2:]} == {("alpha", "gamma")}
    assert [task.core.round for task in asked[1].tasks if task.core.purpose == "round"] == [1, 2]
    assert not asked[1].withdrawn

    entries = read_entries(tmp_path / FOLDER)
    (refused,) = [entry for entry in entries if isinstance(entry, ReplyRefused)]
    reply = asked[1].kept[asked[1].tasks[-1].task_id]
    assert (refused.site, refused.code, refused.reply) == ("beta", "R-REMOVED", sha256(reply.message))
    assert refused.message == ""
    opened = [entry for entry in entries if isinstance(entry, VisitOpened)]
    assert ["beta" in entry.asked for entry in opened] == [True] * 3 + [False] * (len(opened) - 3)
    told = read_chronicle(tmp_path, STUDY.bundle.study_hash)
    assert {absent.code for visit in told.visits for absent in visit.absent} == {"R-REMOVED"}


def test_what_comes_late_of_it_is_of_one_that_was_removed(tmp_path):
    """Its reply to a round that is over comes after its removal: the journal says R-REMOVED, and no visit calls it late."""
    asked = hospitals()
    grid = Removing(asked, 1)
    grid.late = lambda task: task.to == "beta" and task.core.round == 1
    with closing(DiskJournal(tmp_path, STUDY.bundle)) as journal:
        outcome = study_with(asked, grid, journal=journal)
    (late,) = [entry for entry in read_entries(tmp_path / FOLDER) if isinstance(entry, ReplyLate)]
    reply = asked[1].kept[asked[1].tasks[-1].task_id]
    assert (late.site, late.code, late.reply) == ("beta", "R-REMOVED", sha256(reply.message))
    assert {record.late for record in outcome.history} == {()}
    told = read_chronicle(tmp_path, STUDY.bundle.study_hash)
    assert {visit.late for visit in told.visits} == {()}


def test_the_weights_are_those_of_a_study_that_never_heard_of_it_again():
    """The same bits as if it had been silent from then on: nothing of its last reply is in the sum."""
    study = paper(rounds={"maximum": 3, "deadline_seconds": 0.3, "retries": 0})
    ours = [PaperHospital(study, site, RECORDS[site]) for site in study.parties]
    theirs = [PaperHospital(study, site, RECORDS[site]) for site in study.parties]
    theirs[1].spoil = lambda task, reply, arrays: (
        None if task.core.purpose != "statistics" and task.core.round > 1 else theirs[1].sealed(reply, arrays)
    )
    removed = study_with(ours, Removing(ours, 2), study)
    assert to_bytes(removed.last) == to_bytes(conduct(study, theirs).last)


def test_nobody_waits_for_it():
    """It would have worked for the whole deadline: the visit ends as soon as the others have answered."""
    study = paper(rounds={"maximum": 3, "deadline_seconds": 60.0, "retries": 0})
    asked = [PaperHospital(study, site, RECORDS[site]) for site in study.parties]
    asked[1].spoil = lambda task, reply, arrays: None if task.core.round == 2 else asked[1].sealed(reply, arrays)
    outcome = study_with(asked, Removing(asked, 2), study)
    assert codes(outcome)[2] == "R-REMOVED"
    assert outcome.history[2].seconds < 10


def test_work_under_way_is_not_asked_after():
    """It said that it is at work; its removal ends that, without an order to it."""
    study = paper(rounds={"maximum": 3, "deadline_seconds": 60.0, "retries": 0})
    asked = [PaperHospital(study, site, RECORDS[site]) for site in study.parties]
    asked[1].busy = lambda task: task.core.round == 2
    outcome = study_with(asked, Removing(asked, 2), study)
    assert codes(outcome)[2] == "R-REMOVED"
    assert asked[1].epoch == 1


@pytest.mark.parametrize("rules", [{"required": ["beta"]}, {"minimum": 3}])
def test_where_the_rules_need_it_the_study_fails(rules):
    """By its own rules, and at once: nobody waits for a hospital that cannot come back."""
    study = paper(silos={"minimum": 2, **rules}, rounds={"maximum": 3, "deadline_seconds": 60.0, "retries": 1})
    asked = [PaperHospital(study, site, RECORDS[site]) for site in study.parties]
    outcome = study_with(asked, Removing(asked, 2), study)
    assert outcome.status == "failed"
    (problem,) = outcome.problems
    assert problem.code == "C-FAILED"
    assert "beta: R-REMOVED" in problem.finding


def test_what_was_admitted_before_stays(tmp_path):
    """Removed after its reply was added: the round counts it, also when the conductor dies and the round goes on."""
    asked = hospitals()

    class After(Removing):
        def push_messages(self, messages):
            assert not self.out & {message.site for message in messages}
            return PaperGrid.push_messages(self, messages)

        def pull_messages(self, message_ids, wait_seconds):
            last = self.hospitals["beta"].tasks[-1].core
            entries = [
                entry for entry in read_entries(tmp_path / FOLDER) if isinstance(entry, ReplyAdmitted) and entry.site == "beta"
            ]
            if (last.purpose, last.round) == ("round", 1) and len(entries) == 2:
                self.out = frozenset({"beta"})
            return super().pull_messages(message_ids, wait_seconds)

    grid = After(asked, 0)
    with closing(DiskJournal(tmp_path, STUDY.bundle)) as journal:
        outcome = study_with(asked, grid, journal=journal)
    assert codes(outcome)[:3] == [None, None, "R-REMOVED"]
    assert outcome.history[1].counted == ("alpha", "beta", "gamma")

"""Whatever kills the conductor, whenever: the next one goes on, asks nobody again who counted, and ends with the same bits."""

import shutil
from contextlib import closing

import numpy as np
import pytest
from lives import live
from paper_hospitals import PaperHospital, conduct
from paper_visits import BRIEF, Large, in_round, refusing
from studies_on_paper import RECORDS, Paper, paper

from coordinator.journal.entries import VisitResumed
from coordinator.journal.journal import FILE, FOLDER, SPOOL, DiskJournal, Halted, read_entries
from coordinator.rounds.outcome import Outcome
from wardround.canonical import model_bytes
from wardround.chain import Chain, read_chain
from wardround.errors import Refused, refuse
from wardround.identity.keys import verify
from wardround.messages.round import RECEIPT
from wardround.weights.fixed_point import ExactSum
from wardround.weights.packing import to_bytes

STUDY = paper()
REFUSED_ONCE = in_round(2, refusing)
"""Beta refuses the second round; two of three are enough."""


def hospitals(study: Paper = STUDY, **beta) -> list[PaperHospital]:
    return [PaperHospital(study, site, RECORDS[site], **(beta if site == "beta" else {})) for site in study.parties]


def bits(outcome: Outcome) -> tuple[object, ...]:
    """Give everything of an outcome that a release holds, but for seconds and bytes on the way."""
    history = [
        record.model_dump(mode="json", exclude={"seconds": True, "silos": {"__all__": {"seconds", "bytes_down", "bytes_up"}}})
        for record in outcome.history
    ]
    weights = [None if each is None else to_bytes(each) for each in (outcome.best, outcome.last)]
    return (
        outcome.status,
        outcome.summary,
        outcome.stopped,
        outcome.rounds,
        outcome.best_round,
        history,
        weights,
        outcome.reports,
        outcome.shares,
    )


REFERENCE = bits(conduct(STUDY, hospitals(spoil=REFUSED_ONCE)))


@pytest.mark.parametrize("before", [True, False])
def test_a_kill_at_every_act_changes_no_bit(tmp_path, before):
    """Killed before or after each single write: the second life ends with the very outcome of an undisturbed one.

    And no hospital is asked again for a task whose reply had been admitted and written down.
    """
    number = 0
    while True:
        number += 1
        folder, asked = tmp_path / f"{number}", hospitals(spoil=REFUSED_ONCE)
        first = live(folder, STUDY, asked, number, before=before)
        if isinstance(first, Outcome):
            break
        counted = {
            (entry.site, entry.task_id)
            for entry in (read_entries(folder / FOLDER) if (folder / FOLDER).exists() else [])
            if entry.event == "admitted"
        }
        for hospital in asked:
            hospital.tasks.clear()
        second = live(folder, STUDY, asked)
        assert isinstance(second, Outcome)
        assert bits(second) == REFERENCE, (number, first)
        again = {(hospital.site, task.task_id) for hospital in asked for task in hospital.tasks}
        assert not counted & again, (number, first)
    assert number > 40, "the study was killed at each of its acts"


def test_a_kill_in_every_life(tmp_path):
    """A conductor that never survives more than a few acts still brings the study to its end, one life after the other."""
    asked, lives = hospitals(spoil=REFUSED_ONCE), 0
    while isinstance(found := live(tmp_path, STUDY, asked, 6), list):
        lives += 1
        assert lives < 100
    assert bits(found) == REFERENCE
    assert lives > 5


def test_a_study_that_has_ended_is_read_not_conducted(tmp_path):
    """After the end another life asks nobody and gives the same outcome: the release can be written again."""
    asked = hospitals(spoil=REFUSED_ONCE)
    assert isinstance(live(tmp_path, STUDY, asked), Outcome)
    size = (tmp_path / FOLDER / FILE).stat().st_size
    for hospital in asked:
        hospital.tasks.clear()
    again = live(tmp_path, STUDY, asked)
    assert isinstance(again, Outcome)
    assert bits(again) == REFERENCE
    assert not any(hospital.tasks for hospital in asked)
    assert (tmp_path / FOLDER / FILE).stat().st_size == size, "nothing was written twice"


def test_a_torn_journal_resumes_and_never_lies(tmp_path):
    """Cut at every byte of its last lines, the journal goes on from what is whole, to the same bits."""
    whole = tmp_path / "whole"
    live(whole, STUDY, hospitals(spoil=REFUSED_ONCE), 30)
    data = (whole / FOLDER / FILE).read_bytes()
    lines = data.splitlines(keepends=True)
    begin = len(data) - sum(len(line) for line in lines[-2:])
    for end in [*range(begin, len(data), 97), *range(len(data) - 5, len(data))]:
        folder = tmp_path / f"cut{end}"
        shutil.copytree(whole, folder)
        (folder / FOLDER / FILE).write_bytes(data[:end])
        outcome = live(folder, STUDY, hospitals(spoil=REFUSED_ONCE))
        assert isinstance(outcome, Outcome)
        assert bits(outcome) == REFERENCE, end


def test_an_edited_journal_is_refused_by_line(tmp_path):
    """One changed byte anywhere names its line, and nothing is conducted."""
    live(tmp_path, STUDY, hospitals(), 30)
    path = tmp_path / FOLDER / FILE
    data = path.read_bytes()
    for place in range(0, len(data) - 1, len(data) // 40):
        line = data[: place + 1].count(b"\n") + (data[place : place + 1] != b"\n")
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(Refused, match=f"L-BROKEN {FILE}, line {line}"):
            live(tmp_path, STUDY, hospitals())
    path.write_bytes(data)
    assert isinstance(live(tmp_path, STUDY, hospitals()), Outcome)


@pytest.mark.parametrize("damage", ["lost", "cut", "changed"])
def test_a_damaged_spool_is_asked_for_again(tmp_path, damage):
    """A change of weights that is not whole in the spool does not count: its hospital sends the same bytes again."""
    asked = hospitals()
    for number in range(8, 40):
        folder = tmp_path / f"{number}"
        done = live(folder, STUDY, asked, number)
        if isinstance(done, list) and done[-2:] == ["spool", "admitted"]:
            break
    (path, *_) = (folder / FOLDER / SPOOL).iterdir()
    if damage == "lost":
        path.unlink()
    else:
        data = path.read_bytes()
        path.write_bytes(data[:-4] if damage == "cut" else data[:-1] + bytes([data[-1] ^ 1]))
    for hospital in asked:
        hospital.tasks.clear()
    outcome = live(folder, STUDY, asked)
    assert isinstance(outcome, Outcome)
    assert bits(outcome) == bits(conduct(STUDY, hospitals()))
    first = [hospital.tasks[0].core.round for hospital in asked]
    assert first == [1, 1, 1]


def test_failed_attempts_are_remembered(tmp_path):
    """A repeated round is repeated as often as the study allows over all lives together, then it fails."""
    study = paper(("alpha", "beta"), rounds={**BRIEF, "retries": 2})

    def pair() -> list[PaperHospital]:
        two = [PaperHospital(study, site, RECORDS[site]) for site in ("alpha", "beta")]
        two[1].spoil = lambda task, reply, arrays: None if task.core.round == 2 else two[1].sealed(reply, arrays)
        return two

    asked, lives = pair(), 0
    while isinstance(found := live(tmp_path, study, asked, 6), list):
        lives += 1
        assert lives < 100
    assert bits(found) == bits(conduct(study, pair()))
    assert [(r.round, r.attempt) for r in found.history if r.outcome == "failed"] == [(2, 0), (2, 1), (2, 2)]


def test_the_spool_is_empty_when_a_round_is_over(tmp_path):
    """No hospital's change of weights stays at the centre longer than its round; of the weights, the needed ones stay."""
    outcome = live(tmp_path, STUDY, hospitals())
    assert isinstance(outcome, Outcome)
    assert list((tmp_path / FOLDER / SPOOL).iterdir()) == []
    kept = {path.name.split(".")[0] for path in (tmp_path / FOLDER / "weights").iterdir()}
    assert kept <= {record.stepped for record in outcome.history} | {outcome.history[-1].weights}
    assert len(kept) <= 2
    private = [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_mode & 0o077]
    assert private == []


def test_receipts_reach_their_hospitals_after_a_death(tmp_path):
    """What was counted before the conductor died is receipted in the first task of its next life: signed, with both heads."""
    asked = hospitals()
    for number in range(10, 60):
        folder = tmp_path / f"{number}"
        done = live(folder, STUDY, asked, number)
        if isinstance(done, list) and done[-1] == "clear" and done.count("closed") == 2:
            break
    before = {hospital.site: hospital.tasks[-1].task_id for hospital in asked}
    for hospital in asked:
        hospital.tasks.clear()
    live(folder, STUDY, asked)
    for hospital in asked:
        receipt = hospital.tasks[0].receipt
        assert receipt is not None
        assert (receipt.task_id, receipt.verdict) == (before[hospital.site], "counted")
        assert verify(STUDY.key.public, hospital.tasks[0].receipt_signature, RECEIPT, model_bytes(receipt))
        lines = {link.hash: link.entry for link in read_chain(folder / FOLDER / FILE)}
        assert (lines[receipt.journal]["reply"], lines[receipt.journal]["ledger"]) == (receipt.reply, receipt.ledger)


def test_lost_weights_are_named(tmp_path):
    """Weights that the journal names and nobody can read any more are no reason to begin anew in silence."""
    for number in range(10, 60):
        folder = tmp_path / f"{number}"
        done = live(folder, STUDY, hospitals(), number)
        if isinstance(done, list) and done[-1] == "clear" and done.count("closed") == 2:
            break
    for path in (folder / FOLDER / "weights").iterdir():
        path.write_bytes(np.zeros(3, dtype=np.float32).tobytes())
    with pytest.raises(Halted) as halted:
        live(folder, STUDY, hospitals())
    assert halted.value.refused.codes == ("J-WEIGHTS",)


def test_without_room_no_round_begins(tmp_path, monkeypatch):
    """A disk without room for a round's changes halts the study before anybody is asked."""
    asked = hospitals()
    monkeypatch.setattr("wardround.supervision.ground.free_bytes", lambda _folder: 100)
    with pytest.raises(Halted) as halted:
        live(tmp_path, STUDY, asked)
    assert halted.value.refused.codes == ("O-SPACE",)
    assert {task.core.purpose for hospital in asked for task in hospital.tasks} <= {"statistics"}
    monkeypatch.undo()
    assert isinstance(live(tmp_path, STUDY, asked), Outcome)


def test_raised_plans_are_remembered(tmp_path):
    """A round whose plan was raised, killed at any act: the raised plan, the same bits, and no second raise."""

    def large() -> list[PaperHospital]:
        made = hospitals()
        made[1] = Large(STUDY, "beta", RECORDS["beta"])
        made[1].factor = 2.0**16
        return made

    reference = bits(conduct(STUDY, large()))
    assert [record["raised"] for record in reference[5] if record["round"] == 2] == [0, 1]
    for number in range(18, 40, 3):
        folder, asked = tmp_path / f"{number}", large()
        if isinstance(live(folder, STUDY, asked, number), Outcome):
            break
        outcome = live(folder, STUDY, asked)
        assert isinstance(outcome, Outcome)
        assert bits(outcome) == reference, number


def test_a_full_disk_at_the_first_line_locks_nobody_out(tmp_path, monkeypatch):
    """The journal's file and lock are given back when its first line cannot be written: with room it begins."""
    honest = Chain.append

    def full(*_arguments):
        raise refuse("O-WRITE", FILE, "It is written", "the disk is full", "free space")

    monkeypatch.setattr(Chain, "append", full)
    with pytest.raises(Halted):
        DiskJournal(tmp_path, STUDY.bundle)
    monkeypatch.setattr(Chain, "append", honest)
    DiskJournal(tmp_path, STUDY.bundle).close()


def test_a_journal_that_cannot_be_opened_is_a_coded_error(tmp_path):
    """A file in the place of its folder: O-WRITE, no other exception."""
    (tmp_path / FOLDER).write_text("in the way")
    with pytest.raises(Refused, match="O-WRITE"):
        DiskJournal(tmp_path, STUDY.bundle)


def test_a_study_that_ended_is_not_conducted_further(tmp_path):
    """Nothing is written behind the end, and nothing else ever follows from the same journal."""
    outcome = live(tmp_path, STUDY, hospitals())
    assert isinstance(outcome, Outcome)
    with closing(DiskJournal(tmp_path, STUDY.bundle)) as journal, pytest.raises(Halted) as halted:
        journal.write(VisitResumed(task_id="0" * 64, attempt=0))
    assert halted.value.refused.codes == ("J-STUDY",)


@pytest.mark.parametrize("dies_at", [0, 22, 25, 26, 27, 28])
def test_a_divergence_is_remembered(tmp_path, dies_at, monkeypatch):
    """A step beyond float32 fails the study once and for all, whatever is killed around it."""
    honest = ExactSum.step
    initial = STUDY.bundle.weights

    def step(total, weights, **more):
        first = np.array_equal(weights, initial)
        stepped = honest(total, weights, **more)
        return stepped if first else np.full_like(stepped, np.inf)

    monkeypatch.setattr(ExactSum, "step", step)
    found = live(tmp_path, STUDY, hospitals(), dies_at)
    first = found if isinstance(found, Outcome) else live(tmp_path, STUDY, hospitals())
    assert isinstance(first, Outcome)
    assert (first.status, first.problems[0].code) == ("failed", "C-FAILED")
    assert first.history[-1].shortfall == ("C-FAILED",)
    again = live(tmp_path, STUDY, hospitals())
    assert isinstance(again, Outcome)
    assert bits(again) == bits(first)


def test_pauses_are_not_slept_again(tmp_path, monkeypatch):
    """Reading the journal takes no pauses: those for hospitals that were away are over."""
    study = paper(("alpha", "beta"), rounds={**BRIEF, "retries": 2})

    def pair() -> list[PaperHospital]:
        two = [PaperHospital(study, site, RECORDS[site]) for site in ("alpha", "beta")]
        two[1].spoil = lambda task, reply, arrays: None if task.core.round == 2 else two[1].sealed(reply, arrays)
        return two

    live(tmp_path, study, pair())

    def asleep(_seconds):
        raise AssertionError

    monkeypatch.setattr("coordinator.rounds.visits.time.sleep", asleep)
    assert isinstance(live(tmp_path, study, pair()), Outcome)


def test_damaged_initial_weights_are_written_anew(tmp_path):
    """The bundle has them: a damaged file of the initial weights stops nobody."""
    live(tmp_path, STUDY, hospitals(), 10)
    (path,) = (tmp_path / FOLDER / "weights").iterdir()
    path.write_bytes(b"damaged")
    (path.parent / ".left.by.a.killed.write").write_bytes(b"half")
    outcome = live(tmp_path, STUDY, hospitals())
    assert isinstance(outcome, Outcome)
    assert outcome.status == "complete"
    assert not [each for each in path.parent.iterdir() if each.name.startswith(".")]

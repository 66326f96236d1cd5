"""A journal tells what happened, whoever died on the way: its visits are those of the outcome, its deaths are counted."""

import pytest
from lives import live
from paper_hospitals import PaperHospital
from paper_visits import BRIEF, hospitals, in_round, refusing
from studies_on_paper import RECORDS, paper

from coordinator.journal.chronicle import Absent, read_chronicle
from coordinator.journal.entries import VisitResumed
from coordinator.journal.journal import FILE, FOLDER
from coordinator.rounds.outcome import Outcome
from wardround.canonical import model_json
from wardround.chain import Chain
from wardround.errors import Refused

STUDY = paper()


def tell(folder, study=STUDY):
    return read_chronicle(folder, study.bundle.study_hash)


def test_the_visits_are_those_of_the_outcome(tmp_path):
    """Who counted, who did not, figures and weights of each visit are what the conductor gave, and the end is its end."""
    outcome = live(tmp_path, STUDY, hospitals(spoil=in_round(2, refusing)))
    assert isinstance(outcome, Outcome)
    told = tell(tmp_path)
    assert [(v.purpose, v.round, v.attempt, v.outcome, v.sent, v.stepped, v.seconds) for v in told.visits] == [
        (r.purpose, r.round, r.attempt, r.outcome, r.weights, r.stepped, r.seconds) for r in outcome.history
    ]
    assert [tuple((c.site, c.records) for c in v.counted) for v in told.visits] == [
        tuple((s.site, s.records) for s in r.silos if s.status == "counted") for r in outcome.history
    ]
    assert told.visits[2].absent == (Absent(site="beta", code="H-FAILED"),)
    pooled = [r.pooled for r in outcome.history]
    assert [(v.loss, v.auroc) for v in told.visits] == [(None, None) if p is None else (p.loss, p.auroc) for p in pooled]
    summary = told.summary
    assert summary.ended is not None
    assert (summary.ended.status, summary.ended.summary) == (outcome.status, outcome.summary)
    assert (summary.fewest, summary.failed_rounds) == (outcome.fewest, outcome.failed_rounds) == (2, 0)
    assert (summary.resumed, summary.torn, summary.lines) == (0, False, len(told.entries))


def test_every_death_in_a_visit_is_counted(tmp_path):
    """A visit says how often it was gone on with; the sum over the visits is how many conductors died in one."""
    asked, deaths = hospitals(), 0
    while isinstance(live(tmp_path, STUDY, asked, 7), list):
        deaths += 1
        assert deaths < 100
    told = tell(tmp_path)
    lines = sum(isinstance(entry, VisitResumed) for entry in told.entries)
    assert told.summary.resumed == sum(visit.resumed for visit in told.visits) == lines
    assert 0 < lines <= deaths
    assert told.summary.ended is not None


def test_an_open_visit_says_who_answered_so_far(tmp_path):
    """Read while a visit is open: who counts already, who has not answered yet, no seconds, no weights after it."""
    for number in range(8, 40):
        folder = tmp_path / f"{number}"
        done = live(folder, STUDY, hospitals(), number)
        if isinstance(done, list) and done[-2:] == ["spool", "admitted"]:
            break
    told = tell(folder)
    visit = told.visits[-1]
    assert (visit.purpose, visit.round, visit.outcome, visit.seconds, visit.stepped) == ("round", 1, "open", None, None)
    assert [each.site for each in visit.counted] == ["alpha"]
    assert visit.absent == (Absent(site="beta", code=None), Absent(site="gamma", code=None))
    assert told.summary.ended is None


def test_a_round_that_was_passed_over_is_counted_once_it_is(tmp_path):
    """A round fails when no attempt closed; one that may still be repeated has not failed yet."""
    study = paper(("alpha", "beta"), rounds={**BRIEF, "max_failed_rounds": 1})
    pair = [PaperHospital(study, site, RECORDS[site]) for site in ("alpha", "beta")]
    pair[1].spoil = lambda task, reply, arrays: None if task.core.round == 2 else pair[1].sealed(reply, arrays)
    done = live(tmp_path / "died", study, pair, 32)
    assert isinstance(done, list)
    whole = live(tmp_path / "whole", study, pair)
    assert isinstance(whole, Outcome)
    assert whole.failed_rounds == tell(tmp_path / "whole", study).summary.failed_rounds == 1
    for number in range(10, 60):
        folder = tmp_path / f"{number}"
        done = live(folder, study, pair, number)
        if isinstance(done, list) and tell(folder, study).visits[-1].outcome == "failed":
            break
    assert tell(folder, study).visits[-1].attempt == 0
    assert tell(folder, study).summary.failed_rounds == 0


def test_a_study_that_was_not_begun_has_an_empty_journal(tmp_path):
    """Nothing is made by reading, and nothing is told."""
    told = tell(tmp_path)
    assert (told.entries, told.visits, told.summary.ended, told.summary.begun_by) == ((), (), None, None)
    assert list(tmp_path.iterdir()) == []


def test_reading_takes_no_lock_and_a_torn_line_is_told(tmp_path):
    """Beside the conductor that holds the journal open it is read as far as it is whole, and what follows is not hidden."""
    live(tmp_path, STUDY, hospitals(), 20)
    path = tmp_path / FOLDER / FILE
    whole = tell(tmp_path)
    held = Chain(path)
    try:
        with path.open("ab") as file:
            file.write(b'{"entry":{"event":"admi')
        told = tell(tmp_path)
    finally:
        held.close()
    assert told.entries == whole.entries
    assert (whole.summary.torn, told.summary.torn) == (False, True)


def test_a_journal_that_does_not_hold_is_named(tmp_path):
    """A changed byte names its line; another study's journal, and a line of no visit, are refused."""
    live(tmp_path, STUDY, hospitals(), 20)
    path = tmp_path / FOLDER / FILE
    data = path.read_bytes()
    with pytest.raises(Refused) as refused:
        tell(tmp_path, paper(name="other"))
    assert refused.value.codes == ("J-STUDY",)
    second = data.index(b"\n") + 20
    path.write_bytes(data[:second] + bytes([data[second] ^ 1]) + data[second + 1 :])
    with pytest.raises(Refused, match=f"L-BROKEN {FILE}, line 2"):
        tell(tmp_path)
    path.write_bytes(data[: data.index(b"\n") + 1])
    chain = Chain(path)
    chain.append(model_json(VisitResumed(task_id="a" * 64, attempt=0)))
    chain.close()
    with pytest.raises(Refused, match=r"L-BROKEN .*line 2"):
        tell(tmp_path)

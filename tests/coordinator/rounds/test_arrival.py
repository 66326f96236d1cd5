"""Answers early, late, slowly or never: the order cannot be seen, silence is recorded, everybody is told."""

from collections.abc import Callable
from contextlib import closing
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from paper_hospitals import Onlooker, PaperGrid, PaperHospital, conduct
from paper_visits import BRIEF, STUDY, codes, hospitals, in_round
from studies_on_paper import RECORDS, SITES, paper

from coordinator.journal.journal import FOLDER, SPOOL, DiskJournal, read_entries
from coordinator.rounds.conductor import Conductor
from coordinator.rounds.grid import Incoming
from wardround.messages.envelope import Envelope, digests, seal
from wardround.messages.round import Reply, Task
from wardround.weights.packing import to_bytes


@settings(max_examples=15)
@given(st.randoms(use_true_random=False))
def test_the_order_of_arrival_cannot_be_seen(random):
    """Answers arriving in any order give identical weights, encoding and figures."""

    def shuffled(ids: list[str]) -> list[str]:
        return random.sample(ids, len(ids))

    asked = hospitals()
    outcome, reference = conduct(STUDY, asked, PaperGrid(asked, shuffled)), conduct(STUDY, hospitals())
    assert to_bytes(outcome.last) == to_bytes(reference.last)
    assert to_bytes(outcome.best) == to_bytes(reference.best)
    assert outcome.encoding == reference.encoding
    bare = [record.model_dump(exclude={"seconds": True, "silos": {"__all__": {"seconds"}}}) for record in outcome.history]
    assert bare == [
        record.model_dump(exclude={"seconds": True, "silos": {"__all__": {"seconds"}}}) for record in reference.history
    ]


def test_silence_is_recorded_not_waited_for():
    """A hospital that says nothing until the deadline is recorded as silent, and the others' round counts."""
    study = paper(parties=STUDY.parties, rounds=BRIEF)
    asked = [PaperHospital(study, site, RECORDS[site]) for site in SITES]
    asked[1].spoil = lambda task, reply, arrays: None if task.core.round == 2 else asked[1].sealed(reply, arrays)
    outcome = conduct(study, asked)
    assert codes(outcome) == [None, None, "R-SILENT", None, None, None]
    assert [silo.status for silo in outcome.history[2].silos] == ["counted", "silent", "counted"]
    assert outcome.status == "partial"


def test_who_cannot_be_reached_is_silent():
    """A hospital that the transport cannot reach is recorded as silent at once."""
    asked = hospitals()
    outcome = conduct(STUDY, asked, PaperGrid(asked[:2]))
    assert codes(outcome, "gamma") == ["R-SILENT"] * len(outcome.history)
    statuses = [silo.status for record in outcome.history for silo in record.silos if silo.site == "gamma"]
    assert statuses == ["silent", *["not asked"] * (len(outcome.history) - 1)], "later visits say why it was not asked"
    assert outcome.counted == ("alpha", "beta")
    assert outcome.whole_visits == 0


def test_who_is_late_is_refused_and_told_so():
    """A reply after the deadline does not count; it shows as late in the visit during which it came, with a receipt."""
    study = paper(parties=STUDY.parties, rounds=BRIEF)
    asked = [PaperHospital(study, site, RECORDS[site]) for site in SITES]
    grid = PaperGrid(asked)
    grid.late = lambda task: task.to == "beta" and task.core.round == 1
    outcome = conduct(study, asked, grid)
    assert codes(outcome)[1] == "R-SILENT"
    assert outcome.history[2].late == ("beta",)
    receipts = [(task.receipt.task_id, task.receipt.verdict) for task in asked[1].tasks if task.receipt is not None]
    by_task = {task.task_id: (task.core.purpose, task.core.round) for task in asked[1].tasks}
    assert [(*by_task[task_id], verdict) for task_id, verdict in receipts] == [
        ("statistics", 0, "counted"),
        ("statistics", 0, "counted"),
        ("round", 2, "counted"),
        ("round", 3, "counted"),
        ("closing", 3, "counted"),
    ]


def test_a_late_copy_does_not_undo_a_receipt():
    """A reply that was late, asked for again, and counted then, stays counted when its late copy arrives after it."""
    study = paper(("alpha", "beta"), rounds={**BRIEF, "retries": 2})
    asked = [PaperHospital(study, site, RECORDS[site]) for site in ("alpha", "beta")]
    seen: list[int] = []

    def late(task: Task) -> bool:
        if task.to == "alpha" and task.core.purpose == "round" and task.core.round == 1:
            seen.append(task.attempt)
            return len(seen) == 1
        return False

    # alpha's messages have odd numbers: first its repeated answer, then the late copy, then beta's answer
    grid = PaperGrid(asked, lambda ids: sorted(ids, key=lambda each: (int(each) % 2 == 0, -int(each))))
    grid.late = late
    outcome = conduct(study, asked, grid)
    assert [(r.purpose, r.round, r.attempt, r.outcome) for r in outcome.history][1:3] == [
        ("round", 1, 0, "failed"),
        ("round", 1, 1, "closed"),
    ]
    assert outcome.status == "complete"
    assert outcome.history[2].late == ("alpha",)
    after = next(task for task in asked[0].tasks if task.core.purpose == "round" and task.core.round == 2)
    assert after.receipt is not None
    assert after.receipt.verdict == "counted"


def shortened(reply: Reply, arrays: tuple[bytes, ...]) -> Envelope:
    """Cut the change of weights short."""
    cut = (arrays[0][:-4],)
    return seal("reply", reply.model_copy(update={"bodies": digests(cut)}), STUDY.parties["beta"].key, cut)


def test_receipts_ride_in_the_next_task():
    """Each task tells what became of the reply before it: counted, or the code for which it was refused."""
    asked = hospitals(spoil=in_round(2, shortened))
    conduct(STUDY, asked)
    alpha, beta = asked[0].tasks, asked[1].tasks
    assert alpha[0].receipt is None
    for before, task in pairwise(alpha):
        assert task.receipt is not None
        assert (task.receipt.task_id, task.receipt.verdict) == (before.task_id, "counted")
    assert [task.receipt.verdict for task in beta[1:] if task.receipt] == ["counted", "counted", "R-SHAPE", "counted", "counted"]


def busy_for(times: int) -> Callable[[Task], bool]:
    """Be busy with round 2 for some answers."""
    left = iter(range(times))
    return lambda task: task.core.purpose == "round" and task.core.round == 2 and next(left, None) is not None


def test_long_work_is_asked_after_and_counts():
    """A hospital that is still working is asked again until its reply comes; the weights are those of a quick hospital."""
    asked = hospitals(busy=busy_for(5))
    onlooker = Onlooker()
    outcome = Conductor(STUDY.bundle, STUDY.key, PaperGrid(asked), onlooker).run()
    assert outcome.status == "complete"
    assert [event[2:] for event in onlooker.events if event[0] == "working"] == [(n, 1000, 2 * n) for n in range(1, 6)]
    assert to_bytes(outcome.last) == to_bytes(conduct(STUDY, hospitals()).last)
    assert asked[1].withdrawn == []
    alpha, beta, _ = outcome.history[2].silos
    assert beta.bytes_down > alpha.bytes_down
    assert beta.bytes_up > alpha.bytes_up, "every message that travelled is counted"


def test_work_that_takes_too_long_is_withdrawn():
    """At the deadline the task is withdrawn, the hospital is recorded as silent, and the study goes on without it."""
    study = paper(parties=STUDY.parties, rounds=BRIEF)
    asked = [PaperHospital(study, site, RECORDS[site]) for site in SITES]
    asked[1].busy = busy_for(10**9)
    outcome = conduct(study, asked)
    assert codes(outcome) == [None, None, "R-SILENT", None, None, None]
    assert 0.3 <= outcome.history[2].seconds < 5
    late = next(task.task_id for task in asked[1].tasks if task.core.round == 2)
    assert set(asked[1].withdrawn) == {late}
    assert all(record.late == () for record in outcome.history)


class Repeating(PaperGrid):
    """Every answer comes three times: twice at once, and once more with the next pull."""

    again: list[Incoming] = []  # noqa: RUF012

    def pull_messages(self, message_ids, wait_seconds):
        found = super().pull_messages(message_ids, wait_seconds)
        before, self.again = self.again, found
        return [*before, *found, *found]


def test_a_reply_that_comes_twice_counts_once(tmp_path):
    """The same message again, at once or later, is added once and written down once; the weights are those of one copy."""
    asked = hospitals()
    with closing(DiskJournal(tmp_path, STUDY.bundle)) as journal:
        outcome = Conductor(STUDY.bundle, STUDY.key, Repeating(asked), Onlooker(), journal).run()
    assert to_bytes(outcome.last) == to_bytes(conduct(STUDY, hospitals()).last)
    assert outcome.status == "complete"
    admitted = [(e.task_id, e.site) for e in read_entries(tmp_path / FOLDER) if e.event == "admitted"]
    assert len(admitted) == len(set(admitted)) == 3 * len(outcome.history)


def test_late_replies_are_written_down(tmp_path):
    """A reply to a closed round is in the journal, by the task that it answers; nothing of it is kept."""
    study = paper(parties=STUDY.parties, rounds=BRIEF)
    asked = [PaperHospital(study, site, RECORDS[site]) for site in SITES]
    grid = PaperGrid(asked)
    grid.late = lambda task: task.to == "beta" and task.core.round == 1
    with closing(DiskJournal(tmp_path, study.bundle)) as journal:
        outcome = Conductor(study.bundle, study.key, grid, Onlooker(), journal).run()
    late = [(e.task_id, e.site) for e in read_entries(tmp_path / FOLDER) if e.event == "late"]
    first = next(task.task_id for task in asked[1].tasks if task.core.round == 1)
    assert late == [(first, "beta")]
    assert outcome.history[2].late == ("beta",)
    assert list((tmp_path / FOLDER / SPOOL).iterdir()) == []

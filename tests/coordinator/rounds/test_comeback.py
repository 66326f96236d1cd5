"""A hospital that falls out in the middle of a visit is waited for, a while and within the deadline; then the round goes on."""

from paper_hospitals import Onlooker, PaperGrid, PaperHospital, conduct
from paper_visits import STUDY, codes, hospitals
from studies_on_paper import RECORDS, paper

from coordinator.rounds import visit
from coordinator.rounds.conductor import Conductor
from coordinator.rounds.grid import Incoming
from wardround.messages.envelope import seal
from wardround.messages.round import SiloRefusal
from wardround.weights.packing import to_bytes


class Falling(PaperGrid):
    """Beta cannot be reached so many times in round 2, as the transport says."""

    def __init__(self, asked, times: int, *, final: bool = False) -> None:
        super().__init__(asked)
        self.times, self.final = times, final

    def pull_messages(self, message_ids, wait_seconds):
        found = super().pull_messages(message_ids, wait_seconds)
        return [self._lost(each) if self._falls(each) else each for each in found]

    def _falls(self, incoming: Incoming) -> bool:
        beta = self.hospitals["beta"]
        envelope = beta.kept.get(beta.tasks[-1].task_id) if beta.tasks else None
        return (
            incoming.envelope is not None and incoming.envelope == envelope and beta.tasks[-1].core.round == 2 and self.times > 0
        )

    def _lost(self, incoming: Incoming) -> Incoming:
        self.times -= 1
        return Incoming(incoming.reply_to, None, final=self.final)


def test_it_comes_back_and_counts(monkeypatch):
    """Away for a moment: the very same task is sent again, and the result is the one of an undisturbed study."""
    monkeypatch.setattr(visit, "COMEBACK_SECONDS", 60.0)
    asked = hospitals()
    outcome = conduct(STUDY, asked, Falling(asked, 3))
    assert outcome.status == "complete"
    assert codes(outcome) == [None] * 6
    second = [task for task in asked[1].tasks if task.core.round == 2 and task.core.purpose == "round"]
    assert [(task.task_id, task.attempt) for task in second] == [(second[0].task_id, 0)] * 4
    assert to_bytes(outcome.last) == to_bytes(conduct(STUDY, hospitals()).last)


def test_it_is_waited_for_no_longer_than_a_while(monkeypatch):
    """Away for good: the round closes without it, long before the deadline, and says so; nobody waits for it again."""
    monkeypatch.setattr(visit, "COMEBACK_SECONDS", 0.2)
    asked = hospitals()
    grid = Falling(asked, 10_000)
    outcome = conduct(STUDY, asked, grid)
    assert outcome.status == "partial"
    assert codes(outcome)[2] == "R-SILENT"
    record = outcome.history[2]
    assert 0.2 <= record.seconds < 5.0
    assert record.counted == ("alpha", "gamma")


def test_who_was_absent_is_welcome_and_not_waited_for(monkeypatch):
    """A hospital that did not count in the last visit is asked in the next; unreachable once more, it holds up nobody."""
    monkeypatch.setattr(visit, "COMEBACK_SECONDS", 0.1)
    study = paper(rounds={"maximum": 4, "deadline_seconds": 30.0, "retries": 0})
    asked = [PaperHospital(study, site, RECORDS[site]) for site in study.parties]

    class Twice(Falling):
        def _falls(self, incoming):
            beta = self.hospitals["beta"]
            envelope = beta.kept.get(beta.tasks[-1].task_id) if beta.tasks else None
            return incoming.envelope is not None and incoming.envelope == envelope and beta.tasks[-1].core.round in (2, 3)

    outcome = conduct(study, asked, Twice(asked, 0))
    assert codes(outcome) == [None, None, "R-SILENT", "R-SILENT", None, None, None]
    assert outcome.history[2].seconds >= 0.1
    assert len([task for task in asked[1].tasks if task.core.round == 3 and task.core.purpose == "round"]) == 1


def test_whom_the_transport_does_not_know_is_not_waited_for(monkeypatch):
    """Final means final."""
    monkeypatch.setattr(visit, "COMEBACK_SECONDS", 60.0)
    asked = hospitals()
    outcome = conduct(STUDY, asked, Falling(asked, 1, final=True))
    assert codes(outcome) == [None, None, "R-SILENT", None, None, None]


def test_a_task_that_was_lost_is_sent_again():
    """H-AGAIN is no refusal that counts: the task goes out once more in the same attempt, and then the reply counts."""
    asked = hospitals()
    honest, lost = asked[1].knock, iter([True, True])

    def knock(envelope):
        answer = honest(envelope)
        task = asked[1].tasks[-1]
        if task.core.round == 2 and task.core.purpose == "round" and next(lost, False):
            refusal = SiloRefusal(site="beta", study_hash=task.study_hash, task_id=task.task_id, code="H-AGAIN")
            return seal("reply", refusal, STUDY.parties["beta"].key)
        return answer

    asked[1].knock = knock
    outcome = conduct(STUDY, asked)
    assert codes(outcome) == [None] * 6
    assert outcome.status == "complete"
    assert [record.attempt for record in outcome.history] == [0] * 6
    assert len([task for task in asked[1].tasks if task.core.round == 2 and task.core.purpose == "round"]) == 3


def test_who_loses_every_task_is_refused(monkeypatch):
    """A hospital that never keeps a task is asked so often and no more."""
    monkeypatch.setattr(visit, "MOST_RESENDS", 4)
    asked = hospitals()

    def knock(envelope, honest=asked[1].knock):
        honest(envelope)
        task = asked[1].tasks[-1]
        refusal = SiloRefusal(site="beta", study_hash=task.study_hash, task_id=task.task_id, code="H-AGAIN")
        return seal("reply", refusal, STUDY.parties["beta"].key)

    asked[1].knock = knock
    outcome = conduct(STUDY, asked)
    assert codes(outcome)[0] == "H-AGAIN"
    assert len(asked[1].tasks) == 5


def test_who_has_answered_in_this_visit_is_waited_for(monkeypatch):
    """A hospital that was absent before, is at work now and falls out for a moment is sent its task again."""
    monkeypatch.setattr(visit, "COMEBACK_SECONDS", 0.3)
    study = paper(rounds={"maximum": 3, "deadline_seconds": 30.0, "retries": 0})
    asked = [PaperHospital(study, site, RECORDS[site]) for site in study.parties]
    working, away = iter([True]), iter([True])
    asked[1].busy = lambda task: task.core.round == 2 and task.core.purpose == "round" and next(working, False)

    class Blip(PaperGrid):
        def pull_messages(self, message_ids, wait_seconds):
            found = super().pull_messages(message_ids, wait_seconds)
            return [self._lost(each) for each in found]

        def _lost(self, incoming):
            beta = self.hospitals["beta"]
            mine = incoming.envelope is not None and b'"site":"beta"' in incoming.envelope.message
            if mine and beta.tasks[-1].core.purpose == "round" and beta.tasks[-1].core.round == 1:
                return Incoming(incoming.reply_to, None)
            reply = mine and b'"kind":"reply"' in incoming.envelope.message and beta.tasks[-1].core.round == 2
            if reply and beta.tasks[-1].core.purpose == "round" and next(away, False):
                return Incoming(incoming.reply_to, None)
            return incoming

    outcome = conduct(study, asked, Blip(asked))
    assert codes(outcome)[1:3] == ["R-SILENT", None]


def test_who_looks_on_is_told_at_once(monkeypatch):
    """While a hospital is away and waited for, onlookers know; once for each time that it goes, before its answer comes."""
    monkeypatch.setattr(visit, "COMEBACK_SECONDS", 60.0)
    asked, onlooker = hospitals(), Onlooker()
    outcome = Conductor(STUDY.bundle, STUDY.key, Falling(asked, 3), onlooker).run()
    assert outcome.status == "complete"
    told = [event for event in onlooker.events if event[0] == "away"]
    assert told == [("away", "beta")]
    second = onlooker.events.index(("opened", "round", 2, 0, ("alpha", "beta", "gamma")))
    third = onlooker.events.index(("opened", "round", 3, 0, ("alpha", "beta", "gamma")))
    assert (
        second < onlooker.events.index(("away", "beta")) < onlooker.events.index(("answered", "beta", "Admitted"), second) < third
    )

"""Between an answer and the sum: written down first, added then, told last. And back again, from what was written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from coordinator.journal.entries import ReplyAdmitted, ReplyLate, ReplyRefused
from coordinator.journal.journal import Journal, Recalled, heard_text
from coordinator.rounds.admission import Admitted, Decision, Expectation, NotAdmitted, admit
from coordinator.rounds.visit import Answered
from wardround.errors import Broken
from wardround.messages.envelope import Envelope, read
from wardround.messages.record import RoundRecord
from wardround.messages.round import ANSWER, Reply, TaskCore
from wardround.study.bundle import Bundle
from wardround.weights.fixed_point import ExactSum

UNREAD = "0" * 128
"""In the place of a signature that does not hold."""


class Listener(Protocol):
    """Who is told of answers once they are written down."""

    def answered(self, site: str, decision: Decision) -> None:
        """A hospital's answer was admitted or refused."""
        ...

    def working(self, site: str, epoch: int, epochs: int, percent: int) -> None:
        """A hospital is still at its task."""
        ...

    def away(self, site: str) -> None:
        """A hospital cannot be reached any more, and is waited for."""
        ...


class Recorder:
    """Takes the answers of one visit; ``total`` is their sum, None where nothing is added."""

    def __init__(self, bundle: Bundle, journal: Journal, listener: Listener, core: TaskCore, attempt: int) -> None:
        """Take the study, the journal, who is told, and which visit this is."""
        self._bundle = bundle
        self._journal = journal
        self._listener = listener
        self._core = core
        self._task_id = core.task_id()
        self._attempt = attempt
        self.total: ExactSum | None = None

    def decided(self, site: str, answered: Answered, envelope: Envelope) -> str | None:
        """An answer was admitted or refused; gives the journal's head once that is written down."""
        decision = answered.decision
        if decision is None:
            msg = "silence was recorded as an answer"
            raise Broken(msg)
        # what was not read and found to be signed is kept as a digest: it may be anything, of any size
        read = isinstance(decision, Admitted) or decision.refusal is not None
        heard = {
            "task_id": self._task_id,
            "attempt": self._attempt,
            "site": site,
            "reply": decision.digest,
            "ledger": decision.head,
            "message": heard_text(envelope.message) if read else "",
            "signature": envelope.signature if read else UNREAD,
            "seconds": answered.seconds or 0.0,
            "bytes_down": answered.bytes_down,
            "bytes_up": answered.bytes_up,
        }
        if isinstance(decision, Admitted):
            if envelope.arrays:
                self._journal.spool(decision.digest, envelope.arrays[0])
            head = self._journal.write(ReplyAdmitted.model_validate({**heard, "records": decision.reply.records}))
        else:
            head = self._journal.write(ReplyRefused.model_validate({**heard, "code": decision.code}))
        self._add(decision)
        self._listener.answered(site, decision)
        return head

    def _add(self, decision: Decision) -> None:
        if isinstance(decision, Admitted) and decision.change is not None and self._core.plan is not None:
            self.total = self.total or ExactSum(self._bundle.manifest, self._core.plan)
            self.total.add(decision.change, decision.reply.records)

    def late(self, site: str, task_id: str, late: NotAdmitted) -> str | None:
        """A reply came after its visit had closed; gives the journal's head once that is written down."""
        line = {"task_id": task_id, "site": site, "reply": late.digest, "ledger": late.head, "code": late.code}
        return self._journal.write(ReplyLate.model_validate(line))

    def working(self, site: str, epoch: int, epochs: int, percent: int) -> None:
        """A hospital is still at its task."""
        self._listener.working(site, epoch, epochs, percent)

    def away(self, site: str) -> None:
        """A hospital cannot be reached any more, and is waited for; only where it stays away is that a fact of the journal."""
        self._listener.away(site)

    def take_up(self, recalled: Recalled, expected: Mapping[str, Expectation]) -> dict[str, Answered]:
        """Give the answers to an open visit that were written down, and add the changes of those that were admitted.

        Everything is verified again. A reply whose change is not whole in the spool any more is left out: its hospital,
        which keeps it until the receipt, is asked again.
        """
        known: dict[str, Answered] = {}
        for site, entry in recalled.heard.items():
            decision: Decision | None = None
            if isinstance(entry, ReplyRefused):
                decision = NotAdmitted(entry.code, entry.reply, entry.refusal(), entry.ledger)
            elif site in expected:
                found = admit(self._envelope(entry), expected[site], self._bundle)
                decision = found if isinstance(found, Admitted) else None
            if decision is not None:
                self._add(decision)
                known[site] = _answered(entry, decision, recalled.heads.get(site))
                self._listener.answered(site, decision)
        return known

    def _envelope(self, entry: ReplyAdmitted) -> Envelope:
        change = None if self._core.plan is None else self._journal.spooled(entry.reply)
        return Envelope(entry.message.encode(), entry.signature, () if change is None else (change,))


def _answered(entry: ReplyAdmitted | ReplyRefused, decision: Decision, head: str | None) -> Answered:
    kept = replace(decision, change=None) if isinstance(decision, Admitted) else decision
    return Answered(kept, entry.seconds, entry.bytes_down, entry.bytes_up, head)


def recalled_answers(recalled: Recalled, record: RoundRecord) -> dict[str, Answered]:
    """Give the answers to a closed visit as they were decided; their changes of weights are in the step already."""
    answers: dict[str, Answered] = {}
    for silo in record.silos:
        entry, head = recalled.heard.get(silo.site), recalled.heads.get(silo.site)
        if silo.status == "counted":
            if not isinstance(entry, ReplyAdmitted):
                msg = "a reply that counted is not in the journal any more"
                raise Broken(msg)
            reply = read(Envelope(entry.message.encode(), entry.signature), ANSWER)
            if not isinstance(reply, Reply):
                msg = "a reply that counted cannot be read any more"
                raise Broken(msg)
            answers[silo.site] = _answered(entry, Admitted(reply, None, entry.reply), head)
        elif silo.status == "refused" and isinstance(entry, ReplyRefused):
            refused = NotAdmitted(entry.code, entry.reply, entry.refusal(), entry.ledger)
            answers[silo.site] = _answered(entry, refused, head)
        elif silo.status == "silent":
            answers[silo.site] = Answered(None, silo.seconds, silo.bytes_down or 0, silo.bytes_up or 0)
    return answers

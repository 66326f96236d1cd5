"""One visit: a task to every hospital, answers as they come, a deadline."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

from coordinator.rounds.admission import Admitted, Decision, Expectation, NotAdmitted, StillWorking, admit
from coordinator.rounds.grid import Grid, Incoming, Outgoing
from wardround.canonical import model_bytes, sha256
from wardround.identity.keys import SigningKey
from wardround.messages.envelope import Array, Envelope, digests, seal
from wardround.messages.round import RECEIPT, Collect, Receipt, Task, TaskCore, Withdraw
from wardround.study.bundle import Bundle
from wardround.study.encoding import Encoding

log = logging.getLogger("conductor")

LONGEST_WAIT_SECONDS = 1.0
"""How long one pull may wait, so that the deadline is looked at often enough."""
COLLECT_PAUSE_SECONDS = 0.25
"""How long to wait before a hospital that is still working is asked again; its own visit waits for longer anyway."""
ORDER_SECONDS_TO_LIVE = 60.0
"""How long a Collect or Withdraw is worth delivering."""
COMEBACK_SECONDS = 120.0
"""How long a visit waits for a hospital that fell out in it: Flower holds a killed node's place for a minute."""
RESEND_SECONDS = 2.0
"""How long to wait before a task is sent again to a hospital that could not be reached, or lost it."""
MOST_RESENDS = 100
"""How often a hospital may lose a task in one visit; then its loss counts as its answer."""


@dataclass(frozen=True)
class Answered:
    """One hospital's part in a visit; no decision means silence until the deadline.

    Attributes:
        journal: the head of the journal after the line about the answer; None where there is no journal.
    """

    decision: Decision | None
    seconds: float | None
    bytes_down: int
    bytes_up: int
    journal: str | None = None


@dataclass
class Visit:
    """What came of a visit, by site; ``removed``: hospitals that the centre had removed by its end."""

    answers: dict[str, Answered] = field(default_factory=dict)
    late: set[str] = field(default_factory=set)
    removed: frozenset[str] = frozenset()
    seconds: float = 0.0

    @property
    def admitted(self) -> dict[str, Admitted]:
        """The admitted replies by site."""
        return {site: a.decision for site, a in self.answers.items() if isinstance(a.decision, Admitted)}

    @property
    def away(self) -> bool:
        """Whether a hospital could not be reached, so that the visit ended without it before its deadline."""
        found = (site for site, a in self.answers.items() if a.decision is None and a.seconds is not None)
        return any(site not in self.removed for site in found)


@dataclass(frozen=True)
class _Sent:
    """A message that is out: of which visit, to whom, and the bytes of the visit so far.

    Attributes:
        working: it asks after a task; the hospital has begun.
        away: since when (monotonic) the hospital cannot be reached; None while it can.
        resent: how often the task was sent again.
    """

    number: int
    expected: Expectation
    bytes_down: int
    bytes_up: int = 0
    working: bool = False
    away: float | None = None
    resent: int = 0

    @property
    def site(self) -> str:
        return self.expected.member.site


Removed = Callable[[], Collection[str]]
"""Says which hospitals of a study the centre has removed by now. Asked again and again, also to keep the door in step."""


def nobody() -> Collection[str]:
    """Say that nobody is removed."""
    return ()


class Onlooker(Protocol):
    """Who is told of answers as they come."""

    def decided(self, site: str, answered: Answered, envelope: Envelope) -> str | None:
        """An answer was admitted or refused: nothing was done with it yet. Gives the journal's head once it is written down."""
        ...

    def late(self, site: str, task_id: str, late: NotAdmitted) -> str | None:
        """A reply came after its visit had closed, or from a hospital that had been removed meanwhile, and is refused.

        Gives the journal's head once it is written down.
        """
        ...

    def working(self, site: str, epoch: int, epochs: int, percent: int) -> None:
        """A hospital is still at its task."""
        ...

    def away(self, site: str) -> None:
        """A hospital cannot be reached any more, and is waited for."""
        ...


@dataclass
class _Open:
    """A visit under way."""

    visit: Visit
    begun: float
    onlooker: Onlooker
    core: TaskCore
    awaited: Collection[str]
    task_for: Callable[[Expectation], Outgoing]
    sent: dict[str, _Sent]
    due: list[tuple[float, _Sent]] = field(default_factory=list)


class Caller:
    """Makes visits: knows the grid, the signing key, and what became of each hospital's last reply.

    Attributes:
        removed: says which hospitals are removed.
        deadline_seconds: of a visit: the study's, as often as hospitals take turns.
    """

    def __init__(self, bundle: Bundle, key: SigningKey, grid: Grid, removed: Removed = nobody, turns: int = 1) -> None:
        """Take the study, the coordinator's key, the transport, who says which hospitals are removed, and how many take turns."""
        self.removed = removed
        self.deadline_seconds = turns * bundle.study.rounds.deadline_seconds
        self._bundle = bundle
        self._key = key
        self._grid = grid
        self._receipts: dict[str, Receipt] = {}
        self._visits = 0
        self._receipted: dict[str, int] = {}
        self._stale: dict[str, _Sent] = {}
        self._resting: list[_Sent] = []

    def visit(
        self,
        core: TaskCore,
        expected: Mapping[str, Expectation],
        weights: Array | None,
        encoding: Encoding | None,
        attempt: int,
        onlooker: Onlooker,
        known: Mapping[str, Answered],
        awaited: Collection[str],
    ) -> Visit:
        """Send one task to every expected hospital and gather the answers until all came or the deadline passed.

        A hospital whose answer is known already, from before the conductor died, is not asked. One that is still working
        is asked again. A hospital of those ``awaited`` that cannot be reached is sent the task again for a while, since it
        may have been restarted; another one is gone at once. What is still under way at the deadline goes on, in case the
        visit is repeated: ``dismiss`` withdraws it. A hospital that the centre has removed is sent nothing, waited for by
        nobody, and refused whatever it says; what was admitted of it before stays in the sum.
        """
        self._visits += 1
        begun = time.monotonic()
        deadline = begun + self.deadline_seconds
        removed = self.removed()
        asked = [expectation for site, expectation in expected.items() if site not in known and site not in removed]
        task_for = partial(self._task, weights=weights, encoding=encoding, attempt=attempt)
        outgoing = [task_for(expectation) for expectation in asked]
        ids = self._grid.push_messages(outgoing)
        sent = {
            message_id: _Sent(self._visits, _to(expected[out.site], out), out.envelope.byte_count)
            for message_id, out in zip(ids, outgoing, strict=True)
        }
        del outgoing  # the hospitals' copies of the weights are with the transport now
        never = {site: Answered(None, None, 0, 0) for site in expected if site in removed and site not in known}
        opened = _Open(Visit({**known, **never}), begun, onlooker, core, awaited, task_for, sent)
        while self._waited_for(opened) and (left := deadline - time.monotonic()) > 0:
            self._listen(opened, left)
            self._collect(opened)
        for each in (*opened.sent.values(), *(sent for _, sent in opened.due)):
            opened.visit.answers[each.site] = Answered(None, None, each.bytes_down, each.bytes_up)
        self._stale |= opened.sent
        self._resting = [replace(sent, working=True) for _, sent in opened.due]
        opened.visit.removed = frozenset(self.removed())
        opened.visit.seconds = time.monotonic() - begun
        return opened.visit

    def _waited_for(self, opened: _Open) -> bool:
        """Say whether an answer may still come that can count."""
        removed = self.removed()
        return any(sent.site not in removed for sent in (*opened.sent.values(), *(sent for _, sent in opened.due)))

    def _task(self, expected: Expectation, weights: Array | None, encoding: Encoding | None, attempt: int) -> Outgoing:
        site, arrays = expected.member.site, () if weights is None else (weights,)
        receipt = self._receipts.get(site)
        task = Task(
            to=site,
            study_hash=expected.core.study_hash,
            task_id=expected.core.task_id(),
            core=expected.core,
            encoding=encoding,
            records=expected.records,
            attempt=attempt,
            deadline_seconds=self._bundle.study.rounds.deadline_seconds,
            receipt=receipt,
            receipt_signature=None if receipt is None else self._key.sign(RECEIPT, model_bytes(receipt)),
            bodies=digests(arrays),
        )
        return Outgoing(site, seal("task", task, self._key, arrays), self.deadline_seconds)

    def dismiss(self, core: TaskCore) -> None:
        """Withdraw a task where it is still under way: its visit is closed, or will not be repeated."""
        for sent in [*self._stale.values(), *self._resting]:
            if sent.expected.core == core and sent.working:
                self._withdraw(sent)
        self._resting = []

    def _listen(self, opened: _Open, left: float) -> None:
        """Take what comes now; nothing of it is held when this returns, and the next reply finds the memory free."""
        pause = COLLECT_PAUSE_SECONDS if opened.due else LONGEST_WAIT_SECONDS
        for incoming in self._grid.pull_messages([*opened.sent, *self._stale], min(left, pause)):
            self._take(incoming, opened)

    def _take(self, incoming: Incoming, opened: _Open) -> None:
        stale = self._stale.pop(incoming.reply_to, None)
        if stale is not None:
            self._take_stale(stale, incoming.envelope, opened)
            return
        sent = opened.sent.pop(incoming.reply_to, None)
        if sent is None:
            return
        seconds = time.monotonic() - opened.begun
        removed = sent.site in self.removed()
        if incoming.envelope is None:
            if incoming.final or removed or not self._waits(sent, opened):
                opened.visit.answers[sent.site] = Answered(None, seconds, sent.bytes_down, sent.bytes_up)
            return
        sent = replace(sent, bytes_up=sent.bytes_up + incoming.envelope.byte_count, away=None)
        decision: Decision | StillWorking = NotAdmitted("R-REMOVED", sha256(incoming.envelope.message))
        if not removed:
            decision = _judge(incoming.envelope, sent.expected, self._bundle)
        if isinstance(decision, StillWorking):
            opened.onlooker.working(sent.site, decision.epoch, decision.epochs, decision.percent)
            opened.due.append((time.monotonic() + COLLECT_PAUSE_SECONDS, replace(sent, working=True)))
            return
        if isinstance(decision, NotAdmitted) and decision.code == "H-AGAIN" and sent.resent < MOST_RESENDS:
            opened.due.append((time.monotonic(), replace(sent, working=False)))
            return
        answered = Answered(decision, seconds, sent.bytes_down, sent.bytes_up)
        answered = replace(answered, journal=opened.onlooker.decided(sent.site, answered, incoming.envelope))
        self._note_receipt(sent, decision, answered.journal)
        if isinstance(decision, Admitted):  # it was added: no reason to hold every hospital's change
            answered = replace(answered, decision=replace(decision, change=None))
        opened.visit.answers[sent.site] = answered

    def _waits(self, sent: _Sent, opened: _Open) -> bool:
        """Say whether a hospital that cannot be reached is waited for; then its task is sent again."""
        now = time.monotonic()
        away = now if sent.away is None else sent.away
        here = sent.site in opened.awaited or sent.bytes_up > 0  # it has answered in this visit
        if not here or now - away > COMEBACK_SECONDS:
            return False
        if sent.away is None:
            opened.onlooker.away(sent.site)
        opened.due.append((now + RESEND_SECONDS, replace(sent, working=False, away=away)))
        return True

    def _take_stale(self, stale: _Sent, envelope: Envelope | None, opened: _Open) -> None:
        """Deal with an answer to an earlier visit: a late reply is refused, work still under way is withdrawn."""
        decision = None if envelope is None else _judge(envelope, stale.expected, self._bundle)
        if isinstance(decision, StillWorking):
            if stale.expected.core != opened.core:
                self._withdraw(stale)
        elif envelope is not None and not (isinstance(decision, NotAdmitted) and decision.refusal is not None):
            out = stale.site in self.removed()
            opened.visit.late |= set() if out else {stale.site}  # of a removed one its own line of the visit tells
            late = NotAdmitted("R-REMOVED" if out else "R-LATE", sha256(envelope.message), head=_head(decision))
            journal = opened.onlooker.late(stale.site, stale.expected.core.task_id(), late)
            if stale.expected.core != opened.core:  # else it is asked for again, and its receipt is still to come
                self._note_receipt(stale, late, journal)

    def _collect(self, opened: _Open) -> None:
        """Ask those whose pause is over: after the task that they work at, or with the task itself once more."""
        now, removed = time.monotonic(), self.removed()
        for due, sent in list(opened.due):
            if due <= now and sent.site not in removed:
                opened.due.remove((due, sent))
                outgoing = self._order(sent) if sent.working else opened.task_for(sent.expected)
                (message_id,) = self._grid.push_messages([outgoing])
                resent = sent.resent + (not sent.working)
                bytes_down = sent.bytes_down + outgoing.envelope.byte_count
                opened.sent[message_id] = replace(
                    sent, expected=_to(sent.expected, outgoing), bytes_down=bytes_down, resent=resent
                )

    def _order(self, sent: _Sent) -> Outgoing:
        core = sent.expected.core
        order = Collect(to=sent.site, study_hash=core.study_hash, task_id=core.task_id())
        return Outgoing(sent.site, seal("collect", order, self._key), ORDER_SECONDS_TO_LIVE)

    def _withdraw(self, sent: _Sent) -> None:
        if sent.site in self.removed():
            return
        core = sent.expected.core
        envelope = seal("withdraw", Withdraw(to=sent.site, study_hash=core.study_hash, task_id=core.task_id()), self._key)
        outgoing = Outgoing(sent.site, envelope, ORDER_SECONDS_TO_LIVE)
        (message_id,) = self._grid.push_messages([outgoing])
        self._stale[message_id] = replace(sent, expected=_to(sent.expected, outgoing), working=False)

    def recall(self, core: TaskCore, answers: Mapping[str, Answered], expected: Mapping[str, Expectation]) -> None:
        """Take note of answers from before the conductor died: their hospitals still wait for the receipts."""
        self._visits += 1
        for site, answered in answers.items():
            if answered.decision is not None:
                sent = _Sent(self._visits, replace(expected[site], core=core), 0)
                self._note_receipt(sent, answered.decision, answered.journal)

    def _note_receipt(self, sent: _Sent, decision: Decision, journal: str | None) -> None:
        """Remember what to tell the hospital about its reply with the next task; a refusal of its own needs none.

        What comes late never takes the place of the receipt for a later visit.
        """
        if isinstance(decision, NotAdmitted) and decision.refusal is not None:
            return
        if self._receipted.get(sent.site, 0) > sent.number:
            return
        self._receipted[sent.site] = sent.number
        verdict = "counted" if isinstance(decision, Admitted) else decision.code
        self._receipts[sent.site] = Receipt.model_validate(
            {
                "task_id": sent.expected.core.task_id(),
                "reply": decision.digest,
                "verdict": verdict,
                "ledger": decision.head,
                "journal": journal,
            }
        )

    def forget(self, core: TaskCore) -> None:
        """Forget the receipts of a failed attempt: its replies did not count after all, and will be asked for again."""
        task_id = core.task_id()
        self._receipts = {site: receipt for site, receipt in self._receipts.items() if receipt.task_id != task_id}


def _to(expected: Expectation, outgoing: Outgoing) -> Expectation:
    """Give what is expected in answer to exactly this message."""
    return replace(expected, message=sha256(outgoing.envelope.message))


def _head(decision: Decision | StillWorking | None) -> str | None:
    return decision.head if isinstance(decision, Admitted | NotAdmitted) else None


def _judge(envelope: Envelope, expected: Expectation, bundle: Bundle) -> Decision | StillWorking:
    """Admit or refuse an answer; one that nobody thought of is refused, and stops no conductor."""
    try:
        return admit(envelope, expected, bundle)
    except Exception:
        log.exception("an answer of %s could not be judged", expected.member.site)
        return NotAdmitted("R-PROTOCOL", sha256(envelope.message))

"""Visits that count: repeated until enough hospitals answered, written down before they are acted on, resumed after a death.

A visit that the journal knows as closed is not made again: its record is read. One that was open when the conductor died
is gone on with: what was admitted is added again from the spool, and only the other hospitals are asked.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from coordinator.journal.entries import SumClosed, VisitClosed, VisitOpened, VisitResumed
from coordinator.journal.journal import Journal, Recalled
from coordinator.rounds.admission import Decision, Expectation, NotAdmitted, TargetSums, evaluation_of, target_sums
from coordinator.rounds.outcome import Outcome
from coordinator.rounds.policy import shortfall
from coordinator.rounds.recorder import Recorder, recalled_answers
from coordinator.rounds.records import describe
from coordinator.rounds.visit import LONGEST_WAIT_SECONDS, Caller, Visit
from wardround.errors import Problem, Refused, refuse
from wardround.identity.succession import Current, as_on_roster
from wardround.messages.record import RoundRecord, ShortfallCode
from wardround.messages.round import CentreCode, Purpose, SiloCode, StatisticsResult, TaskCore
from wardround.study.bundle import Bundle
from wardround.study.encoding import Encoding
from wardround.weights.fixed_point import ExactSum, SumPlan, raise_plan
from wardround.weights.packing import all_finite

AWAY_SECONDS = 5.0
"""How long to wait, doubled each time, before a visit is repeated that failed since a hospital was away: it may come back."""


MODELS_BESIDE = 2
"""Models that a round writes besides the changes of the hospitals: the stepped weights, and once more while it is renamed."""


class Watcher(Protocol):
    """Somebody who looks on, such as a progress display."""

    def opened(self, purpose: Purpose, round_number: int, attempt: int, sites: tuple[str, ...]) -> None:
        """A visit to these hospitals begins."""
        ...

    def answered(self, site: str, decision: Decision) -> None:
        """A hospital's answer was admitted or refused."""
        ...

    def working(self, site: str, epoch: int, epochs: int, percent: int) -> None:
        """A hospital is still at its task: this epoch of so many, this part of them all."""
        ...

    def away(self, site: str) -> None:
        """A hospital cannot be reached any more, and is waited for."""
        ...

    def closed(self, record: RoundRecord) -> None:
        """A visit ended."""
        ...


class TooFew(Refused):
    """A visit did not count, however often it was repeated (C-FAILED)."""


@dataclass(frozen=True)
class Closed:
    """A visit that is over. ``live``: it was made now, not read from the journal."""

    visit: Visit
    record: RoundRecord
    live: bool


class Visits:
    """Makes a study's visits, and knows what they have shown of each hospital so far."""

    def __init__(
        self,
        bundle: Bundle,
        caller: Caller,
        journal: Journal,
        watcher: Watcher,
        outcome: Outcome,
        current: Current = as_on_roster,
    ) -> None:
        """Take the study, who calls, the journal, a watcher, the outcome whose history is kept, and which keys hospitals have."""
        self._current = current
        self._bundle = bundle
        self._caller = caller
        self._journal = journal
        self._watcher = watcher
        self._outcome = outcome
        self._evaluated: dict[tuple[str, Purpose], int] = {}
        self._targets: dict[tuple[str, Purpose], TargetSums] = {}
        self._excluded: dict[str, SiloCode | CentreCode] = {}
        self._present = bundle.roster.sites
        self._first: SumPlan | None = None
        self.records: dict[str, int] = {}

    def make(self, core: TaskCore, encoding: Encoding | None) -> Closed:
        """Visit until enough hospitals counted, as often as the study allows.

        A change of weights that the sum's plan cannot hold raises the plan and repeats the visit; no hospital trains anew,
        and it is no retry.

        Raises:
            TooFew: C-FAILED with the shortfalls, when the last repeat failed too.
            Refused: C-FAILED when the step leads beyond what float32 can hold.
        """
        rules, attempt = self._bundle.study.rounds, 0
        self._first = core.plan
        while True:
            closed = self._attempt(core, attempt, encoding)
            self._outcome.history.append(closed.record)
            self._watcher.closed(closed.record)
            if closed.record.outcome == "closed":
                self._caller.dismiss(core)
                self._outcome.count(closed.record.counted)
                self._present = closed.record.counted
                self._take_statistics(core, closed)
                return closed
            self._caller.forget(core)
            if "C-FAILED" in closed.record.shortfall:
                self._caller.dismiss(core)
                raise _diverged(self._bundle, core.round)
            raised = self._raised(core, closed.visit)
            if raised is not None:
                core, attempt = core.model_copy(update={"plan": raised}), 0
                continue
            attempt += 1
            if attempt > rules.retries:
                break
            if closed.live and closed.visit.away:
                self._rest(min(AWAY_SECONDS * 2 ** (attempt - 1), self._caller.deadline_seconds - closed.visit.seconds))
        self._caller.dismiss(core)
        raise TooFew([_too_few(self._bundle, closed.record)])

    def _rest(self, seconds: float) -> None:
        """Wait, and see meanwhile whether somebody is removed: the door is kept by this thread."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._caller.removed()
            time.sleep(min(left, LONGEST_WAIT_SECONDS))

    def _take_statistics(self, core: TaskCore, closed: Closed) -> None:
        if core.purpose == "statistics":
            self.records = {site: admitted.reply.records for site, admitted in sorted(closed.visit.admitted.items())}
            self._excluded = {silo.site: silo.code for silo in closed.record.silos if silo.code is not None}

    def _attempt(self, core: TaskCore, attempt: int, encoding: Encoding | None) -> Closed:
        recalled, expected = self._journal.recall(core.task_id(), attempt), self._expected(core)
        if recalled is not None and recalled.record is not None:
            visit = Visit(recalled_answers(recalled, recalled.record), set(recalled.record.late), seconds=recalled.record.seconds)
            self._caller.recall(core, {site: answer for site, answer in visit.answers.items() if site in expected}, expected)
            closed = Closed(visit, recalled.record, live=False)
        else:
            closed = self._visit(core, attempt, encoding, expected, recalled)
        self._remember(core, closed.visit)
        return closed

    def _visit(
        self,
        core: TaskCore,
        attempt: int,
        encoding: Encoding | None,
        expected: Mapping[str, Expectation],
        recalled: Recalled | None,
    ) -> Closed:
        """Make a visit, or go on with one that was open when the conductor died."""
        task_id, removed = core.task_id(), self._caller.removed()
        recorder = Recorder(self._bundle, self._journal, self._watcher, core, attempt)
        models = len(expected) + MODELS_BESIDE if core.plan is not None else 0
        self._journal.make_room(models * self._bundle.manifest.byte_count)
        if recalled is None:
            seconds = self._caller.deadline_seconds
            asked = tuple(site for site in expected if site not in removed)
            self._journal.write(VisitOpened(core=core, task_id=task_id, attempt=attempt, asked=asked, deadline_seconds=seconds))
        else:
            self._journal.write(VisitResumed(task_id=task_id, attempt=attempt))
        self._watcher.opened(core.purpose, core.round, attempt, tuple(site for site in expected if site not in removed))
        awaited = self._present if recalled is None else tuple(expected)  # a new SuperLink: everybody signs in anew
        known = {} if recalled is None else recorder.take_up(recalled, expected)
        self._caller.recall(core, known, expected)
        weights = None if core.weights is None else self._journal.body(core.weights)
        visit = self._caller.visit(core, expected, weights, encoding, attempt, recorder, known, awaited)
        missing = self._missing(core, visit)
        stepped = None
        if recorder.total is not None and core.weights is not None and not missing:
            stepped = self._step(core, attempt, recorder.total)
            missing = () if stepped is not None else ("C-FAILED",)
        record = describe(core, attempt, visit, self._bundle, missing, stepped, self._not_asked(core))
        self._journal.write(VisitClosed(task_id=task_id, attempt=attempt, record=record))
        self._journal.clear_spool()
        return Closed(visit, record, live=True)

    def _missing(self, core: TaskCore, visit: Visit) -> tuple[ShortfallCode, ...]:
        """Say why a visit does not count, if so; one whose plan can be raised to hold every change does not count yet."""
        counted = {site: admitted.reply.records for site, admitted in visit.admitted.items()}
        short = shortfall(self._bundle.study.silos, counted)
        return short if self._raised(core, visit) is None else (*short, "C-RANGE")

    def _raised(self, core: TaskCore, visit: Visit) -> SumPlan | None:
        """Give the plan that also holds the changes that did not fit, if there are such and the round's first plan allows it."""
        if core.plan is None or self._first is None:
            return None
        return raise_plan(core.plan, self._first, _wanted(visit), self._bundle.study.rounds.maximum_change_norm)

    def _step(self, core: TaskCore, attempt: int, total: ExactSum) -> str | None:
        """Close the sum, take the step, and keep the new weights; gives their digest, or None where float32 cannot hold them."""
        self._journal.write(SumClosed(task_id=core.task_id(), attempt=attempt, records=total.records, sum=total.digest()))
        weights = self._journal.take(core.weights or "")
        stepped = total.step(weights, out=weights)
        return self._journal.keep(stepped) if all_finite(stepped) else None

    def _not_asked(self, core: TaskCore) -> Mapping[str, SiloCode | CentreCode]:
        return {} if core.purpose == "statistics" else self._excluded

    def _expected(self, core: TaskCore) -> dict[str, Expectation]:
        """Ask everybody on the roster for statistics; later those with a signed count."""
        return {
            member.site: Expectation(
                self._current(member),
                core,
                self.records.get(member.site),
                self._evaluated.get((member.site, _evaluation_kind(core))),
                self._targets.get((member.site, _evaluation_kind(core)), ()),
            )
            for member in self._bundle.roster.silos
            if core.purpose == "statistics" or member.site in self.records
        }

    def _remember(self, core: TaskCore, visit: Visit) -> None:
        """Keep the data reports, and how many records each hospital evaluates: a later evaluation must be of as many."""
        for site, answered in visit.answers.items():
            decision = answered.decision
            if isinstance(decision, NotAdmitted) and decision.refusal is not None and decision.refusal.report is not None:
                self._outcome.reports[site] = decision.refusal.report
                self._outcome.share(site, decision.refusal.share_metrics)
        for site, admitted in visit.admitted.items():
            self._outcome.ledgers[site] = admitted.reply.ledger
            self._outcome.share(site, admitted.reply.share_metrics)
            if isinstance(admitted.reply.result, StatisticsResult):
                self._outcome.reports[site] = admitted.reply.result.report
                self._remember_sizes(site, admitted.reply.result)
                if self._bundle.study.statistics.distributions:
                    self._outcome.statistics = {**(self._outcome.statistics or {}), site: admitted.reply.result}
            counts = evaluation_of(admitted.reply)
            if counts is not None:
                self._evaluated.setdefault((site, _evaluation_kind(core)), counts.records)
                self._targets.setdefault((site, _evaluation_kind(core)), target_sums(counts))

    def _remember_sizes(self, site: str, result: StatisticsResult) -> None:
        sizes: tuple[tuple[Purpose, int | None], ...] = (("round", result.validation), ("test", result.test))
        self._evaluated |= {(site, kind): size for kind, size in sizes if size is not None}


def _evaluation_kind(core: TaskCore) -> Purpose:
    """Rounds and the closing visit evaluate the same validation records; the test has its own."""
    return "test" if core.purpose == "test" else "round"


def _wanted(visit: Visit) -> list[tuple[int, ...]]:
    """Give the exponents that hospitals need whose changes did not fit."""
    refusals = [a.decision.refusal for a in visit.answers.values() if isinstance(a.decision, NotAdmitted)]
    return [each.exponents for each in refusals if each is not None and each.exponents is not None]


def _diverged(bundle: Bundle, number: int) -> Refused:
    return refuse(
        "C-FAILED",
        f"{bundle.study.name}, round {number}",
        "Weights are finite numbers",
        "the step leads beyond what float32 can hold",
        "lower the learning rate, and look at the hospitals' training losses in history.json",
    )


def _too_few(bundle: Bundle, record: RoundRecord) -> Problem:
    absent = sorted({*bundle.roster.sites} - {*record.counted})
    why = ", ".join(f"{silo.site}: {silo.code}" for silo in record.silos if silo.status != "counted")
    rules = bundle.study.silos
    share = "" if rules.max_weight_share == 1 else f", none with more than {rules.max_weight_share:.0%} of them"
    return Problem(
        "C-FAILED",
        f"{bundle.study.name}, {record.purpose} {record.round}",
        f"A visit needs {rules.minimum} hospitals ({', '.join(rules.required) or 'none'} required) with "
        f"{rules.minimum_records} training records{share}, within {1 + bundle.study.rounds.retries} attempts",
        f"{', '.join(record.shortfall)}: {len(record.counted)} counted; not: {', '.join(absent) or 'none'}"
        f" ({why or 'not asked'})",
        "look up the hospitals' codes in docs/reference/errors.md, mend them there, and run the study again",
    )

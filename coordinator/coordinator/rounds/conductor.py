"""The conductor: takes a study from its bundle to its outcome, by the study's own rules.

Statistics, then rounds (evaluate the weights that came, train, add exactly, step), then the closing evaluation of the
last weights, then the figures of the best weights on the test records, read once. It sees no records and imports no
torch: it only adds numbers.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from coordinator.rounds.admission import Admitted, Decision, Expectation, NotAdmitted, evaluation_of
from coordinator.rounds.grid import Grid
from coordinator.rounds.normalisation import make_encoding
from coordinator.rounds.outcome import Outcome
from coordinator.rounds.policy import Progress, shortfall
from coordinator.rounds.records import describe
from coordinator.rounds.visit import Caller, Visit
from wardround.canonical import sha256
from wardround.errors import Broken, Problem, Refused, refuse
from wardround.identity.keys import SigningKey
from wardround.messages.record import RoundRecord
from wardround.messages.round import CentreCode, Purpose, SiloCode, StatisticsResult, TaskCore
from wardround.study.bundle import Bundle
from wardround.study.encoding import Encoding
from wardround.weights.fixed_point import RECORD_LIMIT, ExactSum, SumPlan, plan_sum
from wardround.weights.packing import Vector, to_bytes

AWAY_SECONDS = 5.0
"""How long to wait, doubled each time, before a visit is repeated that failed since a hospital was away: it may come back."""


class Watcher(Protocol):
    """Somebody who looks on: a progress display, a journal."""

    def opened(self, purpose: Purpose, round_number: int, attempt: int, sites: tuple[str, ...]) -> None:
        """A visit to these hospitals begins."""
        ...

    def answered(self, site: str, decision: Decision) -> None:
        """A hospital's answer was admitted or refused."""
        ...

    def working(self, site: str, epoch: int, epochs: int, percent: int) -> None:
        """A hospital is still at its task: this epoch of so many, this part of them all."""
        ...

    def closed(self, record: RoundRecord) -> None:
        """A visit ended."""
        ...


@dataclass(frozen=True)
class _Closed:
    """A visit that counts, and the weights after its step (None where nothing was trained)."""

    visit: Visit
    record: RoundRecord
    stepped: Vector | None


class _Adder:
    """Adds admitted changes as they come, and passes the news on."""

    def __init__(self, total: ExactSum | None, watcher: Watcher) -> None:
        self._total = total
        self._watcher = watcher

    def decided(self, site: str, decision: Decision) -> None:
        if isinstance(decision, Admitted) and decision.change is not None and self._total is not None:
            self._total.add(decision.change, decision.reply.records)
        self._watcher.answered(site, decision)

    def working(self, site: str, epoch: int, epochs: int, percent: int) -> None:
        self._watcher.working(site, epoch, epochs, percent)


class Conductor:
    """Conducts one study once."""

    def __init__(self, bundle: Bundle, key: SigningKey, grid: Grid, watcher: Watcher) -> None:
        """Take the study, the coordinator's key, the transport and a watcher.

        Raises:
            Broken: when the key is not the one on the study's roster.
        """
        if key.public != bundle.roster.coordinator.signing_key:
            msg = "the coordinator's key is not the one on the roster"
            raise Broken(msg)
        self._bundle = bundle
        self._caller = Caller(bundle, key, grid)
        self._watcher = watcher
        self._progress = Progress(bundle.study.convergence)
        self._records: dict[str, int] = {}
        self._excluded: dict[str, SiloCode | CentreCode] = {}
        self._evaluated: dict[tuple[str, Purpose], int] = {}
        self._outcome = Outcome(roster=bundle.roster.sites)

    def run(self) -> Outcome:
        """Conduct the study to its end. A failure is an outcome with its problems, never half a result."""
        outcome = self._outcome
        try:
            encoding = self._statistics()
            last = self._rounds(encoding)
            self._closing(encoding, last)
            best = self._choose(last)
            self._test(encoding, best)
        except Refused as error:
            outcome.fail(error.problems)
        else:
            outcome.succeed()
        return outcome

    def _statistics(self) -> Encoding:
        core = TaskCore(study_hash=self._bundle.study_hash, purpose="statistics", round=0)
        closed = self._visit(core, None, None)
        replies = {site: admitted.reply for site, admitted in sorted(closed.visit.admitted.items())}
        self._records = {site: reply.records for site, reply in replies.items()}
        self._excluded = {silo.site: silo.code for silo in closed.record.silos if silo.code is not None}
        if sum(self._records.values()) >= RECORD_LIMIT:
            raise refuse(
                "C-STATISTICS",
                self._bundle.study.name,
                f"The exact sum holds fewer than {RECORD_LIMIT} records",
                "the hospitals have more",
                "narrow the cohort",
            )
        results = [reply.result for reply in replies.values() if isinstance(reply.result, StatisticsResult)]
        self._outcome.encoding = make_encoding(self._bundle.study, self._bundle.contract, results)
        return self._outcome.encoding

    def _rounds(self, encoding: Encoding) -> Vector:
        weights, study = self._bundle.weights, self._bundle.study
        for number in range(1, study.rounds.maximum + 1):
            plan = plan_sum(weights, self._bundle.manifest, sum(self._records.values()))
            closed = self._visit(self._core("round", number, weights, encoding, plan), weights, encoding)
            if closed.stepped is None:
                msg = "a round closed without a step"
                raise Broken(msg)
            if not np.isfinite(closed.stepped).all():
                raise _diverged(self._bundle, number)
            self._progress.observe(number - 1, weights, closed.record.pooled, closed.record.evaluated_by)
            weights = closed.stepped
            self._outcome.rounds, self._outcome.last = number, weights
            if self._progress.converged:
                self._outcome.stopped = "converged"
                return weights
        self._outcome.stopped = "maximum"
        return weights

    def _closing(self, encoding: Encoding, weights: Vector) -> None:
        rounds = self._outcome.rounds
        closed = self._visit(self._core("closing", rounds, weights, encoding), weights, encoding)
        self._progress.observe(rounds, weights, closed.record.pooled, closed.record.evaluated_by)

    def _choose(self, last: Vector) -> Vector:
        """Choose the best weights; the last ones where every evaluation was withheld, and the report says so."""
        outcome, best = self._outcome, self._progress.best
        if best is None:
            outcome.best, outcome.best_round = last, outcome.rounds
            return last
        outcome.best, outcome.best_round, outcome.best_metrics = best.weights, best.round, best.metrics
        outcome.best_evaluated_by = best.evaluated_by
        return best.weights

    def _test(self, encoding: Encoding, best: Vector) -> None:
        if self._bundle.study.split.test > 0:
            core = self._core("test", self._outcome.best_round, best, encoding)
            try:
                self._outcome.test = self._visit(core, best, encoding).record
            except Refused as error:  # the model is there, its test figures are not: partial, and it says so
                self._outcome.problems = error.problems

    def _core(self, purpose: Purpose, number: int, weights: Vector, encoding: Encoding, plan: SumPlan | None = None) -> TaskCore:
        return TaskCore(
            study_hash=self._bundle.study_hash,
            purpose=purpose,
            round=number,
            weights=sha256(to_bytes(weights)),
            encoding=encoding.encoding_digest(),
            plan=plan,
        )

    def _visit(self, core: TaskCore, weights: Vector | None, encoding: Encoding | None) -> _Closed:
        """Visit until enough hospitals counted, as often as the study allows.

        Raises:
            Refused: C-FAILED with the shortfalls, when the last repeat failed too.
        """
        rules = self._bundle.study.rounds
        for attempt in range(1 + rules.retries):
            closed = self._attempt(core, attempt, weights, encoding)
            self._outcome.history.append(closed.record)
            self._watcher.closed(closed.record)
            if closed.record.outcome == "closed":
                self._caller.dismiss(core)
                self._outcome.count(closed.record.counted)
                return closed
            self._caller.forget(core)
            if closed.visit.away and attempt < rules.retries:
                time.sleep(max(0.0, min(AWAY_SECONDS * 2**attempt, rules.deadline_seconds - closed.visit.seconds)))
        self._caller.dismiss(core)
        raise Refused([_failed(self._bundle, record) for record in self._outcome.history[-1:]])

    def _attempt(self, core: TaskCore, attempt: int, weights: Vector | None, encoding: Encoding | None) -> _Closed:
        expected = self._expected(core)
        self._watcher.opened(core.purpose, core.round, attempt, tuple(expected))
        total = ExactSum(self._bundle.manifest, core.plan) if core.plan is not None else None

        buffer = None if weights is None else to_bytes(weights)
        visit = self._caller.visit(core, expected, buffer, encoding, attempt, _Adder(total, self._watcher))
        counted = {site: admitted.reply.records for site, admitted in visit.admitted.items()}
        missing = shortfall(self._bundle.study.silos, counted)
        stepped = total.step(weights) if total is not None and weights is not None and not missing else None
        self._remember(core, visit)
        digest = None if stepped is None else sha256(to_bytes(stepped))
        not_asked = {} if core.purpose == "statistics" else self._excluded
        record = describe(core, attempt, visit, self._bundle.study.silos, missing, digest, not_asked)
        return _Closed(visit, record, stepped)

    def _expected(self, core: TaskCore) -> dict[str, Expectation]:
        """Ask everybody on the roster for statistics; later those with a signed count."""
        members = self._bundle.roster.silos
        return {
            member.site: Expectation(
                member, core, self._records.get(member.site), self._evaluated.get((member.site, _evaluation_kind(core)))
            )
            for member in members
            if core.purpose == "statistics" or member.site in self._records
        }

    def _remember(self, core: TaskCore, visit: Visit) -> None:
        """Keep the data reports, and how many records each hospital evaluates: a later evaluation must be of as many."""
        for site, answered in visit.answers.items():
            decision = answered.decision
            if isinstance(decision, NotAdmitted) and decision.refusal is not None and decision.refusal.report is not None:
                self._outcome.reports[site] = decision.refusal.report
        for site, admitted in visit.admitted.items():
            self._outcome.ledgers[site] = admitted.reply.ledger
            if isinstance(admitted.reply.result, StatisticsResult):
                self._outcome.reports[site] = admitted.reply.result.report
                self._remember_sizes(site, admitted.reply.result)
            counts = evaluation_of(admitted.reply)
            if counts is not None:
                self._evaluated.setdefault((site, _evaluation_kind(core)), counts.records)

    def _remember_sizes(self, site: str, result: StatisticsResult) -> None:
        sizes: tuple[tuple[Purpose, int | None], ...] = (("round", result.validation), ("test", result.test))
        self._evaluated |= {(site, kind): size for kind, size in sizes if size is not None}


def _evaluation_kind(core: TaskCore) -> Purpose:
    """Rounds and the closing visit evaluate the same validation records; the test has its own."""
    return "test" if core.purpose == "test" else "round"


def _diverged(bundle: Bundle, number: int) -> Refused:
    return refuse(
        "C-FAILED",
        f"{bundle.study.name}, round {number}",
        "Weights are finite numbers",
        "the step leads beyond what float32 can hold",
        "lower the learning rate, and look at the hospitals' training losses in history.json",
    )


def _failed(bundle: Bundle, record: RoundRecord) -> Problem:
    absent = sorted({*bundle.roster.sites} - {*record.counted})
    why = ", ".join(f"{silo.site}: {silo.code}" for silo in record.silos if silo.status != "counted")
    rules = bundle.study.silos
    return Problem(
        "C-FAILED",
        f"{bundle.study.name}, {record.purpose} {record.round}",
        f"A visit needs {rules.minimum} hospitals ({', '.join(rules.required) or 'none'} required) with "
        f"{rules.minimum_records} training records, within {1 + bundle.study.rounds.retries} attempts",
        f"{', '.join(record.shortfall)}: {len(record.counted)} counted; not: {', '.join(absent)} ({why or 'not asked'})",
        "look up the hospitals' codes in docs/reference/errors.md, mend them there, and run the study again",
    )

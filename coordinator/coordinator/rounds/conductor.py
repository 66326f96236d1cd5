"""The conductor: takes a study from its bundle to its outcome, by the study's own rules.

Statistics, then rounds (evaluate the weights that came, train, add exactly, step), then the closing evaluation of the
last weights, then the figures of the best weights on the test records, read once. It sees no records and imports no
torch: it only adds numbers. With a journal on disk it goes on where another conductor of the same study died.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from coordinator.journal.entries import StudyEnded
from coordinator.journal.journal import Halted, Journal, Unwritten
from coordinator.rounds.grid import Grid
from coordinator.rounds.normalisation import make_encoding
from coordinator.rounds.outcome import Outcome
from coordinator.rounds.policy import Progress
from coordinator.rounds.visit import Caller, Removed, nobody
from coordinator.rounds.visits import Closed, TooFew, Visits, Watcher
from wardround.errors import Broken, Refused, refuse
from wardround.identity.keys import SigningKey
from wardround.identity.succession import Current, as_on_roster
from wardround.messages.round import Purpose, StatisticsResult, TaskCore
from wardround.study.bundle import Bundle
from wardround.study.encoding import Encoding
from wardround.weights.fixed_point import RECORD_LIMIT, SumPlan, plan_sum
from wardround.weights.packing import Vector

OUR_CODES = "C-"
"""What a study itself can end with; every other code is of the centre's disk and files."""


class TrainingHeld(Exception):
    """The hospitals have told their statistics, and somebody wants to look at them before the first round."""


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Surroundings:
    """What a study is conducted in; as it stands: nobody is removed, keys are the roster's, nobody waits.

    Attributes:
        removed: says which hospitals are removed.
        current: says which keys a hospital has now.
        training_held: says whether the first round waits for somebody.
        turns: how many hospitals do their work one after the other, as in a simulation; a visit may then take as many of the
            study's deadlines, since the last one's time begins with the first one's.
    """

    removed: Removed = nobody
    current: Current = as_on_roster
    training_held: Callable[[], bool] = _never
    turns: int = 1


USUAL = Surroundings()


class Conductor:
    """Conducts one study once, in as many lives as it takes."""

    def __init__(
        self,
        bundle: Bundle,
        key: SigningKey,
        grid: Grid,
        watcher: Watcher,
        journal: Journal | None = None,
        surroundings: Surroundings = USUAL,
    ) -> None:
        """Take the study, the coordinator's key, the transport, a watcher, the study's journal, and what it is conducted in.

        Without a journal nothing outlives the process. The initial weights are let go of once the journal has them.

        Raises:
            Broken: when the key is not the one on the study's roster.
        """
        if key.public != bundle.roster.coordinator.signing_key:
            msg = "the coordinator's key is not the one on the roster"
            raise Broken(msg)
        self._initial: Vector | None = bundle.weights
        self._bundle = bundle = bundle.lightened()
        self._journal = journal or Unwritten()
        self._outcome = Outcome(roster=bundle.roster.sites)
        caller = Caller(bundle, key, grid, surroundings.removed, surroundings.turns)
        self._visits = Visits(bundle, caller, self._journal, watcher, self._outcome, surroundings.current)
        self._training_held = surroundings.training_held
        self._progress: Progress[str] = Progress(bundle.study.convergence)

    def run(self) -> Outcome:
        """Conduct the study to its end. A failure is an outcome with its problems, never half a result.

        Raises:
            TrainingHeld: after the first visit, where the first round waits; the study goes on with another conductor.
            Halted: when the disk does not take the journal; the study goes on once it does.
            TransportFault: of the grid; the study goes on with another one.
        """
        outcome = self._outcome
        try:
            encoding = self._statistics()
            if self._training_held():
                raise TrainingHeld
            last = self._rounds(encoding)
            self._closing(encoding, last)
            best = self._choose(last)
            self._test(encoding, best)
            outcome.last, outcome.best = self._journal.load(last), self._journal.load(best)
        except Refused as error:
            if not all(code.startswith(OUR_CODES) for code in error.codes):
                raise Halted(error) from None  # the disk, or a file: nothing that the study decided
            outcome.fail(error.problems)
        else:
            outcome.succeed()
        codes = tuple(problem.code for problem in outcome.problems)
        self._journal.end(StudyEnded(status=outcome.status, summary=outcome.summary, rounds=outcome.rounds, codes=codes))
        return outcome

    def _statistics(self) -> Encoding:
        study = self._bundle.study
        closed = self._visits.make(TaskCore(study_hash=self._bundle.study_hash, purpose="statistics", round=0), None)
        if sum(self._visits.records.values()) >= RECORD_LIMIT:
            raise refuse(
                "C-STATISTICS",
                study.name,
                f"The exact sum holds fewer than {RECORD_LIMIT} records",
                "the hospitals have more",
                "narrow the cohort",
            )
        results = [admitted.reply.result for _, admitted in sorted(closed.visit.admitted.items())]
        sums = [result for result in results if isinstance(result, StatisticsResult)]
        self._outcome.encoding = make_encoding(study, self._bundle.contract, sums)
        return self._outcome.encoding

    def _rounds(self, encoding: Encoding) -> str:
        """Train round after round; gives the digest of the last weights."""
        if self._initial is None:
            msg = "a conductor conducts its study once"
            raise Broken(msg)
        weights, rules = self._journal.keep(self._initial), self._bundle.study.rounds
        self._initial = None
        made_by = 0
        for number in range(1, rules.maximum + 1):
            try:
                closed = self._visits.make(self._core("round", number, weights, encoding, self._plan(number, weights)), encoding)
            except TooFew:
                self._outcome.failed_rounds += 1
                if self._outcome.failed_rounds > rules.max_failed_rounds:
                    raise
                continue  # passed over: the next round begins with the same weights
            self._progress.observe(made_by, weights, closed.record.pooled, closed.record.evaluated_by)
            weights, made_by = _stepped(closed), number
            self._outcome.rounds = number
            self._tidy(weights, closed)
            if self._progress.converged:
                self._outcome.stopped = "converged"
                return weights
        if made_by == 0:
            raise refuse(
                "C-FAILED",
                self._bundle.study.name,
                "A result rests on a round that counted",
                f"all {rules.maximum} rounds failed and were passed over",
                "look up the hospitals' codes in docs/reference/errors.md, mend them there, and run the study again",
            )
        self._outcome.stopped = "maximum"
        return weights

    def _tidy(self, weights: str, closed: Closed) -> None:
        """Drop the weights that nobody needs any more; while the journal is being read, later ones are still needed."""
        if closed.live:
            self._journal.shelf.keep_only({weights, *self._progress.candidates})

    def _plan(self, number: int, weights: str) -> SumPlan:
        """Plan a round's sum, as it was planned if the round was begun before."""
        known = [core.plan for core in self._journal.cores("round", number) if core.plan is not None]
        if known:
            return known[0]
        total = sum(self._visits.records.values())
        return plan_sum(self._journal.load(weights), self._bundle.manifest, total)

    def _closing(self, encoding: Encoding, weights: str) -> None:
        rounds = self._outcome.rounds
        closed = self._visits.make(self._core("closing", rounds, weights, encoding), encoding)
        self._progress.observe(rounds, weights, closed.record.pooled, closed.record.evaluated_by)

    def _choose(self, last: str) -> str:
        """Choose the best weights; the last ones where every evaluation was withheld, and the report says so."""
        outcome, best = self._outcome, self._progress.best
        if best is None:
            outcome.best_round = outcome.rounds
            return last
        outcome.best_round, outcome.best_metrics, outcome.best_evaluated_by = best.round, best.metrics, best.evaluated_by
        return best.weights

    def _test(self, encoding: Encoding, best: str) -> None:
        if self._bundle.study.split.test > 0:
            core = self._core("test", self._outcome.best_round, best, encoding)
            try:
                self._outcome.test = self._visits.make(core, encoding).record
            except TooFew as error:  # the model is there, its test figures are not: partial, and it says so
                self._outcome.problems = error.problems

    def _core(self, purpose: Purpose, number: int, weights: str, encoding: Encoding, plan: SumPlan | None = None) -> TaskCore:
        return TaskCore(
            study_hash=self._bundle.study_hash,
            purpose=purpose,
            round=number,
            weights=weights,
            encoding=encoding.encoding_digest(),
            plan=plan,
        )


def _stepped(closed: Closed) -> str:
    if closed.record.stepped is None:
        msg = "a round closed without a step"
        raise Broken(msg)
    return closed.record.stepped

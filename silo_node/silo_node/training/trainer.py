"""The trainer: does the porter's work on the hospital's records, and keeps what rounds share.

Records are read, checked, split and encoded once for a study; the network and the tensors stay warm between rounds.
Of a round outlives only its result, so that it can be given again; no optimiser state, no random state. Where there is
a place for it (``Durable``), results and unfinished trainings outlive the process too.
"""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import torch
from polars.exceptions import PanicException
from torch import nn

from silo_node.changed import words
from silo_node.changed.compare import compare
from silo_node.changed.picture import recall, take
from silo_node.cohort import Cohort, assemble
from silo_node.configuration import Site
from silo_node.confinement import Confinement
from silo_node.data_key import keyed_fingerprint
from silo_node.policy import Policy, largest_norm
from silo_node.training.checkpoint import Training
from silo_node.training.desk import Desk, execution_of, make_desk
from silo_node.training.distributions import distributions
from silo_node.training.durable import Durable, Notes
from silo_node.training.examples import Examples, UnfitExampleError, UnpreparedExampleError
from silo_node.training.execution import choose_device
from silo_node.training.field_sums import field_sums
from silo_node.training.last_words import LastWords
from silo_node.training.loop import NotFinite, TooManyAtOnce, Watch, Withdrawn, train
from silo_node.training.memory import give_back, is_out_of_memory, out_of_memory
from silo_node.training.results import Shelf
from silo_node.training.scoring import count
from silo_node.training.snapshot import Unfit
from silo_node.training.trial import try_steps
from silo_node.validation.check import CheckFailed
from silo_node.validation.result import late_finding, with_findings
from silo_node.work import Done, NotDone, Stepped, Work
from wardround.errors import Refused
from wardround.messages.data_report import DataReport, without_counts
from wardround.messages.distribution import Distributions
from wardround.messages.round import LARGEST_EXPONENT, Evaluation, EvaluationResult, RoundResult, StatisticsResult
from wardround.metrics.labels import without_few
from wardround.metrics.pooled import LOSS_LIMIT, LOSS_UNIT, Counts, LabelCounts
from wardround.models.build import read_weights, write_weights
from wardround.study.bundle import Bundle
from wardround.study.randomness import derive_seed
from wardround.weights.fixed_point import OutOfRange, check_range, needed_exponents
from wardround.weights.norm import l2_norm
from wardround.weights.packing import Vector


class Trainer:
    """One hospital's trainer; one task at a time."""

    def __init__(
        self,
        site: Site,
        log: logging.Logger | None = None,
        durable: Durable | None = None,
        confinement: Confinement | None = None,
    ) -> None:
        """Take the hospital's site file and log, where work survives this process (a simulation needs no such place), and what
        this process found of its confinement.

        Torch works on one thread: sums in threads depend on their number.

        Raises:
            Refused: M-DEVICE when the site file names a GPU, and torch finds none.
        """
        self._log = log or logging.getLogger(__name__)
        torch.set_num_threads(1)
        self._site = site
        self._durable = durable
        self._confinement = confinement
        self._device = choose_device(site.file.resources.device)
        self._shelf = Shelf(site.file.site, None if durable is None else durable.journal, self._log)
        self._desks: dict[str, Desk] = {}
        self._words = None if durable is None else LastWords(durable.run)

    def perform(self, work: Work, watch: Watch | None = None) -> Done | NotDone:
        """Do one task to its end. What the records or weights can cause leaves as a code; traces stay in the log."""
        return self.answer(work, self.produce(work, watch))

    def answer(self, work: Work, outcome: Done | NotDone) -> Done | NotDone:
        """Hold the outcome of some work against the task that asks for it now: its records, its plan of the sum.

        And against the hospital's policy of now, for work that was done under another: what holds no training is asked for
        once more.
        """
        if not isinstance(outcome, Done):
            return outcome
        if outcome.change is None:
            return outcome if self._is_of_now(work) else NotDone("H-AGAIN")
        return self._answer_with_change(work, outcome, outcome.change)

    def _answer_with_change(self, work: Work, outcome: Done, change: Vector) -> Done | NotDone:
        """Hold a training's outcome against its task and the policy.

        What the policy never lets out is said before the sum's plan is looked at: no other hospital need widen its plan for it.
        """
        plan, manifest = work.task.core.plan, work.bundle.manifest
        if plan is None:
            return NotDone("H-BODY")
        if work.task.records != outcome.records:
            return NotDone("H-CHANGED")
        policy = self._policy(work)
        if policy is None:
            return NotDone("H-POLICY")
        if outcome.records < policy.least_records:
            return NotDone("H-FEW")
        most = largest_norm(work.bundle.study, policy)
        if most is not None and l2_norm(change) > most:
            self._log.warning("the change of weights is larger than the study or the hospital's policy allows")
            return NotDone("H-NORM")
        try:
            check_range(change, manifest, plan)
        except OutOfRange:  # finite: nothing else is kept
            needed = needed_exponents(change, manifest, plan)
            return NotDone("H-RANGE", exponents=needed if max(map(abs, needed)) <= LARGEST_EXPONENT else None)
        return _withheld(outcome, policy)

    def _is_of_now(self, work: Work) -> bool:
        """Say whether the records of a study were looked at under the policy of now."""
        desk = self._desks.get(work.bundle.study_hash)
        return desk is not None and desk.policy == self._policy(work)

    def _policy(self, work: Work) -> Policy | None:
        """Give the policy that holds for some work now; None when it cannot be read: then nothing is done."""
        try:
            return self._site.under(work.policy).policy()
        except Refused as refused:
            self._log.warning("the hospital's policy cannot be read: %s", refused)
            return None

    def produce(self, work: Work, watch: Watch | None = None) -> Done | NotDone:
        """Do some work to its end, whatever the plan of the sum; work that was done is not done again."""
        done = self._shelf.find(work) if work.task.core.purpose == "round" else None
        if done is not None:
            self._log.info("round %s was trained before; its result is given again", work.task.core.round)
            return done
        identity = work.task.core.work_id()
        if self._words is not None and self._words.take_lost(identity):
            self._log.warning("this work took the trainer before with it")
            return self._did_not_fit(work)
        try:
            if self._words is not None:
                self._words.begin(identity)
            return self._perform(work, watch)
        except (Exception, PanicException) as error:
            if not is_out_of_memory(error, self._site.file.resources.memory_bytes):
                raise
            self._log.warning("no memory was left, most likely", exc_info=True)
        finally:
            if self._words is not None:
                self._words.end()
        return self._did_not_fit(work)

    def _did_not_fit(self, work: Work) -> NotDone:
        self._desks.pop(work.bundle.study_hash, None)
        return out_of_memory(self._log, self._site.file.resources.memory_bytes)

    def _perform(self, work: Work, watch: Watch | None) -> Done | NotDone:
        policy = self._policy(work)
        if policy is None or not policy.confines(self._confinement):
            self._log.warning("no record is opened: the policy cannot be read, or requires confinement that this process lacks")
            return NotDone("H-POLICY" if policy is None else "H-CONFINEMENT")
        try:
            desk = self._desk(work, policy)
        except CheckFailed as failure:
            self._log.warning("the records may not be used: %s", ", ".join(failure.codes))
            return NotDone("H-FEW" if set(failure.codes) == {"T-FEW"} else "H-DATA", failure.outgoing)
        except Refused as refused:
            self._log.warning("the records cannot be read for this study: %s", refused, exc_info=True)
            return NotDone("H-DATA")
        if work.task.core.purpose == "statistics":
            return self._statistics(desk)
        if work.task.records != desk.cohort.train.height:
            return NotDone("H-CHANGED")
        return self._visited(work, desk, watch or Watch())

    def _visited(self, work: Work, desk: Desk, watch: Watch) -> Done | NotDone:
        """Visit; what ends a visit early becomes its code."""
        try:
            return self._visit(work, desk, watch)
        except Withdrawn:
            return NotDone("H-WITHDRAWN")
        except NotFinite:
            return NotDone("H-NONFINITE")
        except UnpreparedExampleError as unfit:
            return self._unprepared(work, desk, unfit)
        except UnfitExampleError as unfit:
            self._log.warning("an image is not what it was when it was checked: %s", unfit)
            self._desks.pop(work.bundle.study_hash, None)
            return NotDone("H-CHANGED")

    def _unprepared(self, work: Work, desk: Desk, unfit: UnpreparedExampleError) -> NotDone:
        """Say of how many images only the pixels told that they cannot be prepared: here in numbers, to the centre by code."""
        from silo_node.imaging import rules  # noqa: PLC0415  (pydicom, only where images are read)
        from silo_node.imaging.preparable import UNPREPARABLE  # noqa: PLC0415

        self._desks.pop(work.bundle.study_hash, None)
        encoding, imaging, report = work.task.encoding, work.bundle.imaging, desk.cohort.report
        if encoding is None or imaging is None:
            return NotDone("H-BODY")
        rule, step = rules.rule(UNPREPARABLE, imaging), rules.NEXT[UNPREPARABLE]
        count = desk.unprepared(encoding)
        finding = f"{count} of the records' images cannot be prepared, the first because {unfit.finding}"
        self._log.warning("%s. %s: %s. Next: %s", UNPREPARABLE, rule, finding, step)
        late = late_finding(UNPREPARABLE, report, count, (rule, finding, step))
        return NotDone("H-DATA", without_counts(with_findings(report, [late], desk.policy.small_cell).outgoing))

    def withdraw(self, task_id: str) -> None:
        """Do nothing: called in one thread, a task is always done by the time that it could be withdrawn."""

    def confinement(self) -> Confinement | None:
        """Give what this process found of its confinement; None where nobody tried, as in a simulation."""
        return self._confinement

    def try_out(self, bundle: Bundle, rows: int) -> Stepped | NotDone:
        """Do a few steps of a study's optimiser on made-up records: no record is opened, no desk is made or touched."""
        limit = self._site.file.resources.memory_bytes
        try:
            return try_steps(bundle, rows, limit, execution_of(bundle, self._device, self._site.file.resources.device))
        except (Exception, PanicException) as error:
            if not is_out_of_memory(error, limit):
                raise
        return out_of_memory(self._log, limit)

    def _desk(self, work: Work, policy: Policy) -> Desk:
        bundle, key = work.bundle, work.bundle.study_hash
        known = self._desks.get(key)
        if known is None or known.policy != policy:
            self._desks.pop(key, None)
            cohort = assemble(self._site.under(work.policy), bundle.contract, bundle.study, key, bundle.imaging)
            data = keyed_fingerprint(self._site.folder, cohort.fingerprint)
            self._tell_change(bundle, cohort, data)
            setting = self._site.file.resources.device
            self._desks[key] = make_desk(bundle, cohort, policy, self._device, setting, data, self._log)
        return self._desks[key]

    def _tell_change(self, bundle: Bundle, cohort: Cohort, data: str | None) -> None:
        """Say in the hospital's own log how the records are others than those that were approved, if they are."""
        before = recall(self._site.folder, bundle.study_hash)
        if before is None or data is None or before.picture.data == data:
            return
        now = take(self._site.folder, cohort, bundle.contract, bundle.study, bundle.study_hash, data)
        name = f"{bundle.study.name}-{bundle.study.version}"
        self._log.warning(
            "the records of study %s are not those of its approval; wardround silo changed %s shows how", name, name
        )
        for line in words.lines(compare(bundle, before, now)):
            self._log.warning("%s: %s", name, line)

    def _statistics(self, desk: Desk) -> Done:
        bundle, cohort, policy = desk.bundle, desk.cohort, desk.policy
        result = StatisticsResult(
            validation=_shown(cohort.validation.height, policy.small_cell),
            test=_shown(cohort.test.height, policy.small_cell),
            sums=field_sums(cohort.train, bundle.contract, bundle.study.features, policy.small_cell),
            report=_report(cohort, policy.small_cell),
            distributions=_distributions(desk),
        )
        return Done(records=cohort.train.height, result=result, data=desk.data)

    def _visit(self, work: Work, desk: Desk, watch: Watch) -> Done | NotDone:
        core, encoding, weights = work.task.core, work.task.encoding, work.weights
        if encoding is None or weights is None:
            return NotDone("H-BODY")
        network = desk.prepare(encoding, self._site.file.resources.memory_bytes)
        write_weights(network, weights, desk.bundle.manifest)
        records = desk.cohort.train.height
        if core.purpose == "test":
            tested = EvaluationResult(purpose="test", evaluation=_evaluate(desk, network, desk.test))
            return Done(records, tested, data=desk.data)
        evaluation = _evaluate(desk, network, desk.validation)
        if core.purpose == "closing":
            return Done(records, EvaluationResult(purpose="closing", evaluation=evaluation), data=desk.data)
        return self._train(work, desk, network, evaluation, watch)

    def _train(self, work: Work, desk: Desk, network: nn.Module, evaluation: Evaluation, watch: Watch) -> Done | NotDone:
        core, before = work.task.core, work.weights
        if desk.train is None or core.plan is None or before is None:
            return NotDone("H-BODY")
        training = Training(self._site.file.site, core.study_hash, core.work_id(), desk.records)
        notes, loss = self._train_as_fits(work, desk, network, desk.train, training, watch)
        with np.errstate(invalid="ignore", over="ignore"):
            change = read_weights(network)[0]
            change -= before  # in its place: weights may be most of what memory holds
        if not np.isfinite(change).all():
            raise NotFinite
        units = round(min(loss, LOSS_LIMIT) / LOSS_UNIT)
        done = Done(desk.train.size, RoundResult(evaluation=evaluation, training_loss_units=units), change, desk.data)
        self._shelf.keep(work, done)  # durable before anybody hears of it
        notes.done()
        return done

    def _train_as_fits(
        self, work: Work, desk: Desk, network: nn.Module, examples: Examples, training: Training, watch: Watch
    ) -> tuple[Notes, float]:
        """Train with as many examples at once as the desk says; from the start with more room, where there is no memory."""
        settings = desk.bundle.study.training
        seed = derive_seed(desk.bundle.study.seed, self._site.file.site, work.task.core.round, "local training")
        while True:
            notes = Notes(self._durable, training, work, watch, self._log, desk.execution)
            try:
                return notes, train(network, examples, settings, desk.loss, seed, watch, notes.keeper, desk.execution)
            except TooManyAtOnce:
                pass
            except Unfit:
                notes.unfit()
                raise
            except (Withdrawn, NotFinite):
                notes.ended()
                raise
            self._make_room(work, desk, network)  # not within a clause: the error's trace holds what did not fit

    def _make_room(self, work: Work, desk: Desk, network: nn.Module) -> None:
        """Let images that are kept give way, as long as there are any; then halve how many examples are computed at once.

        Both for all that this process does for the study from here on.

        Raises:
            MemoryError: there is nothing more to give.
        """
        if work.weights is None or not (desk.give_way() or self._cut_smaller(desk)):
            raise MemoryError
        give_back()
        write_weights(network, work.weights, desk.bundle.manifest)

    def _cut_smaller(self, desk: Desk) -> bool:
        examples = desk.train
        less = None if examples is None else desk.execution.halved(desk.bundle.study.training.batch_size or examples.size)
        if less is None:
            return False
        self._log.warning("no memory was left: from here on at most %s examples are computed at once", less.micro_batch)
        desk.execution = less
        return True


def _distributions(desk: Desk) -> Distributions | None:
    """Tell how the training records are distributed, where the study asks and the policy lets it out."""
    study, policy = desk.bundle.study, desk.policy
    if not study.statistics.distributions or policy.share_distributions == "nobody":
        return None
    return distributions(desk.cohort.train, desk.bundle.contract, study, policy.small_cell, policy.share_distributions)


def _evaluate(desk: Desk, network: nn.Module, examples: Examples | None) -> Evaluation:
    """Evaluate, unless the hospital's policy withholds figures of so few records."""
    if examples is None or examples.size < desk.policy.smallest_metrics:
        return Evaluation(counts=None)
    counts = desk.with_room(lambda: count(desk.bundle.study, network, examples, desk.execution))
    return Evaluation(counts=_of_enough(counts, desk.policy))


def _of_enough(counts: Counts, policy: Policy) -> Counts | None:
    """Give counts as far as enough records stand behind them, by the policy; of several labels, behind each."""
    if isinstance(counts, LabelCounts):
        return without_few(counts, policy.smallest_metrics, policy.small_cell)
    return counts if counts.records >= policy.smallest_metrics else None


def _withheld(done: Done, policy: Policy) -> Done:
    """Give a round's result without figures of fewer records than the policy lets out; it may have been made under another."""
    result = done.result
    if not isinstance(result, RoundResult) or result.evaluation.counts is None:
        return done
    left = Evaluation(counts=_of_enough(result.evaluation.counts, policy))
    return replace(done, result=result.model_copy(update={"evaluation": left}))


def _report(cohort: Cohort, small_cell: int) -> DataReport:
    """Give the outgoing report; without its counts where valid less training (and other parts) records is a small cell.

    The number of training records leaves anyway, those of validation and test with the scores at the latest.
    """
    counts = cohort.counts
    rest = counts.not_selected + counts.without_target
    parts = (rest, rest + counts.validation, rest + counts.test, rest + counts.validation + counts.test)
    return without_counts(cohort.outgoing) if any(0 < each < small_cell for each in parts) else cohort.outgoing


def _shown(count: int, small_cell: int) -> int | None:
    """Give a count of records, or None for a small cell; zero is shown."""
    return None if 0 < count < small_cell else count

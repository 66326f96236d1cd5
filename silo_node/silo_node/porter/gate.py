"""The egress gate: the only place that makes what may leave the hospital.

Everything outgoing is checked against the egress manifest that the approval signs: which values, their ranges, the tensors,
how often, how many bytes; and against the hospital's policy, the stricter of now and of the approval: counts, size of the
change, bytes. Then it is written to the ledger, on disk, and only then signed. What does not pass leaves as a bare code. Where
it is not what was approved (``H-GATE``), the ledger says which part, and the study is held up until a person lets it go on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from pydantic import ValidationError

from silo_node.policy import Policy, PolicyFile, largest_norm, stricter
from silo_node.porter.approvals import pause, read_pause
from silo_node.porter.distribution_rules import beside_report, distribution_faults
from silo_node.porter.egress import beyond, beyond_a_code, of_another_kind
from silo_node.porter.few_records import SMALL, shows_few, too_few
from silo_node.porter.ledger import Ledger
from silo_node.porter.policy_check import policy_problems
from silo_node.porter.told_before import NOWHERE, Origins, ToldBefore
from silo_node.work import Busy, Done, NotDone
from wardround.canonical import canonical_bytes, digest, model_json
from wardround.confinement import Measures
from wardround.errors import Refused
from wardround.identity.keys import PublicKey, SigningKey
from wardround.ledger.entries import (
    ApprovalUsed,
    Blocked,
    BlockedPart,
    CanaryAnswered,
    Figure,
    OfferAnswered,
    RefusalSent,
    Released,
    Repeated,
    WorkingSent,
)
from wardround.messages.canary import Canary, CanaryFigures, CanaryReport
from wardround.messages.confidential import encrypted_for
from wardround.messages.data_report import DataReport
from wardround.messages.distribution import Distributions
from wardround.messages.envelope import Envelope, digests, seal
from wardround.messages.offer import OfferAnswer, OfferState
from wardround.messages.round import (
    Collect,
    Evaluation,
    FiguresFor,
    Reply,
    RoundResult,
    SiloCode,
    SiloRefusal,
    StatisticsResult,
    Task,
    TaskCore,
    Working,
)
from wardround.metrics.pooled import ClassCounts, LabelCounts, NumberCounts, ScoreCounts, SegmentationCounts
from wardround.reference import current_reference
from wardround.weights.fixed_point import OutOfRange, check_range
from wardround.weights.norm import l2_norm
from wardround.weights.packing import Vector, to_bytes

if TYPE_CHECKING:
    from silo_node.porter.approvals import Approved
    from wardround.contract.model import Contract
    from wardround.study.bundle import Bundle


_Outcome = TypeVar("_Outcome", Done, NotDone)


@dataclass(frozen=True, slots=True)
class Release:
    """Bytes that may leave; made by the gate alone. ``result``: they are a result, not a refusal or news."""

    envelope: Envelope
    result: bool = False


class Gate:
    """One hospital's gate."""

    def __init__(
        self,
        site: str,
        key: SigningKey,
        ledger: Ledger,
        policy: PolicyFile,
        centre: PublicKey | None = None,
        origins: Origins = NOWHERE,
    ) -> None:
        """Take the hospital's name, signing key, ledger and policy, which is read anew for every release.

        And the key of the centre that it joined, if any, and where its schemas come from.
        """
        self._site = site
        self._centre = centre
        self._key = key
        self.ledger = ledger
        self._policy = policy
        self._told: dict[str, OfferState] = {}
        self._before = None if centre is None else ToldBefore(policy.folder, origins)  # what a simulation tells stays here

    def holds_up(self, study_hash: str) -> bool:
        """Say whether the gate paused a study, and nobody has resumed it since."""
        return read_pause(self._policy.folder, study_hash) == "gate"

    def against_policy(self, bundle: Bundle) -> tuple[str, ...]:
        """Give the codes of everything in a study that the hospital's policy of now does not allow.

        Those of the policy's own mistakes where it cannot be read: then it allows nothing.
        """
        try:
            return tuple(problem.code for problem in policy_problems(bundle, self._policy.read()))
        except Refused as error:
            return error.codes

    def required_confinement(self) -> Measures:
        """Give what the hospital's policy of now requires of the trainer's confinement.

        Raises:
            Refused: Y- codes when the policy cannot be read.
        """
        return self._policy.read().required_confinement

    def release(self, task: Task, approved: Approved, outcome: Done | NotDone) -> Release:
        """Let an outcome out, or a refusal in its place; what was not approved is kept back, and the study held up."""
        try:
            policy = stricter(self._policy.read(), approved.policy)
        except Refused:
            return self.refuse(NotDone("H-POLICY"), task.study_hash, task.task_id, task.core, approved)
        self._write_approval(approved)
        if isinstance(outcome, NotDone):
            parts = beyond_a_code(outcome, task.core.purpose, approved.manifest)
            if not parts and outcome.report is not None and shows_few(outcome.report, policy):
                parts = (SMALL,)
            return (
                self._block(task, approved, parts) if parts else self._refuse_task(task, approved, self._weighed(outcome, policy))
            )
        outcome = _as_allowed(outcome, policy)
        parts = (
            beyond(outcome, task.core.purpose, approved.manifest)
            or of_another_kind(outcome, approved.bundle)
            or too_few(task, outcome, policy)
            or distribution_faults(outcome, approved.bundle, policy.small_cell)
        )
        if parts:
            return self._block(task, approved, parts)
        outcome = self._of_the_same_records(task.study_hash, self._weighed(outcome, policy))
        outcome = self._distributions_weighed(outcome, approved.bundle.contract, policy.small_cell)
        code = _objection(task, approved, outcome, policy)
        if code is not None:
            return self._refuse_task(task, approved, NotDone(code))
        arrays = () if outcome.change is None else (to_bytes(outcome.change),)
        result = model_json(outcome.result)
        entry = Released(
            time=self.ledger.now(),
            study=task.study_hash,
            task=task.task_id,
            work=task.core.work_id(),
            purpose=task.core.purpose,
            round=task.core.round,
            approval=approved.digest,
            policy=policy.policy_digest(),
            data=outcome.data,
            to=approved.bundle.roster.coordinator.signing_key,
            records=outcome.records,
            figures=figures_of(outcome),
            result=digest("result", 1, result),
            result_bytes=len(canonical_bytes(result)),
            arrays=digests(arrays),
            bytes=sum(len(array) for array in arrays),
            norm=None if outcome.change is None else norm_of(outcome.change),
            share_metrics=policy.share_metrics,
        )
        over = self.ledger.beyond(entry, approved.manifest)
        if over is not None:
            return self._block(task, approved, (BlockedPart(why=over),))
        if policy.most_bytes is not None and self.ledger.bytes_with(entry) > policy.most_bytes:
            return self._refuse_task(task, approved, NotDone("H-POLICY"))
        if isinstance(outcome.result, StatisticsResult):
            self._remember(outcome.result.report)
            self._remember_distributions(outcome.result, approved.bundle.contract)
        reply = Reply(
            site=self._site,
            study_hash=task.study_hash,
            task_id=task.task_id,
            approval=approved.digest,
            ledger=self.ledger.write(entry),
            records=outcome.records,
            result=outcome.result,
            share_metrics=policy.share_metrics,
            bodies=digests(arrays),
        )
        envelope = seal("reply", reply, self._key, arrays)
        return Release(encrypted_for(envelope, approved.bundle.roster.coordinator.encryption_key), result=True)

    def _refuse_task(self, task: Task, approved: Approved, outcome: NotDone) -> Release:
        return self.refuse(outcome, task.study_hash, task.task_id, task.core, approved)

    def _block(self, asked: Task | Canary, approved: Approved, parts: tuple[BlockedPart, ...]) -> Release:
        """Keep something back that was not approved: the study is held up, and it is written down, before its code leaves.

        In this order: killed in between, the study does not go on.
        """
        core, study = (asked.core, asked.study_hash) if isinstance(asked, Task) else (None, asked.study_hash)
        identity = asked.task_id if isinstance(asked, Task) else asked.nonce
        entry = Blocked(
            time=self.ledger.now(),
            study=study,
            task=identity,
            purpose=None if core is None else core.purpose,
            round=None if core is None else core.round,
            approval=approved.digest,
            parts=parts,
        )
        pause(self._policy.folder, self._site, study, by="gate")
        self.ledger.write(entry)
        return self.refuse(NotDone("H-GATE"), study, identity, core, approved)

    def refuse(
        self,
        outcome: NotDone,
        study_hash: str | None,
        task_id: str | None,
        core: TaskCore | None = None,
        approved: Approved | None = None,
        answers: str | None = None,
    ) -> Release:
        """Let a refusal out: a code, the reference of this visit, and the outgoing data report if the records are why.

        The reference is the porter's, made before the work began: nothing that holds records has a say in it.

        ``answers``: digest of the message that is refused, where it is of no task. What was asked, and under which approval it
        was looked at, go to the ledger as far as they are known.
        """
        sharing = self._sharing(approved)
        self._remember(outcome.report)
        entry = RefusalSent(
            time=self.ledger.now(),
            study=study_hash,
            task=task_id,
            purpose=None if core is None else core.purpose,
            round=None if core is None else core.round,
            approval=None if approved is None else approved.digest,
            to=self._centre if approved is None else approved.bundle.roster.coordinator.signing_key,
            code=outcome.code,
            report=None if outcome.report is None else digest("result", 1, model_json(outcome.report)),
            share_metrics=sharing,
            reference=current_reference(),
        )
        refusal = SiloRefusal(
            site=self._site,
            study_hash=study_hash,
            task_id=task_id,
            code=outcome.code,
            report=outcome.report,
            exponents=outcome.exponents,
            answers=answers,
            reference=entry.reference,
            ledger=self.ledger.write(entry),
            share_metrics=sharing,
        )
        return Release(seal("reply", refusal, self._key))

    def _weighed(self, outcome: _Outcome, policy: Policy) -> _Outcome:
        """Give an outcome, which may leave by itself, with its report of the records as it may leave after those before it."""
        if self._before is None:
            return outcome
        if isinstance(outcome, NotDone):
            report = outcome.report
            return outcome if report is None else replace(outcome, report=self._before.report_weighed(report, policy.small_cell))
        if not isinstance(outcome.result, StatisticsResult):
            return outcome
        weighed = self._before.report_weighed(outcome.result.report, policy.small_cell)
        return replace(outcome, result=outcome.result.model_copy(update={"report": weighed}))

    def _of_the_same_records(self, study_hash: str, done: Done) -> Done:
        """Give a result without its sums of a number, or counts of several labels, where the study's first were of other records.

        The sides on which patients are stay the same in a study: of two sums over almost the same records, the difference is
        the value of those that were added, left out or corrected; of several labels, all that a record was found to have.
        Records without a fingerprint cannot be held against others.
        """
        result = done.result
        if isinstance(result, StatisticsResult) or not isinstance(result.evaluation.counts, NumberCounts | LabelCounts):
            return done
        if done.data is not None and done.data == self.ledger.measured_on(study_hash, done.data):
            return done
        return replace(done, result=result.model_copy(update={"evaluation": Evaluation(counts=None)}))

    def _remember(self, report: DataReport | None) -> None:
        """Write a report down before it leaves."""
        if self._before is not None:
            self._before.remember(report)

    def _distributions_weighed(self, done: Done, contract: Contract, small_cell: int) -> Done:
        """Give a result with the distributions that may leave beside its report, and after those that left before it."""
        result = done.result
        if not isinstance(result, StatisticsResult) or result.distributions is None:
            return done
        fields = beside_report(result.distributions.fields, result.report, contract, small_cell)
        if self._before is not None:
            fields = self._before.fields_weighed(fields, contract, small_cell)
        told = result.distributions.model_copy(update={"fields": fields})
        return replace(done, result=result.model_copy(update={"distributions": told}))

    def _remember_distributions(self, result: StatisticsResult, contract: Contract) -> None:
        """Write distributions down before they leave."""
        if self._before is not None and result.distributions is not None:
            self._before.remember_fields(result.distributions.fields, contract)

    def _sharing(self, approved: Approved | None) -> FiguresFor:
        """Say whom the policies of now and of the approval let see this hospital's figures; nobody where it cannot be read."""
        try:
            policy = self._policy.read()
        except Refused:
            return "coordinator"
        return (policy if approved is None else stricter(policy, approved.policy)).share_metrics

    def _write_approval(self, approved: Approved) -> None:
        """Write down an approval before the first answer under it."""
        if self.ledger.knows_approval(approved.digest):
            return
        bundle = approved.bundle
        self.ledger.write(
            ApprovalUsed(
                time=self.ledger.now(),
                study=bundle.study_hash,
                approval=approved.digest,
                name=bundle.study.name,
                version=bundle.study.version,
                title=bundle.study.title,
                coordinator=bundle.roster.coordinator,
                tensors=bundle.manifest.tensors,
                signed=approved.signed,
            )
        )

    def answer_offer(self, study_hash: str, state: OfferState) -> Release:
        """Let out what was decided about an offered study; written down when it is news."""
        if self._told.get(study_hash) != state:
            self.ledger.write(OfferAnswered(time=self.ledger.now(), study=study_hash, state=state))
            self._told[study_hash] = state
        answer = OfferAnswer(site=self._site, study_hash=study_hash, state=state)
        return Release(seal("reply", answer, self._key))

    def working(self, task: Task, busy: Busy) -> Release:
        """Let out that a task goes on: how far it is, nothing else."""
        self.ledger.write(WorkingSent(time=self.ledger.now(), study=task.study_hash, task=task.task_id, epoch=busy.epoch))
        working = Working(
            site=self._site,
            study_hash=task.study_hash,
            task_id=task.task_id,
            epoch=busy.epoch,
            epochs=busy.epochs,
            percent=busy.percent,
        )
        return Release(seal("reply", working, self._key))

    def answer_canary(self, canary: Canary, approved: Approved, figures: CanaryFigures) -> Release:
        """Let out figures of machine and network, with a body of zeros that is as large as the study's weights.

        The body is made here: nothing that the trainer holds can be in it.
        """
        self._write_approval(approved)
        checked = _exact(figures)
        if checked is None:
            return self._block(canary, approved, (BlockedPart(why="kind"),))
        arrays = (to_bytes(np.zeros(approved.bundle.manifest.size, np.float32)),)
        result = model_json(checked)
        entry = CanaryAnswered(
            time=self.ledger.now(),
            study=canary.study_hash,
            canary=canary.nonce,
            approval=approved.digest,
            to=approved.bundle.roster.coordinator.signing_key,
            result=digest("result", 1, result),
            result_bytes=len(canonical_bytes(result)),
            arrays=digests(arrays),
            bytes=sum(len(array) for array in arrays),
        )
        report = CanaryReport(
            site=self._site,
            study_hash=canary.study_hash,
            nonce=canary.nonce,
            approval=approved.digest,
            ledger=self.ledger.write(entry),
            figures=checked,
            bodies=digests(arrays),
        )
        envelope = seal("reply", report, self._key, arrays)
        return Release(encrypted_for(envelope, approved.bundle.roster.coordinator.encryption_key))

    def repeat(self, reply: Envelope, task: Task | Collect) -> Release:
        """Let the same bytes out again, for the same task; signed with the key of now, which may be another one."""
        self.ledger.write(Repeated(time=self.ledger.now(), study=task.study_hash, task=task.task_id))
        return Release(replace(reply, signature=self._key.sign("reply", reply.message)))


def _as_allowed(done: Done, policy: Policy) -> Done:
    """Give a result with the policy's own word on distributions, and without any where it lets none out."""
    result = done.result
    if type(result) is not StatisticsResult or type(result.distributions) is not Distributions:
        return done
    share = policy.share_distributions
    told = None if share == "nobody" else result.distributions.model_copy(update={"share": share})
    return replace(done, result=result.model_copy(update={"distributions": told}))


def _objection(task: Task, approved: Approved, done: Done, policy: Policy) -> SiloCode | None:
    """Say why a result is none that this task can use, or that the policy does not let out; it is nothing unapproved."""
    fixed = approved.approval.data
    if task.records not in (None, done.records) or (fixed.fixed and done.data != fixed.fingerprint):
        return "H-CHANGED"
    if done.change is None or task.core.plan is None:
        return None if task.core.purpose != "round" else "H-BODY"
    try:
        check_range(done.change, approved.bundle.manifest, task.core.plan)
    except OutOfRange as finding:
        return "H-RANGE" if finding.finite else "H-NONFINITE"
    most = largest_norm(approved.bundle.study, policy)
    return "H-NORM" if most is not None and l2_norm(done.change) > most else None


def figures_of(done: Done) -> tuple[Figure, ...]:
    """Name what a result holds, for the ledger."""
    result = done.result
    if isinstance(result, StatisticsResult):
        held: dict[Figure, bool] = {
            "records": True,
            "validation_size": result.validation is not None,
            "test_size": result.test is not None,
            "sums": bool(result.sums),
            "report": True,
            "distributions": result.distributions is not None,
        }
    else:
        held = {
            "records": True,
            "scores": isinstance(result.evaluation.counts, ScoreCounts | ClassCounts),
            "labels": isinstance(result.evaluation.counts, LabelCounts),
            "overlaps": isinstance(result.evaluation.counts, SegmentationCounts),
            "errors": isinstance(result.evaluation.counts, NumberCounts),
            "training_loss": isinstance(result, RoundResult),
            "change_of_weights": done.change is not None,
        }
    return tuple(name for name, is_held in held.items() if is_held)


def norm_of(change: Vector) -> float:
    """Give a change's Euclidean norm to six digits: the same on every processor, and too short to say more."""
    return float(f"{l2_norm(change):.6g}")


def _exact(figures: CanaryFigures) -> CanaryFigures | None:
    """Give the figures anew, each of exactly its type and within its bounds; None when one is not."""
    if type(figures) is not CanaryFigures:
        return None
    try:
        return CanaryFigures.model_validate(figures.__dict__)
    except ValidationError:
        return None

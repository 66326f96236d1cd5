"""The egress gate: the only place that makes what may leave the hospital.

Everything outgoing is checked against what the approved study says that it sends: kind of message, shape and range of
the change, number of releases; and against the hospital's own policy: counts, size of the change, bytes. Then it is
written to the ledger, on disk, and only then signed. What does not pass leaves as a bare code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydantic import ValidationError

from silo_node.policy import Policy, PolicyFile
from silo_node.porter.ledger import Ledger
from silo_node.porter.policy_check import policy_problems
from silo_node.work import Busy, Done, NotDone
from wardround.canonical import canonical_bytes, digest, model_json
from wardround.confinement import Measures
from wardround.errors import Refused
from wardround.identity.keys import PublicKey, SigningKey
from wardround.ledger.entries import (
    ApprovalUsed,
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
from wardround.messages.data_report import DataReport, ShownCell, foreign_names
from wardround.messages.envelope import Envelope, digests, seal
from wardround.messages.offer import OfferAnswer, OfferState
from wardround.messages.round import (
    Collect,
    Reply,
    RoundResult,
    SiloCode,
    SiloRefusal,
    StatisticsResult,
    Task,
    TaskCore,
    Working,
)
from wardround.reference import current_reference
from wardround.weights.fixed_point import OutOfRange, check_range
from wardround.weights.norm import l2_norm
from wardround.weights.packing import Vector, to_bytes

if TYPE_CHECKING:
    from silo_node.porter.approvals import Approved
    from wardround.study.bundle import Bundle


@dataclass(frozen=True, slots=True)
class Release:
    """Bytes that may leave; made by the gate alone. ``result``: they are a result, not a refusal or news."""

    envelope: Envelope
    result: bool = False


class Gate:
    """One hospital's gate."""

    def __init__(self, site: str, key: SigningKey, ledger: Ledger, policy: PolicyFile, centre: PublicKey | None = None) -> None:
        """Take the hospital's name, signing key, ledger and policy, which is read anew for every release.

        And the key of the centre that it joined, if any.
        """
        self._site = site
        self._centre = centre
        self._key = key
        self.ledger = ledger
        self._policy = policy
        self._told: dict[str, OfferState] = {}

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
        """Let an outcome out, or a refusal in its place."""
        try:
            policy = self._policy.read()
        except Refused:
            return self.refuse(NotDone("H-POLICY"), task.study_hash, task.task_id, task.core, approved)
        self._write_approval(approved)
        if isinstance(outcome, NotDone):
            if outcome.report is not None and not _report_may_leave(outcome.report, approved, policy):
                outcome = NotDone("H-GATE")
            return self.refuse(outcome, task.study_hash, task.task_id, task.core, approved)
        code = _objection(task, approved, outcome, policy)
        if code is not None:
            return self.refuse(NotDone(code), task.study_hash, task.task_id, task.core, approved)
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
            to=approved.bundle.roster.coordinator.signing_key,
            records=outcome.records,
            figures=figures_of(outcome),
            result=digest("result", 1, result),
            result_bytes=len(canonical_bytes(result)),
            arrays=digests(arrays),
            bytes=sum(len(array) for array in arrays),
            norm=None if outcome.change is None else norm_of(outcome.change),
        )
        if not self.ledger.allows(entry, approved.approval.releases):
            return self.refuse(NotDone("H-GATE"), task.study_hash, task.task_id, task.core, approved)
        if policy.most_bytes is not None and self.ledger.bytes_with(entry) > policy.most_bytes:
            return self.refuse(NotDone("H-POLICY"), task.study_hash, task.task_id, task.core, approved)
        reply = Reply(
            site=self._site,
            study_hash=task.study_hash,
            task_id=task.task_id,
            approval=approved.digest,
            ledger=self.ledger.write(entry),
            records=outcome.records,
            result=outcome.result,
            bodies=digests(arrays),
        )
        envelope = seal("reply", reply, self._key, arrays)
        return Release(encrypted_for(envelope, approved.bundle.roster.coordinator.encryption_key), result=True)

    def refuse(
        self,
        outcome: NotDone,
        study_hash: str | None,
        task_id: str | None,
        core: TaskCore | None = None,
        approved: Approved | None = None,
    ) -> Release:
        """Let a refusal out: a code, the reference of this visit, and the outgoing data report if the records are why.

        The reference is the porter's, made before the work began: nothing that holds records has a say in it.

        What was asked, and under which approval it was looked at, go to the ledger as far as they are known.
        """
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
            reference=current_reference(),
        )
        refusal = SiloRefusal(
            site=self._site,
            study_hash=study_hash,
            task_id=task_id,
            code=outcome.code,
            report=outcome.report,
            exponents=outcome.exponents,
            reference=entry.reference,
            ledger=self.ledger.write(entry),
        )
        return Release(seal("reply", refusal, self._key))

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
            return self.refuse(NotDone("H-GATE"), canary.study_hash, canary.nonce, approved=approved)
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
        """Let the same bytes out again, for the same task."""
        self.ledger.write(Repeated(time=self.ledger.now(), study=task.study_hash, task=task.task_id))
        return Release(reply)


def _objection(task: Task, approved: Approved, done: Done, policy: Policy) -> SiloCode | None:
    """Say why an outcome may not leave, if so."""
    if done.result.purpose != task.core.purpose or done.records < policy.least_records:
        return "H-GATE"
    if task.records not in (None, done.records):
        return "H-CHANGED"
    if isinstance(done.result, StatisticsResult):
        return _objection_to_statistics(approved, done, done.result, policy)
    counts = done.result.evaluation.counts
    if counts is not None and counts.records < policy.smallest_metrics:
        return "H-GATE"
    if isinstance(done.result, RoundResult):
        return _objection_to_change(task, approved, done, policy)
    return "H-GATE" if done.change is not None else None


def _objection_to_statistics(approved: Approved, done: Done, result: StatisticsResult, policy: Policy) -> SiloCode | None:
    names = [sums.field for sums in result.sums]
    foreign = len(set(names)) != len(names) or not set(names) <= set(approved.bundle.study.features)
    counts = [size for size in (result.validation, result.test) if size is not None]
    for sums in result.sums:
        counts += (sums.records, done.records - sums.records)
    counts += _left_out(done.records, result)
    exposed = any(0 < count < policy.small_cell for count in counts)
    passes = _report_may_leave(result.report, approved, policy) and done.change is None
    return None if passes and not foreign and not exposed else "H-GATE"


def _report_may_leave(report: DataReport, approved: Approved, policy: Policy) -> bool:
    """Say whether a report names only what the schema names, and shows no small count."""
    cells = (report.found, report.quarantined, report.valid, *(finding.records for finding in report.findings))
    shown = [cell.count for cell in cells if isinstance(cell, ShownCell)]
    small = any(0 < count < policy.small_cell for count in shown)
    return not small and not foreign_names(report, approved.bundle.contract)


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
        }
    else:
        held = {
            "records": True,
            "scores": result.evaluation.counts is not None,
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


def _left_out(records: int, result: StatisticsResult) -> list[int]:
    """Give how many valid records are in neither part that is named, for every choice of parts, as far as it can be computed."""
    report = result.report
    valid = [report.valid.count] if isinstance(report.valid, ShownCell) else []
    if isinstance(report.found, ShownCell) and isinstance(report.quarantined, ShownCell):
        valid.append(report.found.count - report.quarantined.count)
    named = {0, result.validation or 0, result.test or 0, (result.validation or 0) + (result.test or 0)}
    return [count - records - part for count in valid for part in named]


def _objection_to_change(task: Task, approved: Approved, done: Done, policy: Policy) -> SiloCode | None:
    manifest, plan = approved.bundle.manifest, task.core.plan
    if done.change is None or plan is None or done.change.shape != (manifest.size,):
        return "H-GATE"
    try:
        check_range(done.change, manifest, plan)
    except OutOfRange as finding:
        return "H-RANGE" if finding.finite else "H-NONFINITE"
    most = policy.maximum_update_norm
    return "H-NORM" if most is not None and l2_norm(done.change) > most else None

"""Admit or refuse a hospital's answer, for a coded reason; nothing of a refused answer is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from coordinator.rounds.normalisation import distributions_possible, sums_possible
from wardround.canonical import EXACT_INTEGER_LIMIT, sha256
from wardround.identity.roster import Member
from wardround.messages.data_report import foreign_names
from wardround.messages.envelope import Envelope, bodies_hold, in_memory, read, signed_by
from wardround.messages.round import (
    ANSWER,
    CentreCode,
    EvaluationResult,
    Reply,
    RoundResult,
    SiloCode,
    SiloRefusal,
    StatisticsResult,
    TaskCore,
    Working,
)
from wardround.metrics.pooled import Counts, LabelCounts, NumberCounts, largest_number
from wardround.reference import Reference
from wardround.study.bundle import Bundle
from wardround.study.kind import fits, predicted
from wardround.weights.fixed_point import RECORD_LIMIT, OutOfRange, check_range
from wardround.weights.norm import SLACK, l2_norm
from wardround.weights.packing import Vector, from_bytes

TargetSums: TypeAlias = tuple[tuple[int, int] | None, ...]
"""Sum of a number that is predicted, and of its squares; or of each label how many records are of either side, None where that is
withheld: the same in every evaluation of the same records."""


@dataclass(frozen=True)
class Expectation:
    """What the answer of one hospital to one task must be.

    Attributes:
        records: its signed count of training records; None before it is known.
        evaluated: how many records its evaluations of this purpose had before; None before the first.
        target: what they told of the target's values of these records; nothing before the first.
        message: SHA-256 of the message that it was sent: a refusal of no task names it.
    """

    member: Member
    core: TaskCore
    records: int | None
    evaluated: int | None = None
    target: TargetSums = ()
    message: str | None = None


@dataclass(frozen=True)
class Admitted:
    """A reply that counts."""

    reply: Reply
    change: Vector | None
    digest: str

    @property
    def head(self) -> str:
        """The head of the hospital's ledger, as the hospital signed it."""
        return self.reply.ledger


@dataclass(frozen=True)
class NotAdmitted:
    """An answer that does not count, and why.

    Attributes:
        refusal: the hospital's own, if it refused.
        head: of the hospital's ledger, as the hospital signed it; None when the answer could not be read or is not signed.
    """

    code: SiloCode | CentreCode
    digest: str
    refusal: SiloRefusal | None = None
    head: str | None = None

    @property
    def reference(self) -> Reference | None:
        """Under which the hospital itself finds what happened, if it refused."""
        return None if self.refusal is None else self.refusal.reference


@dataclass(frozen=True)
class StillWorking:
    """A hospital that is still at the task: ``epoch`` of ``epochs``, ``percent`` of them all."""

    epoch: int
    epochs: int
    percent: int


Decision: TypeAlias = Admitted | NotAdmitted


def admit(envelope: Envelope, expected: Expectation, bundle: Bundle) -> Decision | StillWorking:
    """Decide about an answer. The signature is checked before anything else of it is believed."""
    digest = sha256(envelope.message)
    answer = read(envelope, ANSWER)
    if answer is None:
        return NotAdmitted("R-PROTOCOL", digest)
    if not signed_by(envelope, "reply", expected.member.signing_key):
        return NotAdmitted("R-SIGNATURE", digest)
    if answer.site != expected.member.site:
        return NotAdmitted("R-SENDER", digest)
    if isinstance(answer, Working):
        same = (answer.study_hash, answer.task_id) == (expected.core.study_hash, expected.core.task_id())
        still = StillWorking(answer.epoch, answer.epochs, answer.percent)
        return still if same and not envelope.arrays else NotAdmitted("R-TASK", digest)
    if isinstance(answer, SiloRefusal):
        code = _objection_to_refusal(answer, expected, bundle)
        own = None if code is not None else answer
        return NotAdmitted(code or answer.code, digest, own, answer.ledger)
    code = _objection(answer, envelope, expected)
    if code is not None:
        return NotAdmitted(code, digest, head=answer.ledger)
    change, code = _change(envelope, expected.core, bundle)
    code = code or _objection_to_counts(answer, expected, bundle)
    if code is not None:
        return NotAdmitted(code, digest, head=answer.ledger)
    return Admitted(answer, change, digest)


def _objection_to_refusal(refusal: SiloRefusal, expected: Expectation, bundle: Bundle) -> CentreCode | None:
    """A refusal is of this task, or of the very message that was sent and that the hospital could not even read."""
    core, named_task = expected.core, (refusal.study_hash, refusal.task_id)
    unread = named_task == (None, None) and refusal.answers is not None and refusal.answers == expected.message
    if named_task != (core.study_hash, core.task_id()) and not unread:
        return "R-TASK"
    named = refusal.report is not None and foreign_names(refusal.report, bundle.contract)
    return "R-PROTOCOL" if named else None


def _objection(reply: Reply, envelope: Envelope, expected: Expectation) -> CentreCode | None:
    core = expected.core
    if (reply.study_hash, reply.task_id, reply.result.purpose) != (core.study_hash, core.task_id(), core.purpose):
        return "R-TASK"
    if not bodies_hold(envelope, reply.bodies):
        return "R-BODY"
    if expected.records is not None and reply.records != expected.records:
        return "R-RECORDS"
    return None


def _change(envelope: Envelope, core: TaskCore, bundle: Bundle) -> tuple[Vector | None, CentreCode | None]:
    if core.plan is None:
        return None, "R-SHAPE" if envelope.arrays else None
    change = from_bytes(in_memory(envelope.arrays[0]), bundle.manifest) if len(envelope.arrays) == 1 else None
    if change is None:
        return None, "R-SHAPE"
    try:
        check_range(change, bundle.manifest, core.plan)
    except OutOfRange as finding:
        finite = finding.finite and bool(np.isfinite(change).all())
        return None, "R-RANGE" if finite else "R-NONFINITE"
    most = bundle.study.rounds.maximum_change_norm
    if most is not None and l2_norm(change) > most * (1 + SLACK):
        return None, "R-NORM"
    return change, None


def _objection_to_counts(reply: Reply, expected: Expectation, bundle: Bundle) -> CentreCode | None:
    if isinstance(reply.result, StatisticsResult):
        if foreign_names(reply.result.report, bundle.contract):
            return "R-PROTOCOL"
        possible = sums_possible(reply.result, reply.records, bundle) and distributions_possible(
            reply.result, reply.records, bundle
        )
        return None if possible else "R-METRICS"
    counts = evaluation_of(reply)
    if counts is None:
        return None
    if not fits(counts, predicted(bundle.study, bundle.contract)):
        return "R-METRICS"
    if counts.records >= RECORD_LIMIT or largest_number(counts) * len(bundle.roster.silos) >= EXACT_INTEGER_LIMIT:
        return "R-METRICS"  # so that the pooled counts of the whole roster are exact too
    changed = expected.evaluated is not None and counts.records != expected.evaluated
    moved = any(None not in (now, then) and now != then for now, then in zip(target_sums(counts), expected.target, strict=False))
    return "R-METRICS" if changed or moved or counts.records == 0 else None


def target_sums(counts: Counts) -> TargetSums:
    """Give what some counts tell of the target's values themselves, where it is a number, or several labels."""
    match counts:
        case NumberCounts():
            return ((counts.target, counts.target_squares),)
        case LabelCounts():
            return counts.sides
    return ()


def evaluation_of(reply: Reply) -> Counts | None:
    """Give the counts of a reply's evaluation, if it has and shows any."""
    if isinstance(reply.result, RoundResult | EvaluationResult):
        return reply.result.evaluation.counts
    return None

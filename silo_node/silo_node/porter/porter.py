"""The porter: takes a message, verifies it, has the work done, and answers through the gate.

A task is accepted only if it is canonical, of a study approved here and now, signed by that study's coordinator,
addressed to this hospital, whole (weights and encoding are what its header says), in order, and within the approved
number of tasks. Everything else is answered by a code, and nothing of it reaches the trainer.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from silo_node.porter.approvals import Approvals, Approved
from silo_node.porter.gate import Gate, Release
from silo_node.porter.inbox import Inbox
from silo_node.porter.ledger import Ledger
from silo_node.work import Busy, NotDone, Work, Worker
from wardround.canonical import sha256
from wardround.contract.model import Contract
from wardround.errors import Refused
from wardround.identity.encryption import EncryptionKey
from wardround.messages.confidential import decrypted
from wardround.messages.envelope import Envelope, bodies_hold, read, signed_by
from wardround.messages.offer import OFFER
from wardround.messages.round import ORDER, Collect, SiloCode, Task, Withdraw
from wardround.study.encoding import SMALLEST_DEVIATION, Encoding, NumberColumn, bounds, input_width
from wardround.study.model import Study
from wardround.weights.fixed_point import plan_sum
from wardround.weights.packing import Vector, from_bytes, to_bytes

PHASES = {"statistics": 0, "round": 1, "closing": 2, "test": 3}


Order: TypeAlias = Task | Collect | Withdraw


@dataclass(frozen=True)
class _Pending:
    """A task that takes longer than a visit, and its place in the order of tasks."""

    work: Work
    order: tuple[int, int, int]


@dataclass
class _Progress:
    """How far a study has come here: the last task and the reply that is kept for it."""

    last: tuple[int, int, int] = (-1, 0, 0)
    task_id: str = ""
    encoding: str | None = None
    release: Release | None = None
    pending: _Pending | None = None
    tasks: set[str] = field(default_factory=set)


class Porter:
    """One hospital's door."""

    def __init__(
        self,
        site: str,
        encryption: EncryptionKey,
        approvals: Approvals,
        gate: Gate,
        ledger: Ledger,
        worker: Worker,
        log: logging.Logger | None = None,
        inbox: Inbox | None = None,
    ) -> None:
        """Take the hospital's site name, the key to which it is written, approvals, gate and ledger, whoever does the work,
        its own log and its inbox.

        Without an inbox (a simulation, where bundles are files) offers are refused.
        """
        self._log = log or logging.getLogger(__name__)
        self._inbox = inbox
        self._site = site
        self._encryption = encryption
        self._approvals = approvals
        self._gate = gate
        self._ledger = ledger
        self._worker = worker
        self._progress: dict[str, _Progress] = {}

    def visit(self, envelope: Envelope) -> Release:
        """Take one message and answer it; what goes wrong inside leaves as a bare code, and its trace stays here."""
        order = read(envelope, ORDER)
        if order is None:
            return self._offered(envelope)
        try:
            return self._admit(envelope, order)
        except Exception:  # noqa: BLE001  (the choke point: whatever happens inside, only a code leaves)
            self._log.exception("a visit failed")  # to the hospital's own log only
            return self._refuse("H-FAILED", order)

    def _offered(self, envelope: Envelope) -> Release:
        """Take what is not an order: an offer of the centre that this hospital joined, or nothing that we know."""
        offer = read(envelope, OFFER)
        if offer is None or self._inbox is None:
            return self._refuse("H-PROTOCOL")
        try:
            state = self._inbox.answer(envelope, offer)
        except Exception:  # noqa: BLE001  (the choke point: whatever happens inside, only a code leaves)
            self._log.exception("an offer failed")
            return self._gate.refuse(NotDone("H-FAILED"), None, None)
        if state is None:
            return self._refuse("H-SIGNATURE")
        self._log.info("study %s offered: %s", offer.study_hash[:12], state)
        return self._gate.answer_offer(offer.study_hash, state)

    def _admit(self, envelope: Envelope, order: Order) -> Release:
        try:
            approved = self._approvals.require(order.study_hash)
        except Refused as error:
            self._log.warning("study %s refused: %s", order.study_hash[:12], ", ".join(error.codes))
            return self._refuse("H-STUDY", order)
        objection = self._objection(envelope, order, approved)
        if objection is not None:
            self._log.warning("%s of task %s refused: %s", order.kind, order.task_id[:12], objection)
            return self._refuse(objection, order)
        progress = self._progress.setdefault(order.study_hash, _Progress())
        if isinstance(order, Task):
            plain = decrypted(envelope, self._encryption)
            if plain is None or not bodies_hold(plain, order.bodies):
                return self._refuse("H-BODY", order)
            return self._answer(plain, order, approved, progress)
        return self._follow_up(order, approved, progress)

    def _follow_up(self, order: Collect | Withdraw, approved: Approved, progress: _Progress) -> Release:
        """Look after, or drop, the task that is under way; a finished one is answered again."""
        if order.task_id == progress.task_id and progress.release is not None and isinstance(order, Collect):
            return self._gate.repeat(progress.release, order)
        pending = progress.pending
        if pending is None or pending.work.task.task_id != order.task_id:
            return self._refuse("H-ORDER", order)
        if isinstance(order, Collect):
            return self._perform(pending, approved, progress)
        self._worker.withdraw(order.task_id)
        progress.pending = None
        return self._refuse("H-WITHDRAWN", order)

    def _answer(self, envelope: Envelope, task: Task, approved: Approved, progress: _Progress) -> Release:
        self._take_receipt(task, progress)
        if task.task_id == progress.task_id and progress.release is not None:
            return self._gate.repeat(progress.release, task)
        order = (PHASES[task.core.purpose], task.core.round, task.attempt)
        if not self._in_order(order, task, approved, progress):
            self._log.warning("task %s (%s %s) is out of order", task.task_id[:12], task.core.purpose, task.core.round)
            return self._refuse("H-ORDER", task)
        weights = _weights(envelope, approved)
        if not _weights_fit(task, weights, approved) or progress.encoding not in (None, task.core.encoding):
            return self._refuse("H-BODY", task)
        if progress.pending is not None and progress.pending.work.task.task_id != task.task_id:
            self._worker.withdraw(progress.pending.work.task.task_id)  # the coordinator has gone on
        work = Work(bundle=approved.bundle, task=task, weights=weights)
        return self._perform(_Pending(work, order), approved, progress)

    def _perform(self, pending: _Pending, approved: Approved, progress: _Progress) -> Release:
        """Begin or look after a task; what takes longer than a visit is answered by how far it is."""
        task = pending.work.task
        outcome = self._worker.perform(pending.work)
        if isinstance(outcome, Busy):
            progress.pending = pending
            return self._gate.working(task, outcome)
        progress.pending = None
        release = self._gate.release(task, approved, outcome)
        if not isinstance(outcome, NotDone):
            progress.last, progress.task_id, progress.release = pending.order, task.task_id, release
            progress.tasks.add(task.task_id)
            progress.encoding = task.core.encoding
        return release

    def _in_order(self, order: tuple[int, int, int], task: Task, approved: Approved, progress: _Progress) -> bool:
        """Say whether a task comes after the last one, and whether it is one of those that the approval allows."""
        if progress.last[0] == PHASES["test"] or order <= progress.last or len(progress.tasks) >= approved.approval.releases:
            return False
        pending = progress.pending
        other = pending is not None and pending.work.task.task_id != task.task_id
        if pending is not None and other and (order <= pending.order or pending.order[0] == PHASES["test"]):
            return False
        read = self._ledger.test_task(approved.digest)  # the test records are read for one set of weights
        return task.core.purpose != "test" or read in (None, task.task_id)

    def _take_receipt(self, task: Task, progress: _Progress) -> None:
        if task.receipt is not None and task.receipt.task_id == progress.task_id:
            self._ledger.write_receipt(task.study_hash, task.receipt)

    def _objection(self, envelope: Envelope, task: Order, approved: Approved) -> SiloCode | None:
        """Say why an order is refused, if so; the signature comes first."""
        if not signed_by(envelope, task.kind, approved.bundle.roster.coordinator.signing_key):
            return "H-SIGNATURE"
        if task.to != self._site:
            return "H-ADDRESS"
        if not isinstance(task, Task):
            return "H-BODY" if envelope.arrays or envelope.body_key else None
        if task.core.task_id() != task.task_id or task.core.study_hash != task.study_hash:
            return "H-PROTOCOL"
        if not _in_study(task, approved.bundle.study):
            return "H-ORDER"
        return None if _header_fits(task, approved) else "H-BODY"

    def _refuse(self, code: SiloCode, order: Order | None = None) -> Release:
        study_hash, task_id = (None, None) if order is None else (order.study_hash, order.task_id)
        return self._gate.refuse(NotDone(code), study_hash, task_id)


def _in_study(task: Task, study: Study) -> bool:
    """Say whether the study has such a round and so many attempts."""
    first, last = (0, 0) if task.core.purpose == "statistics" else (1, study.rounds.maximum)
    return first <= task.core.round <= last and task.attempt <= study.rounds.retries


def _header_fits(task: Task, approved: Approved) -> bool:
    """Say whether weights, plan and encoding are those that this purpose of this study has."""
    core, bundle = task.core, approved.bundle
    if core.purpose == "statistics":
        return (core.weights, core.encoding, core.plan, task.encoding, task.bodies) == (None, None, None, None, ())
    if task.records is None or task.encoding is None or task.bodies != (core.weights,):
        return False
    if task.encoding.encoding_digest() != core.encoding or not encoding_fits(task.encoding, bundle.study, bundle.contract):
        return False
    if core.purpose != "round":
        return core.plan is None
    if core.plan is None or len(core.plan.exponents) != len(bundle.manifest.tensors):
        return False
    return core.round != 1 or core.weights == sha256(to_bytes(bundle.weights))


def encoding_fits(encoding: Encoding, study: Study, contract: Contract) -> bool:
    """Say whether an encoding is one of this study's features, in its order, with the contract's categories."""
    if (encoding.data_schema, encoding.version, encoding.encoding_hash) != (
        contract.id,
        contract.version,
        contract.encoding_hash(),
    ):
        return False
    if (encoding.target, encoding.positive) != (study.target.field, study.target.positive):
        return False
    if tuple(column.field for column in encoding.columns) != study.features:
        return False
    for column in encoding.columns:
        field = contract.field(column.field)
        if column.may_be_missing == field.required or (column.values if column.kind == "code" else ()) != field.values:
            return False
        if column.kind == "number" and not _scale_fits(column, *bounds(contract, column.field)):
            return False
    return encoding.width == input_width(contract, study.features)


def _scale_fits(column: NumberColumn, low: float, high: float) -> bool:
    """Say whether mean and deviation can be those of values in the field's range; 1 stands for no variation."""
    smallest = SMALLEST_DEVIATION * (high - low)
    return low <= column.mean <= high and (column.deviation == 1.0 or smallest <= column.deviation <= high - low)


def _weights_fit(task: Task, weights: Vector | None, approved: Approved) -> bool:
    """Say whether there are weights exactly where they belong, and the plan is the one that follows from them."""
    if task.core.purpose == "statistics" or weights is None:
        return task.core.purpose == "statistics" and weights is None
    plan = task.core.plan
    # any total of this many bits gives the same plan: the hospital need not know how many records the others have
    return plan is None or plan == plan_sum(weights, approved.bundle.manifest, 1 << (62 - plan.bits))


def _weights(envelope: Envelope, approved: Approved) -> Vector | None:
    """Give the weights that came; None when their size is not the manifest's or they are not finite."""
    if not envelope.arrays:
        return None
    vector = from_bytes(envelope.arrays[0], approved.bundle.manifest)
    return vector if vector is not None and bool(np.isfinite(vector).all()) else None

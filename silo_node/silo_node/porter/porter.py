"""The porter: takes a message, verifies it, has the work done, and answers through the gate.

A message of anybody but the centre that this hospital joined learns only that: nothing is said of a study to strangers.
A task is accepted only if it is canonical, of a study approved here and now, signed by that study's coordinator,
addressed to this hospital, allowed by the hospital's policy as it stands now, whole (weights and encoding are what its
header says), in order, within the approved number of tasks, and if its weights can be what the study's rounds have made.
Everything else is answered by a code, and nothing of it reaches the trainer.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from silo_node.porter.approvals import Approvals, Approved
from silo_node.porter.canaries import Canaries
from silo_node.porter.drift import Broadcasts
from silo_node.porter.gate import Gate, Release
from silo_node.porter.inbox import Inbox
from silo_node.porter.memory import Order as Place
from silo_node.porter.memory import StudyMemory
from silo_node.work import Busy, NotDone, Work, Worker
from wardround.canonical import model_bytes, sha256
from wardround.confinement import Measure, Measures
from wardround.contract.model import Contract
from wardround.errors import Refused
from wardround.identity.encryption import EncryptionKey
from wardround.identity.keys import PublicKey, verify
from wardround.ledger.entries import ConfinementFound, ReceiptTaken
from wardround.messages.canary import CANARY, Canary
from wardround.messages.confidential import decrypted
from wardround.messages.envelope import Envelope, bodies_hold, in_memory, read, signed_by
from wardround.messages.offer import OFFER
from wardround.messages.round import ORDER, RECEIPT, Collect, SiloCode, Task, Withdraw
from wardround.reference import Reference, current_reference, new_reference, refer_to, referred
from wardround.study.encoding import SMALLEST_DEVIATION, Encoding, NumberColumn, bounds, classes_of, ends_of, input_width
from wardround.study.model import Study
from wardround.weights.fixed_point import MOST_RAISES, follows, plan_sum
from wardround.weights.packing import Vector, as_wire, from_bytes

PHASES = {"statistics": 0, "round": 1, "closing": 2, "test": 3}


Order: TypeAlias = Task | Collect | Withdraw


@dataclass(frozen=True)
class _Pending:
    """A task that takes longer than a visit, its place in the order of tasks, and the reference under which it was begun."""

    work: Work
    order: Place
    reference: Reference | None


@dataclass
class _Progress:
    """How far a study has come here: what outlives the porter, and the task that is under way in this life of it."""

    memory: StudyMemory
    broadcasts: Broadcasts
    pending: _Pending | None = None


class Porter:
    """One hospital's door."""

    def __init__(
        self,
        site: str,
        folder: Path | None,
        encryption: EncryptionKey,
        approvals: Approvals,
        gate: Gate,
        worker: Worker,
        log: logging.Logger | None = None,
        inbox: Inbox | None = None,
    ) -> None:
        """Take the hospital's site name and directory, the key to which it is written, approvals and gate (with the ledger),
        whoever does the work, its own log and its inbox, which knows the centre that it joined.

        Without a directory (a simulation) nothing is remembered longer than the porter lives.

        Without an inbox (a simulation, where bundles are files and no centre was joined) offers are refused.
        """
        self._centre: PublicKey | None = None if inbox is None else inbox.coordinator
        self._log = log or logging.getLogger(__name__)
        self._inbox = inbox
        self._site = site
        self._folder = folder
        self._encryption = encryption
        self._approvals = approvals
        self._gate = gate
        self._ledger = gate.ledger
        self._worker = worker
        self._progress: dict[str, _Progress] = {}
        self._confinement: tuple[Measures, Measures, Measures] | None = None
        self._canaries = Canaries(site, folder, encryption, gate, worker)

    def visit(self, envelope: Envelope) -> Release:
        """Take one message and answer it; what goes wrong inside leaves as a bare code, and its trace stays here.

        Each visit has a reference of its own, which the lines of the log and a refusal share.
        """
        with referred(new_reference()):
            return self._visit(envelope)

    def _visit(self, envelope: Envelope) -> Release:
        begun = time.monotonic_ns()
        order = read(envelope, ORDER)
        if order is None:
            canary = read(envelope, CANARY)
            return self._offered(envelope) if canary is None else self._tried(envelope, canary, begun)
        try:
            return self._admit(envelope, order)
        except BaseException as error:  # noqa: BLE001  (the choke point: whatever happens inside, only a code leaves)
            self._fell(error, "a visit failed")
            return self._refuse("H-FAILED", order)

    def _fell(self, error: BaseException, what: str) -> None:
        """Tell the hospital's own log, and nobody else, what was raised: of any kind, as Rust's panics are no Exceptions."""
        if isinstance(error, KeyboardInterrupt):  # the person at the terminal of a simulation
            raise error
        self._log.error("%s", what, exc_info=error)

    def _offered(self, envelope: Envelope) -> Release:
        """Take what is not an order: an offer of the centre that this hospital joined, or nothing that we know."""
        offer = read(envelope, OFFER)
        if offer is None or self._inbox is None:
            return self._gate.refuse(NotDone("H-PROTOCOL"), None, None, answers=sha256(envelope.message))
        try:
            state = self._inbox.answer(envelope, offer)
        except BaseException as error:  # noqa: BLE001  (the choke point, as above)
            self._fell(error, "an offer failed")
            return self._gate.refuse(NotDone("H-FAILED"), None, None, answers=sha256(envelope.message))
        if state is None:
            return self._gate.refuse(NotDone("H-SIGNATURE"), None, None, answers=sha256(envelope.message))
        self._log.info("study %s offered: %s", offer.study_hash[:12], state)
        return self._gate.answer_offer(offer.study_hash, state)

    def _tried(self, envelope: Envelope, canary: Canary, begun: int) -> Release:
        """Answer a canary, of a study that is approved here and now, while no task is under way."""
        try:
            if self._is_strangers(envelope, canary.kind):
                return self._gate.refuse(NotDone("H-SIGNATURE"), canary.study_hash, canary.nonce)
            approved = self._approvals.require(canary.study_hash)
            allowed = not self._breaks_policy(approved)
            idle = all(progress.pending is None for progress in self._progress.values())
            return self._canaries.answer(envelope, canary, approved, begun, allowed=allowed, idle=idle)
        except Refused as error:
            self._log.warning("a canary of study %s refused: %s", canary.study_hash[:12], ", ".join(error.codes))
            why = self._why_not(canary.study_hash, error)
            return self._gate.refuse(NotDone(why), canary.study_hash, canary.nonce)
        except BaseException as error:  # noqa: BLE001  (the choke point, as above)
            self._fell(error, "a canary failed")
            return self._gate.refuse(NotDone("H-FAILED"), canary.study_hash, canary.nonce)

    def _is_strangers(self, envelope: Envelope, kind: str) -> bool:
        """Say whether a message is not of the centre that this hospital joined: then no word about any study is said."""
        return self._centre is not None and not signed_by(envelope, kind, self._centre)

    def _admit(self, envelope: Envelope, order: Order) -> Release:
        if self._is_strangers(envelope, order.kind):
            self._log.warning("%s of task %s is not signed by the joined centre", order.kind, order.task_id[:12])
            return self._refuse("H-SIGNATURE", order)
        try:
            approved = self._approvals.require(order.study_hash)
        except Refused as error:
            self._log.warning("study %s refused: %s", order.study_hash[:12], ", ".join(error.codes))
            if order.study_hash in self._progress:
                self._drop(self._progress[order.study_hash])  # nothing goes on that is not approved any more
            return self._refuse(self._why_not(order.study_hash, error), order)
        objection = self._objection(envelope, order, approved)
        if objection is not None:
            self._log.warning("%s of task %s refused: %s", order.kind, order.task_id[:12], objection)
            return self._refuse(objection, order)
        if self._breaks_policy(approved):
            if order.study_hash in self._progress:
                self._drop(self._progress[order.study_hash])  # nothing goes on that the policy does not allow any more
            return self._refuse("H-POLICY", order)
        if not isinstance(order, Withdraw) and self._look_at_confinement():
            if order.study_hash in self._progress:
                self._drop(self._progress[order.study_hash])
            return self._refuse("H-CONFINEMENT", order)
        progress = self._progress_of(order.study_hash)
        if isinstance(order, Task):
            plain = decrypted(envelope, self._encryption)
            if plain is None or not bodies_hold(plain, order.bodies):
                return self._refuse("H-BODY", order)
            return self._answer(plain, order, approved, progress)
        return self._follow_up(order, approved, progress)

    def _why_not(self, study_hash: str, error: Refused) -> SiloCode:
        """Give the code for a study that may not run here: as long as the gate holds it up, the one that the gate gave."""
        return "H-GATE" if error.codes == ("A-PAUSED",) and self._gate.holds_up(study_hash) else "H-STUDY"

    def _breaks_policy(self, approved: Approved) -> bool:
        """Say whether a study breaks the hospital's policy as it stands now: it may have been changed after the approval."""
        codes = self._gate.against_policy(approved.bundle)
        if codes:
            self._log.warning("study %s breaks the policy: %s", approved.bundle.study_hash[:12], ", ".join(codes))
        return bool(codes)

    def _progress_of(self, study_hash: str) -> _Progress:
        """Give how far an approved study has come here, over every restart.

        Raises:
            Refused: L- and J- codes when its journal is damaged, of a newer version, or open elsewhere.
        """
        if study_hash not in self._progress:
            memory = StudyMemory(self._folder, study_hash)
            self._progress[study_hash] = _Progress(memory, Broadcasts(memory))
        return self._progress[study_hash]

    def close(self) -> None:
        """Close the studies' journals."""
        for progress in self._progress.values():
            progress.memory.close()
        self._progress.clear()

    def _follow_up(self, order: Collect | Withdraw, approved: Approved, progress: _Progress) -> Release:
        """Look after, or drop, the task that is under way; a finished one is answered again.

        A task that was begun before this porter was started is asked for once more: its weights are not here.
        """
        known, pending = progress.memory.known, progress.pending
        if order.task_id == known.task_id and known.reply is not None and isinstance(order, Collect):
            return self._gate.repeat(known.reply, order)
        lost = known.task_id if known.reply is None else known.begun_task  # with the porter before this one
        if pending is None and order.task_id in {lost, known.begun_task} and isinstance(order, Collect):
            return self._refuse("H-AGAIN", order)
        if pending is None and order.task_id == known.begun_task:
            self._worker.withdraw(order.task_id)
            progress.memory.drop(order.task_id)
            return self._refuse("H-WITHDRAWN", order)
        if pending is None or pending.work.task.task_id != order.task_id:
            return self._refuse("H-ORDER", order)
        if isinstance(order, Collect):
            return self._perform(pending, approved, progress)
        self._drop(progress)
        return self._refuse("H-WITHDRAWN", order)

    def _drop(self, progress: _Progress) -> None:
        """Let the task end that is under way."""
        if progress.pending is not None:
            task_id = progress.pending.work.task.task_id
            self._worker.withdraw(task_id)
            progress.memory.drop(task_id)
            progress.pending = None

    def _answer(self, envelope: Envelope, task: Task, approved: Approved, progress: _Progress) -> Release:
        known = progress.memory.known
        self._take_receipt(task, progress)
        if task.task_id == known.task_id and known.reply is not None:
            return self._gate.repeat(known.reply, task)
        raised = 0 if task.core.plan is None else task.core.plan.raised
        order = (PHASES[task.core.purpose], task.core.round, raised, task.attempt)
        if not self._in_order(order, task, approved, progress):
            self._log.warning("task %s (%s %s) is out of order", task.task_id[:12], task.core.purpose, task.core.round)
            return self._refuse("H-ORDER", task)
        weights = _weights(envelope, approved)
        if not _weights_fit(task, weights, approved) or known.encoding not in (None, task.core.encoding):
            return self._refuse("H-BODY", task)
        if weights is not None and not progress.broadcasts.follow(task.core, weights, approved.bundle):
            self._log.warning("the weights of %s %s are not what the rounds can have made", task.core.purpose, task.core.round)
            return self._refuse("H-DRIFT", task)
        if progress.pending is not None and progress.pending.work.task.core.work_id() != task.core.work_id():
            self._drop(progress)  # the coordinator has gone on
        progress.memory.begin(task.task_id, task.core.work_id(), order, task.core.weights)
        if weights is not None:
            progress.broadcasts.keep(task.core, weights)
        work = Work(bundle=approved.bundle, task=task, weights=weights, policy=approved.policy)
        return self._perform(_Pending(work, order, current_reference()), approved, progress)

    def _perform(self, pending: _Pending, approved: Approved, progress: _Progress) -> Release:
        """Begin or look after a task; what takes longer than a visit is answered by how far it is."""
        refer_to(pending.reference)  # what becomes of it is told under the reference with which it was begun
        task = pending.work.task
        outcome = self._worker.perform(pending.work)
        if isinstance(outcome, Busy):
            progress.pending = pending
            return self._gate.working(task, outcome)
        progress.pending = None
        try:
            self._approvals.require(task.study_hash)  # once more: a person may have withdrawn it while the work was done
        except Refused as error:
            self._log.warning("what study %s gave stays here: %s", task.study_hash[:12], ", ".join(error.codes))
            return self._refuse(self._why_not(task.study_hash, error), task)
        release = self._gate.release(task, approved, outcome)
        if not release.result:
            why = outcome.code if isinstance(outcome, NotDone) else "the egress gate let no result out"
            self._log.warning("task %s ends with a refusal: %s", task.task_id[:12], why)
        else:
            progress.memory.ready(task.task_id, pending.order, task.core.encoding, release.envelope)
        return release

    def begin(self) -> None:
        """Have the ledger say how the trainer is confined before the first task; a disk that is full stops no node."""
        try:
            self._look_at_confinement()
        except Refused as error:  # it is written with the next task, or that one is not done
            self._log.warning("how the trainer is confined is not written down yet: %s", error)

    def _look_at_confinement(self) -> tuple[Measure, ...]:
        """Ask how the trainer is confined, and write it down when it is news; gives what the policy requires and is not there.

        Nothing is missing of a trainer that is away: each looks at the policy itself before it opens a record.
        """
        found = self._worker.confinement()
        if found is None:
            return ()
        required = self._gate.required_confinement()
        told = (found.holds, found.fails, required)
        if told != self._confinement:
            holds, fails, _ = told
            entry = ConfinementFound(time=self._ledger.now(), holds=holds, fails=fails, required=required)
            self._ledger.write(entry)
            self._confinement = told
        lacking = tuple(name for name in required if name not in found.holds)
        if lacking:
            self._log.warning("the trainer lacks what the policy requires: %s", ", ".join(lacking))
        return lacking

    def _in_order(self, order: Place, task: Task, approved: Approved, progress: _Progress) -> bool:
        """Say whether a task comes after the last one, and whether it is one of those that the approval allows.

        The same task may come again, in a later attempt or after its reply was lost here with the disk.
        """
        known = progress.memory.known
        again = task.task_id == known.task_id and order >= known.last
        if known.last[0] == PHASES["test"] and not again:
            return False
        if order < known.begun or (order <= known.last and not again) or len(known.tasks) >= _most_tasks(approved):
            return False
        pending = progress.pending
        other = pending is not None and pending.work.task.task_id != task.task_id
        if pending is not None and other and (order <= pending.order or pending.order[0] == PHASES["test"]):
            return False
        if order[2] > 0 and order[:2] == known.begun[:2] and task.core.work_id() != known.begun_work:
            return False  # a raised plan asks for the same work
        if task.core.purpose != "test":
            return True
        # the test records are read for one set of weights, over every restart and approval
        return {self._ledger.test_task(task.study_hash), known.test_task} <= {None, task.task_id}

    def _take_receipt(self, task: Task, progress: _Progress) -> None:
        """Write a receipt down, in the ledger first: killed in between, it may stand there twice, and is never missing."""
        receipt, signature = task.receipt, task.receipt_signature
        if receipt is None or signature is None or not progress.memory.is_news(receipt):
            return
        self._ledger.write(ReceiptTaken(time=self._ledger.now(), study=task.study_hash, **receipt.__dict__, signature=signature))
        progress.memory.receipt(receipt)

    def _objection(self, envelope: Envelope, task: Order, approved: Approved) -> SiloCode | None:
        """Say why an order is refused, if so; the signature comes first."""
        if not signed_by(envelope, task.kind, approved.bundle.roster.coordinator.signing_key):
            return "H-SIGNATURE"
        if task.to != self._site:
            return "H-ADDRESS"
        if isinstance(task, Task) and not _receipt_holds(task, approved):
            return "H-SIGNATURE"
        if not isinstance(task, Task):
            return "H-BODY" if envelope.arrays or envelope.body_key else None
        if task.core.task_id() != task.task_id or task.core.study_hash != task.study_hash:
            return "H-PROTOCOL"
        if not _in_study(task, approved.bundle.study):
            return "H-ORDER"
        return None if _header_fits(task, approved) else "H-BODY"

    def _refuse(self, code: SiloCode, order: Order) -> Release:
        core = order.core if isinstance(order, Task) else None
        return self._gate.refuse(NotDone(code), order.study_hash, order.task_id, core)


def _most_tasks(approved: Approved) -> int:
    """Give how many tasks may be answered: the approved releases, and each round once more for every raised plan."""
    return approved.approval.releases * (1 + MOST_RAISES)


def _receipt_holds(task: Task, approved: Approved) -> bool:
    """Say whether a task's receipt, if it has one, is signed on its own: the ledger keeps it without the task."""
    if task.receipt is None or task.receipt_signature is None:
        return task.receipt is None and task.receipt_signature is None
    centre = approved.bundle.roster.coordinator.signing_key
    return verify(centre, task.receipt_signature, RECEIPT, model_bytes(task.receipt))


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
    return core.round != 1 or core.weights == sha256(as_wire(bundle.weights))


def encoding_fits(encoding: Encoding, study: Study, contract: Contract) -> bool:
    """Say whether an encoding is one of this study's features, in its order, with the contract's categories."""
    if (encoding.data_schema, encoding.version, encoding.encoding_hash) != (
        contract.id,
        contract.version,
        contract.encoding_hash(),
    ):
        return False
    target = (encoding.target, encoding.positive, encoding.classes, encoding.number, encoding.labels)
    asked = study.target
    if target != (asked.field, asked.positive, classes_of(study, contract), ends_of(study, contract), asked.labels):
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
    first = None if plan is None else plan_sum(weights, approved.bundle.manifest, 1 << (62 - plan.bits))
    return plan is None or first is None or follows(plan, first, approved.bundle.study.rounds.maximum_change_norm)


def _weights(envelope: Envelope, approved: Approved) -> Vector | None:
    """Give the weights that came; None when their size is not the manifest's or they are not finite."""
    if not envelope.arrays:
        return None
    vector = from_bytes(in_memory(envelope.arrays[0]), approved.bundle.manifest)
    return vector if vector is not None and bool(np.isfinite(vector).all()) else None

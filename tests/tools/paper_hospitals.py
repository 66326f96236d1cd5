"""Hospitals without records: real keys and envelopes, made-up numbers; and a grid whose order and delays a test decides."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
from studies_on_paper import Paper, contract, scores

from coordinator.rounds.conductor import Conductor
from coordinator.rounds.grid import Incoming, Outgoing
from coordinator.rounds.outcome import Outcome
from wardround.messages.data_report import DataReport, make_report
from wardround.messages.envelope import Envelope, digests, read, seal, signed_by
from wardround.messages.record import RoundRecord
from wardround.messages.round import (
    ORDER,
    Evaluation,
    EvaluationResult,
    FieldSums,
    FiguresFor,
    Reply,
    Result,
    RoundResult,
    SiloCode,
    SiloRefusal,
    StatisticsResult,
    Task,
    Withdraw,
    Working,
)
from wardround.metrics.pooled import Counts
from wardround.weights.fixed_point import STATISTICS_STEPS
from wardround.weights.packing import to_bytes

Spoil = Callable[[Task, Reply, tuple[bytes, ...]], Envelope | None]
HALF = STATISTICS_STEPS // 2


def report(valid: int, *, passed: bool = True) -> DataReport:
    """Give a data report of records without findings."""
    return make_report(contract(), found=valid, quarantined=0, passed=passed, findings=(), small_cell=1)


@dataclass
class PaperHospital:
    """Answers tasks as a hospital would.

    Attributes:
        losses: validation loss, in 2**-20 nats a record, of the weights after so many rounds; falling by default.
        counts: gives the counts of so many records under the weights after so many rounds; scores by default.
        shows: whether its policy lets evaluations out.
        shares: whom its policy lets see its figures.
        spoil: makes another envelope of a reply, or none at all.
        busy: whether it answers that it is still working.
        change: gives the change of weights for a round.
    """

    paper: Paper
    site: str
    records: int
    validation: int = 30
    test: int = 20
    losses: Callable[[int], int] = lambda age: (900 - age) << 10
    counts: Callable[[int, int], Counts] | None = None
    shows: Callable[[Task], bool] = lambda _task: True
    shares: Callable[[Task], FiguresFor] = lambda _task: "consortium"
    spoil: Spoil | None = None
    busy: Callable[[Task], bool] = lambda _task: False
    epoch: int = 0
    withdrawn: list[str] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    kept: dict[str, Envelope | None] = field(default_factory=dict)

    def knock(self, envelope: Envelope) -> Envelope | None:
        """Take an order; the same task gets the same bytes."""
        order = read(envelope, ORDER)
        assert order is not None
        assert signed_by(envelope, order.kind, self.paper.key.public)
        assert order.to == self.site
        if isinstance(order, Withdraw):
            self.withdrawn.append(order.task_id)
            return self._refusal(order, "H-WITHDRAWN")
        if isinstance(order, Task):
            self.tasks.append(order)
            self._begun = order
        assert order.task_id == self._begun.task_id
        if self.busy(self._begun):
            self.epoch = min(self.epoch + 1, 1000)
            shown = {"epoch": self.epoch, "epochs": 1000, "percent": min(2 * self.epoch, 100)}
            return self._signed(Working(site=self.site, study_hash=order.study_hash, task_id=order.task_id, **shown))
        if order.task_id not in self.kept:
            self.kept[order.task_id] = self._answer(self._begun)
        return self.kept[order.task_id]

    def _refusal(self, order: Withdraw, code: SiloCode) -> Envelope:
        return self._signed(SiloRefusal(site=self.site, study_hash=order.study_hash, task_id=order.task_id, code=code))

    def _signed(self, value: Working | SiloRefusal) -> Envelope:
        return seal("reply", value, self.paper.parties[self.site].key)

    def _answer(self, task: Task) -> Envelope | None:
        arrays = (to_bytes(self.change(task.core.round)),) if task.core.purpose == "round" else ()
        reply = Reply(
            site=self.site,
            study_hash=task.study_hash,
            task_id=task.task_id,
            approval="a" * 64,
            ledger="b" * 64,
            records=self.records,
            result=self._result(task),
            share_metrics=self.shares(task),
            bodies=digests(arrays),
        )
        return self.sealed(reply, arrays) if self.spoil is None else self.spoil(task, reply, arrays)

    def sealed(self, reply: Reply, arrays: tuple[bytes, ...]) -> Envelope:
        """Sign a reply."""
        return seal("reply", reply, self.paper.parties[self.site].key, arrays)

    def change(self, number: int) -> np.ndarray:
        """Give this hospital's change of weights in a round."""
        random = np.random.default_rng([*self.site.encode(), number])
        return random.normal(scale=0.1, size=self.paper.bundle.manifest.size).astype(np.float32)

    def _result(self, task: Task) -> Result:
        core = task.core
        if core.purpose == "statistics":
            sums = tuple(
                FieldSums(field=name, records=self.records, total=str(self.records * HALF), squares=str(self.records * HALF**2))
                for name in ("age", "pressure")
            )
            valid = self.records + self.validation + self.test
            return StatisticsResult(validation=self.validation, test=self.test, sums=sums, report=report(valid))
        size = self.test if core.purpose == "test" else self.validation
        age = core.round - 1 if core.purpose == "round" else core.round
        half = size // 2
        counts = (
            scores([150] * half, [100] * (size - half), self.losses(age) * size)
            if self.counts is None
            else self.counts(size, age)
        )
        evaluation = Evaluation(counts=counts if self.shows(task) else None)
        if core.purpose == "round":
            return RoundResult(evaluation=evaluation, training_loss_units=1 << 19)
        return EvaluationResult(purpose=core.purpose, evaluation=evaluation)


class PaperGrid:
    """Delivers at once; answers come in the order that ``order`` gives, late ones only after the next push."""

    def __init__(self, hospitals: Sequence[PaperHospital], order: Callable[[list[str]], list[str]] = sorted) -> None:
        """Take the hospitals."""
        self.hospitals = {hospital.site: hospital for hospital in hospitals}
        self.order = order
        self.late: Callable[[Task], bool] = lambda _task: False
        self.waiting: dict[str, Incoming] = {}
        self.held: dict[str, Incoming] = {}
        self.numbers = 0

    def push_messages(self, messages: Sequence[Outgoing]) -> list[str]:
        """Hand messages over; what was late before arrives now."""
        self.waiting |= self.held
        self.held = {}
        ids = []
        for message in messages:
            self.numbers += 1
            ids.append(str(self.numbers))
            hospital = self.hospitals.get(message.site)
            answer = None if hospital is None else hospital.knock(message.envelope)
            if hospital is None:
                self.waiting[ids[-1]] = Incoming(ids[-1], None)
            elif answer is not None:
                kept = self.held if hospital.tasks and self.late(hospital.tasks[-1]) else self.waiting
                kept[ids[-1]] = Incoming(ids[-1], answer)
        return ids

    def pull_messages(self, message_ids: Collection[str], wait_seconds: float) -> list[Incoming]:
        """Give what is there, one message at a time."""
        ready = self.order([message_id for message_id in message_ids if message_id in self.waiting])
        if not ready:
            time.sleep(min(wait_seconds, 0.002))
        return [self.waiting.pop(message_id) for message_id in ready[:1]]


class Onlooker:
    """Counts what it is told."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.events: list[tuple[object, ...]] = []
        self.records: list[RoundRecord] = []

    def opened(self, purpose: str, round_number: int, attempt: int, sites: tuple[str, ...]) -> None:
        """Take note."""
        self.events.append(("opened", purpose, round_number, attempt, sites))

    def answered(self, site: str, decision: object) -> None:
        """Take note."""
        self.events.append(("answered", site, type(decision).__name__))

    def working(self, site: str, epoch: int, epochs: int, percent: int) -> None:
        """Take note."""
        self.events.append(("working", site, epoch, epochs, percent))

    def away(self, site: str) -> None:
        """Take note."""
        self.events.append(("away", site))

    def closed(self, record: RoundRecord) -> None:
        """Take note."""
        self.records.append(record)


def conduct(paper: Paper, hospitals: Sequence[PaperHospital], grid: PaperGrid | None = None) -> Outcome:
    """Conduct a study over these hospitals."""
    return Conductor(paper.bundle, paper.key, grid or PaperGrid(hospitals), Onlooker()).run()

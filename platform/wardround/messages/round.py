"""Tasks, replies, refusals and receipts of a study's visits.

    coordinator ── Task (weights) ──> hospital ── Reply (change) or Refusal (codes) ──> coordinator ── Receipt in the next task
                                               ── Working (epoch) ──> coordinator ── Collect or Withdraw ──> hospital ── ...

Purposes, in order: ``statistics`` (who has how many records; sums for normalisation), ``round`` (evaluate the weights
that came, then train), ``closing`` (evaluate the last weights), ``test`` (figures on the test records, read once).
Nothing outgoing has a free string: names are the study's, codes the catalogue's, everything else counts.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, StringConstraints, TypeAdapter, model_validator

from wardround.canonical import digest, model_json
from wardround.identity.keys import Signature
from wardround.messages.data_report import DataReport
from wardround.messages.distribution import Distributions
from wardround.metrics.pooled import LOSS_LIMIT, LOSS_UNIT, Counts
from wardround.reference import Reference
from wardround.study.encoding import Encoding
from wardround.values import Count, FieldName, Sha256, Slug, Value
from wardround.weights.fixed_point import SumPlan

Purpose: TypeAlias = Literal["statistics", "round", "closing", "test"]

SiloCode: TypeAlias = Literal[
    "H-PROTOCOL",
    "H-SIGNATURE",
    "H-ADDRESS",
    "H-STUDY",
    "H-POLICY",
    "H-CODE",
    "H-ORDER",
    "H-BODY",
    "H-DRIFT",
    "H-DATA",
    "H-FEW",
    "H-CHANGED",
    "H-RANGE",
    "H-NONFINITE",
    "H-NORM",
    "H-GATE",
    "H-MEMORY",
    "H-CONFINEMENT",
    "H-WITHDRAWN",
    "H-AGAIN",
    "H-FAILED",
]
"""Why a hospital refuses."""

CentreCode: TypeAlias = Literal[
    "R-PROTOCOL",
    "R-SENDER",
    "R-SIGNATURE",
    "R-TASK",
    "R-BODY",
    "R-SHAPE",
    "R-NONFINITE",
    "R-RANGE",
    "R-NORM",
    "R-RECORDS",
    "R-METRICS",
    "R-LATE",
    "R-SILENT",
    "R-REMOVED",
]
"""Why the coordinator refuses a reply, or counts a hospital as absent."""

FiguresFor: TypeAlias = Literal["coordinator", "consortium"]
"""Whom a hospital lets see its own figures: the coordinator alone, who adds them up, or everybody who gets the release."""

ExactInteger = Annotated[str, StringConstraints(pattern=r"^(0|[1-9][0-9]{0,38})$")]
"""A non-negative integer of any size in decimal digits (JSON numbers are exact below 2**53 only)."""

Bodies: TypeAlias = Annotated[tuple[Sha256, ...], Field(max_length=2)]
RecordCount: TypeAlias = Annotated[int, Field(ge=1, lt=2**33)]
Percent: TypeAlias = Annotated[int, Field(ge=0, le=100)]

LARGEST_EXPONENT = 200
"""float32 ends at 2**128 and begins at 2**-149: no change needs an exponent beyond this, in either direction."""
Exponents: TypeAlias = Annotated[
    tuple[Annotated[int, Field(ge=-LARGEST_EXPONENT, le=LARGEST_EXPONENT)], ...], Field(max_length=100_000)
]
"""One exponent of the exact sum for each tensor of the network."""


class TaskCore(Value):
    """What a task asks, the same for every hospital; its digest is the task's identity.

    Never in it: attempt, deadline, transport ids. A repeated task is the same task, and gets the stored reply.
    """

    study_hash: Sha256
    purpose: Purpose
    round: Count
    weights: Sha256 | None = None
    encoding: Sha256 | None = None
    plan: SumPlan | None = None

    def task_id(self) -> str:
        """Give the task's identity."""
        return digest("task", 1, model_json(self))

    def work_id(self) -> str:
        """Give the identity of what is done, whatever the exponents of the sum are: a raised plan asks for the same work."""
        return digest("work", 1, model_json(self.model_copy(update={"plan": None})))


class Receipt(Value):
    """What the coordinator did with a hospital's last reply. A hospital keeps its reply bytes until it comes.

    Attributes:
        ledger: the head of the hospital's ledger that the reply named; None when the reply was not read.
        journal: the head of the centre's journal after the line about the reply; None where there is no journal, as in a
            simulation.
    """

    task_id: Sha256
    reply: Sha256
    verdict: Literal["counted"] | CentreCode
    ledger: Sha256 | None = None
    journal: Sha256 | None = None


RECEIPT = "receipt"
"""The kind under which a receipt is signed, besides the task that brings it: it is evidence, and is kept alone."""


class Task(Value):
    """A signed order to one hospital.

    Attributes:
        records: the hospital's signed count of training records, once it is known; the reply must equal it.
        attempt: 0, or more when the round is repeated.
        deadline_seconds: how long the hospital has for its answer; where hospitals take turns, from the beginning of its own.
        receipt: what became of the hospital's last reply; ``receipt_signature``: the coordinator's over it alone, which the
            hospital keeps in its ledger.
    """

    protocol: Literal[1] = 1
    kind: Literal["task"] = "task"
    to: Slug
    study_hash: Sha256
    task_id: Sha256
    core: TaskCore
    encoding: Encoding | None = None
    records: RecordCount | None = None
    attempt: Count = 0
    deadline_seconds: Annotated[float, Field(gt=0)]
    receipt: Receipt | None = None
    receipt_signature: Signature | None = None
    bodies: Bodies = ()


class Collect(Value):
    """The coordinator asks again for the answer to a task that takes longer than one visit."""

    protocol: Literal[1] = 1
    kind: Literal["collect"] = "collect"
    to: Slug
    study_hash: Sha256
    task_id: Sha256


class Withdraw(Value):
    """The coordinator does not want a task's answer any more."""

    protocol: Literal[1] = 1
    kind: Literal["withdraw"] = "withdraw"
    to: Slug
    study_hash: Sha256
    task_id: Sha256


class FieldSums(Value):
    """Sums of one numeric feature over the training records, in 2**-24 of the field's range above its low end.

    Attributes:
        records: how many values stand behind the sums.
        total: sum of the integers; ``squares``: sum of their squares.
    """

    field: FieldName
    records: Count
    total: ExactInteger
    squares: ExactInteger


class StatisticsResult(Value):
    """A hospital's checked records: how many, and the sums for a common normalisation.

    Attributes:
        distributions: of the training records, where the study asks for them and the hospital's policy lets them out.
    """

    purpose: Literal["statistics"] = "statistics"
    validation: Count | None
    test: Count | None
    sums: Annotated[tuple[FieldSums, ...], Field(max_length=100_000)]
    report: DataReport
    distributions: Distributions | None = None


class Evaluation(Value):
    """How the received weights do on a hospital's own validation or test records; None where it is withheld."""

    counts: Counts | None


class RoundResult(Value):
    """Evaluate, then train: the change of weights is the message's array.

    Attributes:
        training_loss_units: mean training loss of the last local epoch, in units of 2**-20 nats.
    """

    purpose: Literal["round"] = "round"
    evaluation: Evaluation
    training_loss_units: Annotated[int, Field(ge=0, le=round(LOSS_LIMIT / LOSS_UNIT))]


class EvaluationResult(Value):
    """Evaluate only."""

    purpose: Literal["closing", "test"]
    evaluation: Evaluation


Result: TypeAlias = Annotated[StatisticsResult | RoundResult | EvaluationResult, Field(discriminator="purpose")]


class Reply(Value):
    """A hospital's signed answer to one task.

    Attributes:
        approval: digest of the approval under which this leaves.
        ledger: head of the hospital's ledger after the entry of this release.
        records: validated training records behind the result.
        share_metrics: whom the hospital's policy lets see this hospital's own figures; where it says nothing, nobody else.
    """

    protocol: Literal[1] = 1
    kind: Literal["reply"] = "reply"
    site: Slug
    study_hash: Sha256
    task_id: Sha256
    approval: Sha256
    ledger: Sha256
    records: RecordCount
    result: Result
    share_metrics: FiguresFor = "coordinator"
    bodies: Bodies = ()


class SiloRefusal(Value):
    """A hospital does not do the task, and says why in codes; with the outgoing data report if the records are why.

    Attributes:
        exponents: with H-RANGE, the smallest exponents under which this change could be summed; else None.
        answers: SHA-256 of the message that is refused, as it came; without a task it is all that binds the refusal to one.
        reference: under which the hospital's own logs tell what happened; random, made by the porter before it happened.
        ledger: head of the hospital's ledger after the entry of this refusal.
        share_metrics: as in a reply; it is about the report.
    """

    protocol: Literal[1] = 1
    kind: Literal["refusal"] = "refusal"
    site: Slug
    study_hash: Sha256 | None
    task_id: Sha256 | None
    code: SiloCode
    report: DataReport | None = None
    exponents: Exponents | None = None
    answers: Sha256 | None = None
    reference: Reference | None = None
    ledger: Sha256 | None = None
    share_metrics: FiguresFor = "coordinator"

    @model_validator(mode="after")
    def _exponents_fit(self) -> SiloRefusal:
        if self.exponents is not None and self.code != "H-RANGE":
            msg = "exponents stand with H-RANGE alone"
            raise ValueError(msg)
        return self


class Working(Value):
    """A hospital is still at a task: ``epoch`` of ``epochs`` local epochs (0 before the first), ``percent`` of them all."""

    protocol: Literal[1] = 1
    kind: Literal["working"] = "working"
    site: Slug
    study_hash: Sha256
    task_id: Sha256
    epoch: Annotated[int, Field(ge=0, le=1000)]
    epochs: Annotated[int, Field(ge=1, le=1000)]
    percent: Percent = 0


Order: TypeAlias = Annotated[Task | Collect | Withdraw, Field(discriminator="kind")]
Answer: TypeAlias = Annotated[Reply | SiloRefusal | Working, Field(discriminator="kind")]

ORDER: TypeAdapter[Task | Collect | Withdraw] = TypeAdapter(Order)
ANSWER: TypeAdapter[Reply | SiloRefusal | Working] = TypeAdapter(Answer)

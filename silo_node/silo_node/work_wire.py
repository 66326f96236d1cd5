"""The wall's own wire between porter and trainer processes: closed values as JSON, weights as raw bytes, no pickle."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, TypeAdapter

from silo_node.confinement import Confinement
from silo_node.policy import Policy
from silo_node.work import Busy, Done, NotDone, Stepped
from wardround.messages.canary import Mebibytes, Microseconds, Rows
from wardround.messages.data_report import DataReport
from wardround.messages.round import Exponents, Percent, RecordCount, Result, SiloCode, Task
from wardround.reference import Reference
from wardround.values import Count, Sha256, Value
from wardround.weights.packing import Manifest, Vector, as_wire, from_bytes

LARGEST_FRAME = 8 * 1024**3
"""Bytes of one frame at most: a whole state of two thousand million weights."""


class PerformOrder(Value):
    """Begin, or look after, a task; a frame with the weights follows (empty for statistics).

    Attributes:
        code: digest of the code that the study was approved for; a trainer that runs other code does nothing.
        policy: under which the study was approved.
        reference: under which the trainer writes into its log what happens; the porter's choice, never the trainer's.
    """

    kind: Literal["perform"] = "perform"
    code: Sha256
    task: Task
    policy: Policy | None
    reference: Reference | None = None


class WithdrawOrder(Value):
    """Drop a task."""

    kind: Literal["withdraw"] = "withdraw"
    task_id: Sha256


class TryOrder(Value):
    """Try a study's network on made-up records; an empty frame follows."""

    kind: Literal["try"] = "try"
    code: Sha256
    study_hash: Sha256
    rows: Rows
    reference: Reference | None = None


class ConfinementOrder(Value):
    """Say how this trainer is confined; an empty frame follows."""

    kind: Literal["confinement"] = "confinement"


Order: TypeAlias = Annotated[PerformOrder | WithdrawOrder | TryOrder | ConfinementOrder, Field(discriminator="kind")]


class DoneAnswer(Value):
    """A result; a frame with the change follows (empty when there is none)."""

    kind: Literal["done"] = "done"
    records: RecordCount
    result: Result
    data: Sha256 | None


class NotDoneAnswer(Value):
    """A refusal; an empty frame follows."""

    kind: Literal["not done"] = "not done"
    code: SiloCode
    report: DataReport | None = None
    exponents: Exponents | None = None


class BusyAnswer(Value):
    """Still at it; an empty frame follows."""

    kind: Literal["busy"] = "busy"
    epoch: Count
    epochs: Count
    percent: Percent


class SteppedAnswer(Value):
    """What a step took; an empty frame follows."""

    kind: Literal["stepped"] = "stepped"
    rows: Rows
    step_us: Microseconds
    needed_mib: Mebibytes
    available_mib: Mebibytes | None


class ConfinementAnswer(Value):
    """What the trainer found at its start; an empty frame follows."""

    kind: Literal["confinement"] = "confinement"
    found: Confinement


Answer: TypeAlias = Annotated[DoneAnswer | NotDoneAnswer | BusyAnswer, Field(discriminator="kind")]

ORDER: TypeAdapter[PerformOrder | WithdrawOrder | TryOrder | ConfinementOrder] = TypeAdapter(Order)
ANSWER: TypeAdapter[DoneAnswer | NotDoneAnswer | BusyAnswer] = TypeAdapter(Answer)
TRIED: TypeAdapter[SteppedAnswer | NotDoneAnswer] = TypeAdapter(
    Annotated[SteppedAnswer | NotDoneAnswer, Field(discriminator="kind")]
)


def pack_outcome(outcome: Done | NotDone | Busy) -> tuple[bytes, bytes | memoryview]:
    """Give an outcome's two frames."""
    change: bytes | memoryview = b""
    answer: DoneAnswer | NotDoneAnswer | BusyAnswer
    if isinstance(outcome, Done):
        answer = DoneAnswer(records=outcome.records, result=outcome.result, data=outcome.data)
        change = b"" if outcome.change is None else as_wire(outcome.change)
    elif isinstance(outcome, NotDone):
        answer = NotDoneAnswer(code=outcome.code, report=outcome.report, exponents=outcome.exponents)
    else:
        answer = BusyAnswer(epoch=outcome.epoch, epochs=outcome.epochs, percent=outcome.percent)
    return answer.model_dump_json(by_alias=True).encode(), change


def unpack_outcome(answer: bytes, change: bytes, manifest: Manifest) -> Done | NotDone | Busy:
    """Read an outcome from its two frames; ``ValidationError`` when they are not one."""
    value = ANSWER.validate_json(answer)
    if isinstance(value, NotDoneAnswer):
        return NotDone(value.code, value.report, value.exponents)
    if isinstance(value, BusyAnswer):
        return Busy(value.epoch, value.epochs, value.percent)
    vector: Vector | None = from_bytes(change, manifest) if change else None
    return Done(value.records, value.result, vector, value.data)


def pack_tried(outcome: Stepped | NotDone) -> tuple[bytes, bytes | memoryview]:
    """Give a trial's two frames."""
    if isinstance(outcome, NotDone):
        return pack_outcome(outcome)
    answer = SteppedAnswer(
        rows=outcome.rows, step_us=outcome.step_us, needed_mib=outcome.needed_mib, available_mib=outcome.available_mib
    )
    return answer.model_dump_json(by_alias=True).encode(), b""


def pack_confinement(found: Confinement) -> tuple[bytes, bytes]:
    """Give the two frames of how a trainer is confined."""
    return ConfinementAnswer(found=found).model_dump_json(by_alias=True).encode(), b""


def unpack_confinement(answer: bytes) -> Confinement:
    """Read how a trainer is confined; ``ValidationError`` when it does not say."""
    return ConfinementAnswer.model_validate_json(answer).found


def unpack_tried(answer: bytes) -> Stepped | NotDone:
    """Read a trial's outcome; ``ValidationError`` when it is none."""
    value = TRIED.validate_json(answer)
    if isinstance(value, NotDoneAnswer):
        return NotDone(value.code, value.report, value.exponents)
    return Stepped(value.rows, value.step_us, value.needed_mib, value.available_mib)

"""What the porter hands to the trainer, and what it gets back: the wall between the door and the records.

The porter never opens records; the trainer never speaks to the outside. Both know only these values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from silo_node.confinement import Confinement
from silo_node.policy import Policy
from wardround.messages.data_report import DataReport
from wardround.messages.round import Result, SiloCode, Task
from wardround.study.bundle import Bundle
from wardround.weights.packing import Vector


@dataclass(frozen=True, slots=True)
class Work:
    """A verified task of an approved study, with the weights that came with it (None for statistics).

    Attributes:
        policy: the hospital's policy when the study was approved (None: the one of now): of the two the stricter holds.
    """

    bundle: Bundle
    task: Task
    weights: Vector | None
    policy: Policy | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """A result that may leave, if the gate agrees.

    Attributes:
        records: validated training records behind it.
        change: change of weights, for a round; else None.
        data: keyed fingerprint of the study's records here (``silo_node.data_key``).
    """

    records: int
    result: Result
    change: Vector | None = None
    data: str | None = None


@dataclass(frozen=True, slots=True)
class NotDone:
    """The work was not done: only a code may leave, and the outgoing data report if the records are why.

    Attributes:
        exponents: with H-RANGE, the smallest exponent for each tensor that would hold the change.
    """

    code: SiloCode
    report: DataReport | None = None
    exponents: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Busy:
    """The work goes on: ``epoch`` of ``epochs`` local epochs (0 before the first), ``percent`` of all of them."""

    epoch: int
    epochs: int
    percent: int = 0


@dataclass(frozen=True, slots=True)
class Stepped:
    """A few steps of the study's optimiser on made-up records were done.

    Attributes:
        rows: records in each step.
        step_us: microseconds of one, their median without the first.
        needed_mib: growth of the process's resident memory at its peak.
        available_mib: what it could still take before; None where nobody can tell.
        at_once: how many were computed at once, the step taken with the gradient of all; it stays here. None: not said.
    """

    rows: int
    step_us: int
    needed_mib: int
    available_mib: int | None
    at_once: int | None = None


class Worker(Protocol):
    """Whoever holds the records and does the work, one task at a time."""

    def perform(self, work: Work) -> Done | NotDone | Busy:
        """Begin a task, or look after one that was begun, for a short while; never does the same work twice.

        Tasks that differ in the plan of their sum alone (``TaskCore.work_id``) are the same work.

        Gives ``Busy`` when the task takes longer than a visit may; then the same work is asked for again. Never raises
        for anything that records or weights can cause.
        """
        ...

    def withdraw(self, task_id: str) -> None:
        """Let a task that is not wanted any more end as soon as it can; its result is dropped."""
        ...

    def confinement(self) -> Confinement | None:
        """Give what the process that opens the records found of its confinement at its start; None when nobody says.

        Never longer than a visit, and never raises for anything that the trainer can cause.
        """
        ...

    def try_out(self, bundle: Bundle, rows: int) -> Stepped | NotDone:
        """Try the study's network on made-up records: none of the hospital's is opened, and nothing is kept of it.

        ``rows`` counts where the study has no batch size. ``H-ORDER`` while a task is under way: a canary disturbs none.
        """
        ...

"""A canary: one step on made-up numbers at every hospital of a study, before its rounds.

    centre ── Canary (initial weights) ──> hospital ── CanaryReport (as many bytes, all zero) or SiloRefusal ──> centre

No record is opened and no number of a patient is near: what comes back are figures of machine and network, and a body
that weighs what a round's change of weights would. A refusal names the canary's nonce as its task.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, TypeAdapter

from wardround.messages.round import SiloRefusal
from wardround.values import Sha256, Slug, Value, Version

MOST_ROWS = 65_536
"""Made-up records in one step at most: as many as are evaluated at once in a round anyway."""
MIB = 2**20

Rows: TypeAlias = Annotated[int, Field(ge=1, le=MOST_ROWS)]
Mebibytes: TypeAlias = Annotated[int, Field(ge=0, le=2**40)]
Microseconds: TypeAlias = Annotated[int, Field(ge=0, le=10**12)]
PackageCount: TypeAlias = Annotated[int, Field(ge=0, le=1000)]
Milliseconds: TypeAlias = Annotated[int, Field(ge=0, lt=2**53)]
Body: TypeAlias = Annotated[tuple[Sha256, ...], Field(min_length=1, max_length=1)]


class Canary(Value):
    """A signed order to one hospital; the study's initial weights are the message's array.

    Attributes:
        nonce: drawn anew for each canary, the same for all of its hospitals; the answer names it.
        wardround: the centre's version of Wardround.
        rows: made-up records in the step, where the study has no batch size of its own.
    """

    protocol: Literal[1] = 1
    kind: Literal["canary"] = "canary"
    to: Slug
    study_hash: Sha256
    nonce: Sha256
    wardround: Version
    rows: Rows
    bodies: Body


class CanaryFigures(Value):
    """What a hospital measured: machine and software, nothing of its records.

    Attributes:
        same_version: whether its Wardround is of the centre's version.
        other_packages: how many of the packages that the bundle names have another version here, or are absent.
        clock_ms: the porter's clock in the middle of its work, milliseconds since 1970 (UTC).
        inside_us: from the whole order to the answer, in the porter: the round trip less this is transport.
        needed_mib: growth of the trainer's memory at its peak, for network, optimiser and one batch; at least their tensors.
        available_mib: what the trainer could still take before; None where nobody can tell.
        disk_mib: free in the hospital's directory; None where nobody can tell.
        rows: records in the step.
        step_us: one step of the optimiser, the median of a few after the first, which pays for what is done once.
    """

    same_version: bool
    other_packages: PackageCount
    clock_ms: Milliseconds
    inside_us: Microseconds
    needed_mib: Mebibytes
    available_mib: Mebibytes | None
    disk_mib: Mebibytes | None
    rows: Rows
    step_us: Microseconds


class CanaryReport(Value):
    """A hospital's signed answer; its array is as large as the weights, and all zero.

    Attributes:
        approval: digest of the approval under which this leaves.
        ledger: head of the hospital's ledger after the line of this answer.
    """

    protocol: Literal[1] = 1
    kind: Literal["canary-report"] = "canary-report"
    site: Slug
    study_hash: Sha256
    nonce: Sha256
    approval: Sha256
    ledger: Sha256
    figures: CanaryFigures
    bodies: Body


CanaryAnswer: TypeAlias = Annotated[CanaryReport | SiloRefusal, Field(discriminator="kind")]

CANARY: TypeAdapter[Canary] = TypeAdapter(Canary)
CANARY_ANSWER: TypeAdapter[CanaryReport | SiloRefusal] = TypeAdapter(CanaryAnswer)

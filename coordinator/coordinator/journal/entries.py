"""The lines of a study's journal: one frozen value for each accepted fact, in the order in which they became facts.

study     which study this is, and which software begins it
opened    a visit begins: what exactly is asked of whom
resumed   a visit that was open when the conductor died goes on; its deadline begins anew
admitted  a reply counts; its change of weights is in the spool
refused   an answer does not count, and why
late      a reply came after its visit had closed; nothing of it is used
summed    the sum is closed: of how many records, and the digest of its integers
closed    the visit is over: its record; the weights after its step are on disk
ended     what became of the study
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, TypeAdapter

from wardround.identity.keys import Signature
from wardround.messages.envelope import Envelope, read
from wardround.messages.record import RoundRecord, Seconds
from wardround.messages.round import ANSWER, CentreCode, SiloCode, SiloRefusal, TaskCore
from wardround.study.bundle import PackageVersion
from wardround.values import Count, Sha256, Slug, Value

JOURNAL_FORMAT: Literal[1] = 1
"""Of the lines below. A journal of another format is refused by name of the version that wrote it."""

LARGEST_TEXT = 16 * 1024**2
"""Characters of a signed message, as they travel at most."""

MessageText: TypeAlias = Annotated[str, Field(max_length=LARGEST_TEXT)]


class StudyBegun(Value):
    """The first line."""

    event: Literal["study"] = "study"
    format: Literal[1] = JOURNAL_FORMAT
    written_by: PackageVersion
    study_hash: Sha256
    roster: Sha256


class VisitOpened(Value):
    """A visit begins. ``asked``: the hospitals that get its task; ``task_id`` follows from ``core``."""

    event: Literal["opened"] = "opened"
    core: TaskCore
    task_id: Sha256
    attempt: Count
    asked: tuple[Slug, ...]
    deadline_seconds: Annotated[float, Field(gt=0)]


class VisitResumed(Value):
    """An open visit goes on after the conductor died."""

    event: Literal["resumed"] = "resumed"
    task_id: Sha256
    attempt: Count


class Heard(Value):
    """What every line about an answer has.

    Attributes:
        reply: SHA-256 of the signed message.
        ledger: head of the hospital's ledger, as the message names it; None when it was not read or is not signed.
        message, signature: the answer as the hospital signed it (canonical JSON), as evidence and to go on from.
        seconds: from the visit's opening; bytes: message and arrays, of all that passed in this visit.
    """

    task_id: Sha256
    attempt: Count
    site: Slug
    reply: Sha256
    ledger: Sha256 | None = None
    message: MessageText
    signature: Signature
    seconds: Seconds
    bytes_down: Count
    bytes_up: Count


class ReplyAdmitted(Heard):
    """A reply counts, with so many records."""

    event: Literal["admitted"] = "admitted"
    records: Count


class ReplyRefused(Heard):
    """An answer does not count. An answer that is no readable message has none here: only its digest and the code."""

    event: Literal["refused"] = "refused"
    code: SiloCode | CentreCode

    def refusal(self) -> SiloRefusal | None:
        """Give the hospital's own refusal, where the answer was one."""
        answer = read(Envelope(self.message.encode(), self.signature), ANSWER)
        return answer if isinstance(answer, SiloRefusal) and answer.code == self.code else None


class ReplyLate(Value):
    """A reply to an earlier visit came, and was refused; ``code`` is R-REMOVED where the hospital had been removed by then."""

    event: Literal["late"] = "late"
    task_id: Sha256
    site: Slug
    reply: Sha256
    ledger: Sha256 | None = None
    code: Literal["R-LATE", "R-REMOVED"] = "R-LATE"


class SumClosed(Value):
    """The exact sum of a visit: ``sum`` is the SHA-256 of its int64 values, little-endian."""

    event: Literal["summed"] = "summed"
    task_id: Sha256
    attempt: Count
    records: Count
    sum: Sha256


class VisitClosed(Value):
    """A visit is over; ``record.stepped`` names the weights that were written before this line."""

    event: Literal["closed"] = "closed"
    task_id: Sha256
    attempt: Count
    record: RoundRecord


class StudyEnded(Value):
    """What became of the study; ``codes`` of its problems, where there are any."""

    event: Literal["ended"] = "ended"
    status: Literal["complete", "partial", "failed"]
    summary: Annotated[str, Field(max_length=2000)]
    rounds: Count
    codes: tuple[Annotated[str, Field(max_length=40)], ...] = ()


Entry: TypeAlias = Annotated[
    StudyBegun | VisitOpened | VisitResumed | ReplyAdmitted | ReplyRefused | ReplyLate | SumClosed | VisitClosed | StudyEnded,
    Field(discriminator="event"),
]
AnyEntry: TypeAlias = (
    StudyBegun | VisitOpened | VisitResumed | ReplyAdmitted | ReplyRefused | ReplyLate | SumClosed | VisitClosed | StudyEnded
)
ENTRY: TypeAdapter[AnyEntry] = TypeAdapter(Entry)

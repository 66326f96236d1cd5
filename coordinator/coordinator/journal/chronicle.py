"""A study's journal told: each visit in a line, and what became of the study. Read from the disk alone, nothing is locked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from coordinator.journal.entries import (
    AnyEntry,
    ReplyAdmitted,
    ReplyLate,
    ReplyRefused,
    StudyBegun,
    StudyEnded,
    SumClosed,
    VisitClosed,
    VisitOpened,
    VisitResumed,
)
from coordinator.journal.journal import FILE, FOLDER, check_study, read_journal
from wardround.errors import refuse
from wardround.messages.record import Seconds, ShortfallCode
from wardround.messages.round import CentreCode, Purpose, SiloCode
from wardround.reference import Reference
from wardround.study.bundle import PackageVersion
from wardround.values import Count, Sha256, Slug, Value


class Counted(Value):
    """A hospital whose reply counts, with so many records."""

    site: Slug
    records: Count


class Absent(Value):
    """A hospital that did not count, and why; without a code it has not answered yet, in a visit that is still open.

    Attributes:
        reference: under which the hospital itself finds what happened, where it refused.
    """

    site: Slug
    code: SiloCode | CentreCode | None
    reference: Reference | None = None


class ToldVisit(Value):
    """One attempt at a visit.

    Attributes:
        attempt: 0, or how often the visit had been repeated; ``raised``: how often its sum's exponents had been.
        outcome: ``open`` while nothing says how it ended.
        late: hospitals whose reply to an earlier visit came in this one.
        seconds: of the last conductor that had it open.
        loss, auroc, dice, r2: of the pooled counts of the weights that were sent; None where nobody showed any.
        resumed: how many conductors died in it.
        sent, stepped: the weights that were sent, and those after the step.
    """

    purpose: Purpose
    round: Count
    attempt: Count
    raised: Count
    outcome: Literal["open", "closed", "failed"]
    shortfall: tuple[ShortfallCode, ...] = ()
    counted: tuple[Counted, ...]
    absent: tuple[Absent, ...]
    late: tuple[Slug, ...]
    seconds: Seconds | None = None
    loss: float | None = None
    auroc: float | None = None
    dice: float | None = None
    r2: float | None = None
    resumed: Count
    sent: Sha256 | None
    stepped: Sha256 | None = None


class Summary(Value):
    """What the journal says of the whole study.

    Attributes:
        ended: what became of it; None while it is open.
        resumed: how many conductors died in an open visit; between two visits a death leaves no trace.
        fewest: the fewest hospitals that counted in a visit that closed; None when none has.
        failed_rounds: rounds in which too few hospitals counted, however often they were asked.
        torn: something follows the last whole line: a line that a crash cut off, or one that is just being written.
    """

    study_hash: Sha256
    begun_by: PackageVersion | None
    lines: Count
    ended: StudyEnded | None
    visits: Count
    resumed: Count
    fewest: Count | None
    failed_rounds: Count
    torn: bool


@dataclass(frozen=True)
class Chronicle:
    """A journal, whole: its lines as they stand, its visits, and its summary."""

    entries: tuple[AnyEntry, ...]
    visits: tuple[ToldVisit, ...]
    summary: Summary


@dataclass
class _Heard:
    """What the lines say of one attempt, as far as they go."""

    opened: VisitOpened
    resumed: int = 0
    counted: dict[str, int] = field(default_factory=dict)
    refused: dict[str, Absent] = field(default_factory=dict)
    late: set[str] = field(default_factory=set)
    closed: VisitClosed | None = None


def read_chronicle(study_folder: Path, study_hash: str) -> Chronicle:
    """Read and verify the journal of a study; one that was not begun yet is empty.

    Raises:
        Refused: L-BROKEN naming the line that does not hold; J-FORMAT when a newer version wrote it; J-STUDY when it is
            another study's.
    """
    entries, torn = read_journal(study_folder / FOLDER)
    first = check_study(entries, study_hash) if entries else None
    visits = tuple(_told(each) for each in _visits(entries))
    summary = Summary(
        study_hash=study_hash,
        begun_by=None if first is None else first.written_by,
        lines=len(entries),
        ended=next((entry for entry in entries if isinstance(entry, StudyEnded)), None),
        visits=len(visits),
        resumed=sum(visit.resumed for visit in visits),
        fewest=min((len(visit.counted) for visit in visits if visit.outcome == "closed"), default=None),
        failed_rounds=_failed_rounds(visits, ended=isinstance(entries[-1], StudyEnded) if entries else False),
        torn=torn,
    )
    return Chronicle(tuple(entries), visits, summary)


def _visits(entries: Iterable[AnyEntry]) -> list[_Heard]:
    """Gather what belongs to each attempt; one is open at a time, and every line is of that one.

    Raises:
        Refused: L-BROKEN when a line is of a visit that was never opened.
    """
    found: list[_Heard] = []
    for number, entry in enumerate(entries, start=1):
        if not found and not isinstance(entry, StudyBegun | VisitOpened | StudyEnded):
            raise refuse(
                "L-BROKEN",
                f"{FOLDER}/{FILE}, line {number}",
                "A line is of a visit that a line before it opened",
                "no visit was opened",
                "keep this file as evidence, restore it from a backup and find out who changed it",
            )
        match entry:
            case VisitOpened():
                found.append(_Heard(entry))
            case VisitResumed():
                found[-1].resumed += 1
            case ReplyAdmitted():
                found[-1].counted[entry.site] = entry.records
            case ReplyRefused():
                found[-1].refused[entry.site] = _refused(entry)
            case ReplyLate():
                found[-1].late |= {entry.site} if entry.code == "R-LATE" else set()  # of a removed one its absence tells
            case VisitClosed():
                found[-1].closed = entry
            case StudyBegun() | SumClosed() | StudyEnded():
                pass
    return found


def _refused(entry: ReplyRefused) -> Absent:
    refusal = entry.refusal()
    return Absent(site=entry.site, code=entry.code, reference=None if refusal is None else refusal.reference)


def _told(heard: _Heard) -> ToldVisit:
    core = heard.opened.core
    visit = ToldVisit(
        purpose=core.purpose,
        round=core.round,
        attempt=heard.opened.attempt,
        raised=0 if core.plan is None else core.plan.raised,
        outcome="open",
        counted=tuple(Counted(site=site, records=records) for site, records in sorted(heard.counted.items())),
        absent=tuple(
            heard.refused.get(site, Absent(site=site, code=None))
            for site in sorted(heard.opened.asked)
            if site not in heard.counted
        ),
        late=tuple(sorted(heard.late)),
        resumed=heard.resumed,
        sent=core.weights,
    )
    return visit if heard.closed is None else _closed(visit, heard.closed)


def _closed(visit: ToldVisit, closed: VisitClosed) -> ToldVisit:
    """Say of a visit what its own record says."""
    record = closed.record
    return visit.model_copy(
        update={
            "outcome": record.outcome,
            "shortfall": record.shortfall,
            "counted": tuple(
                Counted(site=silo.site, records=silo.records or 0) for silo in record.silos if silo.status == "counted"
            ),
            "absent": tuple(
                Absent(site=silo.site, code=silo.code, reference=silo.reference)
                for silo in record.silos
                if silo.status != "counted"
            ),
            "late": record.late,
            "seconds": record.seconds,
            "loss": None if record.pooled is None else record.pooled.loss,
            "auroc": None if record.pooled is None else record.pooled.auroc,
            "dice": None if record.pooled is None else record.pooled.dice,
            "r2": None if record.pooled is None else record.pooled.r2,
            "stepped": record.stepped,
        }
    )


def _failed_rounds(visits: tuple[ToldVisit, ...], *, ended: bool) -> int:
    """Count the rounds that were passed over; the last one may still be repeated while the study is open."""
    rounds = [visit for visit in visits if visit.purpose == "round"]
    failed = {visit.round for visit in rounds if visit.outcome == "failed"} - {
        visit.round for visit in rounds if visit.outcome == "closed"
    }
    under_way = set() if ended or not visits or visits[-1].purpose != "round" else {visits[-1].round}
    return len(failed - under_way)

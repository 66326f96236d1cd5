"""A ledger verified whole: what it holds, how far the centre has confirmed it, and whether it holds what outsiders hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from wardround.canonical import Json
from wardround.errors import Problem, raise_all
from wardround.identity.keys import PublicKey
from wardround.ledger.entries import ReceiptTaken
from wardround.ledger.folder import Course, read_ledger
from wardround.ledger.lines import Line

NAMED = ("release", "refusal", "canary")
"""Entries whose hash is named by the message that left: somebody outside may hold it."""


@dataclass(frozen=True)
class Verified:
    """A ledger that holds.

    Attributes:
        events: how many entries of each kind.
        confirmed: the last entry whose head the centre's receipts name: all up to it is known outside; None without one.
        other_receipts: how many receipts are signed by none of the centres that are known, and so confirm nothing; None where no
            centre is known, and receipts are taken as the ledger has them.
        confirmed_at: when that receipt came.
    """

    course: Course
    events: dict[str, int]
    first_time: str | None
    last_time: str | None
    confirmed: int | None
    confirmed_at: str | None
    other_receipts: int | None = None

    def as_json(self) -> dict[str, Json]:
        """Give it as plain JSON."""
        return {
            "entries": self.course.length,
            "head": self.course.head,
            "events": {**self.events},
            "first_time": self.first_time,
            "last_time": self.last_time,
            "confirmed": self.confirmed,
            "confirmed_at": self.confirmed_at,
            "other_receipts": self.other_receipts,
            "torn": self.course.torn,
            "segments": [
                {"name": each.path.name, "first": each.first, "entries": each.entries, "head": each.head}
                for each in self.course.segments
            ],
        }


def verify_ledger(folder: Path, public: PublicKey, heads: Collection[str] = (), centres: Collection[PublicKey] = ()) -> Verified:
    """Verify a ledger whole. What its entries say is not read further than is told: a million take seconds.

    Args:
        folder: the ledger's folder.
        public: the hospital's signing key.
        heads: heads of this ledger that somebody outside holds.
        centres: signing keys of the centres that the hospital knows, against which every receipt is held; without any, a
            receipt is taken as the ledger has it.

    Raises:
        Refused: L-BROKEN, L-FORGED, L-FORMAT as ``read_ledger``; L-ANCHOR for each head that is not there; L-RECEIPT for each
            receipt of something that went to one of these centres and is signed by none of them.
    """
    course, events, wanted = Course(), Counter[str](), set(heads)
    unconfirmed: dict[str, int] = {}
    known: set[str] = set()
    foreign: list[int] = []
    first = last = confirmed_at = None
    confirmed, others = None, 0
    for line in read_ledger(folder, public, course):
        event, time = line.text("event"), line.text("time")
        events[event] += 1
        first, last = first or time, time
        wanted.discard(line.hash)
        if event in NAMED:
            unconfirmed[line.hash] = line.sequence
            known |= {line.hash} if line.text("to") in centres else set()
            continue
        if event != "receipt":
            continue
        head = line.text("ledger")
        if centres and not _signed_by_one(line, centres):
            foreign += [line.sequence] if head in known else []
            others += head not in known
        elif head in unconfirmed:
            confirmed, confirmed_at = unconfirmed[head], time
            unconfirmed.clear()  # it confirms all before it
    problems = [missing_head(folder, head, course) for head in heads if head in wanted]
    raise_all([*problems, *(_made_up(sequence, course) for sequence in foreign)])
    return Verified(course, dict(events), first, last, confirmed, confirmed_at, others if centres else None)


def _signed_by_one(line: Line, centres: Collection[PublicKey]) -> bool:
    try:
        entry = line.entry()
    except ValidationError:
        return False
    return isinstance(entry, ReceiptTaken) and any(entry.signed_by(centre) for centre in centres)


def _made_up(sequence: int, course: Course) -> Problem:
    return Problem(
        "L-RECEIPT",
        course.place(sequence),
        "The receipt for what went to a centre is signed by it",
        "this one is for something that went to a centre that you know, and is not signed by it",
        "keep the ledger as evidence, and settle the difference with the centre's operator: wardround coordinator reconcile",
    )


def missing_head(folder: Path, head: str, course: Course) -> Problem:
    """Say that a ledger does not hold a head that somebody outside has from its hospital."""
    return Problem(
        "L-ANCHOR",
        folder.name,
        "A ledger holds every head that its hospital ever named",
        f"head {head[:12]} is none of its {course.length} entries: entries at its end were cut off, or others put in their place",
        "compare with other copies of the ledger, and keep this one as evidence",
    )

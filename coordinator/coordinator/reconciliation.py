"""The centre's journal of a study against one hospital's ledger: each side holds what the other said, signed.

From the journal: every answer that the centre read names a head of the ledger, and the ledger must hold it, as the entry of
exactly that answer. From the ledger: every receipt that the hospital holds is signed by the centre, and the journal must
hold its line and its head. What left and is in no line of the journal is listed: it may have been lost on its way.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from coordinator.journal.entries import ReplyAdmitted, ReplyLate, ReplyRefused
from coordinator.journal.journal import FILE, FOLDER, check_study, read_with_heads
from wardround.canonical import digest, model_bytes, model_json
from wardround.errors import Problem
from wardround.identity.keys import verify
from wardround.identity.roster import Member
from wardround.ledger.entries import AnyEntry, ReceiptTaken, RefusalSent, Released
from wardround.ledger.folder import Course, read_entries
from wardround.ledger.verification import missing_head
from wardround.messages.envelope import Envelope, read
from wardround.messages.round import ANSWER, RECEIPT, Receipt, Reply
from wardround.study.bundle import Bundle


@dataclass(frozen=True)
class Unheard:
    """A release that the journal has no line about."""

    sequence: int
    purpose: str
    round: int


@dataclass
class Reconciled:
    """What the comparison found.

    Attributes:
        lines: how many answers of the hospital the journal has, by kind.
        receipts: how many of the centre's receipts the ledger has.
        rehearsed: how many of those are of a simulation, which has no journal.
        unheard: releases that the journal has no line about.
    """

    course: Course
    lines: Counter[str] = field(default_factory=Counter)
    receipts: int = 0
    rehearsed: int = 0
    unheard: list[Unheard] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


@dataclass
class _Ledger:
    """The entries of a ledger that are about a study, or about no study that could be read; by head."""

    course: Course = field(default_factory=Course)
    answers: dict[str, tuple[int, Released | RefusalSent]] = field(default_factory=dict)
    receipts: list[tuple[int, ReceiptTaken]] = field(default_factory=list)

    def take(self, sequence: int, hashed: str, entry: AnyEntry, study_hash: str) -> None:
        """Take an entry, if it is one of those."""
        if isinstance(entry, Released | RefusalSent) and entry.study in (study_hash, None):
            self.answers[hashed] = sequence, entry
        elif isinstance(entry, ReceiptTaken) and entry.study == study_hash:
            self.receipts.append((sequence, entry))


def reconcile(study_folder: Path, bundle: Bundle, member: Member, ledger: Path) -> Reconciled:
    """Compare a study's journal with a hospital's ledger, both verified whole first.

    Args:
        study_folder: the centre's folder of the study.
        bundle: the study.
        member: the hospital, as the study's roster names it.
        ledger: the ledger's folder.

    Raises:
        Refused: L-BROKEN, L-FORGED, L-FORMAT, J-FORMAT, J-STUDY: one of the two does not hold by itself.
    """
    held = _Ledger()
    for line, written in read_entries(ledger, member.signing_key, held.course):
        held.take(line.sequence, line.hash, written, bundle.study_hash)
    known, _ = read_with_heads(study_folder / FOLDER)
    if known:
        check_study([known[0][0]], bundle.study_hash)
    found = Reconciled(held.course)
    spoken = [
        (number, entry)
        for number, (entry, _) in enumerate(known, start=1)
        if isinstance(entry, ReplyAdmitted | ReplyRefused | ReplyLate) and entry.site == member.site
    ]
    heard: set[str] = set()
    for number, entry in spoken:
        found.lines[entry.event] += 1
        heard.add(entry.ledger or "")
        found.problems += _about_answer(number, entry, held, ledger)
    said = {(entry.task_id, entry.reply, _verdict(entry)) for _, entry in spoken}
    _take_receipts(found, held, bundle, said, {head for _, head in known})
    found.unheard = [
        Unheard(sequence, entry.purpose, entry.round)
        for head, (sequence, entry) in held.answers.items()
        if isinstance(entry, Released) and head not in heard
    ]
    return found


def _verdict(entry: ReplyAdmitted | ReplyRefused | ReplyLate) -> str:
    match entry:
        case ReplyAdmitted():
            return "counted"
        case ReplyRefused() | ReplyLate():
            return entry.code


def _about_answer(number: int, entry: ReplyAdmitted | ReplyRefused | ReplyLate, held: _Ledger, ledger: Path) -> list[Problem]:
    """Say what is wrong between a line of the journal and the ledger, if anything."""
    if entry.ledger is None:  # the centre could not read the answer, or knew it for none of the hospital's
        return []
    if entry.ledger not in held.answers:
        return [missing_head(ledger, entry.ledger, held.course)]
    sequence, own = held.answers[entry.ledger]
    same = own.task in (entry.task_id, None) if isinstance(own, RefusalSent) else own.task == entry.task_id
    if isinstance(entry, ReplyAdmitted):
        same = same and isinstance(own, Released) and _is_reply(own, entry)
    elif isinstance(entry, ReplyRefused) and isinstance(own, RefusalSent):
        same = same and own.code == entry.code
    if same:
        return []
    return [
        _difference(
            held.course.place(sequence), f"the answer that the centre wrote down in line {number} of {FILE} is another one"
        )
    ]


def _is_reply(own: Released, entry: ReplyAdmitted) -> bool:
    """Say whether a release is the reply that the centre admitted: the hospital's own signed words stand in the journal."""
    reply = read(Envelope(entry.message.encode(), entry.signature), ANSWER)
    if not isinstance(reply, Reply):
        return False
    return (own.approval, own.records, own.result, own.arrays) == (
        reply.approval,
        reply.records,
        digest("result", 1, model_json(reply.result)),
        reply.bodies,
    )


def _take_receipts(found: Reconciled, held: _Ledger, bundle: Bundle, said: set[tuple[str, str, str]], heads: set[str]) -> None:
    """Look up every receipt in the journal: its line, and the head that it names."""
    centre = bundle.roster.coordinator.signing_key
    for sequence, entry in held.receipts:
        receipt = Receipt(
            task_id=entry.task_id, reply=entry.reply, verdict=entry.verdict, ledger=entry.ledger, journal=entry.journal
        )
        place = held.course.place(sequence)
        found.receipts += 1
        if not verify(centre, entry.signature, RECEIPT, model_bytes(receipt)):
            found.problems.append(_difference(place, "the receipt is not signed by this centre"))
        elif entry.journal is None:
            found.rehearsed += 1
        elif entry.journal not in heads:
            found.problems.append(_difference(place, f"the centre's {FILE} does not hold the head that its receipt names"))
        elif (entry.task_id, entry.reply, entry.verdict) not in said:
            found.problems.append(_difference(place, f"the centre's {FILE} has no such answer: {entry.verdict}"))


def _difference(place: str, finding: str) -> Problem:
    return Problem(
        "L-RECEIPT",
        place,
        "Journal and ledger tell the same of every answer",
        finding,
        "keep both as they are, and compare them with older copies: one of the two was written anew",
    )

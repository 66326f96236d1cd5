"""The account that a ledger gives: what left, when, under whose approval, for whom, and what the centre says became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from silo_node.ledger.source import Source
from wardround.canonical import Json, model_bytes, model_json
from wardround.errors import Problem
from wardround.identity.keys import verify
from wardround.ledger.entries import (
    AnyEntry,
    ApprovalUsed,
    CanaryAnswered,
    ConfinementFound,
    OfferAnswered,
    ReceiptTaken,
    RefusalSent,
    Released,
    Repeated,
    WorkingSent,
)
from wardround.ledger.folder import Course, read_entries
from wardround.messages.round import RECEIPT, Receipt

Leaving: TypeAlias = Released | RefusalSent | CanaryAnswered
"""What left with a content of its own; the others repeat it, or say how far a task or a decision is."""


@dataclass
class Left:
    """Something that left, and what is known of it since.

    Attributes:
        hash: of its entry: the head that the message named.
        repeats: how often the same bytes went again.
        receipt: the centre's last word on it, with the place of that entry.
    """

    sequence: int
    hash: str
    entry: Leaving
    repeats: int = 0
    receipt: ReceiptTaken | None = None

    def as_json(self) -> dict[str, Json]:
        """Give it as plain JSON."""
        receipt = self.receipt
        answer: Json = None if receipt is None else {"verdict": receipt.verdict, "at": receipt.time, "journal": receipt.journal}
        return {
            "sequence": self.sequence,
            "hash": self.hash,
            **model_json(self.entry),
            "repeats": self.repeats,
            "receipt": answer,
        }


@dataclass
class Account:
    """A verified ledger, told.

    Attributes:
        approvals: by digest, in the order in which they were first used.
        left: what left, in order.
        confinements: how the trainer was confined, from its entry on until the next.
        working, offers: how often the centre was told how far a task, or what a decision, is.
        problems: receipts that do not fit what left, by entry.
    """

    source: Source
    course: Course
    approvals: dict[str, ApprovalUsed] = field(default_factory=dict)
    left: list[Left] = field(default_factory=list)
    confinements: list[ConfinementFound] = field(default_factory=list)
    working: int = 0
    offers: int = 0
    receipts: int = 0
    problems: list[Problem] = field(default_factory=list)

    @property
    def releases(self) -> list[Left]:
        """The results that left."""
        return [each for each in self.left if isinstance(each.entry, Released)]

    def holds(self, used: ApprovalUsed) -> bool:
        """Say whether an approval is signed by the hospital's approval key."""
        return used.signed.holds(self.source.member.approval_key)


def read_account(source: Source) -> Account:
    """Read and verify a ledger, and tell it.

    Raises:
        Refused: L-BROKEN, L-FORGED, L-FORMAT.
    """
    reader = _Reader(Account(source, Course()))
    for line, entry in read_entries(source.folder, source.member.signing_key, reader.account.course):
        reader.take(line.sequence, line.hash, entry)
    return reader.account


class _Reader:
    """Puts the entries together, in their order."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self._by_hash: dict[str, Left] = {}
        self._by_task: dict[str, Left] = {}

    def take(self, sequence: int, hashed: str, entry: AnyEntry) -> None:
        """Take the next entry."""
        account = self.account
        match entry:
            case ApprovalUsed():
                account.approvals[entry.approval] = entry
            case Released() | RefusalSent() | CanaryAnswered():
                left = Left(sequence, hashed, entry)
                account.left.append(left)
                self._by_hash[hashed] = left
                if isinstance(entry, Released):
                    self._by_task[entry.task] = left
            case Repeated():
                if entry.task in self._by_task:
                    self._by_task[entry.task].repeats += 1
            case ConfinementFound():
                account.confinements.append(entry)
            case WorkingSent():
                account.working += 1
            case OfferAnswered():
                account.offers += 1
            case ReceiptTaken():
                account.receipts += 1
                self._take_receipt(sequence, entry)

    def _take_receipt(self, sequence: int, entry: ReceiptTaken) -> None:
        """Find what a receipt is for: by the head that it names, or by its task where the centre could not read the reply."""
        left = self._by_task.get(entry.task_id) if entry.ledger is None else self._by_hash.get(entry.ledger)
        finding = self._objection(entry, left)
        if finding is None and left is not None:
            left.receipt = entry
        elif finding is not None:
            self.account.problems.append(receipt_problem(self.account.course.place(sequence), finding))

    def _objection(self, entry: ReceiptTaken, left: Left | None) -> str | None:
        if left is None or not isinstance(left.entry, Released):
            return "the centre's receipt is for something that never left here"
        if (left.entry.task, left.entry.study) != (entry.task_id, entry.study):
            return f"the centre's receipt names entry {left.sequence}, which left for another task"
        if not verify(left.entry.to, entry.signature, RECEIPT, model_bytes(receipt_of(entry))):
            return "the receipt is not signed by the centre to which the release went"
        return None


def receipt_of(entry: ReceiptTaken) -> Receipt:
    """Give a receipt as the centre signed it."""
    return Receipt(task_id=entry.task_id, reply=entry.reply, verdict=entry.verdict, ledger=entry.ledger, journal=entry.journal)


def receipt_problem(place: str, finding: str) -> Problem:
    """Say that a receipt does not fit the ledger."""
    return Problem(
        "L-RECEIPT",
        place,
        "The centre's receipts are for what left here, signed by it",
        finding,
        "keep the ledger, and settle the difference with the centre's operator: wardround coordinator reconcile",
    )

"""The account that a ledger gives: what left, when, under whose approval, for whom, and what the centre says became of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from silo_node.ledger.part import WHOLE, Part, find_study
from silo_node.ledger.source import Source
from wardround.canonical import Json, model_json
from wardround.errors import Problem
from wardround.identity.approval import Approval
from wardround.ledger.entries import (
    AnyEntry,
    ApprovalUsed,
    Blocked,
    CanaryAnswered,
    ConfinementFound,
    OfferAnswered,
    ReceiptTaken,
    RefusalSent,
    Released,
    Repeated,
    WorkingSent,
)
from wardround.ledger.folder import DAY, Course, read_entries

Leaving: TypeAlias = Released | RefusalSent | CanaryAnswered
"""What left with a content of its own; the others repeat it, or say how far a task or a decision is."""


@dataclass
class Left:
    """Something that left, and what is known of it since.

    Attributes:
        hash: of its entry: the head that the message named.
        repeats: how often the same bytes went again.
        receipt: the centre's last word on it, with the place of that entry.
        other_records: of a result, whether it is of other records than were before whoever approved; None where nobody can tell.
    """

    sequence: int
    hash: str
    entry: Leaving
    repeats: int = 0
    receipt: ReceiptTaken | None = None
    other_records: bool | None = None

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
            "other_records": self.other_records,
        }


@dataclass
class Account:
    """A verified ledger, told.

    Attributes:
        approvals: by digest, in the order in which they were first used.
        left: what left, in order.
        told: how often the centre was told something else, or told something: by event, study and day.
        blocked: what the gate kept back, by the numbers of the entries.
        confinements: how the trainer was confined, from its entry on until the next.
        problems: receipts that do not fit what left, by entry.
        part: of which part of the ledger this is the account; the problems and the course are of all of it.
    """

    source: Source
    course: Course
    approvals: dict[str, ApprovalUsed] = field(default_factory=dict)
    left: list[Left] = field(default_factory=list)
    told: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    blocked: list[tuple[int, Blocked]] = field(default_factory=list)
    confinements: list[ConfinementFound] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    part: Part = WHOLE

    def times(self, event: str) -> int:
        """Give how many entries of a kind there are besides those of what left: ``working``, ``offer``, ``receipt``."""
        return sum(number for (kind, _, _), number in self.told.items() if kind == event)

    def of(self, part: Part) -> Account:
        """Give the account of a part: what left in it, with all that is known of it since.

        Raises:
            Refused: A-STUDY when a study is named that the ledger does not have, or several have.
        """
        if part.study is None:
            studies = None
        else:
            known = {used.study: (used.name, used.version) for used in self.approvals.values()}
            also = {each.entry.study for each in self.left if each.entry.study is not None} | {study for _, study, _ in self.told}
            studies = {find_study(part.study, {**dict.fromkeys(also), **known})}
        left = [each for each in self.left if part.has(each.entry.study, each.entry.time, studies)]
        used = {each.entry.approval for each in left}
        return replace(
            self,
            approvals={digest: each for digest, each in self.approvals.items() if digest in used},
            left=left,
            blocked=[(number, each) for number, each in self.blocked if part.has(each.study, each.time, studies)],
            confinements=self._confinements_of(part),
            told=Counter({key: number for key, number in self.told.items() if part.has(key[1], key[2], studies)}),
            part=part,
        )

    def _confinements_of(self, part: Part) -> list[ConfinementFound]:
        """Give how the trainer was confined in the days of a part: also what was found before them, and held when they began."""
        before = [each for each in self.confinements if part.since is not None and each.time[:DAY] < part.since]
        return [*before[-1:], *(each for each in self.confinements if part.has(None, each.time, None))]

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
                    left.other_records = self._are_others(entry)
            case Repeated():
                if entry.task in self._by_task:
                    self._by_task[entry.task].repeats += 1
            case ConfinementFound():
                account.confinements.append(entry)
            case WorkingSent():
                self._tell(entry)
            case OfferAnswered():
                self._tell(entry)
            case Blocked():
                account.blocked.append((sequence, entry))
            case ReceiptTaken():
                self._tell(entry)
                self._take_receipt(sequence, entry)

    def _tell(self, entry: WorkingSent | OfferAnswered | ReceiptTaken) -> None:
        self.account.told[entry.event, entry.study, entry.time[:DAY]] += 1

    def _are_others(self, entry: Released) -> bool | None:
        used = self.account.approvals.get(entry.approval)
        approval = None if used is None else used.signed.approval
        approved = approval.data.fingerprint if isinstance(approval, Approval) else None
        return None if approved is None or entry.data is None else entry.data != approved

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
        if not entry.signed_by(left.entry.to):
            return "the receipt is not signed by the centre to which the release went"
        return None


def receipt_problem(place: str, finding: str) -> Problem:
    """Say that a receipt does not fit the ledger."""
    return Problem(
        "L-RECEIPT",
        place,
        "The centre's receipts are for what left here, signed by it",
        finding,
        "keep the ledger, and settle the difference with the centre's operator: wardround coordinator reconcile",
    )

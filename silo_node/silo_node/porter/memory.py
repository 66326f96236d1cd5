"""What a porter knows of a study over every restart: the order of tasks, and the reply that waits for its receipt.

    journal/<study_hash>/porter.jsonl    hash-chained lines: task begun, reply ready, task dropped, receipt taken
    journal/<study_hash>/reply           the last reply, whole, as it was handed to the transport
    journal/<study_hash>/weights         the weights of the latest round that was begun (``drift``)

A reply is on disk before the transport has it. Asked again for the same task, a porter sends the same bytes, whoever was
killed in between; an old task, however well signed, stays behind the last one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, TypeAdapter, ValidationError

from wardround.canonical import canonical_bytes, model_json, sha256
from wardround.chain import Chain, read_chain
from wardround.errors import refuse
from wardround.files import remove_leftovers, write_atomic
from wardround.messages.envelope import Envelope
from wardround.messages.round import Receipt
from wardround.messages.stored import restore, store
from wardround.values import Count, Sha256, Value

JOURNAL = "journal"
FILE = "porter.jsonl"
REPLY = "reply"

Order: TypeAlias = tuple[int, int, int, int]
"""A task's place: purpose, round, how often its plan was raised, attempt."""
NONE: Order = (-1, 0, 0, 0)
TEST = 3
"""The place of the purpose ``test``, the last one."""
ROUND = 1
"""The place of the purpose ``round``: its weights are those that the rounds before it made."""


class _TaskBegun(Value):
    event: Literal["task"] = "task"
    task: Sha256
    work: Sha256
    order: tuple[Count, Count, Count, Count]
    weights: Sha256 | None = None


class _ReplyReady(Value):
    event: Literal["reply"] = "reply"
    task: Sha256
    order: tuple[Count, Count, Count, Count]
    encoding: Sha256 | None
    reply: Sha256
    stored: Sha256


class _TaskDropped(Value):
    event: Literal["dropped"] = "dropped"
    task: Sha256


class _ReceiptTaken(Value):
    event: Literal["receipt"] = "receipt"
    receipt: Receipt


_Entry: TypeAlias = Annotated[_TaskBegun | _ReplyReady | _TaskDropped | _ReceiptTaken, Field(discriminator="event")]
_ENTRY: TypeAdapter[_TaskBegun | _ReplyReady | _TaskDropped | _ReceiptTaken] = TypeAdapter(_Entry)


@dataclass
class Known:
    """How far a study has come here.

    Attributes:
        last, task_id: the place and identity of the last task that was answered.
        encoding: the study's encoding, once a task has named one.
        reply: the last reply, as it was sent.
        begun: the place of the last task that was begun; it may be done, dropped or still under way.
        begun_task: that task, unless it was answered or dropped; ``begun_work``: what it asks to be done.
        test_task: the task for which the test records were read first; no other is ever begun.
        tasks: the tasks that were answered.
        receipted: the last receipt that was written down.
        message: the digest of the last reply's signed message, which a receipt for it names.
        broadcasts: digests of the weights that came with tasks that were begun, by the number of rounds that had made them.
    """

    last: Order = NONE
    task_id: str = ""
    encoding: str | None = None
    reply: Envelope | None = None
    begun: Order = NONE
    begun_task: str = ""
    begun_work: str = ""
    test_task: str | None = None
    tasks: set[str] = field(default_factory=set)
    receipted: Receipt | None = None
    message: str = ""
    broadcasts: dict[int, str] = field(default_factory=dict)


class StudyMemory:
    """One study's memory in one hospital."""

    def __init__(self, folder: Path | None, study_hash: str) -> None:
        """Open or begin it; without a folder nothing is written, and it ends with this object.

        Raises:
            Refused: L-BROKEN when a line was changed, L-BUSY when another process has it open, J-FORMAT when a line is none
                of those that this version knows, O-WRITE.
        """
        self.known = Known()
        self._stored = ""
        self._chain: Chain | None = None
        self.folder = None if folder is None else folder / JOURNAL / study_hash
        if self.folder is not None:
            self._chain = Chain(self.folder / FILE)
            try:
                self._load(self.folder)
            except BaseException:
                self._chain.close()
                raise

    def _load(self, folder: Path) -> None:
        remove_leftovers(folder / REPLY)  # the chain is locked: nobody else writes here
        for link in read_chain(folder / FILE):
            try:
                self._take(_ENTRY.validate_json(canonical_bytes(link.entry)))
            except ValidationError:
                raise refuse(
                    "J-FORMAT",
                    f"{JOURNAL}/{FILE}, line {link.sequence + 1}",
                    "Every line of a journal is one of those that this version knows",
                    "the line is whole, and not one of them",
                    "go on with the version of Wardround that wrote it",
                ) from None
        self.known.reply = self._read_reply(folder)

    def _read_reply(self, folder: Path) -> Envelope | None:
        """Give the last reply; None when there is none or it is not whole: then the work is done, or looked up, again."""
        try:
            data = (folder / REPLY).read_bytes()
        except OSError:
            return None
        return restore(data) if sha256(data) == self._stored else None

    def _take(self, entry: _TaskBegun | _ReplyReady | _TaskDropped | _ReceiptTaken) -> None:
        known = self.known
        match entry:
            case _TaskBegun():
                known.begun, known.begun_task, known.begun_work = entry.order, entry.task, entry.work
                if entry.order[0] == TEST and known.test_task is None:
                    known.test_task = entry.task
                if entry.weights is not None:
                    known.broadcasts[entry.order[1] - (entry.order[0] == ROUND)] = entry.weights
            case _ReplyReady():
                known.last, known.task_id = entry.order, entry.task
                known.encoding = entry.encoding or known.encoding
                known.tasks.add(entry.task)
                known.begun_task = ""
                known.message, self._stored = entry.reply, entry.stored
            case _TaskDropped():
                known.begun_task = ""
            case _ReceiptTaken():
                known.receipted = entry.receipt

    def _write(self, entry: _TaskBegun | _ReplyReady | _TaskDropped | _ReceiptTaken) -> None:
        if self._chain is not None:
            self._chain.append(model_json(entry))
        self._take(entry)

    def begin(self, task_id: str, work: str, order: Order, weights: str | None) -> None:
        """Write down that a task is begun, and with which weights, unless that is what was written last."""
        if (order, task_id) != (self.known.begun, self.known.begun_task):
            self._write(_TaskBegun(task=task_id, work=work, order=order, weights=weights))

    def drop(self, task_id: str) -> None:
        """Write down that a task was withdrawn, or that the coordinator has gone on."""
        self._write(_TaskDropped(task=task_id))

    def ready(self, task_id: str, order: Order, encoding: str | None, reply: Envelope) -> None:
        """Keep a reply; when this returns it is on disk, and may be handed to the transport.

        Raises:
            Refused: O-WRITE when the disk does not take it; then it may not be sent.
        """
        stored, message = "0" * 64, sha256(reply.message)
        if self.folder is not None:
            data = store(reply)
            write_atomic(self.folder / REPLY, data, mode=0o600)
            stored = sha256(data)
        self._write(_ReplyReady(task=task_id, order=order, encoding=encoding, reply=message, stored=stored))
        self.known.reply = reply

    def is_news(self, receipt: Receipt) -> bool:
        """Say whether a receipt is for exactly the last reply, and was not taken before."""
        known = self.known
        return (receipt.task_id, receipt.reply) == (known.task_id, known.message) and receipt != known.receipted

    def receipt(self, receipt: Receipt) -> None:
        """Take a receipt that is news."""
        self._write(_ReceiptTaken(receipt=receipt))

    def close(self) -> None:
        """Close the file."""
        if self._chain is not None:
            self._chain.close()

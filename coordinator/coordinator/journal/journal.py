"""A study's journal: what a conductor writes down before it acts, and what the next one goes on from.

    studies/<hash>/journal/journal.jsonl     hash-chained lines (``entries``); a torn last one is dropped on opening
    studies/<hash>/journal/weights/          weights under way and the best so far, by digest
    studies/<hash>/journal/spool/            changes of weights that were admitted, until the step is on disk

A conductor takes a study through the same code whether it begins or goes on: each visit is looked up here first. What
is closed is not done again, what was admitted is not asked for again; the rest follows from the same inputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pydantic import TypeAdapter, ValidationError

from coordinator.journal.entries import (
    ENTRY,
    JOURNAL_FORMAT,
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
from coordinator.journal.shelf import DiskShelf, MemoryShelf, Shelf
from wardround import __version__
from wardround.canonical import Json, canonical_bytes, digest, model_json
from wardround.chain import Chain, read_whole_lines
from wardround.errors import Refused, refuse
from wardround.files import write_atomic
from wardround.messages.envelope import Array, in_memory
from wardround.messages.record import RoundRecord
from wardround.messages.round import Purpose, TaskCore
from wardround.study.bundle import Bundle, PackageVersion
from wardround.supervision.ground import require_space
from wardround.weights.packing import Vector

FOLDER = "journal"
FILE = "journal.jsonl"
WEIGHTS = "weights"
SPOOL = "spool"
SPARE_BYTES = 64 * 2**20
"""What a disk has free besides what a visit writes: journal, state and logs go on."""
VERSION: TypeAdapter[str] = TypeAdapter(PackageVersion)


@dataclass
class Recalled:
    """What is known of a visit that was opened: who answered what, and its record if it is closed.

    Attributes:
        heads: the journal's head after the line about each answer; the receipts name it.
    """

    opened: VisitOpened
    heard: dict[str, ReplyAdmitted | ReplyRefused] = field(default_factory=dict)
    heads: dict[str, str] = field(default_factory=dict)
    record: RoundRecord | None = None


class Journal(Protocol):
    """Where a conductor writes, and looks first."""

    @property
    def shelf(self) -> Shelf:
        """Where weights are kept."""
        ...

    def recall(self, task_id: str, attempt: int) -> Recalled | None:
        """Give what is known of a visit; None when it was never opened."""
        ...

    def cores(self, purpose: Purpose, number: int) -> list[TaskCore]:
        """Give what was asked before in the visits of a purpose and round, in their order."""
        ...

    def write(self, entry: AnyEntry) -> str | None:
        """Write a fact down; it is on disk when this returns. Gives the journal's head; None where nothing is written."""
        ...

    def make_room(self, needed: int) -> None:
        """See whether so many bytes can be written, before anything begins that needs them."""
        ...

    def spool(self, reply: str, change: Array) -> None:
        """Keep the change of weights of a reply until its visit is closed."""
        ...

    def spooled(self, reply: str) -> bytes | None:
        """Give a change of weights that was kept; None when it is not there any more."""
        ...

    def keep(self, weights: Vector) -> str:
        """Keep weights on the shelf; gives their digest."""
        ...

    def load(self, digest: str) -> Vector:
        """Give weights from the shelf."""
        ...

    def take(self, digest: str) -> Vector:
        """Give weights from the shelf, as a copy of the caller's own."""
        ...

    def body(self, digest: str) -> Array:
        """Give weights from the shelf as the bytes that travel."""
        ...

    def end(self, entry: StudyEnded) -> None:
        """Write down what became of the study, once."""
        ...

    def clear_spool(self) -> None:
        """Drop all changes of weights: the step that they led to is on disk."""
        ...


class Halted(Exception):
    """The disk does not take the journal: nothing more is done until it does. The study has not failed."""

    def __init__(self, refused: Refused) -> None:
        """Take what the disk said."""
        super().__init__()
        self.refused = refused


class Unwritten:
    """A journal of a study that ends with its process, such as a simulation: nothing is written, nothing is recalled."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.shelf: Shelf = MemoryShelf()

    def recall(self, _task_id: str, _attempt: int) -> Recalled | None:
        """Know nothing."""
        return None

    def cores(self, _purpose: Purpose, _number: int) -> list[TaskCore]:
        """Know nothing."""
        return []

    def write(self, _entry: AnyEntry) -> str | None:
        """Write nothing."""
        return None

    def make_room(self, needed: int) -> None:
        """Need no room."""

    def spool(self, reply: str, change: Array) -> None:
        """Keep nothing."""

    def spooled(self, _reply: str) -> bytes | None:
        """Have nothing."""
        return None

    def keep(self, weights: Vector) -> str:
        """Keep weights on the shelf."""
        return self.shelf.put(weights)

    def load(self, digest: str) -> Vector:
        """Give weights from the shelf."""
        return self.shelf.get(digest)

    def take(self, digest: str) -> Vector:
        """Give a copy of weights from the shelf."""
        return self.shelf.take(digest)

    def body(self, digest: str) -> Array:
        """Give weights from the shelf as the bytes that travel."""
        return self.shelf.body(digest)

    def end(self, entry: StudyEnded) -> None:
        """Write nothing."""

    def clear_spool(self) -> None:
        """Have nothing to drop."""


class DiskJournal:
    """The journal of one study on disk, for one conductor at a time."""

    def __init__(self, study_folder: Path, bundle: Bundle) -> None:
        """Open or begin the journal of a study.

        Raises:
            Refused: L-BROKEN naming the line that does not hold; L-BUSY when another conductor has it open; J-FORMAT when a
                newer version wrote it; J-STUDY when it is another study's; O-WRITE.
        """
        self._folder = study_folder / FOLDER
        self._shelf = DiskShelf(self._folder / WEIGHTS)
        self._chain = Chain(self._folder / FILE)
        self._visits: dict[tuple[str, int], Recalled] = {}
        self._ended: StudyEnded | None = None
        try:
            self._load(bundle)
        except BaseException:  # the file and its lock are this object's alone
            self._chain.close()
            raise

    def _load(self, bundle: Bundle) -> None:
        known, _ = read_with_heads(self._folder)
        if not known:
            roster = digest("roster", 1, model_json(bundle.roster))
            self.write(StudyBegun(written_by=__version__, study_hash=bundle.study_hash, roster=roster))
            return
        check_study([entry for entry, _ in known], bundle.study_hash)
        for entry, head in known[1:]:
            self._index(entry, head)

    @property
    def shelf(self) -> Shelf:
        """Where weights are kept."""
        return self._shelf

    def _index(self, entry: AnyEntry, head: str) -> None:
        match entry:
            case VisitOpened():
                self._visits[entry.task_id, entry.attempt] = Recalled(entry)
            case ReplyAdmitted() | ReplyRefused():
                visit = self._visits[entry.task_id, entry.attempt]
                visit.heard[entry.site], visit.heads[entry.site] = entry, head
            case VisitClosed():
                self._visits[entry.task_id, entry.attempt].record = entry.record
            case StudyEnded():
                self._ended = entry
            case StudyBegun() | VisitResumed() | ReplyLate() | SumClosed():
                pass

    def load(self, digest: str) -> Vector:
        """Give weights from the shelf.

        Raises:
            Halted: J-WEIGHTS when they are missing or damaged: a person can restore them.
        """
        with _halting():
            return self._shelf.get(digest)

    def take(self, digest: str) -> Vector:
        """Give a copy of weights from the shelf, which the caller may write to; raises as ``load``."""
        with _halting():
            return self._shelf.take(digest)

    def body(self, digest: str) -> Array:
        """Give weights from the shelf as the bytes that travel, read from the disk where they are needed; raises as ``load``."""
        with _halting():
            return self._shelf.body(digest)

    def end(self, entry: StudyEnded) -> None:
        """Write down what became of the study, unless a conductor before this one did.

        Raises:
            Halted: when the disk does not take it.
        """
        if self._ended is None:
            self.write(entry)

    def recall(self, task_id: str, attempt: int) -> Recalled | None:
        """Give what is known of a visit; None when it was never opened. The answers to a closed one are given once only."""
        found = self._visits.get((task_id, attempt))
        if found is not None and found.record is not None:
            self._visits[task_id, attempt] = Recalled(found.opened, record=found.record)
        return found

    def cores(self, purpose: Purpose, number: int) -> list[TaskCore]:
        """Give what was asked before in the visits of a purpose and round, in their order."""
        found = [each.opened.core for each in self._visits.values()]
        return [core for core in found if (core.purpose, core.round) == (purpose, number)]

    def write(self, entry: AnyEntry) -> str:
        """Write a fact down; it is on disk when this returns. Gives the journal's head.

        Raises:
            Halted: when the disk does not take it; nothing is half-written.
        """
        with _halting():
            if self._ended is not None:
                raise refuse(
                    "J-STUDY",
                    f"{FOLDER}/{FILE}",
                    "A study that has ended is not conducted any further",
                    f"it ended as {self._ended.status}, and now something else would follow from the same journal",
                    "keep the study's folder as it is, and report it: this is a fault of Wardround",
                )
            head = self._chain.append(model_json(entry))
        self._index(entry, head)
        if isinstance(entry, VisitClosed):  # who made the visit has its answers; in the journal they stay for whoever comes after
            self._visits[entry.task_id, entry.attempt].heard.clear()
        return head

    def make_room(self, needed: int) -> None:
        """See whether so many bytes can be written, and some besides, before anything begins that needs them.

        Raises:
            Halted: O-SPACE when there is not so much; nothing was begun.
        """
        with _halting():
            require_space(self._folder, needed + SPARE_BYTES)

    def spool(self, reply: str, change: Array) -> None:
        """Keep the change of weights of a reply until its visit is closed; for the owner only.

        Raises:
            Halted: when the disk does not take it.
        """
        with _halting():
            write_atomic(self._spooled(reply), in_memory(change), mode=0o600)

    def keep(self, weights: Vector) -> str:
        """Keep weights on the shelf; gives their digest, once they are on disk.

        Raises:
            Halted: when the disk does not take them.
        """
        with _halting():
            return self._shelf.put(weights)

    def spooled(self, reply: str) -> bytes | None:
        """Give a change of weights that was kept; whether it is what the reply names, whoever reads the reply sees."""
        try:
            return self._spooled(reply).read_bytes()
        except OSError:
            return None

    def clear_spool(self) -> None:
        """Drop all changes of weights."""
        for path in (self._folder / SPOOL).glob("*"):
            with suppress(OSError):  # another time
                path.unlink()

    def _spooled(self, reply: str) -> Path:
        return self._folder / SPOOL / f"{reply}.change"

    def close(self) -> None:
        """Close the file, so that another conductor may open it."""
        self._chain.close()


@contextmanager
def _halting() -> Iterator[None]:
    try:
        yield
    except Refused as error:
        raise Halted(error) from None


def read_entries(folder: Path) -> list[AnyEntry]:
    """Read and verify a journal without opening it for writing; a torn last line is left out.

    Raises:
        Refused: L-BROKEN naming the line that does not hold; J-FORMAT when a newer version wrote it.
    """
    return read_journal(folder)[0]


def read_journal(folder: Path) -> tuple[list[AnyEntry], bool]:
    """Read and verify a journal, also beside the conductor that writes it, and say whether its last line is torn.

    Raises:
        Refused: L-BROKEN naming the line that does not hold; J-FORMAT when a newer version wrote it.
    """
    known, torn = read_with_heads(folder)
    return [entry for entry, _ in known], torn


def read_with_heads(folder: Path) -> tuple[list[tuple[AnyEntry, str]], bool]:
    """Read and verify a journal as ``read_journal``; each line with the head of the journal after it."""
    links, torn = read_whole_lines(folder / FILE)
    if not links:
        return [], torn
    _check_format(links[0].entry)
    version = _written_by(links[0].entry)
    return [(_entry(link.entry, number, version), link.hash) for number, link in enumerate(links, start=1)], torn


def check_study(entries: list[AnyEntry], study_hash: str) -> StudyBegun:
    """Give the first line of a journal, which says whose it is.

    Raises:
        Refused: J-STUDY when it is another study's.
    """
    first = entries[0]
    if isinstance(first, StudyBegun) and first.study_hash == study_hash:
        return first
    raise refuse(
        "J-STUDY",
        f"{FOLDER}/{FILE}",
        "A journal belongs to the study of its folder",
        "this one begins with another study",
        "restore the study's folder from a backup",
    )


def _check_format(first: dict[str, Json]) -> None:
    found = first.get("format")
    if isinstance(found, int) and found > JOURNAL_FORMAT:
        raise refuse(
            "J-FORMAT",
            f"{FOLDER}/{FILE}",
            f"This software reads journals of format {JOURNAL_FORMAT}",
            f"it is of format {found}, written by Wardround {_written_by(first)}",
            "go on with that version of Wardround, or a newer one",
        )


def _written_by(first: dict[str, Json]) -> str:
    """Give the version that began a journal, as its first line names it."""
    try:
        return VERSION.validate_python(first.get("written_by"))
    except ValidationError:
        return "of an unknown version"


def _entry(entry: dict[str, Json], number: int, version: str) -> AnyEntry:
    try:
        return ENTRY.validate_json(canonical_bytes(entry))
    except ValidationError:
        raise refuse(
            "J-FORMAT",
            f"{FOLDER}/{FILE}, line {number}",
            "Every line of a journal is one of those that this version knows",
            f"the line is whole, and not one of them; the journal was begun by Wardround {version}",
            "go on with the version of Wardround that wrote the line: that one, or a newer one",
        ) from None


def heard_text(message: bytes) -> str:
    """Give a signed message as the journal holds it; empty when it is no text at all."""
    try:
        return message.decode()
    except UnicodeDecodeError:
        return ""

"""A ledger on disk: a folder with one append-only file for each day on which something left, ``2026-07-28.jsonl``.

The chain of lines goes through all files in the order of their names. A day's file is a segment; it is never written to
again once a later one has begun, so that it can be archived. Only the last line of the last segment may be torn, by a
power cut in the middle of a write: then its bytes never left, and it is not read. Days are those of UTC; a clock that is
set back goes on in the segment that is open.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from wardround.errors import Refused, refuse
from wardround.identity.keys import PublicKey
from wardround.identity.succession import SignedSuccession
from wardround.ledger.entries import AnyEntry, KeysRenewed
from wardround.ledger.lines import GENESIS, Line, any_line, next_line

FOLDER = "ledger"
SUFFIX = ".jsonl"
BEFORE = "ledger.jsonl"
"""The one file of an unsigned ledger, as development versions before the first release wrote it."""
DAY = 10
"""Characters of the day in an instant."""
_RENEWAL = b'"event":"rekey"'
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass
class Segment:
    """One file: the sequence of its first entry, how many it has, its whole lines' bytes, and its last hash."""

    path: Path
    first: int
    entries: int = 0
    size: int = 0
    head: str = ""

    def place(self, sequence: int) -> str:
        """Say where an entry stands."""
        return f"{self.path.name}, line {sequence - self.first + 1} (entry {sequence})"


@dataclass
class Course:
    """How far a ledger was read.

    Attributes:
        torn: something follows the last whole line of the last segment.
        renewals: the entries by which the hospital went over to another signing key.
    """

    segments: list[Segment] = field(default_factory=list)
    last: Line | None = None
    torn: bool = False
    renewals: list[Line] = field(default_factory=list)

    @property
    def length(self) -> int:
        """The number of entries."""
        return 0 if self.last is None else self.last.sequence + 1

    @property
    def head(self) -> str:
        """The hash of the last entry."""
        return GENESIS if self.last is None else self.last.hash

    def place(self, sequence: int) -> str:
        """Say where an entry stands that was read, or the one after the last."""
        return next(each for each in reversed(self.segments) if each.first <= sequence).place(sequence)


def ledger_folder(copy: Path) -> Path:
    """Give the ledger's folder in a copy of it, of an export, or of a hospital's directory.

    Raises:
        Refused: Y-FILE when there is none.
    """
    inner = copy / FOLDER
    if inner.is_dir():
        return inner
    if copy.is_dir() and segments(copy):
        return copy
    raise refuse(
        "Y-FILE",
        str(copy),
        "The folder holds a ledger",
        f"it has no folder {FOLDER}/ and no files that are named by day",
        "name the copied ledger folder, an export, or a hospital's directory",
    )


def segments(folder: Path) -> list[Path]:
    """Give the files of a ledger in their order.

    Raises:
        Refused: L-FORMAT when a file beside them is of another form.
    """
    found = sorted(path for path in folder.glob(f"*{SUFFIX}") if not path.name.startswith("."))
    for path in found:
        if _DAY.fullmatch(path.stem) is None:
            before = path.name == BEFORE
            raise refuse(
                "L-FORMAT",
                path.name,
                "A ledger is a folder of files that are named by day, with signed entries",
                "this is a ledger of before entries were signed" if before else "this is no day",
                "read it with the version of Wardround that wrote it, and keep the hospital's directory with it; make a new one"
                if before
                else "give the file its own name again, or move it away if it is not the ledger's",
            )
    return found


def read_ledger(folder: Path, public: PublicKey, course: Course | None = None) -> Iterator[Line]:
    """Read and verify a ledger, line by line; what it gives can be trusted once it has ended without an error.

    Args:
        folder: the ledger's folder.
        public: the hospital's signing key; where it had several, one after the other, any of them.
        course: keeps how far it came, for the caller.

    Raises:
        Refused: L-BROKEN names the entry that was changed, or where entries are missing; L-FORGED the first entry that is
            whole and not the hospital's; L-FORMAT.
    """
    course = course or Course()
    try:
        yield from _chained(folder, course)
    except Refused:
        _refuse_forged(folder, public, course)  # what does not fit may be the first true line after a forged one
        raise
    _refuse_forged(folder, public, course)


def read_entries(folder: Path, public: PublicKey, course: Course | None = None) -> Iterator[tuple[Line, AnyEntry]]:
    """Read and verify a ledger as ``read_ledger``, and give the entry of each line with it.

    Raises:
        Refused: L-FORMAT besides, when the hospital's own entry is none that this version knows.
    """
    course = course or Course()
    for line in read_ledger(folder, public, course):
        try:
            entry = line.entry()
        except ValidationError:
            _refuse_forged(folder, public, course)
            raise refuse(
                "L-FORMAT",
                course.place(line.sequence),
                "Every entry of a ledger is one of those that this version knows",
                "the entry is whole, and not one of them",
                "go on with the version of Wardround that wrote it",
            ) from None
        yield line, entry


class _Writer:
    """Whose signature the next line must have: the hospital's key, and after each renewal the one that it names."""

    def __init__(self, renewals: Iterable[Line], public: PublicKey) -> None:
        """Find the hospital's first key, from any of those that it had: each vouches for the one before it and after it."""
        statements = [statement for line in renewals if (statement := _statement(line)) is not None]
        self._key, befores = public, {each.after.signing_key: each.before.signing_key for each in statements}
        while (before := befores.pop(self._key, None)) is not None:  # taken out, so that no circle goes on for ever
            self._key = before

    def wrote(self, line: Line) -> bool:
        """Say whether it wrote a line, and if that names another key, go on with it."""
        if not line.signed_by(self._key):
            return False
        if not _renews(line):
            return True
        statement = _statement(line)
        if statement is None or statement.before.signing_key != self._key:
            return False
        self._key = statement.after.signing_key
        return True


def _renews(line: Line) -> bool:
    return _RENEWAL in line.head and line.text("event") == "rekey"


def _statement(line: Line) -> SignedSuccession | None:
    """Give what a renewal's line says, if all three signatures hold."""
    try:
        entry = line.entry()
    except ValidationError:
        return None
    return entry.statement if isinstance(entry, KeysRenewed) and entry.statement.holds() else None


def _any_renewals(folder: Path) -> Iterator[Line]:
    """Give every line that names a new key, whether the chain leads to it or not: its own signatures say what it is worth."""
    for path in segments(folder):
        with path.open("rb") as file:
            for data in file:
                line = any_line(data.removesuffix(b"\n")) if _RENEWAL in data else None
                if line is not None and _renews(line):
                    yield line


def _refuse_forged(folder: Path, public: PublicKey, course: Course) -> None:
    """Refuse a chain whose last signature does not hold, or that of a line that names a new key, by the first that does not."""
    last, renewals = course.last, course.renewals
    if last is None:
        return
    writer = _Writer(renewals, public)
    ends = renewals if renewals and renewals[-1] is last else [*renewals, last]
    if all(writer.wrote(line) for line in ends):
        return
    course, writer = Course(), _Writer(_any_renewals(folder), public)  # also those after a place where the chain is broken
    for line in _chained(folder, course):
        if not writer.wrote(line):
            raise refuse(
                "L-FORGED",
                course.place(line.sequence),
                "Every entry is signed by the hospital",
                "the entry is whole, and is not signed by the hospital's key"
                + (": this may be another hospital's ledger" if line.sequence == 0 else ""),
                "compare the fingerprint with the hospital's own; keep the ledger as evidence and find out who wrote the entry",
            )


def _chained(folder: Path, course: Course) -> Iterator[Line]:
    """Give the lines whose hashes hold, up to the first that does not."""
    paths = segments(folder)
    for path in paths:
        segment = Segment(path, course.length)
        course.segments.append(segment)
        with path.open("rb") as file:
            for data in file:
                line = next_line(data[:-1], course.length, course.head) if data.endswith(b"\n") else None
                if line is None:
                    if path == paths[-1] and _torn(data, course):
                        course.torn = True
                        return
                    raise _broken(segment, data, course)
                if segment.entries == 0:
                    _check_day(segment, line)
                segment.entries, segment.size, segment.head = segment.entries + 1, segment.size + len(data), line.hash
                course.last = line
                if _renews(line):
                    course.renewals.append(line)
                yield line


def _torn(data: bytes, course: Course) -> bool:
    """Say whether this is the beginning of a line; a whole one whose line break was changed is not."""
    return not data.endswith(b"\n") and next_line(data[:-1], course.length, course.head) is None


def _check_day(segment: Segment, line: Line) -> None:
    """A segment is named by the day on which it began: one that was renamed is found."""
    if line.text("time")[:DAY] != segment.path.stem:
        raise _refusal(segment.place(line.sequence), "the file is named by another day than that of its first entry")


def _broken(segment: Segment, data: bytes, course: Course) -> Refused:
    """Say what is wrong with the line that should be the next one."""
    due, line = course.length, any_line(data.removesuffix(b"\n"))
    if line is None:
        return _refusal(segment.place(due), "the entry was changed, or cut")
    if line.sequence > due:
        missing = f"entry {due} is" if line.sequence == due + 1 else f"entries {due} to {line.sequence - 1} are"
        return _refusal(segment.place(due), f"entry {line.sequence} stands here: {missing} missing, or entries were reordered")
    if line.sequence < due:
        return _refusal(segment.place(due), f"entry {line.sequence} stands here: entries were reordered or repeated")
    return _refusal(segment.place(due), "the entry does not follow from the one before it")


def _refusal(place: str, finding: str) -> Refused:
    return refuse(
        "L-BROKEN",
        place,
        "Every entry holds the hash of all before it",
        finding,
        "keep this file as evidence, restore it from a backup and find out who changed it",
    )

"""The index of an export folder: what every file in it is, kept from one look to the next.

    folder ──walk──> new or changed files ──headers, on every core──> SQLite, a hundred files a transaction
                     the others: as they stand there

Which elements have a value is kept as a set of tags, once for all files that have the same: those of a series mostly do.

It is a cache and no truth: a file whose size, time of change or number on its disk is another is read again, and the whole can
be deleted. It holds UIDs and places of files, so it lies where only the node reads it, and nothing of it leaves.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import starmap
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait as wait_for
from pathlib import Path, PurePath
from threading import Thread
from typing import Final, NoReturn, TypeAlias

from pydantic import TypeAdapter

from silo_node.dicom.header import UnreadableHeader, read_header
from silo_node.dicom.instance import Instance, instance
from silo_node.dicom.judge import Rules
from silo_node.dicom.privacy import scan
from silo_node.dicom.segmentation import CLASSES, References, references
from silo_node.dicom.traces import Traces

FORMAT: Final = 5
"""Of the database; another one is thrown away and made anew."""

BATCH: Final = 100
"""Files that one process reads before it answers, and that one transaction writes."""

MOST_SETS: Final = 64
"""Sets of tags that are held at a time: files come in the order of their names, in which those of a series stand together."""

Progress: TypeAlias = Callable[[int, int], None]
"""Called with how many files are done, and how many there are to do."""

_INSTANCE: Final = TypeAdapter(Instance)
_TRACES: Final[TypeAdapter[Traces]] = TypeAdapter(Traces)
_REFERENCES: Final = TypeAdapter(References)

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS files (
    file BLOB PRIMARY KEY,
    size INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    trouble TEXT,
    instance TEXT,
    traces TEXT,
    refers TEXT,
    present INTEGER,
    rules TEXT NOT NULL
) STRICT
"""
_SETS: Final = "CREATE TABLE IF NOT EXISTS sets (number INTEGER PRIMARY KEY, tags BLOB NOT NULL UNIQUE) STRICT"


@dataclass(frozen=True, slots=True)
class Entry:
    """What one file is.

    Attributes:
        file: where it lies, from the export folder.
        trouble: why it has no header: a D- code; ``None`` where it has one.
        instance: what its header says; ``None`` where it has none.
        traces: what in it may identify people, by kind and tag; ``None`` where that was not looked for.
        refers: what a segmentation refers to; ``None`` of all else.
        present: tags of the elements that have a value, as of a ``Header``; never the values.
    """

    file: str
    trouble: str | None
    instance: Instance | None
    traces: Traces | None = None
    refers: References | None = None
    present: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Changes:
    """What an update found.

    Attributes:
        files: that are there.
        read: of them, those that are new or changed.
        gone: that were there the last time.
        skipped: links, sockets and the like, which are not followed and not read.
    """

    files: int
    read: int
    gone: int
    skipped: int = 0


class Index:
    """The index of one folder, in one file."""

    def __init__(self, database: Path, folder: Path, rules: Rules | None = None) -> None:
        """Open the index, or begin it.

        Args:
            database: its file; private, and made where it is not there.
            folder: whose files it describes.
            rules: by which files are searched for what may identify people; not searched where there are none. By other rules
                than the last time, all are read again.
        """
        self._rules = rules
        self._under = _digest(rules)
        self._database = database
        self._folder = folder
        with closing(self._open()):
            pass

    def _open(self) -> sqlite3.Connection:
        os.close(os.open(self._database, os.O_CREAT | os.O_RDWR, 0o600))
        connection = sqlite3.connect(self._database)
        if not _usable(connection):
            connection.close()
            self._database.unlink()
            return self._open()
        connection.execute(f"PRAGMA user_version = {FORMAT}")
        return connection

    def update(self, processes: int = 1, progress: Progress = lambda _done, _all: None) -> Changes:
        """Read what is new or changed, and forget what is gone. Where it was stopped, the next one goes on.

        Args:
            processes: that read at the same time.
            progress: told after every batch.

        Raises:
            OSError: the folder cannot be read. A file that cannot be is D-FILE.
        """
        with closing(self._open()) as connection:
            known = {os.fsdecode(file): (*state, rules) for file, *state, rules in connection.execute(_KNOWN)}
            there: dict[str, _State] = {}
            skipped = 0
            for file, state in files_below(self._folder):
                if state is None:
                    skipped += 1
                else:
                    there[file] = state
            new = [file for file, state in there.items() if known.get(file) != (*state, self._under)]
            gone = [(os.fsencode(file),) for file in known.keys() - there.keys()]
            with connection:
                connection.executemany("DELETE FROM files WHERE file = ?", gone)
            done = 0
            for entries in self._read(new, processes):
                with connection:
                    connection.executemany(_KEEP_SET, {(_tags(each),) for each in entries})
                    connection.executemany(_KEEP, [(*_row(each, there[each.file]), self._under) for each in entries])
                done += len(entries)
                progress(done, len(new))
            if new or gone:
                with connection:
                    connection.execute(_FORGET_SETS)
        return Changes(len(there), len(new), len(gone), skipped)

    def _read(self, files: Sequence[str], processes: int) -> Iterator[list[Entry]]:
        batches = [files[start : start + BATCH] for start in range(0, len(files), BATCH)]
        if min(processes, len(batches)) <= 1:
            for batch in batches:
                yield examine(self._folder, batch, self._rules)
            return
        with ProcessPoolExecutor(
            min(processes, len(batches)), mp_context=get_context("spawn"), initializer=end_with_parent
        ) as pool:
            waiting: set[Future[list[Entry]]] = set()
            for batch in batches:
                waiting.add(pool.submit(examine, self._folder, batch, self._rules))
                if len(waiting) >= 2 * processes:
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    yield from (each.result() for each in done)
            yield from (each.result() for each in waiting)

    def entries(self) -> Iterator[Entry]:
        """Give every file, in the order of their names."""
        with closing(self._open()) as connection:
            yield from starmap(_entry, connection.execute(f"{_ALL} ORDER BY file"))

    def segmentations(self) -> Iterator[Entry]:
        """Give the segmentations, in the order of their names."""
        with closing(self._open()) as connection:
            yield from starmap(_entry, connection.execute(f"{_ALL} WHERE refers IS NOT NULL ORDER BY file"))

    def instances(self) -> frozenset[str]:
        """Give the SOP instance UIDs of all files."""
        with closing(self._open()) as connection:
            return frozenset(uid for (uid,) in connection.execute(_UIDS))

    def counts(self) -> Mapping[str, int]:
        """Give how many files have which trouble; those without are counted under the empty text."""
        with closing(self._open()) as connection:
            return Counter(dict(connection.execute("SELECT ifnull(trouble, ''), count(*) FROM files GROUP BY 1")))


_KNOWN: Final = "SELECT file, size, changed, inode, rules FROM files"
_ALL: Final = "SELECT file, trouble, instance, traces, refers, tags FROM files LEFT JOIN sets ON present = number"
_UIDS: Final = "SELECT json_extract(instance, '$.sop_instance') FROM files WHERE instance IS NOT NULL"
_KEEP_SET: Final = "INSERT OR IGNORE INTO sets (tags) VALUES (?)"
_KEEP: Final = "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, (SELECT number FROM sets WHERE tags = ?), ?)"
_FORGET_SETS: Final = "DELETE FROM sets WHERE number NOT IN (SELECT present FROM files)"

_State: TypeAlias = tuple[int, int, int]


def _usable(connection: sqlite3.Connection) -> bool:
    """Say whether this is a database of our format, or an empty one."""
    try:
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute(_TABLE)
        connection.execute(_SETS)
    except sqlite3.DatabaseError:
        return False
    return found in (0, FORMAT)


def _row(entry: Entry, state: _State) -> tuple[bytes | str | int | None, ...]:
    body = None if entry.instance is None else _INSTANCE.dump_json(replace(entry.instance, file="")).decode()
    traces = None if entry.traces is None else _TRACES.dump_json(entry.traces).decode()
    refers = None if entry.refers is None else _REFERENCES.dump_json(entry.refers).decode()
    return (os.fsencode(entry.file), *state, entry.trouble, body, traces, refers, _tags(entry))


def _tags(entry: Entry) -> bytes:
    return array("I", sorted(entry.present)).tobytes()


@lru_cache(maxsize=MOST_SETS)
def _set(tags: bytes) -> frozenset[int]:
    return frozenset(array("I", tags))


def _entry(file: bytes, trouble: str | None, body: str | None, traces: str | None, refers: str | None, present: bytes) -> Entry:
    name = os.fsdecode(file)
    return Entry(
        file=name,
        trouble=trouble,
        instance=None if body is None else replace(_INSTANCE.validate_json(body), file=name),
        traces=None if traces is None else _TRACES.validate_json(traces),
        refers=None if refers is None else _REFERENCES.validate_json(refers),
        present=_set(present),
    )


def _digest(rules: Rules | None) -> str:
    if rules is None:
        return ""
    pseudonym = None if rules.pseudonym is None else rules.pseudonym.pattern
    words = (rules.profile.name, sorted(rules.kept), sorted(rules.safe), pseudonym)
    return hashlib.sha256(repr(words).encode()).hexdigest()


def files_below(folder: Path) -> Iterator[tuple[str, _State | None]]:
    """Give every file below a folder and the state that it is in; links and sockets have none, and are not followed."""
    waiting = [""]
    while waiting:
        inside = waiting.pop()
        with os.scandir(folder / inside) as found:
            for each in found:
                name = f"{inside}/{each.name}" if inside else each.name
                if each.is_dir(follow_symlinks=False):
                    waiting.append(name)
                elif each.is_file(follow_symlinks=False):
                    status = each.stat(follow_symlinks=False)
                    yield name, (status.st_size, status.st_mtime_ns, status.st_ino)
                else:
                    yield name, None


def end_with_parent() -> None:
    """End this process when the one that started it is gone: killed, it can tell nobody, and the pool would wait for ever."""
    parent = parent_process()
    if parent is not None:
        Thread(target=_end_after, args=(parent.sentinel,), daemon=True).start()


def _end_after(sentinel: int) -> NoReturn:
    wait_for([sentinel])
    os._exit(1)


def examine(folder: Path, files: Sequence[str], rules: Rules | None = None) -> list[Entry]:
    """Read some files but for their pixels; whatever a file holds, it has an entry."""
    return [_examine(folder, file, rules) for file in files]


def _examine(folder: Path, file: str, rules: Rules | None) -> Entry:
    try:
        header = read_header(folder / file)
        found = instance(header, file)
        refers = references(folder / file) if found.sop_class in CLASSES else None
        traces = None if rules is None else scan(folder / file, PurePath(file), rules)
        return Entry(file, None, found, traces, refers, header.present)
    except UnreadableHeader as unreadable:
        return Entry(file, unreadable.code, None)
    except OSError:
        return Entry(file, "D-FILE", None)

"""Hash-chained JSON lines, for journals and ledgers.

Each line is canonical JSON ``{"sequence": n, "previous": hash, "hash": hash, "entry": {...}}``; ``hash`` covers the
sequence, the previous hash and the entry. A line is on disk (fsync) before ``append`` returns. A torn last line (power
cut in the middle of a write) is dropped on opening; an edited byte anywhere else is an error that names the line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wardround.append_only import AppendOnly, unopened
from wardround.canonical import Json, canonical_bytes, digest, read_json
from wardround.errors import Broken, Refused, refuse

GENESIS = "0" * 64


@dataclass(frozen=True, slots=True)
class Link:
    """One verified line."""

    sequence: int
    hash: str
    entry: dict[str, Json]


def _hash(sequence: int, previous: str, entry: Json) -> str:
    return digest("chain", 1, {"sequence": sequence, "previous": previous, "entry": entry})


class Chain:
    """An append-only chain in one file, written by one process."""

    def __init__(self, path: Path) -> None:
        """Open or begin a chain, verify it whole and drop a torn last line.

        Raises:
            Refused: L-BROKEN naming the first line that does not hold; L-BUSY when another process writes the chain; O-WRITE
                when the file cannot be opened or written.
        """
        self.path = path
        self._length, self._head = 0, GENESIS
        self._file: AppendOnly | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = AppendOnly(path)
            self._file.lock()
            size = 0
            for link, end in _read(path):
                self._length, self._head, size = link.sequence + 1, link.hash, end
            self._file.cut(size)
        except OSError as error:
            self.close()
            raise unopened(path.name, error) from None
        except BaseException:
            self.close()
            raise

    @property
    def head(self) -> str:
        """The hash of the last line; 64 zeros when there is none."""
        return self._head

    @property
    def length(self) -> int:
        """The number of lines."""
        return self._length

    def append(self, entry: dict[str, Json]) -> str:
        """Add an entry and give its hash, once it is on disk.

        Raises:
            Refused: O-WRITE when the disk does not take it; the chain is as before.
        """
        hashed = _hash(self._length, self._head, entry)
        line: Json = {"sequence": self._length, "previous": self._head, "hash": hashed, "entry": entry}
        if self._file is None:
            raise Broken("a chain that was closed is written to")
        self._file.append(canonical_bytes(line) + b"\n")
        self._length, self._head = self._length + 1, hashed
        return hashed

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        if self._file is not None:
            self._file.close()
            self._file = None


def read_chain(path: Path) -> list[Link]:
    """Read and verify a chain without opening it for writing; a torn last line is left out."""
    return read_whole_lines(path)[0]


def read_whole_lines(path: Path) -> tuple[list[Link], bool]:
    """Read and verify a chain as ``read_chain``, and say whether something follows its last whole line.

    That is a line that was torn, or, while another process has the chain open, one that is being written.
    """
    data = path.read_bytes() if path.exists() else b""
    links = [link for link, _ in _verified(path, data)]
    return links, data.rfind(b"\n") + 1 < len(data)


def _broken(path: Path, number: int, finding: str) -> Refused:
    return refuse(
        "L-BROKEN",
        f"{path.name}, line {number}",
        "Every line holds the hash of all before it",
        finding,
        "keep this file as evidence, restore it from a backup and find out who changed it",
    )


def _read(path: Path) -> Iterator[tuple[Link, int]]:
    if path.exists():
        yield from _verified(path, path.read_bytes())


def _verified(path: Path, data: bytes) -> Iterator[tuple[Link, int]]:
    previous, start, number = GENESIS, 0, 0
    while (end := data.find(b"\n", start)) >= 0:
        link = _link(path, data[start:end], number, previous)
        previous, start, number = link.hash, end + 1, number + 1
        yield link, start


def _link(path: Path, line: bytes, sequence: int, previous: str) -> Link:
    try:
        value: Any = read_json(line)
        entry, found = value["entry"], value["hash"]
        known = {"sequence": sequence, "previous": previous, "hash": _hash(sequence, previous, entry), "entry": entry}
        whole = canonical_bytes(known) == line
    except (ValueError, OverflowError, KeyError, TypeError, RecursionError, Broken):
        raise _broken(path, sequence + 1, "the line cannot be read") from None
    if not whole:
        raise _broken(path, sequence + 1, "the line, or one before it, was changed")
    return Link(sequence, found, entry)

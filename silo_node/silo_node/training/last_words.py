"""The last words of a trainer that ended over its work: whether it was memory, which code in Rust or C++ cannot survive.

Polars ends the whole process when an allocation fails (Rust's ``handle_alloc_error``), and prints why; while a table is read
the trace of the crash alone tells. So the trainer notes what it is about to do, and the next one reads the note and what was
printed since: work that took its process with it for want of memory gets its code, and is not tried again until it is asked
for again.
"""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import ValidationError

from wardround.values import Value

NOTE = "trainer.task"
STANDARD_ERROR = 2
LONGEST_WORDS = 256 * 1024
_WORDS = (b"memory allocation of", b"std::bad_alloc", b"annot allocate memory", b"failed to spawn thread")
"""What Rust, C++ and the C library print before they end a process that gets no memory."""
_ABORTED, _READING = b"Fatal Python error: Aborted", b"in unheard_read"
"""What the trace of a crash holds where a process ended itself while it read a table (``silo_node.sources.unheard``): nothing
else is heard of it then, and what ends one so is an allocation that failed."""


class _Note(Value):
    """What was under way, and how much had been printed before."""

    work: str
    printed: int


class LastWords:
    """What this trainer does now, written where the next one finds it."""

    def __init__(self, run: Path, printed: Path | None = None) -> None:
        """Take the folder of the note and the file that the process prints to; reads what the trainer before left.

        The file is that of standard error when not given: by a descriptor of its own, since the usual one leads nowhere while
        a table is read.
        """
        self._note = run / NOTE
        self._printed = Path(f"/proc/self/fd/{os.dup(STANDARD_ERROR)}") if printed is None else printed
        self._lost = self._read()
        self.end()

    def take_lost(self, work: str) -> bool:
        """Say, once, whether the trainer before ended over this work for want of memory."""
        lost, self._lost = self._lost == work, None
        return lost

    def begin(self, work: str) -> None:
        """Note what is about to be done. Deaths of the process are survived; those of the machine need not be."""
        self._note.write_text(_Note(work=work, printed=self._size()).model_dump_json())

    def end(self) -> None:
        """Drop the note: the process lives."""
        self._note.unlink(missing_ok=True)

    def _read(self) -> str | None:
        try:
            note = _Note.model_validate_json(self._note.read_bytes())
        except (OSError, ValidationError):
            return None
        printed = self._since(note.printed)
        reading = _ABORTED in printed and _READING in printed
        return note.work if reading or any(words in printed for words in _WORDS) else None

    def _since(self, offset: int) -> bytes:
        """Give what was printed behind a place; of a file that was cut meanwhile, all that it has."""
        size = self._size()
        if not size:
            return b""
        start = max(offset if offset <= size else 0, size - LONGEST_WORDS)
        with self._printed.open("rb") as file:
            file.seek(start)
            return file.read(LONGEST_WORDS)

    def _size(self) -> int:
        """Give the size of what was printed; 0 where it is no file, as on a terminal."""
        try:
            return self._printed.stat().st_size if self._printed.is_file() else 0
        except OSError:
            return 0

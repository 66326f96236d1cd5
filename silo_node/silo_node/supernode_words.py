"""What a SuperNode says of its connection: Flower tells it to nobody but what it prints."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from wardround.errors import Refused, refuse
from wardround.files import write_atomic
from wardround.values import Instant, Value, instant

NEWCOMER_SECONDS = 15.0
"""How long a node that was never let in tries: a centre that has just started needs a moment to know its nodes."""
CONNECTED, NOT_LET_IN = b"SuperNode ID:", b"code: 2004]"
"""What Flower's SuperNode writes when the centre has let it in, and when it has not."""
OVERLAP_BYTES = 64
LARGEST_READ_BYTES = 1_000_000


class KeptOut(Value):
    """That the centre does not let this node in, though it did before; ``since``: when the node was first told (UTC)."""

    since: Instant


def read_kept_out(path: Path) -> KeptOut | None:
    """Read since when the centre does not let this node in; None when it does, as far as anybody here knows."""
    try:
        return KeptOut.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


class SuperNodeWords:
    """Listens to one SuperNode after the other, from each one's start; a file that was cut is read from its beginning."""

    def __init__(self, printed: Path, let_in: Path, kept_out: Path, note: Callable[[str], None]) -> None:
        """Take the file of what it prints, and who writes a line into the hospital's own log.

        Args:
            printed: what the SuperNode prints.
            let_in: the file that says that this node was let in before.
            kept_out: the file that says since when it is not let in any more.
            note: told when that begins, and when it ends.
        """
        self._printed = printed
        self._let_in = let_in
        self._kept_out = kept_out
        self._note = note
        self.begin()

    def begin(self) -> None:
        """Hear only what is said from now on."""
        self._at = self._printed.stat().st_size if self._printed.exists() else 0
        self._tail = b""
        self._heard: set[bytes] = set()

    def _listen(self) -> None:
        with suppress(OSError), self._printed.open("rb") as file:
            if file.seek(0, 2) < self._at:  # it was put aside and cut
                self._at = 0
            file.seek(self._at)
            while new := file.read(LARGEST_READ_BYTES):
                text = self._tail + new
                self._heard.update(words for words in (CONNECTED, NOT_LET_IN) if words in text)
                self._tail, self._at = text[-OVERLAP_BYTES:], file.tell()

    def connected(self) -> bool:
        """Whether the centre has let it in; written down, since a node that was in may be held for connected."""
        self._listen()
        connected = CONNECTED in self._heard
        if connected and not self._let_in.exists():
            with suppress(OSError):
                self._let_in.touch(mode=0o600)
        if connected and self._kept_out.exists():
            with suppress(OSError):
                self._kept_out.unlink()
                self._note("the centre lets this hospital's node in again")
        return connected

    def worth_another_try(self, seconds: float) -> bool:
        """Whether a node that ended is let in later, perhaps: one that was in before, or one that is new."""
        return self._let_in.exists() or seconds < NEWCOMER_SECONDS

    def explain(self, _status: int) -> Refused | None:
        """Say that the centre does not let this node in, if that is what it said."""
        self._listen()
        if NOT_LET_IN not in self._heard:
            return None
        self._write_down()
        return refuse(
            "N-REFUSED",
            "supernode",
            "The centre lets in the nodes that it enrolled, each once",
            "the centre does not let this hospital's node in",
            "ask the operator whether this site is enrolled or was removed; make sure that no other node runs with these keys",
        )

    def _write_down(self) -> None:
        """Write down, once, that a node that was in is not let in any more."""
        if self._let_in.exists() and not self._kept_out.exists():
            with suppress(Refused):  # a full disk: it is told again
                write_atomic(self._kept_out, KeptOut(since=instant(datetime.now(UTC))).model_dump_json().encode(), mode=0o600)
                self._note(
                    "N-REFUSED: the centre does not let this hospital's node in any more: it removed the hospital, "
                    "or, for a minute after a crash, holds the node's place"
                )

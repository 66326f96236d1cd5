"""A file of what left this hospital before: each different telling once, readable by the hospital only, and never shorter."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import ValidationError

from wardround.canonical import canonical_bytes, model_json
from wardround.files import remove_leftovers, write_atomic
from wardround.values import Value

Telling = TypeVar("Telling", bound=Value)


class Tellings(Value, Generic[Telling]):
    """Everything that left, as it stands in the file; a kind of its own for each file."""

    format: int = 1
    told: tuple[Telling, ...] = ()


class ToldFile(Generic[Telling]):
    """One such file."""

    def __init__(self, path: Path, kind: type[Tellings[Telling]], most: int) -> None:
        """Take its place; the hospital has one porter at a time, which alone writes here.

        Args:
            path: of the file.
            kind: what it holds.
            most: different tellings that it holds at most. None is ever forgotten: what was forgotten could be subtracted.
        """
        self._path = path
        self._kind = kind
        self._most = most

    def takes(self, new: Telling, told: tuple[Telling, ...]) -> bool:
        """Say whether a telling is in the file, or finds room in it; one that does not may not be shown."""
        return new in told or len(told) < self._most

    def read(self) -> tuple[Telling, ...] | None:
        """Give what was told; None where that cannot be read: then nobody knows, and nothing shown may leave."""
        try:
            return self._kind.model_validate_json(self._path.read_bytes()).told
        except FileNotFoundError:
            return ()
        except (OSError, ValidationError):
            return None

    def add(self, new: Iterable[Telling]) -> None:
        """Write down what is about to leave; a file that cannot be read is left as it is, and one that is full: then nothing
        shown leaves that is not in it.

        Raises:
            Refused: O-WRITE when the disk does not take it; then it may not leave.
        """
        told = self.read()
        if told is None:
            return
        added = tuple(each for each in dict.fromkeys(new) if each not in told)[: max(0, self._most - len(told))]
        if added:
            remove_leftovers(self._path)
            write_atomic(self._path, canonical_bytes(model_json(self._kind(told=(*told, *added)))), mode=0o600)

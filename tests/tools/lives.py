"""A study over several lives of its conductor: each ends where a test says, the next one goes on from the disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from paper_hospitals import Onlooker, PaperGrid, PaperHospital
from studies_on_paper import Paper

from coordinator.journal.entries import AnyEntry
from coordinator.journal.journal import DiskJournal
from coordinator.rounds.conductor import Conductor
from coordinator.rounds.outcome import Outcome
from wardround.messages.envelope import Array
from wardround.weights.packing import Vector


class Killed(BaseException):
    """As SIGKILL: nothing catches it."""


@dataclass
class Mortal(DiskJournal):
    """A journal whose conductor dies at its so many-th act on the disk, before or after it."""

    folder: Path
    paper: Paper
    dies_at: int
    before: bool
    acts: int = 0
    done: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Open the journal; that is no act yet."""
        self.acts = -1_000_000
        super().__init__(self.folder, self.paper.bundle)
        self.acts = 0

    def _act(self, name: str, do: Callable[[], object]) -> object:
        self.acts += 1
        if self.acts == self.dies_at and self.before:
            raise Killed
        result = do()
        self.done.append(name)
        if self.acts == self.dies_at:
            raise Killed
        return result

    def write(self, entry: AnyEntry) -> str:
        """Write, unless it dies first."""
        return str(self._act(entry.event, lambda: super(Mortal, self).write(entry)))

    def spool(self, reply: str, change: Array) -> None:
        """Spool, unless it dies first."""
        self._act("spool", lambda: super(Mortal, self).spool(reply, change))

    def keep(self, weights: Vector) -> str:
        """Keep, unless it dies first."""
        return str(self._act("keep", lambda: super(Mortal, self).keep(weights)))

    def clear_spool(self) -> None:
        """Clear, unless it dies first."""
        self._act("clear", super().clear_spool)


def live(
    folder: Path, paper: Paper, hospitals: Sequence[PaperHospital], dies_at: int = 0, *, before: bool = False
) -> Outcome | list[str]:
    """Conduct a study for one life; gives its outcome, or what it had done when it died."""
    with closing(Mortal(folder, paper, dies_at, before)) as journal:
        try:
            return Conductor(paper.bundle, paper.key, PaperGrid(hospitals), Onlooker(), journal).run()
        except Killed:
            return journal.done

"""Whether broadcast weights can have come about as the approved study says: no further from the ones before than its rounds go.

A centre that is not honest could send weights that were made to let single records through in the change (trap weights).
A hospital cannot add up what others sent. But it knows the approved initial weights, those that it was sent before, and
how far a round can move them (``wardround.weights.reach``).

    journal/<study_hash>/porter.jsonl     names the digest of the weights of each task that was begun (``memory``)
    journal/<study_hash>/weights          the weights of the latest round, whole; read in blocks where they are needed

Weights have an age: after how many of the study's rounds they stand. Of one age there is one set of weights. Others are
held against the nearest known ones of a lower age, at least the initial ones, and of a higher. So nothing that is lost
here lets more through than the study's rounds from the initial weights.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from silo_node.porter.memory import StudyMemory
from wardround.canonical import sha256
from wardround.files import remove_leftovers, write_atomic
from wardround.messages.round import TaskCore
from wardround.study.bundle import Bundle
from wardround.weights.packing import WIRE, Vector, as_wire
from wardround.weights.reach import reachable

FILE = "weights"


class Broadcasts:
    """The weights that one hospital was sent in one study.

    Without a directory (a simulation) the digests are known as long as this lives, and no weights are kept but the initial ones.
    """

    def __init__(self, memory: StudyMemory) -> None:
        """Take what is known of the study; nothing is read yet."""
        self._memory = memory
        self._path = None if memory.folder is None else memory.folder / FILE
        self._age: int | None = None
        """Of the weights in the file, once it was looked at; 0 when there are none."""

    def follow(self, core: TaskCore, weights: Vector, bundle: Bundle) -> bool:
        """Say whether the weights of a task, whose digest its core names, can be what the study's rounds have made."""
        age, known = age_of(core), self._memory.known.broadcasts
        if age in known:
            return core.weights == known[age]
        largest = bundle.study.rounds.maximum_change_norm
        return all(
            reachable(before, weights, bundle.manifest, age - older, largest)
            if older < age
            else reachable(weights, before, bundle.manifest, older - age, largest)
            for older, before in self._nearest(age, bundle)
        )

    def keep(self, core: TaskCore, weights: Vector) -> None:
        """Keep the weights of a round that is begun, unless later ones are kept; drop them once the test is begun.

        Raises:
            Refused: O-WRITE when the disk does not take them.
        """
        if self._path is None:
            return
        if core.purpose == "test":  # the last task; whoever asks for it again is held against its digest
            self._path.unlink(missing_ok=True)
            self._age = 0
        elif core.purpose == "round" and age_of(core) > self._age_in_file():
            remove_leftovers(self._path)  # the memory's chain is locked: nobody else writes here
            write_atomic(self._path, as_wire(weights), mode=0o600)
            self._age = age_of(core)

    def _nearest(self, age: int, bundle: Bundle) -> Iterator[tuple[int, Vector]]:
        kept = self._read() if self._age_in_file() > 0 else None
        if kept is None or self._age_in_file() > age:
            yield 0, bundle.weights
        if kept is not None:
            yield self._age_in_file(), kept

    def _age_in_file(self) -> int:
        """Give the age of the weights in the file: by their digest, so that a torn or foreign file counts for nothing."""
        if self._age is None:
            kept = self._read()
            found = None if kept is None else sha256(as_wire(kept))
            self._age = max((age for age, digest in self._memory.known.broadcasts.items() if digest == found), default=0)
        return self._age

    def _read(self) -> Vector | None:
        """Give the weights in the file, a view of the disk; None when there are none."""
        try:
            return None if self._path is None else np.memmap(self._path, dtype=WIRE, mode="r")
        except (OSError, ValueError):  # it is missing, empty, or no row of numbers
            return None


def age_of(core: TaskCore) -> int:
    """Say after how many of the study's rounds, passed over or not, the weights of a task stand."""
    return core.round - 1 if core.purpose == "round" else core.round

"""How the hospital's last training stands, in a small file of its own for ``wardround silo status``; it never leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from wardround.files import write_atomic
from wardround.messages.round import Percent
from wardround.values import Count, FieldName, Instant, Sha256, Value

TRAINING_STATE = "training.json"
MODE = 0o600
SHORT = 12
"""Digits of a hash that people read."""


class TrainingState(Value):
    """One training.

    Attributes:
        work: identity of the work (``TaskCore.work_id``).
        phase: ``training``; ``done`` when its result is on disk; ``ended`` when it ended without one.
        start: ``anew``, ``resumed`` from a checkpoint, or ``restarted`` because a checkpoint could not be used.
        after: epochs that were done already when it was resumed.
        why: of a restart: what had changed, or ``damaged``.
        at: when this was written.
    """

    study_hash: Sha256
    work: Sha256
    round: Count
    phase: Literal["training", "done", "ended"]
    epoch: Count
    epochs: Count
    percent: Percent
    start: Literal["anew", "resumed", "restarted"] = "anew"
    after: Count = 0
    why: tuple[FieldName, ...] = ()
    at: Instant

    def words(self) -> str:
        """Give a sentence for people."""
        begun = {
            "anew": "",
            "resumed": f"; resumed after epoch {self.after}",
            "restarted": f"; begun anew, since a checkpoint could not be used ({', '.join(self.why)})",
        }[self.start]
        place = f"work {self.work[:SHORT]} of study {self.study_hash[:SHORT]}, round {self.round}"
        return f"{place}: {self.phase}, epoch {self.epoch} of {self.epochs}, {self.percent} %, at {self.at}{begun}"


def write_training_state(folder: Path, state: TrainingState) -> None:
    """Write the state.

    Raises:
        Refused: O-WRITE when it cannot be written.
    """
    write_atomic(folder / TRAINING_STATE, state.model_dump_json().encode(), MODE)


def read_training_state(folder: Path) -> TrainingState | None:
    """Read the state; None when there is none that can be read."""
    try:
        return TrainingState.model_validate_json((folder / TRAINING_STATE).read_bytes())
    except (OSError, ValidationError):
        return None

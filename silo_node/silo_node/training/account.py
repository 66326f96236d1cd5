"""Tells people in the hospital how the training stands: one small file, written when there is something to tell."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from silo_node.training.checkpoint import Start
from silo_node.training.loop import Watch
from silo_node.training_state import TrainingState, write_training_state
from silo_node.work import Work
from wardround.errors import Refused
from wardround.values import instant


class Account:
    """The account of one training."""

    def __init__(self, folder: Path, work: Work, watch: Watch, log: logging.Logger) -> None:
        """Take where the file lies, and what it is about. Nothing is written yet: a short round has nothing to tell."""
        self._folder = folder
        self._work = work
        self._watch = watch
        self._log = log
        self._start = Start()
        self._closed = False
        self._lock = threading.Lock()

    def kept(self, what: Start | int) -> None:
        """Hear from the keeper how the training starts, and of every epoch that was kept."""
        if isinstance(what, Start):
            self._start = what
            self._watch.epoch = what.epoch
            if what.how == "anew":
                return
        self.tell("training")

    def visited(self) -> None:
        """Hear that a visit found the training under way; it may have ended in between."""
        self.tell("training")

    def tell(self, phase: Literal["training", "done", "ended"]) -> None:
        """Write how it stands, from either thread; a disk that takes nothing stops no training."""
        with self._lock:
            if not self._closed:
                self._closed = phase != "training"
                self._write(phase)

    def _write(self, phase: Literal["training", "done", "ended"]) -> None:
        core, watch, start = self._work.task.core, self._watch, self._start
        state = TrainingState(
            study_hash=core.study_hash,
            work=core.work_id(),
            round=core.round,
            phase=phase,
            epoch=watch.epoch,
            epochs=self._work.bundle.study.training.local_epochs,
            percent=watch.percent,
            start=start.how,
            after=start.epoch,
            why=start.why,
            at=instant(datetime.now(UTC)),
        )
        try:
            write_training_state(self._folder, state)
        except Refused as refused:
            self._log.warning("the state of the training was not written: %s", refused)

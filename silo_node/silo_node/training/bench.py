"""The trainer's bench: one task at a time in a thread of its own, looked after in short visits."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from dataclasses import dataclass

from silo_node.training.loop import Watch
from silo_node.training.trainer import Trainer
from silo_node.work import Busy, Done, NotDone, Work


@dataclass(frozen=True)
class _Task:
    work: Work
    watch: Watch
    future: Future[Done | NotDone]


class Bench:
    """A worker that answers within its patience, and goes on in between."""

    def __init__(self, trainer: Trainer, patience_seconds: float, log: logging.Logger) -> None:
        """Take the trainer, how long one visit may wait for a result, and the hospital's own log."""
        self._trainer = trainer
        self._patience = patience_seconds
        self._log = log
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="trainer")
        self._task: _Task | None = None

    def perform(self, work: Work) -> Done | NotDone | Busy:
        """Begin a task, or look after the one that was begun; another task withdraws the one before."""
        task = self._task
        if task is None or task.work.task.task_id != work.task.task_id:
            if task is not None:
                task.watch.withdraw()
            watch = Watch()
            task = _Task(work, watch, self._thread.submit(self._trainer.perform, work, watch))
            self._task = task
        try:
            outcome = task.future.result(timeout=self._patience)
        except StillRunning:
            return Busy(task.watch.epoch, work.bundle.study.training.local_epochs)
        except Exception:  # noqa: BLE001  (a choke point: only a code leaves)
            self._log.exception("a task failed")  # to the hospital's own log only
            outcome = NotDone("H-FAILED")
        self._task = None
        return outcome

    def withdraw(self, task_id: str) -> None:
        """Let a task end at its next batch; its result is dropped."""
        task = self._task
        if task is not None and task.work.task.task_id == task_id:
            task.watch.withdraw()
            self._task = None

    def close(self) -> None:
        """Withdraw what is under way and end the thread."""
        if self._task is not None:
            self._task.watch.withdraw()
        self._thread.shutdown(wait=True, cancel_futures=True)

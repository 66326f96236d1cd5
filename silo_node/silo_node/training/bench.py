"""The trainer's bench: one task at a time in a thread of its own, looked after in short visits."""

from __future__ import annotations

import contextvars
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from concurrent.futures import TimeoutError as StillRunning
from dataclasses import dataclass, replace

from silo_node.training.loop import Watch
from silo_node.training.trainer import Trainer
from silo_node.work import Busy, Done, NotDone, Stepped, Work
from wardround.reference import Reference, current_reference
from wardround.study.bundle import Bundle

SLICE_SECONDS = 0.25
"""How often a visit looks whether the porter is still there to be answered."""


@dataclass(frozen=True)
class _Task:
    work: Work
    watch: Watch
    future: Future[Done | NotDone]
    reference: Reference | None
    """Under which it was begun: what its thread writes into the log has it."""


class Bench:
    """A worker that answers within its patience, and goes on in between."""

    def __init__(self, trainer: Trainer, patience_seconds: float, log: logging.Logger) -> None:
        """Take the trainer, how long one visit may wait for a result, and the hospital's own log."""
        self._trainer = trainer
        self._patience = patience_seconds
        self._log = log
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="trainer")
        self._task: _Task | None = None
        self._trial: Future[Stepped | NotDone] | None = None

    def perform(self, work: Work, awaited: Callable[[], bool] = lambda: True) -> Done | NotDone | Busy:
        """Begin some work, or look after what was begun; other work withdraws it. No longer than it is awaited.

        Another plan of the sum is no other work: what is under way goes on, and is held against the newest plan.
        """
        task = self._take_up(work)
        try:
            self._wait(task, awaited)
            outcome = self._outcome(task, work)
        except StillRunning:
            task.watch.looked_after()
            return Busy(task.watch.epoch, work.bundle.study.training.local_epochs, task.watch.percent)
        if isinstance(outcome, NotDone) and task.reference not in (None, current_reference()):
            self._log.info("the work was begun under reference %s", task.reference)  # by a porter that was restarted since
        self._task = None
        return outcome

    def _outcome(self, task: _Task, work: Work) -> Done | NotDone:
        """Give what became of a task: the choke point, behind which only a code is left of whatever was raised."""
        error = task.future.exception(timeout=0)  # of any kind: Rust's panics and SystemExit are no Exceptions
        try:
            if error is None:
                return self._trainer.answer(work, task.future.result(timeout=0))
        except Exception as raised:  # noqa: BLE001  (the choke point)
            error = raised
        self._log.error("a task failed", exc_info=error)  # to the hospital's own log only
        return NotDone("H-FAILED")

    def _take_up(self, work: Work) -> _Task:
        task = self._task
        if task is not None and task.work.task.core.work_id() == work.task.core.work_id():
            self._task = replace(task, work=work)
        else:
            if task is not None:
                task.watch.withdraw()
            watch = Watch()
            future = self._thread.submit(contextvars.copy_context().run, self._trainer.produce, work, watch)
            self._task = _Task(work, watch, future, current_reference())
        return self._task

    def _wait(self, task: _Task, awaited: Callable[[], bool]) -> None:
        """Wait for the end of a task, within the patience of a visit."""
        end = time.monotonic() + self._patience
        while (left := end - time.monotonic()) > 0 and awaited():
            if wait([task.future], timeout=min(left, SLICE_SECONDS)).done:
                return

    def withdraw(self, task_id: str) -> None:
        """Let a task end at its next batch; its result is dropped."""
        task = self._task
        if task is not None and task.work.task.task_id == task_id:
            task.watch.withdraw()
            self._task = None

    def try_out(self, bundle: Bundle, rows: int) -> Stepped | NotDone:
        """Try a study's network, in the thread of the tasks: torch's state is one for the whole process.

        A trial that takes longer than a visit ends as ``H-FAILED``; while it or a task is under way, another is ``H-ORDER``.
        """
        if self._task is not None or (self._trial is not None and not self._trial.done()):
            return NotDone("H-ORDER")
        self._trial = self._thread.submit(contextvars.copy_context().run, self._trainer.try_out, bundle, rows)
        try:
            error = self._trial.exception(timeout=self._patience)
            if error is None:
                return self._trial.result(timeout=0)
            self._log.error("a canary failed", exc_info=error)  # the choke point: only a code is left of whatever was raised
        except StillRunning:
            self._log.warning("a few steps on made-up records take longer than a visit")
        return NotDone("H-FAILED")

    def close(self) -> None:
        """Withdraw what is under way and end the thread."""
        if self._task is not None:
            self._task.watch.withdraw()
        self._thread.shutdown(wait=True, cancel_futures=True)

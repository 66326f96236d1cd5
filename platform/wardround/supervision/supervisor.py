"""One supervisor for a centre or a hospital: starts its processes in order, restarts what dies, stops all of them.

Every process is started in a session of its own (a Ctrl-C on the terminal reaches the supervisor alone), on a leash (it
dies with the supervisor, whatever kills that), with its output in a log file of its own. Nothing is stopped by name or
pattern: only by the handle with which it was started.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from wardround.errors import Refused, refuse

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 15.0
STEADY_SECONDS = 60.0
"""A process that ran this long has its pauses begin anew."""
WATCH_SECONDS = 0.2
GROUP_GRACE_SECONDS = 5.0

ChildState = Literal["starting", "ready", "waiting", "stopped"]


@dataclass(frozen=True)
class Child:
    """One process.

    Attributes:
        name: for people, and for its log file.
        command: program and arguments.
        environment: on top of the supervisor's own, or in its place if ``whole_environment``.
        ready: says whether it does its work by now; asked until it does.
        patience_seconds: how long it may take to become ready at the first start.
        explain: turns an exit status at the first start (0: it runs, but is not ready) into an error for people, where it can.
        group: processes of one group live and die together: when one ends, the others are stopped, and all start anew.
        folder: where it runs (short relative paths, for sockets).
        patient_note: told once when it ends during its patience and is started again; None: its end is an error at once.
        patient: asked at such an end, with the seconds since its first start: whether it is worth starting again.
        before: done before every start, such as removing a file by which the process says that it is ready.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    whole_environment: bool = False
    ready: Callable[[], bool] = lambda: True
    patience_seconds: float = 60.0
    explain: Callable[[int], Refused | None] = lambda _status: None
    group: str | None = None
    folder: Path | None = None
    patient_note: str | None = None
    patient: Callable[[float], bool] = lambda _seconds: True
    before: Callable[[], None] = lambda: None


class _Run:
    """A child and its process, if it has one."""

    def __init__(self, child: Child, log: Path) -> None:
        self.child = child
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None
        self.state: ChildState = "stopped"
        self.pause = FIRST_PAUSE_SECONDS
        self.started = 0.0
        self.next_start = 0.0
        self.restarts = 0

    def start(self) -> None:
        self.child.before()
        leash = [sys.executable, "-m", "wardround.supervision.leash", str(os.getpid()), "--"]
        descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self.process = subprocess.Popen(  # noqa: S603  (our own command lines)
                [*leash, *self.child.command],
                env=dict(self.child.environment) if self.child.whole_environment else {**os.environ, **self.child.environment},
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                cwd=self.child.folder,
                start_new_session=True,
            )
        finally:
            os.close(descriptor)
        self.started, self.state = time.monotonic(), "starting"

    def end(self, grace_seconds: float) -> None:
        """SIGTERM, and SIGKILL after the grace time."""
        self.signal(signal.SIGTERM)
        if self.process is not None:
            try:
                self.process.wait(grace_seconds)
            except subprocess.TimeoutExpired:
                self.signal(signal.SIGKILL)
                self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)


class Supervisor:
    """Keeps some processes running until it is told to stop."""

    def __init__(self, children: Sequence[Child], logs: Path, report: Callable[[str, ChildState], None]) -> None:
        """Take the processes in the order of their start, the folder of their logs, and who is told of changes."""
        logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._runs = [_Run(child, logs / f"{child.name}.log") for child in children]
        self._report = report
        self._stop = threading.Event()

    def start(self) -> None:
        """Start all processes, each when the one before is ready.

        Raises:
            Refused: V-CHILD (or what the child's own explanation says) when one ends or stays unready; all are stopped.
        """
        try:
            for run in self._runs:
                if self._stop.is_set():
                    return
                run.start()
                self._await_ready(run)
        except BaseException:
            self.stop()
            raise

    def _await_ready(self, run: _Run) -> None:
        begun = time.monotonic()
        end = begun + run.child.patience_seconds
        self._report(run.child.name, run.state)
        while not self._stop.is_set():
            status = run.process.poll() if run.process is not None else 1
            if status is not None:
                self._try_again(run, status, begun)
                continue
            if run.child.ready():
                run.state = "ready"
                self._report(run.child.name, run.state)
                return
            if time.monotonic() > end:
                raise run.child.explain(0) or _not_started(
                    run, f"it was not ready after {run.child.patience_seconds:.0f} seconds"
                )
            time.sleep(0.05)

    def _try_again(self, run: _Run, status: int, begun: float) -> None:
        """Start a process again that ended before it was ready, as long as its patience allows."""
        child, passed = run.child, time.monotonic() - begun
        if child.patient_note is None or passed > child.patience_seconds or not child.patient(passed):
            raise run.child.explain(status) or _not_started(run, f"it ended with status {status}")
        if run.restarts == 0:
            print(f"{run.child.name}: {run.child.patient_note}", flush=True)  # noqa: T201  (why it takes long)
        run.restarts += 1
        run.state = "waiting"
        self._report(run.child.name, run.state)
        self._stop.wait(min(run.pause, max(child.patience_seconds - passed, FIRST_PAUSE_SECONDS)))
        run.pause = min(run.pause * 2, LONGEST_PAUSE_SECONDS)
        if not self._stop.is_set():
            run.start()

    def watch(self) -> None:
        """Restart what dies, with growing pauses, until ``ask_to_stop``."""
        while not self._stop.wait(WATCH_SECONDS):
            for run in self._runs:
                self._look_after(run)

    def _look_after(self, run: _Run) -> None:
        now = time.monotonic()
        if run.state == "waiting":
            if now >= run.next_start and self._ready_before(run):
                run.start()
                self._report(run.child.name, run.state)
        elif run.process is not None and run.process.poll() is not None:
            self._rest(run, now)
            for other in self._runs:
                if run.child.group is not None and other is not run and other.child.group == run.child.group:
                    other.end(GROUP_GRACE_SECONDS)
                    self._rest(other, now)
        elif run.state == "starting" and run.child.ready():
            run.state = "ready"
            self._report(run.child.name, run.state)

    def _rest(self, run: _Run, now: float) -> None:
        """Let a process that ended wait for its next start; each pause is longer, until it ran steadily."""
        if run.state == "waiting":
            return
        if now - run.started > STEADY_SECONDS:
            run.pause = FIRST_PAUSE_SECONDS
        run.state, run.next_start = "waiting", now + run.pause
        run.pause = min(run.pause * 2, LONGEST_PAUSE_SECONDS)
        run.restarts += 1
        self._report(run.child.name, run.state)

    def _ready_before(self, run: _Run) -> bool:
        """Within a group, the order of the first start holds."""
        members = [other for other in self._runs if run.child.group is not None and other.child.group == run.child.group]
        return all(other.state == "ready" for other in members[: members.index(run)] if other is not run) if members else True

    def ask_to_stop(self) -> None:
        """Let ``watch`` return; safe in a signal handler."""
        self._stop.set()

    def stop(self, grace_seconds: float = 10.0) -> None:
        """End all processes, the last started first: SIGTERM, and SIGKILL for what is left after the grace time."""
        self._stop.set()
        for run in reversed(self._runs):
            run.signal(signal.SIGTERM)
        end = time.monotonic() + grace_seconds
        for run in reversed(self._runs):
            if run.process is not None:
                run.end(max(end - time.monotonic(), 0.05))
            run.state = "stopped"
            self._report(run.child.name, run.state)


def _not_started(run: _Run, finding: str) -> Refused:
    return refuse(
        "V-CHILD",
        run.child.name,
        "Every process of a node starts",
        finding,
        f"look into {run.log} for the reason, mend it, start again",
    )

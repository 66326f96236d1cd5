"""One supervisor for a centre or a hospital: starts its processes in order, restarts what dies or freezes, stops all.

Every process is started in a session of its own (a Ctrl-C on the terminal reaches the supervisor alone), on a leash (it
dies with the supervisor, whatever kills that), with what it prints in a file of its own. Nothing is stopped by name or
pattern: only by the handle with which it was started.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from wardround.errors import Refused, refuse
from wardround.supervision.child import Child, ChildState
from wardround.supervision.printed import SUFFIX, rotate
from wardround.supervision.running import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, Running

WATCH_SECONDS = 0.2
ROTATE_SECONDS = 5.0
"""How often the sizes of what the processes print are looked at."""
GROUP_GRACE_SECONDS = 5.0


class Supervisor:
    """Keeps some processes running until it is told to stop."""

    def __init__(self, children: Sequence[Child], logs: Path, report: Callable[[str, ChildState], None]) -> None:
        """Take the processes in the order of their start, the folder of what they print, and who is told of changes."""
        logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._runs = [Running(child, logs / f"{child.name}{SUFFIX}") for child in children]
        self._report = report
        self._stop = threading.Event()
        self._rotated = time.monotonic()

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

    def _await_ready(self, run: Running) -> None:
        begun = time.monotonic()
        end = begun + run.child.patience_seconds
        self._report(run.child.name, run.state)
        while not self._stop.is_set():
            status = run.ended()
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

    def _try_again(self, run: Running, status: int, begun: float) -> None:
        """Start a process again that ended before it was ready, as long as its patience allows."""
        child, passed = run.child, time.monotonic() - begun
        if child.patient_note is None or passed > child.patience_seconds or not child.patient(passed):
            raise run.child.explain(status) or _not_started(run, f"it ended with status {status}")
        if run.restarts == 0:
            _say(run, child.patient_note)
        run.restarts += 1
        run.state = "waiting"
        self._report(run.child.name, run.state)
        self._stop.wait(min(run.pause, max(child.patience_seconds - passed, FIRST_PAUSE_SECONDS)))
        run.pause = min(run.pause * 2, LONGEST_PAUSE_SECONDS)
        if not self._stop.is_set():
            run.start()

    def watch(self, beat: Callable[[], None] = lambda: None) -> None:
        """Restart what dies or freezes, with growing pauses and without ever giving up, until ``ask_to_stop``.

        Args:
            beat: called again and again, as long as this loop runs.
        """
        while not self._stop.wait(WATCH_SECONDS):
            beat()
            for run in self._runs:
                self._look_after(run)
            if time.monotonic() - self._rotated > ROTATE_SECONDS:
                self._rotated = time.monotonic()
                for run in self._runs:
                    rotate(run.printed)

    def _look_after(self, run: Running) -> None:
        now = time.monotonic()
        if run.state == "waiting":
            if now >= run.next_start and self._ready_before(run):
                self._start_again(run)
            return
        status = run.ended()
        if status is not None:
            told = run.child.explain(status)
            why = "" if told is None else f" ({', '.join(f'{each.code}: {each.finding}' for each in told.problems)})"
            self._rest(run, now, f"it ended with status {status}{why}")
            self._rest_group(run, now)
        elif (silence := run.frozen()) is not None:
            _say(run, f"it has given no sign of life for {silence:.0f} seconds; it is killed")
            run.signal(signal.SIGKILL)  # its end is seen at the next look
        elif run.state == "starting" and run.child.ready():
            run.state = "ready"
            self._report(run.child.name, run.state)

    def _start_again(self, run: Running) -> None:
        try:
            run.start()
        except OSError as error:  # no process, file or memory left on this machine: the others must not end for it
            self._rest(run, time.monotonic(), f"it cannot be started ({type(error).__name__})")
        else:
            self._report(run.child.name, run.state)

    def _rest(self, run: Running, now: float, why: str) -> None:
        pause = run.rest(now)
        _say(run, f"{why}; it starts again in {pause:.1f} seconds")
        self._report(run.child.name, run.state)

    def _rest_group(self, run: Running, now: float) -> None:
        """Stop those who live and die with a process that ended."""
        for other in self._members(run):
            if other is not run:
                other.end(GROUP_GRACE_SECONDS)
                if other.state != "waiting":
                    self._rest(other, now, f"it starts anew with {run.child.name}")

    def _members(self, run: Running) -> list[Running]:
        return [other for other in self._runs if run.child.group is not None and other.child.group == run.child.group]

    def _ready_before(self, run: Running) -> bool:
        """Within a group, the order of the first start holds."""
        members = self._members(run)
        return all(other.state == "ready" for other in members[: members.index(run)]) if members else True

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


def _say(run: Running, text: str) -> None:
    """Tell whoever reads what the supervisor prints (systemd's journal)."""
    with suppress(OSError):  # nobody who reads, or a full disk, must not end the processes that work
        print(f"{run.child.name}: {text}", flush=True)  # noqa: T201  (a service's own line)


def _not_started(run: Running, finding: str) -> Refused:
    return refuse(
        "V-CHILD",
        run.child.name,
        "Every process of a node starts",
        finding,
        f"look into logs/{run.printed.name} for the reason, mend it, start again",
    )

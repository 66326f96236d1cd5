"""The demonstration's terminals: where its people type the commands of hospitals and centre, and leave services running.

Every command is ``python -m wardround ...`` in a process of its own, in a session of its own (a Ctrl-C reaches the
demonstration alone) and on a leash (it ends with the demonstration, whatever ends that), with its output in a log of its
own. Everything is stopped by the handle with which it was started.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import NoReturn, Self, TypeAlias

from wardround.errors import CATALOGUE, Problem, Refused, refuse

UP = " is up"
"""What a service says when all of its processes are ready."""
COMMAND_SECONDS = 120.0
UP_SECONDS = 180.0
STOP_SECONDS = 15.0
"""After this long, what was asked to end is killed; longer than a service gives its own processes."""
LOOK_SECONDS = 0.05
CODE = re.compile(r"\b[A-Z]-[A-Z0-9]+\b")

Words: TypeAlias = Sequence[str | Path]


@dataclass(frozen=True)
class Terminal:
    """One command that was typed, and where its output goes."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        """What it has printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def fault(self, finding: str) -> Refused:
        """Give the error that this command or service has failed, with the codes that it printed itself."""
        codes = sorted({code for code in CODE.findall(self.said) if code in CATALOGUE})
        return refuse(
            "V-CHILD",
            self.name,
            "Every command and every service of the demonstration does its work",
            finding + (f" and said {', '.join(codes)}" if codes else ""),
            f"look into {self.log} for the reason",
        )


class Terminals:
    """All terminals of a demonstration; leaving the block stops whatever still runs in them."""

    def __init__(self, logs: Path) -> None:
        """Take the folder of the logs; it is made."""
        self._logs = logs
        self._services: list[Terminal] = []
        self._commands: list[Terminal] = []
        self._handlers: dict[int, object] = {}

    def __enter__(self) -> Self:
        """Begin; from here on, being told to end is the same as Ctrl-C."""
        self._logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGHUP):
                self._handlers[number] = signal.signal(number, _interrupt)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop everything."""
        with _undisturbed():
            self.stop()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal gave

    def type(self, lines: Mapping[str, Words]) -> None:
        """Run some commands side by side, each named for its log, and wait for all of them.

        Raises:
            Refused: V-CHILD for every one that fails or does not end, or for a service that has ended meanwhile.
        """
        typed = [self._open(name, words, self._commands) for name, words in lines.items()]
        end = time.monotonic() + COMMAND_SECONDS
        problems = [problem for each in typed for problem in _ended(each, end)]
        if problems:
            raise Refused(problems)
        for each in typed:
            self._commands.remove(each)
        self.require_all()

    def leave_running(self, name: str, *words: str | Path) -> None:
        """Start a service and do not wait for it."""
        self._open(name, words, self._services)

    def await_up(self) -> None:
        """Wait until every service says that it is up.

        Raises:
            Refused: V-CHILD as soon as one has ended, or when one takes too long.
        """
        end = time.monotonic() + UP_SECONDS
        for service in self._services:
            while UP not in service.said:
                self.require_all()
                if time.monotonic() > end:
                    raise service.fault(f"it was not up after {UP_SECONDS:.0f} seconds")
                time.sleep(LOOK_SECONDS)

    def require_all(self) -> None:
        """See that every service still runs.

        Raises:
            Refused: V-CHILD when one has ended.
        """
        for service in self._services:
            status = service.process.poll()
            if status is not None:
                raise service.fault(f"it ended with status {status}")

    def stop(self) -> None:
        """End everything that still runs: all are asked at once, and what does not end in time is killed."""
        running = [each.process for each in (*self._commands, *self._services)]
        for process in running:
            if process.poll() is None:
                process.terminate()
        end = time.monotonic() + STOP_SECONDS
        for process in running:
            try:
                process.wait(max(end - time.monotonic(), LOOK_SECONDS))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._commands.clear()
        self._services.clear()

    def _open(self, name: str, words: Words, among: list[Terminal]) -> Terminal:
        log = self._logs / f"{name}.log"
        leash = [sys.executable, "-m", "wardround.supervision.leash", str(os.getpid()), "--"]
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            process = subprocess.Popen(  # noqa: S603  (our own command lines)
                [*leash, sys.executable, "-m", "wardround", *(str(word) for word in words)],
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
                start_new_session=True,
            )
        finally:
            os.close(descriptor)
        among.append(Terminal(name, process, log))
        return among[-1]


def _ended(terminal: Terminal, end: float) -> Sequence[Problem]:
    try:
        status = terminal.process.wait(max(end - time.monotonic(), LOOK_SECONDS))
    except subprocess.TimeoutExpired:
        return terminal.fault(f"it had not ended after {COMMAND_SECONDS:.0f} seconds").problems
    return terminal.fault(f"it ended with status {status}").problems if status else ()


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Finish the stopping, even if somebody is impatient with Ctrl-C: it takes seconds."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)

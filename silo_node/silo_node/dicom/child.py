"""A process that looks at hostile files for another one: both ends of it.

whoever asks ──one line a question──> child (``serve``) ──one line an answer──> whoever asks (``Child``)
                                        └─ gone, or silent for too long: ended, and the next question gets a new one

Decoders are C, and files are hostile: whatever crashes, hangs or eats memory does so in the child, alone. What it prints goes
nowhere: it may hold what a file holds. It has no network; it may read the files that whoever asks may read.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Final, Self

from silo_node.training.network import cut_network
from wardround.supervision.no_dump import no_core_dumps

MEMORY_BYTES: Final = 2 * 1024**3
"""That a child may hold."""

SECONDS_TO_START: Final = 60.0

ABANDONED_SECONDS: Final = 120
"""After which a child ends itself over one question: whoever asked would have ended it long before, and is gone."""

READY: Final = b"ready\n"
"""What a child says first."""

LONGEST_ANSWER: Final = 64 * 1024

_PASSED_ON: Final = ("PATH", "LD_LIBRARY_PATH", "LANG", "TMPDIR")
_ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True)
class _Running:
    """The process, and both ways of talking to it."""

    process: subprocess.Popen[bytes]
    asked: IO[bytes]
    answers: IO[bytes]

    def answer(self, seconds: float) -> bytes:
        """Give the line that comes back in time; empty where none does, or the process is gone."""
        line, end = b"", time.monotonic() + seconds
        while not line.endswith(b"\n") and len(line) < LONGEST_ANSWER:
            ready, _, _ = select.select([self.answers], [], [], max(end - time.monotonic(), 0.0))
            part = self.answers.read(LONGEST_ANSWER) if ready else b""
            if not part:
                return b""
            line += part
        return line


class Child:
    """One process that answers, and the next one when that is gone."""

    def __init__(self, module: str, memory_bytes: int = MEMORY_BYTES) -> None:
        """Begin; no process is started before there is a question.

        Args:
            module: that is run as a program, and serves.
            memory_bytes: the most that the process may hold.
        """
        self._module = module
        self._memory_bytes = memory_bytes
        self._running: _Running | None = None

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End the process."""
        self._end()

    def ask(self, question: bytes, seconds: float) -> bytes:
        """Give the line that is answered, with its end; empty where the process was gone, or silent for too long.

        Raises:
            RuntimeError: the process does not start.
        """
        running = self._started()
        answer = b""
        with suppress(BrokenPipeError):
            running.asked.write(question)
            answer = running.answer(seconds)
        if not answer:
            self._end()
        return answer

    def _started(self) -> _Running:
        if self._running is None:
            process = subprocess.Popen(  # noqa: S603  (ourselves)
                [sys.executable, "-P", "-m", self._module, str(self._memory_bytes)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                env={**{name: os.environ[name] for name in _PASSED_ON if name in os.environ}, **_ONE_THREAD},
            )
            assert process.stdin is not None  # noqa: S101  (both are pipes)
            assert process.stdout is not None  # noqa: S101
            self._running = _Running(process, process.stdin, process.stdout)
            if self._running.answer(SECONDS_TO_START) != READY:
                self._end()
                msg = "the process that decodes does not start"
                raise RuntimeError(msg)
        return self._running

    def _end(self) -> None:
        if self._running is not None:
            self._running.process.kill()
            self._running.process.wait()
            self._running.asked.close()
            self._running.answers.close()
            self._running = None


def serve(memory_bytes: int, answer: Callable[[bytes], bytes]) -> None:
    """Be the child: answer until standard input ends, without a network, as the trainer is. Before any thread is started."""
    cut_network()
    no_core_dumps()
    answers = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    with suppress(ValueError, OSError):  # the system's own limit may be lower already
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    os.write(answers, READY)
    for line in sys.stdin.buffer:
        signal.alarm(ABANDONED_SECONDS)
        os.write(answers, answer(line))
        signal.alarm(0)

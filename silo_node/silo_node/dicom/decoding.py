"""Whether pixels decode, found out by doing so: in a process of its own that may crash, hang or run out of memory.

check ──one line a file──> trial (``silo_node.dicom.trial``) ──one byte a file──> check
                             └─ gone, or silent for too long: ended, D-CRASH, and a new one goes on with the next file
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Literal, Self, TypeAlias

from silo_node.dicom.instance import Instance
from silo_node.dicom.trial import DECODED, READY, TEXT, UNDECODABLE, question

SECONDS_AN_IMAGE: Final = 2.0
"""That decoding may take; a file of many frames has as many images."""

SECONDS_A_FILE: Final = 60.0
"""At most, however many frames a file says that it has."""

SECONDS_TO_START: Final = 60.0

MEMORY_BYTES: Final = 2 * 1024**3
"""That the trial may hold."""

Fault: TypeAlias = Literal["D-DECODE", "D-CRASH", "D-BURNED"]
"""Pixels do not decode; they ended their decoder, or kept it too long; they look as if text were burned in."""

_FAULTS: Final[dict[bytes, Fault | None]] = {DECODED: None, UNDECODABLE: "D-DECODE", TEXT: "D-BURNED"}
_PASSED_ON: Final = ("PATH", "LD_LIBRARY_PATH", "LANG", "TMPDIR")
_ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True)
class _Running:
    """The process, and both ways of talking to it."""

    process: subprocess.Popen[bytes]
    asked: IO[bytes]
    answers: IO[bytes]

    def answer(self, seconds: float) -> bytes:
        """Give the byte that comes back in time; empty where none does, or the process is gone."""
        ready, _, _ = select.select([self.answers], [], [], seconds)
        return self.answers.read(1) if ready else b""


class Trial:
    """One process that decodes, and the next one when that is gone."""

    def __init__(self, folder: Path, memory_bytes: int = MEMORY_BYTES, seconds: float = SECONDS_AN_IMAGE) -> None:
        """Begin; no process is started before there is a file.

        Args:
            folder: that the files lie in.
            memory_bytes: the most that the process may hold.
            seconds: that an image may take.
        """
        self._folder = folder.absolute()
        self._memory_bytes = memory_bytes
        self._seconds = seconds
        self._running: _Running | None = None

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End the process."""
        self._end()

    def fault(self, instance: Instance) -> Fault | None:
        """Decode one file, and say what is wrong with its pixels; ``None`` where nothing is.

        Raises:
            RuntimeError: the process does not start.
        """
        running = self._started()
        answer = b""
        with suppress(BrokenPipeError):
            running.asked.write(question(self._folder, instance))
            answer = running.answer(min(self._seconds * max(instance.pixels.frames or 1, 1), SECONDS_A_FILE))
        if not answer:
            self._end()
            return "D-CRASH"
        return _FAULTS[answer]

    def _started(self) -> _Running:
        if self._running is None:
            process = subprocess.Popen(  # noqa: S603  (ourselves)
                [sys.executable, "-P", "-m", "silo_node.dicom.trial", str(self._memory_bytes)],
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


def faults(
    folder: Path,
    images: Iterable[Instance],
    progress: Callable[[int], None] = lambda _done: None,
    memory_bytes: int = MEMORY_BYTES,
) -> dict[str, Fault]:
    """Decode images one after the other; give what is wrong, by file."""
    found: dict[str, Fault] = {}
    with Trial(folder, memory_bytes) as trial:
        for done, image in enumerate(images, 1):
            fault = trial.fault(image)
            if fault is not None:
                found[image.file] = fault
            progress(done)
    return found

"""One supervisor for one directory: the lock that says who runs there, what it says of itself, and how it is stopped."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Self

from pydantic import ValidationError

from wardround.canonical import canonical_bytes, model_json
from wardround.errors import Refused, refuse
from wardround.files import write_atomic
from wardround.supervision.supervisor import Child, ChildState, Supervisor
from wardround.values import Value

LOCK = "supervisor.lock"
STATE = "supervisor.json"
STOP_SECONDS = 30.0


class ProcessState(Value):
    """One process of a house."""

    name: str
    state: ChildState


class HouseState(Value):
    """What a supervisor says of itself: since when it runs (UTC), and how its processes are."""

    since: str
    processes: tuple[ProcessState, ...]


LOCK_TRIES = 5
LOCK_PAUSE_SECONDS = 0.05


def _taken(file: int) -> bool:
    """Take a lock; somebody who only looks at who runs holds it for a moment, which is waited out."""
    for _ in range(LOCK_TRIES):
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(LOCK_PAUSE_SECONDS)
    return False


class Lock:
    """The right to run in a directory: held by a process, gone with it, however it ends."""

    def __init__(self, folder: Path, place: str) -> None:
        """Take it.

        Raises:
            Refused: V-RUNNING when somebody runs there.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        if not _taken(self._file):
            os.close(self._file)
            raise refuse(
                "V-RUNNING",
                place,
                "One supervisor runs in a directory",
                "there is one already",
                "stop it first, or look at its status",
            )
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, str(os.getpid()).encode(), 0)

    def __enter__(self) -> Self:
        """Hold it for a block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give it back."""
        os.close(self._file)


def holder(folder: Path) -> int | None:
    """Give the process id of who runs in a directory; None when nobody does, whatever an old file says."""
    try:
        file = os.open(folder / LOCK, os.O_RDWR)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        text = os.pread(file, 20, 0).decode(errors="replace")
        return int(text) if text.isdigit() else None
    finally:
        os.close(file)
    return None


def read_state(folder: Path) -> HouseState | None:
    """Give what the supervisor of a directory says of itself; None when nobody runs there."""
    if holder(folder) is None:
        return None
    try:
        return HouseState.model_validate_json((folder / STATE).read_bytes())
    except (OSError, ValidationError):
        return None


def run_house(
    folder: Path,
    logs: Path,
    place: str,
    children: Sequence[Child],
    announce: str,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Run some processes in the foreground until SIGTERM or Ctrl-C.

    Args:
        folder: for the lock and the state.
        logs: for the processes' own output.
        place: names the directory in messages.
        children: in the order of their start.
        announce: printed, as a line, when all are ready.
        check: asked before anything starts, once it is sure that nobody else runs there.

    Raises:
        Refused: V-RUNNING, V-CHILD, what the check says, or what a child explains; nothing is left running.
    """
    with Lock(folder, place):
        check()
        since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        states: dict[str, ChildState] = {child.name: "stopped" for child in children}

        def report(name: str, state: ChildState) -> None:
            states[name] = state
            processes = tuple(ProcessState(name=each, state=now) for each, now in states.items())
            with suppress(Refused):  # a full disk must not end the processes that work
                write_atomic(
                    folder / STATE, canonical_bytes(model_json(HouseState(since=since, processes=processes))), mode=0o600
                )

        supervisor = Supervisor(children, logs, report)

        def stop(_number: int, _frame: FrameType | None) -> None:
            supervisor.ask_to_stop()

        previous = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            supervisor.start()
            print(announce, flush=True)  # noqa: T201  (the one line of a service that is up)
            supervisor.watch()
        finally:
            supervisor.stop()
            for number, handler in previous.items():
                signal.signal(number, handler)
            (folder / STATE).unlink(missing_ok=True)


def stop_house(folder: Path, place: str) -> None:
    """Ask the supervisor of a directory to stop, and wait until it has.

    Raises:
        Refused: V-STOPPED when nobody runs there; V-CHILD when it does not stop in time.
    """
    process = holder(folder)
    if process is None:
        raise refuse("V-STOPPED", place, "Only what runs can be stopped", "nothing runs in this directory", "start it first")
    os.kill(process, signal.SIGTERM)
    end = time.monotonic() + STOP_SECONDS
    while holder(folder) is not None:
        if time.monotonic() > end:
            raise refuse("V-CHILD", place, "A supervisor stops when it is asked to", "it still runs", "look into its logs")
        time.sleep(0.1)

"""One supervisor for one directory: what it says of itself to people, to programs and to systemd, and how it is stopped."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from pydantic import ValidationError

from wardround.canonical import model_bytes
from wardround.errors import Refused, refuse
from wardround.files import write_atomic
from wardround.supervision.child import Child, ChildState
from wardround.supervision.lock import Holder, Lock, holder
from wardround.supervision.no_dump import no_core_dumps
from wardround.supervision.notify import Notifier
from wardround.supervision.supervisor import Supervisor
from wardround.values import Value, instant

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

    def __str__(self) -> str:
        """Give how the processes are, in a line."""
        return ", ".join(f"{each.name} {each.state}" for each in self.processes)


class _Sign:
    """The door sign of a house: its state on disk, and what systemd is told."""

    def __init__(self, folder: Path, children: Sequence[Child]) -> None:
        self._path = folder / STATE
        self._since = instant(datetime.now(UTC))
        self._states: dict[str, ChildState] = {child.name: "stopped" for child in children}
        self.notifier = Notifier()

    def report(self, name: str, state: ChildState) -> None:
        self._states[name] = state
        processes = tuple(ProcessState(name=each, state=now) for each, now in self._states.items())
        house = HouseState(since=self._since, processes=processes)
        with suppress(Refused):  # a full disk must not end the processes that work
            write_atomic(self._path, model_bytes(house), mode=0o600)
        self.notifier.tell(STATUS=str(house))

    def remove(self) -> None:
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


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
        logs: for what the processes print.
        place: names the directory in messages.
        children: in the order of their start.
        announce: printed, as a line, when all are ready.
        check: asked before anything starts, once it is sure that nobody else runs there.

    Raises:
        Refused: V-RUNNING, V-CHILD, what the check says, or what a child explains; nothing is left running.
    """
    no_core_dumps()
    with Lock(folder, place) as lock:
        if lock.left is not None:
            _warn_of(lock.left, place)
        check()
        sign = _Sign(folder, children)
        supervisor = Supervisor(children, logs, sign.report)

        def stop(_number: int, _frame: FrameType | None) -> None:
            supervisor.ask_to_stop()

        previous = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            supervisor.start()
            sign.notifier.tell(READY="1")
            print(announce, flush=True)  # noqa: T201  (the one line of a service that is up)
            supervisor.watch(sign.notifier.beat)
        finally:
            sign.notifier.tell(STOPPING="1")
            supervisor.stop()
            for number, handler in previous.items():
                signal.signal(number, handler)
            sign.remove()


def _warn_of(left: Holder, place: str) -> None:
    print(  # noqa: T201  (for the person or the journal that started this)
        f"warning: {place} was last held by {left}; if that still runs on a disk shared with this machine, stop one of the two",
        flush=True,
    )


def stop_house(folder: Path, place: str) -> None:
    """Ask the supervisor of a directory to stop, and wait until it has.

    Raises:
        Refused: V-STOPPED when nobody runs there; V-RUNNING when it runs on another machine; V-CHILD when it does not
            stop in time.
    """
    found = holder(folder)
    if found is None:
        raise refuse("V-STOPPED", place, "Only what runs can be stopped", "nothing runs in this directory", "start it first")
    if not found.here:
        raise refuse(
            "V-RUNNING", place, "A supervisor is stopped on its own machine", f"{found} runs here", f"stop it on {found.host}"
        )
    os.kill(found.process, signal.SIGTERM)
    end = time.monotonic() + STOP_SECONDS
    while holder(folder) is not None:
        if time.monotonic() > end:
            raise refuse(
                "V-CHILD",
                place,
                "A supervisor stops when it is asked to",
                f"process {found.process} still runs",
                "look into its logs",
            )
        time.sleep(0.1)

"""What a supervisor is told of each of its processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from wardround.errors import Refused
from wardround.supervision.pulse import Pulse

ChildState = Literal["starting", "ready", "waiting", "stopped"]


@dataclass(frozen=True)
class Child:
    """One process.

    Attributes:
        name: for people, and for the file of what it prints.
        command: program and arguments.
        environment: on top of the supervisor's own, or in its place if ``whole_environment``.
        ready: says whether it does its work by now; asked until it does.
        patience_seconds: how long it may take to become ready at the first start.
        explain: turns an exit status (0 at the first start: it runs, but is not ready) into an error for people, where it can.
        group: processes of one group live and die together: when one ends, the others are stopped, and all start anew.
        folder: where it runs (short relative paths, for sockets).
        patient_note: told once when it ends during its patience and is started again; None: its end is an error at once.
        patient: asked at such an end, with the seconds since its first start: whether it is worth starting again.
        before: done before every start, such as removing a file by which the process says that it is ready.
        pulse: the sign that it gives while it is not frozen; a process whose sign stops is killed, and starts anew.
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
    pulse: Pulse | None = None

"""The lines of a doctor: one for each thing that was looked at, each with its state and the next step.

A check is a small function that gives lines. Whatever it raises becomes a line, and it is waited for no longer than its
seconds: a doctor always ends, and never with a trace.
"""

from __future__ import annotations

import os
import queue
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from rich.console import Console
from rich.markup import escape

from wardround.canonical import model_json
from wardround.console import DEBUG_VARIABLE, print_json, terminal
from wardround.errors import EXIT_DONE, EXIT_NOT_IN_ORDER, Problem, Refused, sentence
from wardround.values import Value

State: TypeAlias = Literal["ok", "warn", "fail", "skipped"]
"""``skipped``: it could not be looked at, or there is nothing to look at yet; the finding says why."""
SECONDS = 10.0
"""How long a check may take, where it says nothing else."""
NAME_WIDTH = 19
COLOURS: dict[State, str] = {"ok": "green", "warn": "bold yellow", "fail": "bold red", "skipped": "dim"}


class Line(Value):
    """One line.

    Attributes:
        name: what was looked at.
        finding: what was found, in a few words: no value of a record, no secret.
        next_step: what the reader can do now; there is one whenever something can be done.
        code: the error that a command would end with, where there is one.
    """

    name: str
    state: State
    finding: str
    next_step: str | None = None
    code: str | None = None


@dataclass(frozen=True)
class Check:
    """One thing to look at.

    Attributes:
        name: of the line that tells that it failed or took too long.
        look: gives the lines.
        seconds: how long it may take.
        late: the state of the line when it takes longer.
    """

    name: str
    look: Callable[[], Iterable[Line]]
    seconds: float = SECONDS
    late: State = "fail"


@dataclass(frozen=True)
class Examination:
    """All lines, and the seconds that it took."""

    lines: tuple[Line, ...]
    seconds: float

    @property
    def exit_status(self) -> int:
        """1 when any line fails: then something will not work."""
        return EXIT_NOT_IN_ORDER if any(line.state == "fail" for line in self.lines) else EXIT_DONE

    @property
    def counts(self) -> dict[State, int]:
        """How many lines of each state there are."""
        found = Counter(line.state for line in self.lines)
        return {state: found[state] for state in get_args(State)}


def examine(checks: Iterable[Check], told: Callable[[Line], None] = lambda _line: None) -> Examination:
    """Do some checks, one after the other; each line is told as soon as it is known."""
    begun = time.monotonic()
    lines: list[Line] = []
    for check in checks:
        for line in bounded(check):
            lines.append(line)
            told(line)
    return Examination(tuple(lines), time.monotonic() - begun)


def bounded(check: Check) -> tuple[Line, ...]:
    """Do one check, within its seconds; what it leaves hanging ends with the process."""
    answer: queue.SimpleQueue[tuple[Line, ...]] = queue.SimpleQueue()
    threading.Thread(target=lambda: answer.put(_safely(check)), name=check.name, daemon=True).start()
    try:
        return answer.get(timeout=check.seconds)
    except queue.Empty:
        next_step = "see what holds this machine up (disk, network, name server), then run the doctor again"
        return (
            Line(name=check.name, state=check.late, finding=f"no answer in {check.seconds:.0f} seconds", next_step=next_step),
        )


def _safely(check: Check) -> tuple[Line, ...]:
    found: list[Line] = []
    try:
        found.extend(check.look())
    except Refused as error:
        found.extend(refused(check.name, error))
    except Exception as error:  # noqa: BLE001  (a choke point: a doctor ends with a line, not with a trace)
        if os.environ.get(DEBUG_VARIABLE) == "1":
            traceback.print_exc()
        found.append(_bug(check.name, error))
    return tuple(found)


def refused(name: str, error: Refused, state: State = "fail") -> Iterator[Line]:
    """Give a refusal's problems as lines."""
    for problem in error.problems:
        yield of_problem(name, problem, state)


def of_problem(name: str, problem: Problem, state: State = "fail") -> Line:
    """Give one problem as a line."""
    finding = f"{problem.place}: {problem.finding}"
    return Line(name=name, state=state, finding=finding, next_step=problem.next_step, code=problem.code)


def _bug(name: str, error: Exception) -> Line:
    """Name an unexpected error by its type and the place in our own code; its text may hold anything, and is not shown."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
    return Line(
        name=name,
        state="fail",
        finding=f"an unexpected {type(error).__name__} at {place}",
        next_step=f"run the command again with {DEBUG_VARIABLE}=1 to see the trace on this terminal, and report it without "
        "patient data",
        code="X-BUG",
    )


def run_doctor(checks: Sequence[Check], form: str) -> int:
    """Do the checks and report them, for people line by line or as one JSON object; gives the exit status."""
    if form == "json":
        done = examine(checks)
        print_json(
            {
                "in_order": done.exit_status == EXIT_DONE,
                "lines": [model_json(line) for line in done.lines],
                "counts": {str(state): number for state, number in done.counts.items()},
                "seconds": round(done.seconds, 1),
            }
        )
        return done.exit_status
    screen = terminal()
    done = examine(checks, lambda line: _tell(screen, line))
    counts = ", ".join(f"{number} {state}" for state, number in done.counts.items() if number)
    screen.print(f"{counts}, in {done.seconds:.1f} seconds.")
    return done.exit_status


def _tell(screen: Console, line: Line) -> None:
    code = "" if line.code is None else f"[bold]{line.code}[/] "
    screen.print(
        f"[{COLOURS[line.state]}]{line.state:7}[/] {escape(line.name.ljust(NAME_WIDTH))}  {code}{escape(sentence(line.finding))}"
    )
    if line.next_step is not None:
        screen.print(f"{'':7} {'':{NAME_WIDTH}}  [dim]Next:[/] {escape(sentence(line.next_step))}")

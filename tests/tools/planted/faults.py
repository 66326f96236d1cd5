"""A process is killed from inside a phase of a study: planted in conductor and trainer, the installed code stays as it is.

PLANTED_FAULT names a JSON file: ``{"study": name, "point": phase, "pid": process, "hit": file}``. Whoever comes to the point
first makes the file ``hit`` and kills the process; there is one kill for each such file. Beside it lies ``trained``: one
line for each training of a hospital that begins, and for each result that was made durable.
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from types import ModuleType
from typing import Any

ROUND = 2
"""The round in which all faults happen, but for the one before the first round."""
MOMENT_SECONDS = 0.2
"""How long the one who killed another process waits before it goes on: the other is dead by then."""


def wanted() -> dict[str, Any] | None:
    """Give the fault that a test wants now, if any."""
    try:
        found: dict[str, Any] = json.loads(Path(os.environ["PLANTED_FAULT"]).read_text())
    except (OSError, ValueError):
        return None
    return found


def reached(point: str) -> None:
    """A study is inside a phase: kill what is to be killed there, once."""
    fault = wanted()
    if fault is None or fault["point"] != point:
        return
    try:
        file = os.open(fault["hit"], os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        return
    os.write(file, point.encode())
    os.fsync(file)
    os.kill(fault["pid"], signal.SIGKILL)
    time.sleep(MOMENT_SECONDS)


def note(**what: object) -> None:
    """Write a line into the file of trainings."""
    with Path(os.environ["PLANTED_FAULT"]).with_name("trained").open("a") as file:
        file.write(json.dumps(what) + "\n")


class Phase:
    """Where the conductor is: the event and round that its journal had last."""

    event = ""
    round = 0


def in_journal(module: ModuleType) -> None:
    """The phases that the journal shows: before the first round, between replies, closing the sum, between rounds."""
    write, clear = module.DiskJournal.write, module.DiskJournal.clear_spool

    def writing(journal: object, entry: Any) -> None:
        write(journal, entry)
        Phase.event = entry.event
        if entry.event == "opened":
            Phase.round = entry.core.round if entry.core.purpose == "round" else 0
            if entry.core.purpose == "statistics":
                reached("before first round")
        if Phase.round == ROUND and entry.event == "admitted":
            reached("between replies")
        if Phase.round == ROUND and entry.event == "summed":
            reached("closing the sum")

    def clearing(journal: object) -> None:
        clear(journal)
        if Phase.round == ROUND:
            reached("between rounds")

    module.DiskJournal.write, module.DiskJournal.clear_spool = writing, clearing


def in_grid(module: ModuleType) -> None:
    """Sending: one hospital's task is with the transport, the others' are not."""
    push = module.FlowerGrid.push_messages

    def pushing(grid: object, messages: list[Any]) -> list[str]:
        if Phase.round != ROUND or len(messages) < 2:
            return push(grid, messages)
        ids = push(grid, messages[:1])
        reached("sending")
        return [*ids, *push(grid, messages[1:])]

    module.FlowerGrid.push_messages = pushing


def in_files(module: ModuleType) -> None:
    """Writing the model: its file is written beside, and has not its name yet."""
    beside = module._write_beside

    def writing(path: Path, *rest: Any) -> Path:
        written: Path = beside(path, *rest)
        if path.suffix == ".weights" and Phase.round == ROUND and Phase.event == "summed":
            reached("writing the model")
        return written

    module._write_beside = writing


def in_training(module: ModuleType) -> None:
    """Training: some batches of the round are done."""
    train, perform = module.train, module.Trainer._train
    inside: dict[str, Any] = {}

    def performing(trainer: Any, work: Any, *rest: Any) -> Any:
        inside["work"] = work
        note(event="begun", site=trainer._site.file.site, work=work.task.core.work_id())
        return perform(trainer, work, *rest)

    def training(network: Any, examples: Any, settings: Any, loss: Any, seed: int, watch: Any, *rest: Any) -> Any:
        look, looks = watch.look, [0]

        def looking() -> None:
            looks[0] += 1
            if looks[0] == 4 and inside["work"].task.core.round == ROUND:
                reached("training")
            look()

        watch.look = looking
        return train(network, examples, settings, loss, seed, watch, *rest)

    module.Trainer._train, module.train = performing, training


def in_results(module: ModuleType) -> None:
    """A result is on disk."""
    keep = module.Shelf.keep

    def keeping(shelf: Any, work: Any, done: Any) -> None:
        keep(shelf, work, done)
        note(event="durable", site=shelf._site, work=work.task.core.work_id())

    module.Shelf.keep = keeping

"""Notes when our processes do what, without a change to them: Python loads this file at the start of each, by its path.

Every line is JSON: what, begin, end (seconds since 1970), bytes. Only the three processes of ours are stamped, and only
their public functions; what is not there under its name any more is not stamped.
"""

from __future__ import annotations

import functools
import json
import os
import pkgutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOLDER = os.environ.get("BENCHMARK_STAMPS")
PLACES = {
    "coordinator.conductor_process": {
        "push": "wardround.transport.channel:RuntimeChannel.push_messages",
        "pull": "wardround.transport.channel:RuntimeChannel.pull_object",
        "confirm": "wardround.transport.channel:RuntimeChannel.confirm",
        "admit": "coordinator.rounds.visit:admit",
        "add": "wardround.weights.fixed_point:ExactSum.add",
        "step": "wardround.weights.fixed_point:ExactSum.step",
    },
    "silo_node.node_process": {
        "take": "wardround.transport.channel:RuntimeChannel.pull_input",
        "pull": "wardround.transport.channel:RuntimeChannel.pull_object",
        "confirm": "wardround.transport.channel:RuntimeChannel.confirm",
        "visit": "silo_node.porter.porter:Porter.visit",
        "push": "wardround.transport.channel:RuntimeChannel.push_messages",
    },
    "silo_node.training.process": {"work": "silo_node.training.trainer:Trainer.produce"},
}


def _stamped(name: str, function: Callable[..., Any], write: Callable[[str], object]) -> Callable[..., Any]:
    @functools.wraps(function)
    def run(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401  (whatever the function has)
        begun = time.time()
        try:
            return function(*arguments, **named)
        finally:
            write(json.dumps({"what": name, "begin": begun, "end": time.time()}) + "\n")

    return run


def _put(places: dict[str, str], write: Callable[[str], object]) -> None:
    for name, place in places.items():
        module, _, path = place.partition(":")
        owner_path, _, attribute = path.rpartition(".")
        owner = pkgutil.resolve_name(f"{module}:{owner_path}" if owner_path else module)
        function = getattr(owner, attribute, None)
        if function is not None:
            setattr(owner, attribute, _stamped(name, function, write))


class _WhenReady:
    """Puts the stamps in when the process's main module is about to be found: what it does first stays first.

    A trainer cuts its network before it imports torch, so its stamp waits until the trainer's module is there.
    """

    def __init__(self, module: str, write: Callable[[str], object]) -> None:
        self._places, self._write = PLACES[module], write

    def find_spec(self, name: str, *_: object) -> None:
        """Find nothing; look who is being imported."""
        if name in ("silo_node.training.serve", "coordinator.scheduler", "silo_node.porter.bench_client"):
            sys.meta_path.remove(self)
            _put(self._places, self._write)


_module = sys.orig_argv[2] if sys.orig_argv[1:2] == ["-m"] else ""
if FOLDER and _module in PLACES:
    _file = (Path(FOLDER) / f"{_module}-{os.getpid()}.jsonl").open("a", buffering=1)
    sys.meta_path.insert(0, _WhenReady(_module, _file.write))

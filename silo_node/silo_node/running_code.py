"""The code that a node's processes run: measured by each when it starts, and compared with what was approved.

run/trainer.code, run/porter.code     the digest that each measured, for ``wardround silo status``
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Literal, get_args

from wardround.errors import Refused
from wardround.files import write_atomic
from wardround.identity.software import code_digest

OUR_PACKAGES = ("wardround", "wardround_schemas", "silo_node")
SUFFIX = ".code"
Measured = Literal["trainer", "porter"]


def measure(run: Path, process: Measured) -> str:
    """Give the digest of the code that this process is about to run, and leave it for ``changed``."""
    found, path = code_digest(OUR_PACKAGES), run / f"{process}{SUFFIX}"
    with suppress(Refused, OSError):  # a full disk stops no node; without the file nothing is said
        path.unlink(missing_ok=True)
        write_atomic(path, found.encode(), mode=0o600)
    return found


def changed(run: Path) -> tuple[str, ...]:
    """Name the processes that were started from other code than is installed now."""
    now = code_digest(OUR_PACKAGES).encode()
    found = []
    for process in get_args(Measured):
        with suppress(OSError):
            if (run / f"{process}{SUFFIX}").read_bytes() != now:
                found.append(process)
    return tuple(found)

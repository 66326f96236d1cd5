"""Processes for the tests of supervision: sleepers, houses in processes of their own, and waiting for what they do."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from wardround.supervision.child import Child

PATIENCE = 20.0


def eventually(holds, seconds=PATIENCE):
    """Wait until something holds, and give it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = holds()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen")


def alive(process: int) -> bool:
    """Say whether a process is there and no zombie."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{process}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


def sleeper(folder: Path, name: str, first: str = "", **more) -> Child:
    """A process that does something first, writes its id, says that it is ready, and sleeps."""
    code = (
        f"import os,pathlib,time\n{first}\np=pathlib.Path({str(folder / name)!r})\n"
        "p.with_suffix('.new').write_text(str(os.getpid())); p.with_suffix('.new').rename(p); time.sleep(600)"
    )
    return Child(name, [sys.executable, "-c", code], ready=(folder / name).exists, patience_seconds=PATIENCE, **more)


def process_of(folder: Path, name: str) -> int:
    """Give the id that a sleeper wrote."""
    return int(eventually(lambda: (folder / name).exists() and (folder / name).read_text()))


HOUSE = """
import os
import sys
from pathlib import Path
from wardround.errors import Refused
from wardround.supervision.house import run_house
from supervised import sleeper
folder, first = Path(sys.argv[1]), "time.sleep(600)" if os.environ.get("READY") == "never" else ""
try:
    run_house(folder / "run", folder / "logs", "here", [sleeper(folder, name, first) for name in sys.argv[2:]], "up")
except Refused as error:
    sys.exit(str(error))
"""


def house_process(folder: Path, *names: str, **environment: str) -> subprocess.Popen[str]:
    """Start a supervisor of some sleepers in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", HOUSE, str(folder), *names],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent), **environment},
    )


def house(folder: Path, *names: str, **environment: str) -> subprocess.Popen[str]:
    """Start a supervisor of some sleepers in a process of its own, and wait until it is up."""
    process = house_process(folder, *names, **environment)
    assert process.stdout is not None
    line = process.stdout.readline()
    while line.startswith("warning: "):
        line = process.stdout.readline()
    assert line == "up\n"
    return process


def close(process: subprocess.Popen[str]) -> None:
    """End a house for good."""
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()

"""One choke point: whatever a process of a hospital or one of its libraries says of itself ends in its own private files."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

SPEAK = """
import gc, logging, sys, threading, warnings
from pathlib import Path
from silo_node.local_log import keep_everything, open_log

log = open_log(Path(sys.argv[1]), "test")
logging.basicConfig(stream=sys.stdout)  # a library that thinks it may
keep_everything(log)
warnings.warn("TOKEN warning", stacklevel=1)
logging.getLogger("some.library").error("TOKEN library %s", "x" * 10)
logging.getLogger("asyncio").error("TOKEN asyncio")
def fails():
    raise ValueError("TOKEN thread")
thread = threading.Thread(target=fails)
thread.start()
thread.join()
class Loud:
    def __del__(self):
        raise ValueError("TOKEN finaliser")
Loud()
gc.collect()
{end}
"""
ENDS = {"an error": 'raise ValueError("TOKEN main")', "an error of no kind": 'raise BaseException("TOKEN main")'}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_everything_ends_in_the_own_log(tmp_path, end):
    """Warnings, libraries' logs, errors of threads, finalisers and the process itself: lines of one file, mode 0600; the
    terminal gets nothing."""
    done = subprocess.run(
        [sys.executable, "-c", SPEAK.replace("{end}", end), str(tmp_path)],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "default"},
    )
    assert done.returncode == 1
    assert done.stdout + done.stderr == b""
    log = tmp_path / "node.log"
    assert log.stat().st_mode & 0o777 == 0o600
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    for kind in ("warning", "library", "asyncio", "thread", "finaliser", "main"):
        found = [line for line in lines if f"TOKEN {kind}" in line["message"] + line.get("exception", "")]
        assert len(found) == 1, kind
        if kind in ("thread", "main"):
            assert len(found[0]["reference"]) == 9

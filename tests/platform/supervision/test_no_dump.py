"""No core file of a process that holds records or keys, and none of its memory for its neighbours."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource
from wardround.supervision.no_dump import no_core_dumps, not_traced
no_core_dumps()
not_traced()
assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
"""


def run(rest: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", PROGRAM + rest], capture_output=True, text=True, check=True)


def test_no_core_file_of_it_or_of_its_children():
    """The limit is inherited: what a supervisor starts has it, too."""
    inside = "import subprocess\nprint(subprocess.run('ulimit -Hc', shell=True, capture_output=True, text=True).stdout)"
    assert run(inside).stdout.strip() == "0"


@pytest.mark.skipif(sys.platform != "linux", reason="prctl(2) is Linux's")
def test_no_neighbour_traces_it():
    """The kernel holds it for a process whose memory is nobody's: no ptrace, no /proc/PID/mem, for whoever is not root."""
    assert run("import ctypes\nprint(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))").stdout.strip() == "0"

"""A process that is settled works on: its memory and its garbage are looked after as before."""

from __future__ import annotations

import subprocess
import sys

import pytest

SETTLED = """
import gc, resource
from wardround.supervision.settle import reuse_memory, settle
settle(); reuse_memory()
frozen = gc.get_freeze_count()
class Ring: pass
def ring():
    one = Ring(); one.self = one
for _ in range(10): ring()
assert frozen > 1000 and gc.collect() >= 10
"""

FAULTS = """
import resource
from wardround.supervision.settle import reuse_memory
{}
def parts():
    for _ in range(50):
        copies = [bytearray(b"x") * (7 * 2**20) for _ in range(4)]
        copies.clear()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
parts()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def run(program):
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout


def test_what_becomes_garbage_later_is_collected():
    """Only what lived before is left alone."""
    run(SETTLED)


@pytest.mark.skipif(sys.platform != "linux", reason="it is told to glibc, on Linux")
def test_parts_of_weights_use_the_same_memory_again():
    """The kernel is asked for the pages of a few parts, not of hundreds."""
    assert int(run(FAULTS.format("reuse_memory()"))) < 10_000 < int(run(FAULTS.format("")))

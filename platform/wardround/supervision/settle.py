"""Settle a process that has begun and runs for weeks: what it has by now stays, and blocks of memory are used again."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress

KEPT_BYTES = 128 * 2**20
"""How much freed memory at the heap's end is kept at most, and not given back to the kernel."""
OWN_BYTES = 32 * 2**20
"""From this size on, a block is the kernel's own, and goes back whole: models do, parts of them on the way do not."""
RETURNED_BYTES = 2**20
"""From this size on, a block goes back whole where a process's peak counts."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # mallopt(3), glibc


def settle() -> None:
    """Take all objects that live now out of the garbage collector's sight; to be called once, when all is imported.

    A full collection walks every module's objects otherwise, tens of milliseconds each time with torch or Flower loaded,
    several times a round.
    """
    gc.collect()
    gc.freeze()


def return_memory() -> None:
    """Give every freed block of a part of weights back to the kernel at once, in a process whose peak counts more than its pace.

    glibc else learns to keep them, in a heap that grows with every reply whose parts lie between others.
    """
    _tell_malloc(_M_MMAP_THRESHOLD, RETURNED_BYTES)


def reuse_memory() -> None:
    """Keep some freed memory for the next parts of weights, in a process that passes them on.

    Parts of a few MiB are else asked from the kernel and given back for every copy: it hands out empty pages one by one,
    which takes longer than the copy. Does nothing with another C library than glibc.
    """
    _tell_malloc(_M_TRIM_THRESHOLD, KEPT_BYTES)
    _tell_malloc(_M_MMAP_THRESHOLD, OWN_BYTES)


def _tell_malloc(parameter: int, value: int) -> None:
    with suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).mallopt(parameter, value)

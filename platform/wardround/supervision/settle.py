"""Settle a process that has begun and runs for weeks: what it has by now stays, and blocks of memory are used again."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress

KEPT_BYTES = 128 * 2**20
"""How much freed memory at the heap's end is kept at most, and not given back to the kernel."""
OWN_BYTES = 32 * 2**20
"""From this size on, a block is the kernel's own, and goes back whole: models do, parts of them on the way do not."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # mallopt(3), glibc


def settle() -> None:
    """Take all objects that live now out of the garbage collector's sight; to be called once, when all is imported.

    A full collection walks every module's objects otherwise, tens of milliseconds each time with torch or Flower loaded,
    several times a round.
    """
    gc.collect()
    gc.freeze()


def reuse_memory() -> None:
    """Keep some freed memory for the next parts of weights, in a process that passes them on.

    Parts of a few MiB are else asked from the kernel and given back for every copy: it hands out empty pages one by one,
    which takes longer than the copy. Does nothing with another C library than glibc.
    """
    with suppress(AttributeError, OSError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
        libc.mallopt(_M_MMAP_THRESHOLD, OWN_BYTES)

"""Keep what a process holds in memory out of core dumps and of its neighbours' hands: records and keys are there."""

from __future__ import annotations

import ctypes
import resource
import sys

_PR_SET_DUMPABLE = 4  # prctl(2)


def no_core_dumps() -> None:
    """Have the kernel write no core file of this process or of those that it starts; only root can allow it again."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def not_traced() -> None:
    """Have the kernel let no other process of this user read this one's memory, trace it, or dump it to a handler.

    Linux alone has it, and elsewhere this does nothing. What of /proc is then root's, such as its own open files, the process
    itself may still read, but not write.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)

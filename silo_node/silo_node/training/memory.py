"""The trainer's memory limit: what the kernel counts, and what running into it becomes.

The limit is RLIMIT_DATA (setrlimit(2), Linux 4.7 and newer). The kernel counts this process's private writable memory:
the heap, what torch, NumPy and polars ask for, and the stacks of threads, whether touched by now or not; not program
code, not files that are mapped for reading, not memory that is shared. It is set when the libraries are warm and counts
them, too. Elsewhere than on Linux nothing is limited.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import logging
import resource
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from silo_node.work import NotDone

NO_ROOM_STATUS = 70
"""Exit status of a trainer whose libraries do not fit under its limit."""
NO_DEVICE_STATUS = 71
"""Exit status of a trainer that lacks the device that the site file names."""
ROOM_BYTES = 128 * 2**20
"""What a limit leaves for records and weights at least, or it is none that anybody can work under."""
MIB = 2**20
_WORDS = ("can't allocate memory", "not enough memory", "out of memory", "std::bad_alloc", "could not create a memory")
"""What torch's RuntimeErrors say where memory is missing (c10's allocators, oneDNN, C++)."""


class NoRoom(Exception):
    """The limit is smaller than what the libraries and the least of work take."""


def counted_bytes() -> int:
    """Give what the kernel counts for this process now; 0 where it does not say."""
    return _figure(Path("/proc/self/status"), "VmData:") or 0


def available_bytes(limit_bytes: int | None) -> int | None:
    """Give what this process could still take: up to its limit, and what the machine has; None where nobody can tell."""
    found = [] if limit_bytes is None or sys.platform != "linux" else [max(limit_bytes - counted_bytes(), 0)]
    machine = _figure(Path("/proc/meminfo"), "MemAvailable:")
    return min([*found, *([] if machine is None else [machine])], default=None)


def give_back() -> None:
    """Give memory that was freed back to the machine, as far as the C library can (malloc_trim(3), glibc).

    Else a process that once held much seems to need nothing for the next piece of work.
    """
    gc.collect()
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def begin_peak() -> int:
    """Have the kernel begin anew with the peak of what this process holds in memory; gives what it holds now, in bytes.

    Where the kernel does not let it, the peak is that of the whole life of the process: what it held before it needs no
    more than that.
    """
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets the peak resident set size
    return _figure(Path("/proc/self/status"), "VmHWM:") or 0


def peak_bytes() -> int:
    """Give the most that this process held since ``begin_peak``; 0 where the kernel does not say."""
    return _figure(Path("/proc/self/status"), "VmHWM:") or 0


def growth_bytes(work: Callable[[], object]) -> int:
    """Do some work, and give by how much this process grew at its peak; 0 where the kernel does not say."""
    give_back()
    before = begin_peak()
    work()
    return peak_bytes() - before


def _figure(file: Path, name: str) -> int | None:
    """Read a line of kB from one of the kernel's tables, in bytes."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), None)


def limit_memory(limit_bytes: int | None) -> None:
    """Set this process's limit, if there is one; it cannot be raised again.

    Raises:
        NoRoom: when nothing of use would fit under it.
    """
    if limit_bytes is None or sys.platform != "linux":
        return
    if not has_room(limit_bytes):
        raise NoRoom
    resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, limit_bytes))


def has_room(limit_bytes: int | None) -> bool:
    """Say whether something of use still fits: what was dropped need not be given back, in pieces as it may be."""
    return limit_bytes is None or counted_bytes() + ROOM_BYTES <= limit_bytes


def is_out_of_memory(error: BaseException, limit_bytes: int | None = None) -> bool:
    """Say whether an error means that memory is missing: Python's and NumPy's MemoryError, torch's RuntimeError, ENOMEM.

    With less than ``ROOM_BYTES`` left under a limit, any error does, by whatever name: OpenSSL says that it cannot copy
    a context, Python that it cannot start a thread. The limit was set with more than that left.
    """
    if limit_bytes is not None and sys.platform == "linux" and not has_room(limit_bytes):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(words in str(error) for words in _WORDS))


def out_of_memory(log: logging.Logger, limit_bytes: int | None) -> NotDone:
    """Give back what the failed work held, note it in the hospital's own log, and give the code that leaves."""
    gc.collect()
    limit = "there is no limit" if limit_bytes is None else f"the limit is {limit_bytes // MIB} MiB"
    log.warning("a task did not fit into memory; %s, %d MiB are in use without it", limit, counted_bytes() // MIB)
    return NotDone("H-MEMORY")

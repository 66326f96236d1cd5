"""Processes that a benchmark starts, and what /proc says of them. Linux only, like the figures."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
STOP_SECONDS = 30.0
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}


@contextmanager
def processes() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Hold processes that are ended, the last one first, when the block is left, by SIGTERM too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    running: list[subprocess.Popen[bytes]] = []
    try:
        yield running
    finally:
        for process in reversed(running):
            process.terminate()
        for process in reversed(running):
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_port() -> int:
    """Give a port on loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class Memory:
    """Bytes of a process: resident now, and the most since its start or since ``forget_peak``."""

    resident: int
    peak: int


def memory(pid: int | str = "self") -> Memory:
    """Look up a process's memory."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return Memory(*(1024 * int(lines[name].split()[0]) for name in ("VmRSS", "VmHWM")))


def forget_peak(pid: int | str = "self") -> None:
    """Have the peak of a process begin anew from what is resident now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def available_bytes() -> int:
    """Give the memory that the machine could still give away."""
    (line,) = (line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable"))
    return 1024 * int(line.split()[1])


def cpu_seconds(pid: int | str) -> float:
    """Give the CPU seconds of a process so far."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / TICKS


def await_line(process: subprocess.Popen[bytes], log: Path, words: bytes, pause: float = 0.01) -> None:
    """Wait until a process has written something to its log."""
    while words not in log.read_bytes():
        assert process.poll() is None, log.read_text()[-2000:]
        time.sleep(pause)

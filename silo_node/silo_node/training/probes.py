"""Small tries at getting out of this process, and what the kernel says of one: for the trainer's start and the doctor.

Nothing heavy is imported here: the network is cut, and tried, before any thread is started.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from silo_node.training.network import Cut, cut_network

FILTERED = "2"
"""What /proc/PID/status says of ``Seccomp`` where system calls are filtered."""


def kernel_facts(process: int | str = "self") -> Mapping[str, str]:
    """Give what the kernel says of a process (proc(5), status); nothing where it does not say."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def python_gets_out() -> bool:
    """Make a socket by Python, and look a name up."""
    try:
        socket.socket().close()
    except PermissionError:
        pass
    else:
        return True
    try:
        socket.getaddrinfo("localhost", None)
    except PermissionError:
        return False
    except OSError:
        return True
    return True


def native_gets_out(port: int) -> bool:
    """Connect by the C library, which no audit hook of Python sees, to a port of this machine that listens."""
    libc = ctypes.CDLL(None)
    descriptor = libc.socket(int(socket.AF_INET), int(socket.SOCK_STREAM), 0)
    if descriptor < 0:
        return False
    try:
        address = struct.pack("=H", int(socket.AF_INET)) + struct.pack("!H4s8x", port, bytes([127, 0, 0, 1]))
        return bool(libc.connect(descriptor, address, len(address)) == 0)
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class CutOff:
    """The network after it was cut, and what the kernel said of this process before.

    Attributes:
        cut: who keeps it cut.
        facts: ``/proc/self/status``.
        native: whether native code reached this machine's own port; None where nobody could try.
        python: whether Python made a socket.
    """

    cut: Cut
    facts: Mapping[str, str]
    native: bool | None
    python: bool


def cut_and_try() -> CutOff:
    """Cut this process off from every network, and try to get out. Call it before any thread is started.

    Native code is tried to a port of this machine that was opened before the cut and listens; what the kernel says of this
    process is read before the cut, since of a process in a namespace of its own it says other things.
    """
    facts = kernel_facts()
    door = None
    with suppress(OSError):  # no loopback here: nothing to try it with
        door = socket.create_server(("127.0.0.1", 0))
    cut = cut_network()
    native = None
    if door is not None:
        with door:
            native = native_gets_out(door.getsockname()[1]) if sys.platform == "linux" else None
    return CutOff(cut, facts, native, python_gets_out())

"""Cut this process off from every network: what holds records, or decodes hostile files, gets no way out.

On Linux the kernel does it (a network namespace of its own, without even a loopback device). Where the kernel does not
allow that, Python refuses to make any socket but a local one; that stops our own libraries, not hostile native code,
and the node says so in its log.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys
from typing import Literal, TypeAlias

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000

Cut: TypeAlias = Literal["kernel", "python"]


def cut_network() -> Cut:
    """Cut the network; says who keeps it cut. Call it before any thread is started."""
    sys.addaudithook(_refuse_sockets)
    return "kernel" if _unshare() else "python"


def _unshare() -> bool:
    if sys.platform != "linux":
        return False
    flags = CLONE_NEWNET if os.geteuid() == 0 else CLONE_NEWUSER | CLONE_NEWNET
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.unshare(flags) == 0)


def _refuse_sockets(event: str, arguments: tuple[object, ...]) -> None:
    """Audit hook: sockets of other families than AF_UNIX, and of no named family (AF_INET in the end), are not made."""
    if event == "socket.__new__" and arguments[1:2] != (socket.AF_UNIX,):
        message = "this process has no network"
        raise PermissionError(message)
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        message = "this process has no network"
        raise PermissionError(message)

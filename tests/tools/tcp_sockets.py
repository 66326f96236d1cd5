"""The TCP sockets of a process, from /proc."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Tcp:
    """One TCP socket of a process: both ends as ``address:port``."""

    local: str
    remote: str
    listens: bool


def is_shown(process: int) -> bool:
    """Say whether the kernel shows us what a process has open and in memory: a porter's it shows to root alone."""
    return os.access(f"/proc/{process}/fd", os.R_OK)


def tcp_of(process: int) -> set[Tcp]:
    """Give a process's TCP sockets over IPv4, from /proc; it must have none over IPv6."""
    if not is_shown(process):
        return set()
    links = [path.readlink() for path in Path(f"/proc/{process}/fd").iterdir() if path.is_symlink()]
    inodes = {str(link)[len("socket:[") : -1] for link in links if str(link).startswith("socket:[")}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{process}/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[9] in inodes:
                assert table == "tcp"
                found.add(Tcp(_end(words[1]), _end(words[2]), words[3] == "0A"))
    return found


def _end(text: str) -> str:
    address, _, port = text.partition(":")
    return f"{socket.inet_ntoa(bytes.fromhex(address)[::-1])}:{int(port, 16)}"

"""Ports on loopback for processes that belong together."""

from __future__ import annotations

import socket

LOOPBACK = "127.0.0.1"
CONNECT_SECONDS = 0.5


def free_port() -> int:
    """Give a port on loopback that is free now; whoever is told it takes it at once."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Say whether something on loopback accepts connections on a port."""
    with socket.socket() as probe:
        probe.settimeout(CONNECT_SECONDS)
        return probe.connect_ex((LOOPBACK, port)) == 0

"""Takes the SuperLink's ports. Without Flower: the centre's commands look at a port before they start anything."""

from __future__ import annotations

import os
import socket

from wardround.errors import refuse


def bind(address: tuple[str, int]) -> socket.socket:
    """Take a port.

    Raises:
        Refused: N-PORT when it is taken or not ours to take.
    """
    host, port = address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle's delay off only where the protocol is named; it would cost 40 ms for each answer with a body
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise refuse(
            "N-PORT",
            f"{host}:{port}",
            "The SuperLink listens on ports of its own",
            f"the port cannot be taken ({os.strerror(error.errno or 0)})",
            "stop what uses it, or choose another port",
        ) from None
    return listener

"""A listener that answers as a centre's public one, or in the wrong ways that a doctor has to tell apart."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from studies_on_paper import paper

from silo_node.joining import Joined
from wardround.identity import tls

RIGHT = timedelta(0)


@contextmanager
def listening(folder, *, name="localhost", days=800, late=RIGHT, told=True, signer=None, speaks_tls=True):
    """A listener as a centre's, and the hospital that joined it; ``late`` is how far its clock is behind ours."""
    authority = tls.make_authority("The centre")
    server = tls.issue_server(signer or authority, [name], days=days)
    for file, data in (("server.pem", server.public), ("server.key", server.private), ("authority.pem", authority.public)):
        (folder / file).write_bytes(data)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")

    def answer(connection) -> None:
        with suppress(OSError):
            if not speaks_tls:
                connection.sendall(b"220 a mail server\r\n")
                connection.close()
                return
            with context.wrap_socket(connection, server_side=True) as secure:
                secure.recv(1000)
                date = format_datetime(datetime.now(UTC) - late, usegmt=True)
                head = f"date: {date}\r\n" if told else ""
                secure.sendall(f"HTTP/1.1 200 OK\r\n{head}content-length: 0\r\nconnection: close\r\n\r\n".encode())

    def serve() -> None:
        with suppress(OSError):
            while True:
                answer(listener.accept()[0])

    with socket.create_server(("", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        address = f"{name}:{listener.getsockname()[1]}"
        try:
            yield Joined(address, folder / "authority.pem", paper().bundle.roster.coordinator, "2026-01-01T00:00:00Z")
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join(10.0)

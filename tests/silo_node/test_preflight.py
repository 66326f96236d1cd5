"""Before a node starts it sees when the centre's certificates end."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from studies_on_paper import paper

from silo_node.joining import Joined
from silo_node.preflight import check_centre, ending
from wardround.identity.tls import expiry, issue_server, make_authority

DAYS = 10


@pytest.fixture
def joined(tmp_path):
    """A centre that listens with a certificate of ten days, joined by a hospital."""
    authority = make_authority("The centre")
    server = issue_server(authority, ["localhost"], days=DAYS)
    (tmp_path / "server.pem").write_bytes(server.public)
    (tmp_path / "server.key").write_bytes(server.private)
    (tmp_path / "authority.pem").write_bytes(authority.public)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")

    def serve() -> None:
        connection, _ = listener.accept()
        with context.wrap_socket(connection, server_side=True) as secure:
            secure.recv(1000)
            date = format_datetime(datetime.now(UTC), usegmt=True)
            secure.sendall(f"HTTP/1.1 200 OK\r\ndate: {date}\r\ncontent-length: 0\r\n\r\n".encode())

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        address = f"localhost:{listener.getsockname()[1]}"
        yield Joined(address, tmp_path / "authority.pem", paper().bundle.roster.coordinator, "2026-01-01T00:00:00Z")
        thread.join(10.0)


def test_the_end_that_the_centre_shows_is_told(joined, tmp_path):
    """The certificate that was shown in the handshake counts; more than a month before its end nothing is said."""
    end = check_centre(joined)
    assert end == expiry((tmp_path / "server.pem").read_bytes())
    (line,) = ending(joined, end)
    assert "the centre's certificate expires" in line
    assert end.strftime("%Y-%m-%d") in line
    assert ending(joined, end, end - timedelta(days=31)) == []
    assert len(ending(joined, end, expiry(joined.authority.read_bytes()))) == 2

"""A relay between hospitals and centre that counts bytes: what TLS carries, its own bytes included, TCP's and IP's not."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

CHUNK_BYTES = 1024**2


class Relay:
    """Carries every connection to one port on loopback over to another.

    Attributes:
        up: bytes from hospitals to the centre so far; ``down``: the other way.
    """

    def __init__(self, reached: int, listening: int) -> None:
        """Take the port that hospitals connect to, and the one where the centre listens; begins at once."""
        self.up = self.down = 0
        self._listening = listening
        self._counting = threading.Lock()
        self._server = socket.create_server(("127.0.0.1", reached))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections; those that stand end with their ends."""
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                hospital, _ = self._server.accept()
            except OSError:
                return
            try:
                centre = socket.create_connection(("127.0.0.1", self._listening))
            except OSError:  # the centre is down: so hospitals see it, too
                hospital.close()
                continue
            for source, target, upwards in ((hospital, centre, True), (centre, hospital, False)):
                threading.Thread(target=self._carry, args=(source, target), kwargs={"upwards": upwards}, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, *, upwards: bool) -> None:
        """Carry one direction to its end; the end itself, too."""
        with suppress(OSError):
            while data := source.recv(CHUNK_BYTES):
                target.sendall(data)
                with self._counting:
                    self.up += len(data) if upwards else 0
                    self.down += 0 if upwards else len(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)
        if not upwards:
            source.close()
            with suppress(OSError):
                target.shutdown(socket.SHUT_RD)

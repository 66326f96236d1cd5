"""A centre behind something that takes connections while it is down: a SuperNode that gives up ends, and is started anew."""

from __future__ import annotations

import socket
import subprocess
import threading
from contextlib import suppress
from dataclasses import replace

from flower_processes import SuperLink, eventually, supernode_settings

from silo_node.flower.supernode import ENDED_STATUS
from wardround.identity.tls import make_node_key

END_SECONDS = 60.0


class Balancer:
    """Carries connections to a centre; while it is down, takes them and hangs up."""

    def __init__(self, centre: str) -> None:
        host, _, port = centre.rpartition(":")
        self._centre = (host, int(port))
        self._server = socket.create_server(("127.0.0.1", 0))
        self._ends: list[socket.socket] = []
        self._down = False
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                node = self._server.accept()[0]
                if self._down:
                    node.close()
                    continue
                ends = node, socket.create_connection(self._centre)
                self._ends += ends
                for source, target in (ends, ends[::-1]):
                    threading.Thread(target=_carry, args=(source, target), daemon=True).start()

    def go_down(self) -> None:
        self._down = True
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.go_down()
        self._server.close()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)


def test_a_supernode_that_gives_up_ends(superlink: SuperLink) -> None:
    """Flower gives up on a handshake that breaks off: the process ends, so that its supervisor starts another one."""
    balancer = Balancer(superlink.public)
    key = make_node_key()
    settings, _ = supernode_settings(superlink, "behind-a-balancer", key)
    settings = replace(settings, superlink=balancer.address)
    try:
        with superlink.link.control() as control:
            node_id = control.register(key.public)
            process: subprocess.Popen[str] = superlink.processes.start("balanced", settings.command(), settings.environment())

            def online() -> bool:
                assert process.poll() is None, superlink.processes.log("balanced")
                return any(node.online for node in control.nodes() if node.node_id == node_id)

            eventually(online, what="the node is online")
        balancer.go_down()
        assert process.wait(END_SECONDS) == ENDED_STATUS
        assert "handshake error" in superlink.processes.log("balanced")
    finally:
        balancer.close()

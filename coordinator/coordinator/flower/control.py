"""Flower's Control API in our own process: who may connect, and the run that we serve.

It listens on loopback only and asks for a bearer token, see ``coordinator.flower.superlink``.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Self

from flwr.proto.control_pb2 import ListNodesRequest, RegisterNodeRequest, StartRunRequest, StopRunRequest, UnregisterNodeRequest
from flwr.proto.fab_pb2 import Fab
from flwr.supercore.constant import NodeStatus
from flwr.supercore.control.control_http_client import ControlHttpClient

from wardround.canonical import sha256
from wardround.errors import refuse
from wardround.identity.tls import node_key_to_pem
from wardround.transport.channel import HeaderInterceptor, call

DEFAULT_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class NodeState:
    """One registered SuperNode: Flower's id for it, its public key (PEM), and whether it is connected now."""

    node_id: int
    public_key: bytes
    online: bool


class Control:
    """The Control API of the SuperLink on this machine."""

    def __init__(self, address: str, authority: bytes, token: str, patience: float = DEFAULT_PATIENCE_SECONDS) -> None:
        """Take ``host:port``, the authority's certificate (PEM), the bearer token, and the patience in seconds."""
        headers = {"authorization": f"Bearer {token}"}
        self._patience = patience
        self._client = ControlHttpClient.from_server_address(
            server_address=address,
            insecure=False,
            root_certificates=authority,
            interceptors=[HeaderInterceptor(lambda _: headers)],
        )

    def register(self, public_key: bytes) -> int:
        """Let a SuperNode in by its public key (an OpenSSH line); gives its node id, the same when it is known already.

        Raises:
            Refused: K-FORMAT when it is not a P-384 key.
        """
        pem = node_key_to_pem(public_key)
        if pem is None:
            raise refuse(
                "K-FORMAT",
                "node key",
                "A node's key is a P-384 key in OpenSSH form",
                "it is another kind of key, or none",
                "ask the hospital for the request file that 'wardround silo init' wrote",
            )
        known = next((node.node_id for node in self.nodes() if node.public_key == pem), None)
        if known is not None:
            return known
        return call(self._client.RegisterNode, RegisterNodeRequest(public_key=pem), self._patience).node_id

    def unregister(self, node_id: int) -> None:
        """Let a SuperNode in no longer."""
        call(self._client.UnregisterNode, UnregisterNodeRequest(node_id=node_id), self._patience)

    def nodes(self) -> list[NodeState]:
        """Give all registered SuperNodes."""
        found = call(self._client.ListNodes, ListNodesRequest(), self._patience).nodes_info
        return [
            NodeState(node.node_id, node.public_key, node.status == NodeStatus.ONLINE)
            for node in found
            if node.status != NodeStatus.UNREGISTERED
        ]

    def start_run(self, fab: bytes) -> int:
        """Start a run of a bundle; gives its id. Its task then waits to be acquired."""
        request = StartRunRequest(fab=Fab(hash_str=sha256(fab), content=fab))
        return call(self._client.StartRun, request, self._patience).run_id

    def stop_run(self, run_id: int) -> None:
        """Stop a run; messages of it that are on the way are dropped."""
        call(self._client.StopRun, StopRunRequest(run_id=run_id), self._patience)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def __enter__(self) -> Self:
        """Begin a block at whose end the connection is closed."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the connection."""
        self.close()

"""Stand-ins for SuperNodes: they speak Flower's Fleet API over TLS, each with its own key, many in one process.

Only the header of a message is fetched, not the weights that came with it: what is measured is the way back.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_ssh_private_key
from flwr.app import ConfigRecord
from flwr.common.constant import HEARTBEAT_MAX_INTERVAL
from flwr.proto.fleet_pb2 import ActivateNodeRequest, PullMessagesRequest, PushMessagesRequest
from flwr.proto.message_pb2 import (
    ConfirmMessageReceivedRequest,
    Message,
    Metadata,
    ObjectTree,
    PullObjectRequest,
    PushObjectRequest,
)
from flwr.proto.node_pb2 import Node
from flwr.supercore.constant import HEAD_BODY_DIVIDER
from flwr.supercore.interceptors.http.runtime_version import RuntimeVersionHttpInterceptor
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from wardround.identity.tls import KeyPair
from wardround.messages.envelope import Envelope
from wardround.transport.parcel import HEADER, Packer, announcement

PULL_PAUSE_SECONDS = 0.02


@dataclass(frozen=True)
class Asked:
    """A message that came: the order in it, as signed JSON, and how to address the answer."""

    order: bytes
    metadata: Metadata


class StandIn:
    """One registered node."""

    def __init__(self, address: str, authority: str, key: KeyPair) -> None:
        """Sign in at ``host:port`` with the authority's certificate (a path) and the node's key."""
        private = load_ssh_private_key(key.private, password=None)
        assert isinstance(private, EllipticCurvePrivateKey)
        interceptors = [
            RuntimeVersionHttpInterceptor(component_name="SuperNode"),
            NodeAuthHttpInterceptor(private, private.public_key()),
        ]
        self._client = FleetHttpClient.from_server_address(address, False, authority, interceptors=interceptors)  # noqa: FBT003
        request = ActivateNodeRequest(
            public_key=public_key_to_bytes(private.public_key()), heartbeat_interval=HEARTBEAT_MAX_INTERVAL
        )
        self._node = Node(node_id=self._client.ActivateNode(request).node_id)

    def wait(self, seconds: float) -> Asked:
        """Wait for a message; its weights are never fetched."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            answer = self._client.PullMessages(PullMessagesRequest(node=self._node))
            if answer.messages_list:
                return self._take(answer.messages_list[0], answer.message_object_trees[0])
            time.sleep(PULL_PAUSE_SECONDS)
        msg = "no message came"
        raise TimeoutError(msg)

    def _take(self, message: Message, tree: ObjectTree) -> Asked:
        run_id = message.metadata.run_id
        names = json.loads(self._object(run_id, tree.children[0].object_id).partition(HEAD_BODY_DIVIDER)[2])
        order = ConfigRecord.inflate(self._object(run_id, names[HEADER]))["message"]
        assert isinstance(order, bytes)
        confirmation = ConfirmMessageReceivedRequest(node=self._node, run_id=run_id, message_object_id=tree.object_id)
        self._client.ConfirmMessageReceived(confirmation)
        return Asked(order, message.metadata)

    def _object(self, run_id: int, object_id: str) -> bytes:
        while True:
            answer = self._client.PullObject(PullObjectRequest(node=self._node, run_id=run_id, object_id=object_id))
            assert answer.object_found
            if answer.object_available:
                return answer.object_content
            time.sleep(PULL_PAUSE_SECONDS)

    def answer(self, asked: Asked, envelope: Envelope) -> None:
        """Push the answer, object by object as a SuperNode does."""
        metadata = _reply_to(asked.metadata)
        stored = Packer().pack(metadata, envelope)
        request = PushMessagesRequest(
            node=self._node,
            messages_list=[announcement(metadata, stored)],
            message_object_trees=[stored.tree()],
            clientapp_runtime_list=[0.0],
        )
        given = self._client.PushMessages(request)
        missing = set(given.objects_to_push)
        for each in stored.walk():
            if each.object_id in missing:
                missing.discard(each.object_id)
                push = PushObjectRequest(
                    node=self._node,
                    run_id=metadata.run_id,
                    object_id=each.object_id,
                    object_content=each.content(),
                    session_id=given.session_id,
                )
                assert self._client.PushObject(push).stored

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _reply_to(asked: Metadata) -> Metadata:
    return Metadata(
        run_id=asked.run_id,
        src_node_id=asked.dst_node_id,
        dst_node_id=asked.src_node_id,
        reply_to_message_id=asked.message_id,
        group_id=asked.group_id,
        ttl=asked.ttl,
        created_at=asked.created_at,
        message_type=asked.message_type,
    )

"""Flower's Runtime API as both sides use it: one class, few calls, every fault one of four.

Flower's own client is used for the requests. Its retry helper is not: that one raises SIGINT in the process on a 401
and sleeps for 20 s; a conductor or porter decides for itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

import httpx
from flwr.common.constant import SubStatus
from flwr.proto.message_pb2 import ConfirmMessageReceivedRequest, Message, ObjectTree, PullObjectRequest, PushObjectRequest
from flwr.proto.node_pb2 import Node
from flwr.proto.runtime_pb2 import (
    AcquireTaskRequest,
    PullAppMessagesRequest,
    PullTaskInputRequest,
    PullTaskInputResponse,
    PushAppMessagesRequest,
    PushTaskOutputRequest,
    SendTaskHeartbeatRequest,
)
from flwr.supercore.auth import create_superexec_auth_metadata, derive_auth_secret
from flwr.supercore.constant import (
    FLWR_COMPONENT_NAME_METADATA_KEY,
    FLWR_PACKAGE_NAME_METADATA_KEY,
    FLWR_PACKAGE_VERSION_METADATA_KEY,
    TASK_TOKEN_HEADER,
    TaskType,
)
from flwr.supercore.protobuf.client import ProtobufCall, ProtobufRequestContext
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supercore.version import package_name, package_version

from wardround.transport.parcel import StoredObject

_BRIEFLY_AWAY = frozenset({httpx.codes.BAD_GATEWAY, httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.GATEWAY_TIMEOUT})
_ACQUIRE = "/flwr.proto.Runtime/AcquireTask"
_VERSION = {
    FLWR_PACKAGE_NAME_METADATA_KEY: package_name,
    FLWR_PACKAGE_VERSION_METADATA_KEY: package_version,
    FLWR_COMPONENT_NAME_METADATA_KEY: "Wardround",
}
"""What Flower's own interceptor says; that one imports a web server."""
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 2.0

Given = TypeVar("Given")
Answer = TypeVar("Answer")


class TransportFault(Exception):
    """Something between us and Flower. Its text is ours: no address, no path, no body."""


class Unreachable(TransportFault):
    """Nobody answered, for as long as we were patient."""


class Unauthorised(TransportFault):
    """The token or secret is not accepted, or the task was taken from us (401)."""


class RunEnded(TransportFault):
    """The run is not running any more (403)."""


class Rejected(TransportFault):
    """Flower answered with another error status."""

    def __init__(self, status: int) -> None:
        """Take the HTTP status."""
        super().__init__(f"Flower answered with status {status}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Secret:
    """The secret shared with a SuperLink or SuperNode on the same machine; its text form never shows it."""

    value: bytes

    def __repr__(self) -> str:
        """Show that there is one."""
        return "Secret(…)"


class HeaderInterceptor:
    """Adds headers to a request of Flower's clients."""

    def __init__(self, headers: Callable[[ProtobufRequestContext], Mapping[str, str]]) -> None:
        """Take what makes the headers of a request."""
        self._headers = headers

    def intercept(self, context: ProtobufRequestContext, call_next: ProtobufCall) -> httpx.Response:
        """Add the headers and go on."""
        context.request.headers.update({**_VERSION, **self._headers(context)})
        response = call_next(context)
        if response.is_closed:  # httpx leaves it in a circle with its stream: megabytes that wait for the garbage collector
            response.stream = httpx.ByteStream(b"")
        return response


class Credentials:
    """What we show to the Runtime API: the secret when a task is acquired, the task's token for everything else."""

    def __init__(self, credential: Secret | str) -> None:
        """Take the secret, or the token of a task that somebody acquired."""
        self.token = credential if isinstance(credential, str) else ""
        self._derived = derive_auth_secret(credential.value) if isinstance(credential, Secret) else None

    def __repr__(self) -> str:
        """Show neither."""
        return "Credentials(…)"

    def headers(self, context: ProtobufRequestContext) -> Mapping[str, str]:
        """Give the headers for a request."""
        if context.rpc_method != _ACQUIRE:
            return {TASK_TOKEN_HEADER: self.token} if self.token else {}
        if self._derived is None:
            return {}
        return create_superexec_auth_metadata(auth_secret=self._derived, method=context.rpc_method, request=context.message)


def call(function: Callable[[Given], Answer], request: Given, patience: float) -> Answer:
    """Ask, and ask again while nobody answers, for at most ``patience`` seconds.

    Raises:
        TransportFault: one of its four kinds.
    """
    end, pause = time.monotonic() + patience, _FIRST_PAUSE_SECONDS
    while True:
        try:
            return function(request)
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            if status == httpx.codes.UNAUTHORIZED:
                raise Unauthorised from None
            if status == httpx.codes.FORBIDDEN:
                raise RunEnded from None
            if status not in _BRIEFLY_AWAY:
                raise Rejected(status) from None
        except httpx.LocalProtocolError:
            raise  # our own mistake: asking again would not mend it
        except httpx.TransportError:
            pass
        if time.monotonic() + pause > end:
            raise Unreachable
        time.sleep(pause)
        pause = min(_LONGEST_PAUSE_SECONDS, 2 * pause)


class RuntimeChannel:
    """A connection to the Runtime API of the SuperLink or SuperNode on this machine."""

    def __init__(self, client: RuntimeHttpClient, credentials: Credentials, node_id: int, patience: float) -> None:
        """Take Flower's client, what it shows, the node that objects are pushed and pulled for, and the patience in seconds."""
        self._client = client
        self._credentials = credentials
        self._node = Node(node_id=node_id)
        self._patience = patience

    @classmethod
    def open(
        cls, address: str, credential: Secret | str, *, node_id: int, authority: bytes | None = None, patience: float = 30.0
    ) -> RuntimeChannel:
        """Connect to ``host:port`` with the secret (to acquire tasks) or with a task's token (for everything else).

        With an authority's certificate (PEM) the connection is TLS, else plain: for loopback only.
        """
        credentials = Credentials(credential)
        client = RuntimeHttpClient.from_server_address(
            server_address=address,
            insecure=authority is None,
            root_certificates=authority,
            interceptors=[HeaderInterceptor(credentials.headers)],
        )
        return cls(client, credentials, node_id, patience)

    def acquire(self, kind: TaskType) -> str | None:
        """Take the oldest waiting task of a kind; gives its token, or None when there is none."""
        answer = call(self._client.AcquireTask, AcquireTaskRequest(supported_task_types=[kind]), self._patience)
        return answer.token if answer.HasField("task") and answer.token else None

    def hold(self, token: str) -> None:
        """Work on an acquired task from now on, over the same connection; the empty token lets go of it."""
        self._credentials.token = token

    def pull_input(self) -> PullTaskInputResponse:
        """Begin the task: its run, bundle and context. Can be asked once only."""
        return call(self._client.PullTaskInput, PullTaskInputRequest(), 0)

    def pull_messages(self, message_ids: Collection[str] = ()) -> list[tuple[Message, ObjectTree]]:
        """Give the messages that are there (at the centre: the replies to these messages), each once."""
        answer = call(self._client.PullMessages, PullAppMessagesRequest(message_ids=list(message_ids)), self._patience)
        return list(zip(answer.messages_list, answer.message_object_trees, strict=True))

    def push_messages(self, run_id: int, parcels: Sequence[tuple[Message, StoredObject]]) -> list[str]:
        """Announce messages and send the objects that are not there yet; gives an id each, empty where refused."""
        request = PushAppMessagesRequest(
            messages_list=[message for message, _ in parcels], message_object_trees=[stored.tree() for _, stored in parcels]
        )
        answer = call(self._client.PushMessages, request, self._patience)
        missing = set(answer.objects_to_push)
        for _, stored in parcels:
            for each in stored.walk():
                if each.object_id in missing:
                    missing.discard(each.object_id)
                    self._push_object(run_id, answer.session_id, each)
        return list(answer.message_ids)

    def _push_object(self, run_id: int, session: str, stored: StoredObject) -> None:
        request = PushObjectRequest(
            node=self._node, run_id=run_id, object_id=stored.object_id, object_content=stored.content(), session_id=session
        )
        if not call(self._client.PushObject, request, self._patience).stored:
            raise Rejected(httpx.codes.CONFLICT)

    def pull_object(self, run_id: int, object_id: str) -> bytes | None:
        """Give an object's content, or None while it is on its way.

        Raises:
            Rejected: 404, when it will never come.
        """
        request = PullObjectRequest(node=self._node, run_id=run_id, object_id=object_id)
        answer = call(self._client.PullObject, request, self._patience)
        if not answer.object_found:
            raise Rejected(httpx.codes.NOT_FOUND)
        return answer.object_content if answer.object_available else None

    def confirm(self, run_id: int, message_id: str) -> None:
        """Say that a message was received whole; Flower then drops its objects."""
        request = ConfirmMessageReceivedRequest(node=self._node, run_id=run_id, message_object_id=message_id)
        call(self._client.ConfirmMessageReceived, request, self._patience)

    def heartbeat(self) -> bool:
        """Say that the task is being worked on; False when Flower has given it up."""
        return call(self._client.SendTaskHeartbeat, SendTaskHeartbeatRequest(), 0).success

    def finish(self, outcome: str = SubStatus.COMPLETED, code: str = "") -> None:
        """End the task: ``completed``, ``failed`` or ``stopped``, and a bare code."""
        call(self._client.PushTaskOutput, PushTaskOutputRequest(sub_status=outcome, details=code), self._patience)

    def close(self) -> None:
        """Close the connection."""
        with suppress(httpx.HTTPError):
            self._client.close()

    def __enter__(self) -> Self:
        """Begin a block at whose end the connection is closed."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the connection."""
        self.close()

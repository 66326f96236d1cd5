"""A relay between hospitals and centre that ends TLS on both sides and keeps every byte, and what Flower's bytes say.

It stands where a reverse proxy of the centre could stand: with the centre's own server key.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from flwr.app import ConfigRecord
from flwr.proto.message_pb2 import PullObjectResponse, PushObjectRequest

from wardround.messages.envelope import Envelope

CHUNK_BYTES = 65536


@dataclass(frozen=True)
class HttpMessage:
    """One request or answer as it was on the wire."""

    first: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """The path of a request."""
        return self.first.split(" ")[1]


@dataclass
class Conversation:
    """One connection: what the hospital sent, what the centre answered, as decrypted bytes."""

    up: bytearray = field(default_factory=bytearray)
    down: bytearray = field(default_factory=bytearray)

    def exchanges(self) -> Iterator[tuple[HttpMessage, HttpMessage]]:
        """Give requests with their answers; one that was cut off at the end is left out."""
        yield from zip(http_messages(bytes(self.up)), http_messages(bytes(self.down)), strict=False)


def http_messages(stream: bytes) -> Iterator[HttpMessage]:
    """Read HTTP/1.1 messages from a stream."""
    while stream:
        head, divider, rest = stream.partition(b"\r\n\r\n")
        if not divider:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if headers.get("transfer-encoding") == "chunked":
            body, stream = _chunks(rest)
        else:
            size = int(headers.get("content-length", "0"))
            body, stream = rest[:size], rest[size:]
            if len(body) < size:
                return
        yield HttpMessage(first, headers, body)


def _chunks(rest: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        line, _, rest = rest.partition(b"\r\n")
        size = int(line or b"0", 16)
        body, rest = body + rest[:size], rest[size + 2 :]
        if size == 0:
            return body, rest


class Relay:
    """A relay on loopback, in a thread of its own."""

    def __init__(self, port: int, centre: int, keys: Path) -> None:
        """Take the port to listen on, the centre's public port, and the centre's keys."""
        self.port = port
        self.conversations: list[Conversation] = []
        self._centre = centre
        self._outside = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._outside.load_cert_chain(keys / "server.pem", keys / "server.key")
        self._inside = ssl.create_default_context(cafile=str(keys / "authority.pem"))
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        """Listen."""
        self._thread.start()
        assert self._up.wait(10)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Cut all connections."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        start = asyncio.start_server(self._connected, "127.0.0.1", self.port, ssl=self._outside)
        server = self._loop.run_until_complete(start)
        self._up.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner = await asyncio.open_connection("127.0.0.1", self._centre, ssl=self._inside, server_hostname="localhost")
        except OSError:  # the centre is not up
            writer.close()
            return
        conversation = Conversation()
        self.conversations.append(conversation)
        await asyncio.gather(_pump(reader, inner[1], conversation.up), _pump(inner[0], writer, conversation.down))

    @property
    def up(self) -> bytes:
        """Everything that hospitals sent."""
        return b"\0".join(bytes(each.up) for each in self.conversations)

    @property
    def down(self) -> bytes:
        """Everything that the centre sent."""
        return b"\0".join(bytes(each.down) for each in self.conversations)

    def exchanges(self) -> list[tuple[HttpMessage, HttpMessage]]:
        """Give all requests with their answers."""
        return [exchange for each in self.conversations for exchange in each.exchanges()]

    def sent(self) -> list[Envelope]:
        """Give the envelopes that hospitals sent."""
        requests = [request for request, _ in self.exchanges() if request.path == "/v1/fleet/push-object"]
        return _envelopes([PushObjectRequest.FromString(each.body).object_content for each in requests])

    def received(self) -> list[Envelope]:
        """Give the envelopes that hospitals were sent."""
        answers = [answer for request, answer in self.exchanges() if request.path == "/v1/fleet/pull-object"]
        return _envelopes([PullObjectResponse.FromString(each.body).object_content for each in answers])


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray) -> None:
    with suppress(OSError):
        while data := await reader.read(CHUNK_BYTES):
            kept += data
            writer.write(data)
            await writer.drain()
    writer.close()


def _envelopes(objects: list[bytes]) -> list[Envelope]:
    """Put envelopes together from objects; arrays are small here and ride in the envelope's own record."""
    found = []
    for content in objects:
        if content.startswith(b"ConfigRecord"):
            record = dict(ConfigRecord.inflate(content))
            if "message" in record:
                arrays = tuple(bytes(record[f"array-{index}"]) for index in range(len(record["sizes"])))
                found.append(Envelope(record["message"], record["signature"], arrays, record["body_key"]))
    return found

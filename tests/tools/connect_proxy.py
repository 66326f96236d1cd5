"""An HTTP proxy as a hospital's: CONNECT only, in a thread of its own, with a log of what it was asked and what it carried."""

from __future__ import annotations

import asyncio
import base64
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

LARGEST_HEAD = 16384
CHUNK_BYTES = 65536
CONNECT_SECONDS = 10.0
REASONS = {200: "Connection established", 403: "Forbidden", 407: "Proxy Authentication Required", 503: "Service Unavailable"}


@dataclass
class Tunnel:
    """One request: whom it asked for, what was answered, who asked, and how many bytes went each way."""

    target: str
    status: int
    authorization: str | None
    peer: tuple[str, int]
    up: int = 0
    down: int = 0


class ConnectProxy:
    """A proxy on an address of this machine.

    Attributes:
        tunnels: what was asked, in order.
        answer: a status that it gives instead of a tunnel; 0: it gives no answer at all.
    """

    def __init__(
        self,
        *,
        names: Mapping[str, tuple[str, int]] = {},
        credentials: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        secure: ssl.SSLContext | None = None,
    ) -> None:
        """Take what names stand for (others are looked up), ``user:password``, where to listen, and TLS if it speaks that."""
        self.tunnels: list[Tunnel] = []
        self.answer: int | None = None
        self.port = port
        self._names = names
        self._wanted = None if credentials is None else "Basic " + base64.b64encode(credentials.encode()).decode()
        self._host = host
        self._secure = secure
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def opened(self) -> list[Tunnel]:
        """The tunnels that it opened."""
        return [tunnel for tunnel in self.tunnels if tunnel.status == 200]

    def __enter__(self) -> Self:
        """Listen."""
        self._thread.start()
        assert self._up.wait(10)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Cut all connections."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def cut(self) -> None:
        """Cut the tunnels that are open; new ones may be asked for."""
        self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        for task in asyncio.all_tasks(self._loop):
            task.cancel()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        start = asyncio.start_server(self._connected, self._host, self.port, ssl=self._secure)
        server = self._loop.run_until_complete(start)
        self.port = server.sockets[0].getsockname()[1]
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
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
                await self._tunnel(reader, writer)
        finally:
            writer.close()

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), CONNECT_SECONDS)
        first, *lines = head[:LARGEST_HEAD].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        method, target, _ = first.split(" ")
        given = headers.get("proxy-authorization")
        status = self.answer if self.answer is not None else 405 if method != "CONNECT" else 200
        if status == 200 and self._wanted is not None and given != self._wanted:
            status = 407
        inner = None
        if status == 200:
            host, _, port = target.rpartition(":")
            try:
                inner = await asyncio.wait_for(
                    asyncio.open_connection(*self._names.get(target, (host, int(port)))), CONNECT_SECONDS
                )
            except (OSError, TimeoutError):
                status = 503
        tunnel = Tunnel(target, status, given, writer.get_extra_info("peername")[:2])
        self.tunnels.append(tunnel)
        if status == 0:
            await asyncio.sleep(600)
        writer.write(f"HTTP/1.1 {status} {REASONS.get(status, 'No')}\r\n".encode())
        writer.write(b"\r\n" if inner is not None else b"content-length: 0\r\n\r\n")
        await writer.drain()
        if inner is None:
            return
        try:
            await asyncio.gather(self._pump(tunnel, "up", reader, inner[1]), self._pump(tunnel, "down", inner[0], writer))
        finally:
            inner[1].close()

    async def _pump(self, tunnel: Tunnel, way: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                setattr(tunnel, way, getattr(tunnel, way) + len(data))
                writer.write(data)
                await writer.drain()
        writer.close()

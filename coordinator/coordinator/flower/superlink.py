"""Flower's SuperLink, hardened: ``python -m coordinator.flower.superlink --help``.

Stock Flower serves Fleet, Control and Runtime API on one port, and lets anybody in who reaches it. Here:

    public listener    TLS; passes POST /v1/fleet/* and GET /health, nothing else; bodies of a known, bounded length
    private listener   TLS, loopback; Control behind a bearer token, Runtime behind a secret

State is in memory: journals and rosters are ours, and SQLite would cost seconds a round. The first line on standard
output is JSON with the addresses, once both listeners accept connections; a port of 0 is chosen by the system.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hmac
import ipaddress
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from coordinator.flower.listener import bind
from wardround.errors import Problem, Refused, raise_all
from wardround.supervision.pulse import begin_pulse
from wardround.supervision.settle import reuse_memory, settle
from wardround.transport.environment import SWITCHED_OFF

os.environ.update(SWITCHED_OFF)  # before Flower is imported: it reads some of them then

import uvicorn
from flwr.common.constant import (
    ACCESS_TOKEN_KEY,
    ISOLATION_MODE_PROCESS,
    NOOP_ACCOUNT_NAME,
    NOOP_FLWR_AID,
    TIMESTAMP_HEADER,
    TRANSPORT_TYPE_GRPC_RERE,
)
from flwr.supercore.auth.typing import AccountAuthCredentials, AccountAuthLoginDetails, AccountInfo
from flwr.supercore.constant import FLEET_HTTP_PUBLIC_KEY_HEADER, FLEET_HTTP_SIGNATURE_HEADER, FLWR_IN_MEMORY_DB_NAME
from flwr.superlink.auth_plugin import ControlAuthnPlugin
from flwr.superlink.cli.flower_superlink import SuperLinkLifespan
from flwr.superlink.config_loader import SuperLinkLifespanConfig
from flwr.superlink.main import create_app
from uvicorn.loops.auto import auto_loop_factory

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

FLEET = "/v1/fleet/"
HEALTH = "/health"
SIGNED = frozenset(name.lower() for name in (FLEET_HTTP_PUBLIC_KEY_HEADER, FLEET_HTTP_SIGNATURE_HEADER, TIMESTAMP_HEADER))
"""What a SuperNode signs in with; who shows nothing of it is turned away before its body is read."""
LARGEST_BODY_BYTES = 8 * 1024**2
"""Of one public request: objects are cut into 4 MiB, and a body is read before its sender is known."""
GRACE_SECONDS = 2


@dataclass(frozen=True)
class Settings:
    """What the SuperLink needs to start. The token and secret are the contents of their files.

    Attributes:
        loopback: certificate and key of the private listener, where the public ones do not name loopback.
    """

    public: tuple[str, int]
    private: tuple[str, int]
    authority: Path
    certificate: Path
    key: Path
    token: str
    secret: bytes
    loopback: tuple[Path, Path] | None = None

    def __repr__(self) -> str:
        """Show no token."""
        return f"Settings(public={self.public}, private={self.private})"


class TokenAuthn(ControlAuthnPlugin):
    """Lets in whoever shows the one token that the centre made for itself; there is no login."""

    def __init__(self, token: str) -> None:
        """Take the token."""
        self._token = token.encode()

    def get_login_details(self) -> AccountAuthLoginDetails | None:
        """Offer no login."""
        return None

    def validate_tokens_in_metadata(self, metadata: Sequence[tuple[str, str | bytes]]) -> tuple[bool, AccountInfo | None]:
        """Compare in constant time."""
        shown = dict(metadata).get(ACCESS_TOKEN_KEY, "")
        held = hmac.compare_digest(shown if isinstance(shown, bytes) else shown.encode(), self._token)
        return held, AccountInfo(flwr_aid=NOOP_FLWR_AID, account_name=NOOP_ACCOUNT_NAME) if held else None

    def get_auth_tokens(self, device_code: str) -> AccountAuthCredentials | None:  # noqa: ARG002  (Flower's signature)
        """Give no tokens."""
        return None

    def refresh_tokens(
        self,
        metadata: Sequence[tuple[str, str | bytes]],  # noqa: ARG002  (Flower's signature)
    ) -> tuple[Sequence[tuple[str, str | bytes]] | None, AccountInfo | None]:
        """Refresh nothing."""
        return None, None


class FleetOnly:
    """What the outside sees of the SuperLink; everything else is 404, whatever it is."""

    def __init__(self, app: ASGIApp) -> None:
        """Take the whole application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it before its body is read."""
        status = _refusal(scope)
        if status is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await send({"type": "http.response.start", "status": status, "headers": [(b"connection", b"close")]})
            await send({"type": "http.response.body", "body": b""})
        else:
            await send(cast("Message", {"type": "websocket.close", "code": 1008}))


class WholeBody:
    """Reads a request's body before the application sees it, and hands it on in one piece.

    TLS gives a body of 4 MiB in hundreds of pieces, and each would pass through all of Flower's middlewares by itself: most
    of what a SuperLink does in a round of large weights. Bodies are bounded before they come here, or from loopback.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Take the application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Gather the body and go on; a client that went away meanwhile is answered to nobody."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        pieces: list[bytes] = []
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return
            pieces.append(message.get("body", b""))
            more = message.get("more_body", False)
        whole: list[Message] = [{"type": "http.request", "body": b"".join(pieces), "more_body": False}]
        pieces.clear()

        async def once() -> Message:
            return whole.pop() if whole else await receive()

        await self._app(scope, once, send)


def _refusal(scope: Scope) -> int | None:
    """Say with which HTTP status a request to the public listener is refused, if so."""
    if scope["type"] != "http":
        return 404
    path, method = scope["path"], scope["method"]
    if path == HEALTH and method in ("GET", "HEAD"):
        return None
    if not path.startswith(FLEET) or ".." in path or method != "POST":
        return 404
    names = {name.decode("latin-1") for name, _ in scope["headers"]}
    if not names >= SIGNED:
        return 401
    lengths = [value for name, value in scope["headers"] if name == b"content-length"]
    if len(lengths) != 1 or not lengths[0].isdigit():
        return 411
    return 413 if int(lengths[0]) > LARGEST_BODY_BYTES else None


class _Server(uvicorn.Server):
    """One of two servers in a process that listens to signals itself."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def flower_config(settings: Settings) -> SuperLinkLifespanConfig:
    """Say to Flower how it is run here."""
    files = (settings.authority, settings.certificate, settings.key)
    host, port = settings.private
    return SuperLinkLifespanConfig(
        control_address=f"{host}:{port}",  # of the gRPC Control API, which stays switched off
        health_server_address=None,
        host=host,
        port=port,
        insecure=False,
        certificates=cast("tuple[bytes, bytes, bytes]", tuple(path.read_bytes() for path in files)),
        superexec_auth_secret=settings.secret,
        authn_plugin=TokenAuthn(settings.token),
        event_log_plugin=None,
        fleet_event_log_plugin=None,
        enable_event_log=False,
        artifact_provider=None,
        enable_supernode_auth=True,
        fleet_api_type=TRANSPORT_TYPE_GRPC_RERE,
        fleet_api_address=None,
        simulation=False,
        ssl_ca_certfile=str(settings.authority),
        ssl_certfile=str(settings.certificate),
        ssl_keyfile=str(settings.key),
        database=FLWR_IN_MEMORY_DB_NAME,
        isolation=ISOLATION_MODE_PROCESS,
        runtime_dependency_install=False,
    )


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    listeners = [bind(settings.private), bind(settings.public)]
    app = WholeBody(create_app(flower_config(settings), SuperLinkLifespan))
    tls = {"ssl_keyfile": str(settings.key), "ssl_certfile": str(settings.certificate)}
    certificate, key = settings.loopback or (settings.certificate, settings.key)
    private_tls = {"ssl_keyfile": str(key), "ssl_certfile": str(certificate)}
    plain = {"log_config": None, "access_log": False, "timeout_graceful_shutdown": GRACE_SECONDS, "server_header": False}
    settle()
    reuse_memory()
    private = _Server(uvicorn.Config(app, **private_tls, **plain))  # type: ignore[arg-type]
    public = _Server(uvicorn.Config(FleetOnly(app), lifespan="off", **tls, **plain))  # type: ignore[arg-type]

    def stop() -> None:
        private.should_exit = public.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    servers = [
        asyncio.create_task(server.serve(sockets=[listener]))
        for server, listener in zip((private, public), listeners, strict=True)
    ]
    # uvicorn tells nobody that it has started
    while not (private.started and public.started) and not any(task.done() for task in servers):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    addresses = [_text(listener) for listener in listeners]
    print(json.dumps({"private": addresses[0], "public": addresses[1]}), flush=True)  # noqa: T201  (told to whoever started us)
    try:
        await asyncio.wait(servers, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop()  # neither listener without the other
        await asyncio.gather(*servers)


def _text(listener: socket.socket) -> str:
    host, port, *_ = listener.getsockname()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:  # noqa: PLR2004  (the last port there is)
        msg = "give host:port"
        raise argparse.ArgumentTypeError(msg)
    return host.strip("[]"), int(port)


def parse(words: Sequence[str]) -> Settings:
    """Read the command line and the two secret files.

    Raises:
        Refused: K-MISSING, K-MODE, X-USAGE; all at once.
    """
    parser = argparse.ArgumentParser(prog="coordinator.flower.superlink", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--public", type=_address, required=True, help="host:port that hospitals connect to")
    parser.add_argument("--private", type=_address, default=("127.0.0.1", 0), help="host:port on loopback, for the conductor")
    for name in ("authority", "certificate", "key", "token", "secret"):
        parser.add_argument(f"--{name}-file", type=Path, required=True, help=f"path of the {name}")
    for name in ("loopback-certificate", "loopback-key"):
        parser.add_argument(f"--{name}-file", type=Path, help=f"path of the {name}, where the public one does not name loopback")
    options = parser.parse_args(words)
    own = options.loopback_certificate_file, options.loopback_key_file
    private = [getattr(options, f"{name}_file") for name in ("key", "token", "secret")]
    problems = [problem for path in (*private, *own[1:]) if path is not None for problem in _key_file(path)]
    if not ipaddress.ip_address(options.private[0]).is_loopback:
        problems.append(
            Problem(
                "X-USAGE", "--private", "Control and Runtime listen on loopback only", "it is another address", "use 127.0.0.1"
            )
        )
    raise_all(problems)
    return Settings(
        public=options.public,
        private=options.private,
        authority=options.authority_file,
        certificate=options.certificate_file,
        key=options.key_file,
        token=options.token_file.read_text().strip(),
        secret=options.secret_file.read_bytes(),
        loopback=None if None in own else own,
    )


def _key_file(path: Path) -> list[Problem]:
    if not path.is_file() or not path.read_bytes().strip():
        return [
            Problem(
                "K-MISSING", path.name, "The key must exist", "the file is missing or empty", "run: wardround coordinator init"
            )
        ]
    if path.stat().st_mode & 0o077:
        return [
            Problem(
                "K-MODE",
                path.name,
                "Private keys are readable by their owner only",
                "others may read this key",
                f"run: chmod 600 {path.name}",
            )
        ]
    return []


def main() -> int:
    """Run the SuperLink; gives the exit status."""
    begin_pulse()
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    try:
        settings = parse(sys.argv[1:])
        with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:  # uvloop, whose TLS costs a fraction of asyncio's
            runner.run(serve(settings))
    except Refused as error:
        print(error, file=sys.stderr)  # noqa: T201  (a process of ours, not a command)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())

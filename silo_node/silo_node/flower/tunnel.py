"""Flower's Fleet client through the hospital's proxy, and what is told of that proxy while a node runs.

    run/proxy.json      that the proxy does not lead to the centre now, since when, and by which code; absent when it does

Flower's client makes an httpx client of its own, which would take a proxy with its credentials from the environment, and
gives up at the first answer of a proxy that is no. Ours, put in its place, takes them from where the site file says,
and goes on trying.
"""

from __future__ import annotations

import ssl
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from flwr.supernode.fleet_http_client import FleetHttpClient

from silo_node.proxy_trouble import ProxyTrouble
from wardround.errors import Broken, Refused
from wardround.files import write_atomic
from wardround.transport.proxy import ProxyFault, ProxyTransport
from wardround.transport.route import Route
from wardround.values import instant


def fleet_client(route: Route, trouble: Path | None = None) -> type[FleetHttpClient]:
    """Give Flower's Fleet client with a proxy.

    Args:
        route: the proxy.
        trouble: the file in which it stands that the proxy does not lead to the centre; none is kept when not given.
    """
    told = Told(trouble)

    class ProxiedFleetClient(FleetHttpClient):
        """Speaks through the proxy, and in no other way."""

        def __init__(self, base_url: str, **settings: Any) -> None:  # noqa: ANN401  (Flower's own)
            pinned = settings.get("verify")  # a context, or the path of the authority
            super().__init__(base_url, **settings)
            stock = vars(self).get("_client")
            if isinstance(pinned, str):
                pinned = ssl.create_default_context(cafile=pinned)
            if not isinstance(stock, httpx.Client) or not isinstance(pinned, ssl.SSLContext):
                msg = "Flower's client is not the one that the proxy was fitted to"
                raise Broken(msg)
            transport = ProxyTransport(route, pinned, told)
            self._client = httpx.Client(
                transport=transport, timeout=stock.timeout, follow_redirects=stock.follow_redirects, trust_env=False
            )
            stock.close()

    return ProxiedFleetClient


class Told:
    """Hears after each request how the proxy was, from several threads; writes and prints what changes."""

    def __init__(self, trouble: Path | None) -> None:
        """Take the file for what goes wrong."""
        self._trouble = trouble
        self._code: str | None = ""
        """The last code; None when there was none; empty before the first request."""
        self._lock = threading.Lock()

    def __call__(self, fault: ProxyFault | None) -> None:
        """Hear of a request."""
        code = None if fault is None else fault.code
        with self._lock:
            if code == self._code:
                return
            first, self._code = self._code == "", code
            now = instant(datetime.now(UTC))
            if fault is not None:
                _print(f"{now} {fault}; Next: {fault.next_step}. It goes on trying.")
            elif not first:
                _print(f"{now} the proxy leads to the centre again")
            if self._trouble is not None:
                _write(self._trouble, None if fault is None else ProxyTrouble(since=now, code=fault.code, finding=fault.finding))


def _print(text: str) -> None:
    with suppress(OSError):  # a full disk must not end a node
        print(text, file=sys.stderr, flush=True)  # noqa: T201  (into logs/supernode.out)


def _write(path: Path, trouble: ProxyTrouble | None) -> None:
    with suppress(OSError, Refused):  # a full disk must not end a node
        if trouble is None:
            path.unlink(missing_ok=True)
        else:
            write_atomic(path, trouble.model_dump_json().encode(), mode=0o600)

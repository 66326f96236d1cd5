"""The way to a centre through a hospital's own HTTP proxy: a tunnel (CONNECT, RFC 9110, section 9.3.6), and TLS in it.

The proxy sees the centre's name and port, and nothing of what is said. One that opens TLS shows another authority than
the pinned one, and is refused like any stranger. What goes wrong at the proxy has codes of its own, apart from what goes
wrong at the centre. No credential is ever part of an error, a log or a text form.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx

from wardround.errors import Refused, refuse
from wardround.identity.address import split_address
from wardround.transport.greeting import CONNECT_SECONDS, Greeting, certificate_refusal, other_centre
from wardround.transport.route import Route

_AUTHENTICATION_REQUIRED = 407
_GATEWAY = frozenset({502, 503, 504})
"""What a proxy answers that lets a client through, but does not reach the other end (RFC 9110, section 15.6)."""
_TUNNEL_IS_UP = "proxy.start_tls"
_TO_THE_PROXY, _TLS_WITH_THE_PROXY = "connection.connect_tcp", "connection.start_tls"
_RULE = "A node reaches its centre through the proxy that its site file names"


def client_setting(route: Route) -> httpx.Proxy:
    """Give a proxy as httpx takes it."""
    context = ssl.create_default_context(cafile=route.authority) if route.secure else None
    scheme = "https" if route.secure else "http"
    return httpx.Proxy(f"{scheme}://{route}", ssl_context=context, auth=route.credentials)


class ProxyFault(httpx.ConnectError):
    """The proxy did not lead to the centre. A connection error to Flower's clients, which so go on trying."""

    def __init__(self, code: str, finding: str, next_step: str) -> None:
        """Take the stable code, what was found, and what to do."""
        super().__init__(f"{code}: {finding}")
        self.code, self.finding, self.next_step = code, finding, next_step

    def refusal(self, place: str) -> Refused:
        """Give the error for people."""
        return refuse(self.code, place, _RULE, self.finding, self.next_step)


class ProxyTransport(httpx.HTTPTransport):
    """Carries requests to a centre through a tunnel; says after each how the proxy was."""

    def __init__(
        self, route: Route, pinned: ssl.SSLContext, told: Callable[[ProxyFault | None], None] = lambda _fault: None
    ) -> None:
        """Take the proxy, what trusts the centre's pinned authority, and who is told of faults (None: there is none)."""
        super().__init__(verify=pinned, trust_env=False, proxy=client_setting(route))
        self._route = route
        self._told = told

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request.

        Raises:
            ProxyFault: the proxy did not lead to the centre.
            httpx.TransportError: what is behind the proxy did not answer as it should.
        """
        seen: list[str] = []
        request.extensions["trace"] = lambda event, _details: seen.append(event)
        try:
            response = super().handle_request(request)
        except httpx.ProxyError as error:
            fault = self._refused_by_proxy(str(error))
        except httpx.TransportError as error:
            found = self._not_through(error, seen)
            if found is None:
                raise
            fault = found
        else:
            self._told(None)
            return response
        self._told(fault)
        raise fault from None

    def _refused_by_proxy(self, answer: str) -> ProxyFault:
        """Say what an answer to CONNECT means; only its status is taken, its text is the proxy's."""
        digits = answer.partition(" ")[0]
        status = int(digits) if digits.isdigit() else 0
        if status == _AUTHENTICATION_REQUIRED:
            finding, step = "asks for credentials, and none are named", "name them under 'proxy' in site.yaml: 'credentials'"
            if self._route.credentials is not None:
                finding, step = "does not take the credentials", "correct what 'proxy.credentials' in site.yaml refers to"
            return ProxyFault("N-PROXYAUTH", f"the proxy {finding} ({status})", step)
        if status in _GATEWAY:
            finding = f"the proxy lets this machine through, but reaches nothing there ({status})"
            return ProxyFault("N-UNREACHABLE", finding, "ask the operator whether the centre is up, at this address")
        return ProxyFault(
            "N-PROXYDENIED",
            f"the proxy does not open a tunnel to it ({status})",
            "have whoever runs the proxy allow CONNECT from this machine to the centre's host and port",
        )

    def _not_through(self, error: httpx.TransportError, seen: list[str]) -> ProxyFault | None:
        """Say what went wrong on the way to and at the proxy; None when the tunnel was up, or already was."""
        steps = {event.rpartition(".")[0] for event in seen}
        if not steps & {_TO_THE_PROXY} or _TUNNEL_IS_UP in steps:
            return None
        check = "check 'proxy.url' in site.yaml, and that this machine may connect to the proxy"
        if f"{_TO_THE_PROXY}.complete" not in seen:
            silent = isinstance(error, httpx.TimeoutException)
            finding = "no connection to the proxy" + (" in time" if silent else "")
            return ProxyFault("N-PROXY", finding, check)
        if _TLS_WITH_THE_PROXY in steps and f"{_TLS_WITH_THE_PROXY}.complete" not in seen:
            step = "name the authority of the proxy's certificate ('proxy.authority'), or use http:// if it speaks no TLS itself"
            return ProxyFault("N-PROXY", "no secure connection to the proxy", step)
        if isinstance(error, httpx.TimeoutException):
            return ProxyFault("N-PROXY", "the proxy gives no answer", "ask whoever runs the proxy; " + check)
        return ProxyFault("N-PROXY", "what answers there does not speak as a proxy does", check)


def greet_through(address: str, authority: Path, route: Route) -> Greeting:
    """Ask a centre for its health through a proxy, by the same transport as a node's.

    Raises:
        Refused: N-PROXY, N-PROXYAUTH, N-PROXYDENIED, N-UNREACHABLE, N-EXPIRED, N-CLOCK (the certificate is not valid
            yet), N-NAME, N-CENTRE.
    """
    split_address(address)
    url = f"https://{address}/health"
    transport = ProxyTransport(route, ssl.create_default_context(cafile=authority))
    try:
        with httpx.Client(transport=transport, trust_env=False, timeout=CONNECT_SECONDS) as client:
            _ask(client, url)  # opens the tunnel, which may take long
            return _ask(client, url)
    except ProxyFault as fault:
        raise fault.refusal(f"{address} through {route}") from None
    except httpx.TransportError as error:
        raise _behind(error, address, route) from None


def _ask(client: httpx.Client, url: str) -> Greeting:
    asked = time.time()
    with client.stream("GET", url) as response:
        shown = response.extensions["network_stream"].get_extra_info("ssl_object").getpeercert() or {}
        response.read()
        answered = time.time()
    try:
        told = parsedate_to_datetime(response.headers["Date"]).timestamp()
    except (KeyError, TypeError, ValueError):
        raise httpx.RemoteProtocolError("no time") from None
    end = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(shown["notAfter"])), UTC)
    return Greeting(end, told, asked, answered)


def _behind(error: httpx.TransportError, address: str, route: Route) -> Refused:
    """Say what went wrong behind the proxy."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return certificate_refusal(address, cause.verify_code)
        if isinstance(cause, ssl.SSLError):
            return other_centre(address, "it does not speak TLS as the centre does")
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.ProtocolError):
        return other_centre(address, "it does not answer as the centre does")
    return refuse(
        "N-UNREACHABLE",
        f"{address} through {route}",
        "A node reaches its centre by an outgoing connection",
        "the proxy has opened a tunnel, and nothing answers in it",
        "ask the operator whether the centre is up, at this address",
    )

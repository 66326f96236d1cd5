"""A hospital's way out: ``proxy`` in ``site.yaml``, and the proxy that its node uses to reach its centre, if any.

    none            connect straight, whatever the environment says (when nothing is said)
    environment     ask https_proxy, else all_proxy, and no_proxy, in small letters or capitals
    {url: ...}      this proxy

Credentials are never in ``site.yaml``: it names a private file or an environment variable that holds ``user:password``.
Only processes that speak to the centre are told of the proxy, and they read the credentials themselves, at each start.
The machine itself (localhost, 127.0.0.0/8, ::1) is never reached through a proxy.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeAlias
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, StringConstraints, model_validator

from silo_node.credentials import Credentials, read_credentials, user_and_password
from wardround.errors import refuse
from wardround.identity.address import LARGEST_PORT, check_host, split_address
from wardround.transport.route import Route
from wardround.values import Value

PROXY_NAMES = tuple(name for each in ("https_proxy", "http_proxy", "all_proxy") for name in (each, each.upper()))
ASKED = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
"""In this order, as curl and httpx have it for a centre's address, which is always TLS."""
EXCEPT = ("no_proxy", "NO_PROXY")
TRUST = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Where OpenSSL looks for the machine's own authorities; for TLS to a proxy only, never to the centre."""
HANDED_ON = "WARDROUND_WAY_OUT"
PLAIN_PORT, SECURE_PORT = 80, 443

_PlainPath = Annotated[str, StringConstraints(min_length=1, max_length=4000)]


def _checked_url(url: str) -> str:
    _split(url)
    return url


def _split(url: str, *, credentials: bool = False) -> tuple[str, int, bool, tuple[str, str] | None]:
    """Take a proxy's URL apart: host, port, whether it is TLS, credentials; ``ValueError`` with the rule, never with the URL."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("a proxy is http://HOST:PORT or https://HOST:PORT") from None
    if (
        parts.scheme not in ("http", "https")
        or parts.path not in ("", "/")
        or parts.query
        or parts.fragment
        or not parts.hostname
    ):
        raise ValueError("a proxy is http://HOST:PORT or https://HOST:PORT")
    if "@" in parts.netloc and not credentials:
        raise ValueError("a proxy's URL holds no credentials; name a private file or a variable under 'credentials'")
    secure = parts.scheme == "https"
    given = None
    if parts.username is not None:
        given = user_and_password(f"{unquote(parts.username)}:{unquote(parts.password or '')}")
    found = port if port is not None else SECURE_PORT if secure else PLAIN_PORT
    if not 0 < found <= LARGEST_PORT:
        raise ValueError("a port is from 1 to 65535")
    return check_host(parts.hostname), found, secure, given


def _checked_exception(text: str) -> str:
    bare = text.removeprefix("*").removeprefix(".")
    if text != "*":
        try:
            ipaddress.ip_network(text, strict=False)
        except ValueError:
            check_host(bare.lower())
    return text


class Proxy(Value):
    """One proxy.

    Attributes:
        url: ``http://host:port`` or, for one that itself speaks TLS, ``https://host:port``; without credentials.
        credentials: where user and password stand.
        authority: the certificates (PEM, one or more) that vouch for an ``https://`` proxy, in place of the machine's own.
        no_proxy: hosts that are reached straight: a name (with everything below it), an address, a network.
    """

    url: Annotated[str, StringConstraints(max_length=500), AfterValidator(_checked_url)]
    credentials: Credentials | None = None
    authority: _PlainPath | None = None
    no_proxy: tuple[Annotated[str, StringConstraints(min_length=1, max_length=300), AfterValidator(_checked_exception)], ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Proxy:
        if self.authority is not None and not self.url.startswith("https://"):
            msg = "an authority vouches for a proxy that speaks TLS: its url begins with https://"
            raise ValueError(msg)
        return self


ProxySetting: TypeAlias = Literal["none", "environment"] | Proxy


class WayOut(Value):
    """How a hospital's node reaches its centre, handed on to the processes that do so.

    Attributes:
        proxy: what ``site.yaml`` says.
        folder: the hospital's, where relative paths begin.
        centre: the centre's ``host:port``.
    """

    proxy: ProxySetting
    folder: str
    centre: str

    def route(self, environment: Mapping[str, str] | None = None) -> Route | None:
        """Give the proxy that leads to the centre; None when the node connects straight.

        Raises:
            Refused: N-CREDENTIALS; Y-VALUE when the environment's proxy is none; Y-FILE for the proxy's authority.
        """
        known = os.environ if environment is None else environment
        host, port = split_address(self.centre)
        if self.proxy == "none" or _is_here(host):
            return None
        if isinstance(self.proxy, Proxy):
            return None if _excepted(host, port, self.proxy.no_proxy) else self._of_site(self.proxy, known)
        name = next((name for name in ASKED if known.get(name)), None)
        exceptions = next((known[name] for name in EXCEPT if known.get(name)), "")
        if name is None or _excepted(host, port, [each.strip() for each in exceptions.split(",")]):
            return None
        try:
            return Route(*_split(_with_scheme(known[name]), credentials=True))
        except ValueError as error:
            raise refuse(
                "Y-VALUE",
                f"environment, {name}",
                f"{error}"[0].upper() + f"{error}"[1:],
                "the variable's value is not accepted",
                f"correct {name} where the service is started, or name the proxy in site.yaml",
            ) from None

    def _of_site(self, proxy: Proxy, known: Mapping[str, str]) -> Route:
        host, port, secure, _ = _split(proxy.url)
        credentials = (
            None if proxy.credentials is None else read_credentials(proxy.credentials, Path(self.folder), "proxy", known)
        )
        authority = None if proxy.authority is None else Path(self.folder) / proxy.authority
        if authority is not None and not os.access(authority, os.R_OK):
            raise refuse(
                "Y-FILE",
                proxy.authority or "",
                "The certificates that vouch for the proxy are a file beside the site file",
                "it is missing or cannot be read",
                "check 'proxy.authority' in site.yaml and the file's rights",
            )
        return Route(host, port, secure, credentials, authority)

    def environment(self) -> dict[str, str]:
        """Give what a process that speaks to the centre is told; nothing when the node connects straight anyway."""
        if self.proxy == "none":
            return {}
        names = [*ASKED, *EXCEPT] if self.proxy == "environment" else []
        if isinstance(self.proxy, Proxy) and self.proxy.credentials is not None and self.proxy.credentials.variable is not None:
            names.append(self.proxy.credentials.variable)
        passed = {name: os.environ[name] for name in (*names, *TRUST) if name in os.environ}
        return {**passed, HANDED_ON: self.model_dump_json()}


def telling(proxy: ProxySetting) -> tuple[str, ...]:
    """Give the names of variables that tell of a proxy or its credentials."""
    variable = proxy.credentials.variable if isinstance(proxy, Proxy) and proxy.credentials is not None else None
    return PROXY_NAMES if variable is None else (*PROXY_NAMES, variable)


def handed_on() -> WayOut | None:
    """Give what this process was told; None when it connects straight."""
    text = os.environ.get(HANDED_ON)
    return None if text is None else WayOut.model_validate_json(text)


def _with_scheme(url: str) -> str:
    return url if "://" in url else f"http://{url}"


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")  # RFC 6761, section 6.3


def _excepted(host: str, port: int, exceptions: Sequence[str]) -> bool:
    """Say whether a host is named as one that is reached straight: by itself, by what it is below, or by its network."""
    for each in exceptions:
        text = each.lower()
        if text == "*":
            return True
        named, _, digits = text.rpartition(":")
        if digits.isdigit() and named and ":" not in named:
            if int(digits) != port:
                continue
            text = named
        bare = text.removeprefix("*").removeprefix(".")
        if bare and (host == bare or host.endswith(f".{bare}")):
            return True
        try:
            if ipaddress.ip_address(host) in ipaddress.ip_network(text.strip("[]"), strict=False):
                return True
        except ValueError:
            continue
    return False

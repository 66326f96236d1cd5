"""Where a centre is found: ``host:port``, the host a DNS name or an IP address (IPv6 in brackets)."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator

LARGEST_PORT = 65535
LONGEST_HOST = 253
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PORT = re.compile(r"[1-9][0-9]{0,4}")


def split_address(address: str) -> tuple[str, int]:
    """Give host (without brackets) and port; ``ValueError`` with the rule when the text is no address."""
    host, _, port = address.rpartition(":")
    if not _PORT.fullmatch(port) or int(port) > LARGEST_PORT:
        raise ValueError("an address is HOST:PORT, with a port from 1 to 65535")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if (":" in bare) != (bare != host):
        raise ValueError("an IPv6 address stands in brackets, as in [2001:db8::1]:8443")
    return check_host(bare), int(port)


def check_host(host: str) -> str:
    """Give the host back; ``ValueError`` with the rule when it is neither a DNS name nor an IP address."""
    if ":" in host or host.rpartition(".")[2].isdigit():
        try:
            ipaddress.ip_address(host)
        except ValueError:
            raise ValueError("the host is not an IP address") from None
        if "%" in host:
            raise ValueError("an IP address of a certificate has no zone")
    elif len(host) > LONGEST_HOST or not all(_LABEL.fullmatch(label) for label in host.split(".")):
        raise ValueError("the host is a DNS name in lower case letters, digits, '-' and '.', or an IP address")
    return host


def _to_connect_to(address: str) -> str:
    host, _ = split_address(address)
    if _is_any(host):
        raise ValueError("hospitals connect to a name or an address of the centre, not to 'any address'")
    return address


def _to_listen_on(address: str) -> str:
    host, _ = split_address(address)
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise ValueError("the centre listens on an IP address of its own: 0.0.0.0 for all, 127.0.0.1 for this machine") from None
    return address


def _is_any(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


Address = Annotated[str, AfterValidator(_to_connect_to)]
"""``host:port`` that hospitals connect to."""

ListenAddress = Annotated[str, AfterValidator(_to_listen_on)]
"""``address:port`` that a process listens on."""

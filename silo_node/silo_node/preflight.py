"""Before a node starts: can the centre be reached, and is it the one that this hospital joined?"""

from __future__ import annotations

import socket
import ssl
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from silo_node.joining import Joined
from wardround.errors import Refused, refuse
from wardround.identity.address import split_address
from wardround.identity.tls import ends_soon, expiry
from wardround.transport.clocks import AHEAD_SECONDS, BEHIND_SECONDS
from wardround.values import instant

CONNECT_SECONDS = 10.0
# OpenSSL's verification codes (openssl-verification-options(1), X509_V_ERR_*)
NOT_YET_VALID, EXPIRED, HOSTNAME_MISMATCH = 9, 10, 62


def check_centre(address: str, authority: Path) -> datetime:
    """Connect to the centre's public address with the pinned authority, ask how it is, and compare the clocks.

    Gives the moment when the server's certificate expires.

    Raises:
        Refused: N-UNREACHABLE, N-EXPIRED, N-CLOCK, N-NAME, N-CENTRE.
    """
    host, port = split_address(address)
    context = ssl.create_default_context(cafile=str(authority))
    try:
        with (
            socket.create_connection((host, port), CONNECT_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host) as secure,
        ):
            told, end = _told_time(secure, host), _end_of(secure)
    except ssl.SSLCertVerificationError as error:
        raise _certificate(address, error.verify_code) from None
    except ssl.SSLError:
        raise _refused("N-CENTRE", address, "it does not speak TLS as the centre does") from None
    except OSError as error:
        raise refuse(
            "N-UNREACHABLE",
            address,
            "A node reaches its centre by an outgoing connection",
            f"no connection ({_why(error)})",
            "check the name, the port, the firewall for outgoing TCP, and whether the centre is up",
        ) from None
    except HTTPException:
        raise _refused("N-CENTRE", address, "it does not answer as the centre does") from None
    _compare_clocks(address, time.time() - told)
    return end


def ending(joined: Joined, server_end: datetime, now: datetime | None = None) -> list[str]:
    """Say, a line for each, which of the centre's certificates end within a month, and what to do.

    Args:
        joined: the centre that the hospital joined, with its pinned authority.
        server_end: when the certificate that the centre showed expires.
        now: the time here; the clock's when not given.
    """
    moment, authority_end = now or datetime.now(UTC), expiry(joined.authority.read_bytes())
    told = {
        server_end: "the centre's certificate expires {}; ask its operator to renew it: nothing changes here",
        authority_end: "the centre's authority expires {}; ask its operator: this hospital will have to join again",
    }
    return [text.format(instant(end)) for end, text in told.items() if ends_soon(end, moment)]


def _end_of(secure: ssl.SSLSocket) -> datetime:
    shown = secure.getpeercert() or {}
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(shown["notAfter"])), UTC)


def _told_time(secure: ssl.SSLSocket, host: str) -> float:
    """Give the centre's clock, in seconds since 1970, from the head of its answer."""
    secure.sendall(f"GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    with HTTPResponse(secure, method="GET") as response:
        response.begin()
        try:
            return parsedate_to_datetime(response.headers["Date"]).timestamp()
        except (TypeError, ValueError):
            raise HTTPException from None


def _compare_clocks(address: str, ahead: float) -> None:
    if -BEHIND_SECONDS < ahead < AHEAD_SECONDS:
        return
    raise refuse(
        "N-CLOCK",
        address,
        f"A node's clock is at most {AHEAD_SECONDS:.0f} s ahead of the centre's and {BEHIND_SECONDS:.0f} s behind it",
        f"it is {abs(ahead):.0f} s {'ahead' if ahead > 0 else 'behind'}",
        "set the clocks of both machines (NTP)",
    )


def _why(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "the name is not known here"
    if isinstance(error, TimeoutError):
        return f"no answer in {CONNECT_SECONDS:.0f} seconds"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    return "the network does not lead there"


def _certificate(address: str, code: int) -> Refused:
    if code == EXPIRED:
        return refuse(
            "N-EXPIRED",
            address,
            "The centre's certificate is valid now",
            "it has expired by this machine's clock",
            "compare the clock; if it is right, tell the operator to renew the certificate",
        )
    if code == NOT_YET_VALID:
        return refuse(
            "N-CLOCK",
            address,
            "The centre's certificate is valid now",
            "by this machine's clock it is not valid yet",
            "set this machine's clock (NTP)",
        )
    if code == HOSTNAME_MISMATCH:
        return refuse(
            "N-NAME",
            address,
            "The centre's certificate names the address that nodes use",
            "it names another one",
            "ask the operator for a certificate with this name (coordinator renew --also-named), or use the name that it has",
        )
    return _refused("N-CENTRE", address, "its certificate is not signed by the authority that this hospital pinned")


def _refused(code: str, address: str, finding: str) -> Refused:
    return refuse(
        code,
        address,
        "A node speaks to the centre that it joined, and to no other",
        finding,
        "check the address; if the centre was set up anew, ask for a new invitation and join again",
    )

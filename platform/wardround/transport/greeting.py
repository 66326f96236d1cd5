"""A first word with a centre: connect to its public listener, hold its certificate against the authority, ask how it is."""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from wardround.errors import Refused, refuse
from wardround.identity.address import split_address

CONNECT_SECONDS = 10.0
DATE_SECONDS = 1.0
"""How old the time in an answer's head is on average: it has whole seconds, and the server makes it anew once a second."""
# OpenSSL's verification codes (openssl-verification-options(1), X509_V_ERR_*)
NOT_YET_VALID, EXPIRED, HOSTNAME_MISMATCH, IP_ADDRESS_MISMATCH = 9, 10, 62, 64


@dataclass(frozen=True)
class Greeting:
    """What a centre answered.

    Attributes:
        end: when the certificate that it showed expires.
        told: its clock, in whole seconds since 1970.
        asked, answered: this machine's clock before and after, seconds since 1970.
    """

    end: datetime
    told: float
    asked: float
    answered: float

    @property
    def ahead_seconds(self) -> float:
        """This machine's clock less the centre's, within ``unsure_seconds`` on either side."""
        return (self.asked + self.answered) / 2 - (self.told + DATE_SECONDS)

    @property
    def unsure_seconds(self) -> float:
        """How far ``ahead_seconds`` may be from the truth."""
        return DATE_SECONDS + (self.answered - self.asked) / 2


def greet(address: str, authority: Path, connect_to: tuple[str, int] | None = None) -> Greeting:
    """Connect to a centre's public address, straight and through no proxy, and ask for its health.

    Args:
        address: ``host:port``; the certificate has to name the host.
        authority: path of the pinned authority's certificate.
        connect_to: where to connect instead, under the same name.

    Raises:
        Refused: N-UNREACHABLE, N-EXPIRED, N-CLOCK (the certificate is not valid yet), N-NAME, N-CENTRE.
    """
    host, port = split_address(address)
    context = ssl.create_default_context(cafile=str(authority))
    try:
        with (
            socket.create_connection(connect_to or (host, port), CONNECT_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host) as secure,
        ):
            asked = time.time()
            told, end = _told_time(secure, host), _end_of(secure)
            return Greeting(end, told, asked, time.time())
    except ssl.SSLCertVerificationError as error:
        raise certificate_refusal(address, error.verify_code) from None
    except ssl.SSLError:
        raise other_centre(address, "it does not speak TLS as the centre does") from None
    except OSError as error:
        raise refuse(
            "N-UNREACHABLE",
            address,
            "A node reaches its centre by an outgoing connection",
            f"no connection ({_why(error)})",
            "check the name, the port, the firewall for outgoing TCP, and whether the centre is up",
        ) from None
    except HTTPException:
        raise other_centre(address, "it does not answer as the centre does") from None


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


def _why(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "the name is not known here"
    if isinstance(error, TimeoutError):
        return f"no answer in {CONNECT_SECONDS:.0f} seconds"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    return "the network does not lead there"


def certificate_refusal(address: str, code: int) -> Refused:
    """Say what is wrong with the certificate that a centre showed, by OpenSSL's verification code."""
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
    if code in (HOSTNAME_MISMATCH, IP_ADDRESS_MISMATCH):
        return refuse(
            "N-NAME",
            address,
            "The centre's certificate names the address that nodes use",
            "it names another one",
            "ask the operator for a certificate with this name (coordinator renew --also-named), or use the name that it has",
        )
    return other_centre(address, "its certificate is not signed by the authority that was pinned")


def other_centre(address: str, finding: str) -> Refused:
    """Say that what answers is not the centre."""
    return refuse(
        "N-CENTRE",
        address,
        "A node speaks to the centre that it joined, and to no other",
        finding,
        "check the address; if the centre was set up anew, ask for a new invitation and join again",
    )

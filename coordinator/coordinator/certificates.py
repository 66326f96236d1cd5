"""The centre's certificates: whether hospitals would accept them, and a new one before they would not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from coordinator.identity import KEYS, centre_files, load_centre_file
from wardround.errors import Problem, raise_all, refuse
from wardround.files import write_atomic
from wardround.identity.address import split_address
from wardround.identity.keys import read_private
from wardround.identity.tls import KeyPair, authority_fault, ends_soon, expiry, issue_server, names_of, server_fault
from wardround.values import instant

AUTHORITY_KEY = "authority.key"


def check_certificates(folder: Path, now: datetime | None = None) -> None:
    """Check that hospitals that pinned the centre's authority would accept its server certificate now.

    Raises:
        Refused: K-MISSING, K-CERTIFICATE, any Y- code.
    """
    files, host = centre_files(folder), split_address(load_centre_file(folder).address)[0]
    moment, authority = now or datetime.now(UTC), files.authority.read_bytes()
    faults = {
        "authority.pem": authority_fault(authority, moment),
        "server.pem": server_fault(files.certificate.read_bytes(), authority, host, moment),
    }
    remedies = {
        "authority.pem": "check the clock; if it is right, make a centre in a new folder and invite the hospitals again",
        "server.pem": "check the clock, and 'address' in centre.yaml; then run: wardround coordinator renew DIR",
    }
    raise_all(
        [
            Problem(
                "K-CERTIFICATE",
                f"{KEYS}/{name}",
                "Hospitals accept a certificate that is valid now, signed by the centre's authority, for its address",
                fault,
                remedies[name],
            )
            for name, fault in faults.items()
            if fault is not None
        ]
    )


def expires(folder: Path) -> datetime:
    """Give the moment when the first of a centre's certificates expires."""
    files = centre_files(folder)
    return min(expiry(path.read_bytes()) for path in (files.authority, files.certificate))


def ending(folder: Path, now: datetime | None = None) -> list[str]:
    """Say, a line for each, which of a centre's certificates end within a month, and what to do."""
    files, moment = centre_files(folder), now or datetime.now(UTC)
    remedies = {
        files.certificate: "run: wardround coordinator renew DIR, then stop and start the centre",
        files.authority: "it cannot be renewed: make a centre in a new folder and invite the hospitals again",
    }
    ends = {path: expiry(path.read_bytes()) for path in remedies}
    return [
        f"{KEYS}/{path.name} expires {instant(end)}; {remedies[path]}" for path, end in ends.items() if ends_soon(end, moment)
    ]


def renew(folder: Path, also_named: Sequence[str] = ()) -> None:
    """Issue a new server key and certificate for the address in ``centre.yaml``, the names of the old one, and others.

    The authority stays, so hospitals need do nothing. The SuperLink takes the new files when it starts.

    Raises:
        Refused: K-MISSING, K-MODE, K-FORMAT, K-CERTIFICATE (the authority itself is not valid), any Y- code, O-WRITE.
    """
    files, host = centre_files(folder), split_address(load_centre_file(folder).address)[0]
    authority = KeyPair(read_private(folder / KEYS / AUTHORITY_KEY), files.authority.read_bytes())
    fault = authority_fault(authority.public, datetime.now(UTC))
    if fault is not None:
        raise refuse(
            "K-CERTIFICATE",
            f"{KEYS}/{files.authority.name}",
            "The centre's authority is valid when it signs",
            fault,
            "check the clock; if it is right, make a centre in a new folder and invite the hospitals again",
        )
    try:
        kept = names_of(files.certificate.read_bytes())
    except ValueError:  # what is renewed need not be readable
        kept = []
    try:
        server = issue_server(authority, [host, *kept, *also_named])
    except (ValueError, TypeError):
        raise refuse(
            "K-FORMAT",
            f"{KEYS}/{AUTHORITY_KEY}",
            "The authority's key is the one that init made",
            "the file is not such a key",
            "restore the key file",
        ) from None
    write_atomic(files.key, server.private, mode=0o600)
    write_atomic(files.certificate, server.public, mode=0o600)

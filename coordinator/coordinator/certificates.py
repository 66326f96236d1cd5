"""The centre's certificates: whether hospitals would accept them, and a new one before they would not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from coordinator.brought import keep_brought, key_fault, loopback, read_brought
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
    certificate = files.certificate.read_bytes()
    faults = {
        "authority.pem": authority_fault(authority, moment),
        "server.pem": server_fault(certificate, authority, host, moment),
        "server.key": key_fault(certificate, read_private(files.key)),
    }
    if faults["server.pem"] is not None:  # then nobody can say whose key it is, or it does not matter
        faults.pop("server.key")
    remedies = {
        "authority.pem": f"check the clock; if it is right, {_successor(folder)}",
        "server.pem": f"check the clock, and 'address' in centre.yaml; then {_renewal(folder)}",
        "server.key": _renewal(folder),
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


def _renewal(folder: Path) -> str:
    """Say how the server certificate is renewed."""
    if loopback(folder / KEYS) is None:
        return "run: wardround coordinator renew DIR"
    return (
        "get a new one from your institution, and run: wardround coordinator renew DIR --certificates CERTIFICATE KEY AUTHORITY"
    )


def _successor(folder: Path) -> str:
    """Say what can be done about an authority that ends."""
    if loopback(folder / KEYS) is None:
        return "make a centre in a new folder and invite the hospitals again"
    return (
        "get certificates of its successor, and run: wardround coordinator renew DIR --certificates CERTIFICATE KEY AUTHORITY "
        "--hospitals-join-again"
    )


def expires(folder: Path) -> datetime:
    """Give the moment when the first of a centre's certificates expires."""
    files = centre_files(folder)
    return min(expiry(path.read_bytes()) for path in (files.authority, files.certificate))


def ending(folder: Path, now: datetime | None = None) -> list[str]:
    """Say, a line for each, which of a centre's certificates end within a month, and what to do."""
    files, moment = centre_files(folder), now or datetime.now(UTC)
    remedies = {
        files.certificate: f"{_renewal(folder)}, then stop and start the centre",
        files.authority: f"it cannot be renewed: {_successor(folder)}",
    }
    ends = {path: expiry(path.read_bytes()) for path in remedies}
    return [
        f"{KEYS}/{path.name} expires {instant(end)}; {remedies[path]}" for path, end in ends.items() if ends_soon(end, moment)
    ]


def renew(folder: Path, also_named: Sequence[str] = ()) -> None:
    """Issue a new server key and certificate for the address in ``centre.yaml``, the names of the old one, and others.

    The authority stays, so hospitals need do nothing. The SuperLink takes the new files when it starts.

    Raises:
        Refused: K-MISSING, K-MODE, K-FORMAT, K-CERTIFICATE (the authority itself is not valid, or not the centre's own),
            any Y- code, O-WRITE.
    """
    files, host = centre_files(folder), split_address(load_centre_file(folder).address)[0]
    if loopback(folder / KEYS) is not None:
        raise refuse(
            "K-CERTIFICATE",
            f"{KEYS}/{files.authority.name}",
            "A server certificate is renewed by the authority that signed it",
            "this centre's is its institution's, whose key is not here",
            _renewal(folder),
        )
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


def renew_brought(folder: Path, given: Sequence[Path], *, another_authority: bool = False) -> bool:
    """Take a server certificate that the institution brings; says whether its authority is another one than before.

    The files are ``given`` as for ``read_brought``. Where the authority is the one that hospitals have pinned, they need do
    nothing; with ``another_authority`` they must join again. The SuperLink takes the new files when it starts; no study is
    lost either way.

    Raises:
        Refused: as ``read_brought``; K-CERTIFICATE when it is another authority and nobody said so; K-MISSING, any Y- code,
            O-WRITE. Nothing is changed then.
    """
    files, host = centre_files(folder), split_address(load_centre_file(folder).address)[0]
    brought = read_brought(given, host, datetime.now(UTC))
    moved = files.authority.read_bytes() != brought.authority
    if moved and not another_authority:
        raise refuse(
            "K-CERTIFICATE",
            given[2].name,
            "Hospitals accept the authority that they pinned when they joined",
            "it is another one: no hospital could connect",
            "get a certificate of the pinned one (keys/authority.pem); if there is none, add --hospitals-join-again",
        )
    keep_brought(folder / KEYS, brought)
    if moved:
        (folder / KEYS / AUTHORITY_KEY).unlink(missing_ok=True)  # of the centre's own authority, which nobody pins any more
    return moved

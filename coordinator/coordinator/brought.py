"""A server certificate that the institution brings, in place of one of the centre's own authority: read, checked, kept.

    keys/authority.pem               the institution's root certificate, which hospitals pin; its key is not here
    keys/server.key, .pem            the server's, with the certificates between it and the root
    keys/loopback.key, .pem          the private listener's, made here: an institution names no loopback in a certificate
    keys/loopback-authority.pem      signs that one; its key is thrown away

``loopback.key`` is there exactly when the certificates were brought.
"""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID
from pydantic import TypeAdapter, ValidationError

from wardround.errors import Problem, raise_all, refuse
from wardround.files import write_atomic
from wardround.identity.invitation import CertificateText
from wardround.identity.keys import read_private
from wardround.identity.tls import AUTHORITY_DAYS, authority_fault, issue_server, make_authority, server_fault

SMALLEST_RSA_BITS = 2048
STRONG_HASHES = ("sha256", "sha384", "sha512")
LARGEST_FILE_BYTES = 256 * 1024
_PINNED: TypeAdapter[str] = TypeAdapter(CertificateText)
_RULE = "Hospitals accept a strong certificate that is valid now, for the centre's address, signed in turn up to the authority"


@dataclass(frozen=True)
class Brought:
    """Certificates that hold, as they are written: PEM without any text around it. ``certificate``: the whole chain."""

    certificate: bytes
    key: bytes
    authority: bytes

    def __repr__(self) -> str:
        """Show no key."""
        return f"Brought(certificate={len(self.certificate)} bytes)"


@dataclass(frozen=True)
class Loopback:
    """The paths of the private listener's files."""

    authority: Path
    certificate: Path
    key: Path


def loopback(keys: Path) -> Loopback | None:
    """Give the private listener's own files; None where the public ones serve it too, since the centre made those itself."""
    found = Loopback(keys / "loopback-authority.pem", keys / "loopback.pem", keys / "loopback.key")
    return found if found.key.exists() else None


def make_loopback() -> dict[str, bytes]:
    """Make the private listener's files, by name; the key comes last, since it says that they are there."""
    authority = make_authority("loopback")
    server = issue_server(authority, [], AUTHORITY_DAYS)
    return {"loopback-authority.pem": authority.public, "loopback.pem": server.public, "loopback.key": server.private}


def read_brought(files: Sequence[Path], host: str, now: datetime) -> Brought:
    """Read certificates that the institution brings, and check everything that hospitals would refuse.

    Args:
        files: three in PEM. The server's certificate, followed by those between it and the authority; its private key, without
            a passphrase, readable by its owner only; the root certificate that hospitals pin.
        host: what hospitals connect to.
        now: the time here.

    Raises:
        Refused: Y-FILE, K-MISSING, K-MODE, K-FORMAT, K-CERTIFICATE; of the last all at once.
    """
    certificate, key, authority = files
    chain, (root, *more) = _certificates(certificate), _certificates(authority)
    private = _private_key(key)
    pem = b"".join(each.public_bytes(Encoding.PEM) for each in chain)
    brought = Brought(
        pem,
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        root.public_bytes(Encoding.PEM),
    )
    faults = [(authority, fault) for fault in _root_faults(root, more, now)]
    faults += [(certificate, fault) for fault in _chain_faults(chain)]
    if key_fault(pem, brought.key) is not None:
        faults.append((key, "it is not the key of the certificate"))
    if (fault := server_fault(pem, brought.authority, host, now)) is not None:
        faults.append((certificate, fault))
    if not faults and (said := _handshake(brought, host)) is not None:
        faults.append((certificate, said))
    step = "ask whoever made it for another one: docs/how-to/run-a-centre.md says what it must be"
    raise_all([Problem("K-CERTIFICATE", path.name, _RULE, fault, step) for path, fault in faults])
    return brought


def keep_brought(keys: Path, brought: Brought) -> None:
    """Write certificates that hold over those that are there; the SuperLink takes them when it starts.

    Raises:
        Refused: O-WRITE.
    """
    for name, data in make_loopback().items():
        write_atomic(keys / name, data, mode=0o600)
    for name, data in files_of(brought).items():
        write_atomic(keys / name, data, mode=0o600)


def files_of(brought: Brought) -> dict[str, bytes]:
    """Give the files of certificates that were brought, by name."""
    return {"authority.pem": brought.authority, "server.key": brought.key, "server.pem": brought.certificate}


def key_fault(certificate: bytes, key: bytes) -> str | None:
    """Say whether a private key (PEM) is not that of a certificate (PEM); nothing when it is."""
    try:
        private = load_pem_private_key(key, password=None)
        public = x509.load_pem_x509_certificate(certificate).public_key()
    except (ValueError, TypeError):
        return "it cannot be read"
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    same = private.public_key().public_bytes(*form) == public.public_bytes(*form)
    return None if same else "it is not the key of server.pem"


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE_BYTES)
    except OSError:
        raise refuse("Y-FILE", path.name, "The file must exist", "it is missing or cannot be read", "check the path") from None
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError:
        raise refuse(
            "K-FORMAT",
            path.name,
            "Certificates are X.509 in PEM",
            "the file holds none, or one that cannot be read",
            "convert it, such as by: openssl x509 -inform der -in FILE -out FILE.pem",
        ) from None


def _private_key(path: Path) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    data = read_private(path)
    try:
        key = load_pem_private_key(data, password=None)
    except TypeError:
        raise refuse(
            "K-FORMAT",
            path.name,
            "The server's key has no passphrase: the centre starts without a person",
            "this one has a passphrase",
            "take it off into a file that only you may read: openssl pkey -in FILE -out OTHER, with umask 077",
        ) from None
    except ValueError:
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise refuse(
            "K-FORMAT",
            path.name,
            "The server's key is an RSA or elliptic curve key in PEM",
            "the file is no such key",
            "give the key that the certificate was requested with",
        )
    return key


def _root_faults(root: x509.Certificate, more: Sequence[x509.Certificate], now: datetime) -> Iterator[str]:
    """Say what is wrong with the authority, which an invitation must be able to carry."""
    if more:
        yield "it holds more than one certificate; the authority is the root alone"
    pem = root.public_bytes(Encoding.PEM)
    fault = authority_fault(pem, now)
    if fault is not None:
        yield fault
    if (weak := _weak_key(root.public_key())) is not None:
        yield weak
    try:
        _PINNED.validate_python(pem.decode())
    except ValidationError:
        yield "it is larger than an invitation carries (60 lines of PEM)"


def _chain_faults(chain: Sequence[x509.Certificate]) -> Iterator[str]:
    """Say what is wrong with the server's certificate and those above it, whoever signed them."""
    for each in chain:
        if (weak := _weak_key(each.public_key())) is not None:
            yield weak
        algorithm = each.signature_hash_algorithm
        if algorithm is None or algorithm.name not in STRONG_HASHES:
            yield f"it is signed with {'an unknown digest' if algorithm is None else algorithm.name}, which is too weak"
    server = chain[0].extensions
    try:
        if server.get_extension_for_class(x509.BasicConstraints).value.ca:
            yield "the first certificate is an authority's, not a server's"
    except x509.ExtensionNotFound:
        pass  # not an authority, then
    try:
        if ExtendedKeyUsageOID.SERVER_AUTH not in server.get_extension_for_class(x509.ExtendedKeyUsage).value:
            yield "it is not for TLS servers (extended key usage)"
    except x509.ExtensionNotFound:
        pass  # for any use
    try:
        if not server.get_extension_for_class(x509.KeyUsage).value.digital_signature:
            yield "its key is not for signatures (key usage), and TLS 1.3 knows no other servers"
    except x509.ExtensionNotFound:
        pass  # for any use


def _weak_key(key: CertificatePublicKeyTypes) -> str | None:
    if isinstance(key, rsa.RSAPublicKey):
        return f"an RSA key of {key.key_size} bits is too short" if key.key_size < SMALLEST_RSA_BITS else None
    strong = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1)
    return None if strong else "its key is neither RSA nor on P-256, P-384 or P-521"


def _handshake(brought: Brought, host: str) -> str | None:
    """Shake hands in memory, as a hospital will; gives the reason when that would refuse."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:  # readable by its owner only
        file.write(brought.key + brought.certificate)
        file.flush()
        try:
            serving.load_cert_chain(file.name)
        except ssl.SSLError:
            return "this machine's TLS does not serve it"
    asking = ssl.create_default_context(cadata=brought.authority.decode())
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = asking.wrap_bio(to_client, to_server, server_hostname=host)
    server = serving.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server) * 3:
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLCertVerificationError as error:
            return f"TLS refuses it: {error.verify_message}"
        except ssl.SSLError:
            return "TLS refuses it"
    return None

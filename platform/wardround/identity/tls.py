"""Certificates and keys of the connection: the centre's own authority, its server certificate, a node's key.

These protect the channel. What a message is worth is decided by Wardround's own signatures, not by these.
"""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
    load_ssh_public_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pydantic import AfterValidator, StringConstraints

from wardround.values import instant

AUTHORITY_DAYS = 3650
SERVER_DAYS = 825
"""The longest that common TLS clients accept of a server certificate."""
RENEW_WITHIN = timedelta(days=30)
"""How long before the end of a certificate people are told."""
CLOCK_ALLOWANCE = timedelta(hours=1)
"""Certificates begin this long ago: hospital clocks may be behind."""
LOOPBACK = ("localhost", "127.0.0.1")
"""Every server certificate names these too: the conductor speaks to the SuperLink on its own machine."""

_NODE_KEY_HEAD = "AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABh"
"""Base64 of the names of the key type and curve and the length of the point; the point begins with its form, 4."""


@dataclass(frozen=True)
class KeyPair:
    """A private key (PEM) and its public side (PEM certificate, or an OpenSSH line); shows the public side only."""

    private: bytes
    public: bytes

    def __repr__(self) -> str:
        """Show no key."""
        return f"KeyPair(public={len(self.public)} bytes)"


def make_authority(name: str, days: int = AUTHORITY_DAYS) -> KeyPair:
    """Make a certificate authority that signs server certificates and nothing below them."""
    key = ec.generate_private_key(ec.SECP384R1())
    subject = _named(f"{name} authority")
    usage = _usage(signs_certificates=True)
    certificate = (
        _certificate(subject, subject, key.public_key(), days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA384())
    )
    return KeyPair(_private(key), certificate.public_bytes(Encoding.PEM))


def issue_server(authority: KeyPair, names: Sequence[str], days: int = SERVER_DAYS) -> KeyPair:
    """Make a server's key and its certificate for some DNS names and IP addresses, and for loopback."""
    signer = load_pem_private_key(authority.private, password=None)
    issuer = x509.load_pem_x509_certificate(authority.public)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        msg = "the authority's key is not an elliptic curve key"
        raise TypeError(msg)
    key = ec.generate_private_key(ec.SECP256R1())
    alternatives = [_general_name(name) for name in dict.fromkeys((*names, *LOOPBACK))]
    certificate = (
        _certificate(_named(names[0] if names else LOOPBACK[0]), issuer.subject, key.public_key(), days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA384())
    )
    return KeyPair(_private(key), certificate.public_bytes(Encoding.PEM))


def make_node_key() -> KeyPair:
    """Make the key with which a hospital's SuperNode signs in: P-384."""
    return node_key_pair(ec.generate_private_key(ec.SECP384R1()))


def node_key_pair(key: ec.EllipticCurvePrivateKey) -> KeyPair:
    """Give a node's key in OpenSSH's two forms, as Flower reads them; the public line has no comment."""
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    return KeyPair(private, key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH))


def node_key_to_pem(public: bytes) -> bytes | None:
    """Give an OpenSSH public key line as PEM, as Flower's Control API takes it; None when it is not a P-384 key."""
    try:
        key = load_ssh_public_key(public)
    except ValueError:
        return None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        return None
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def node_key_public(private: bytes) -> str | None:
    """Give the public line of a node's private key; None when it is not one."""
    try:
        key = load_ssh_private_key(private, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP384R1):
        return None
    return node_key_pair(key).public.decode()


def certificate_fault(certificate: bytes, now: datetime) -> str | None:
    """Say why a certificate (PEM), or one of those that follow it, is not valid at a moment; nothing when all are."""
    try:
        chain = x509.load_pem_x509_certificates(certificate)
    except ValueError:
        return "it cannot be read"
    for found in chain:
        if now < found.not_valid_before_utc:
            return f"it is valid from {instant(found.not_valid_before_utc)} only; here it is {instant(now)}"
        if now >= found.not_valid_after_utc:
            return f"it expired at {instant(found.not_valid_after_utc)}"
    return None


def authority_fault(certificate: bytes, now: datetime) -> str | None:
    """Say why a certificate (PEM) is not that of an authority which is valid at a moment; nothing when it is."""
    try:
        found = x509.load_pem_x509_certificate(certificate)
        extensions = found.extensions
        is_authority = extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        signs = extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
        found.verify_directly_issued_by(found)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return "it is not an authority's own certificate"
    return certificate_fault(certificate, now) if is_authority and signs else "it is not an authority's own certificate"


def server_fault(certificate: bytes, authority: bytes, host: str, now: datetime) -> str | None:
    """Say why clients that pin an authority would refuse a server under a name; nothing when they would not.

    The server's certificate (PEM) may be followed by those between it and the authority.
    """
    fault = certificate_fault(certificate, now)
    if fault is not None:
        return fault
    chain = x509.load_pem_x509_certificates(certificate)
    try:
        for signed, signer in itertools.pairwise([*chain, x509.load_pem_x509_certificate(authority)]):
            signed.verify_directly_issued_by(signer)
        names = chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return "it is not signed by the centre's authority"
    _, _, domain = host.partition(".")
    named = (_general_name(host), x509.DNSName(f"*.{domain}"))
    return None if any(name in named for name in names) else f"it does not name {host}"


def names_of(certificate: bytes) -> list[str]:
    """Give the DNS names and IP addresses of a server certificate (PEM)."""
    found = x509.load_pem_x509_certificate(certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in found if isinstance(name, x509.DNSName | x509.IPAddress)]


def expiry(certificate: bytes) -> datetime:
    """Give the moment when a certificate (PEM) expires, or the first of those that follow it."""
    return min(each.not_valid_after_utc for each in x509.load_pem_x509_certificates(certificate))


def ends_soon(end: datetime, now: datetime) -> bool:
    """Say whether what is valid until a moment should be renewed now."""
    return end - now < RENEW_WITHIN


def _on_the_curve(line: str) -> str:
    if node_key_to_pem(line.encode()) is None:
        msg = "the key is not a point of P-384"
        raise ValueError(msg)
    return line


NodeKey = Annotated[
    str,
    StringConstraints(pattern=rf"^ecdsa-sha2-nistp384 {_NODE_KEY_HEAD}B[A-Za-z0-9+/]{{128}}[AQgw]==$"),
    AfterValidator(_on_the_curve),
]
"""The one form of a node's public key: an OpenSSH line (RFC 5656) of an uncompressed P-384 point, without a comment."""


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _certificate(subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, days: int) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_ALLOWANCE)
        .not_valid_after(now + timedelta(days=days))
    )

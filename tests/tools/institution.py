"""An institution's own certificates, as an IT department hands them out: root, one authority below it, servers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

USES = ("digital_signature", "key_cert_sign", "crl_sign")
ALL_USES = (
    *USES,
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "encipher_only",
    "decipher_only",
)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def pem(certificate: x509.Certificate) -> bytes:
    """Give a certificate as PEM."""
    return certificate.public_bytes(Encoding.PEM)


class Institution:
    """A root, and an authority below it that signs servers."""

    def __init__(self, name: str = "Institution", days: int = 3000) -> None:
        """Make both."""
        self.root_key, self.between_key = ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP256R1())
        self.root = self.sign(f"{name} root", self.root_key, self.root_key, None, days=days)
        self.between = self.sign(f"{name} servers", self.between_key, self.root_key, self.root, days=days)

    def sign(self, name, key, signer, issuer, *, days=300, names=(), **changes):
        """Sign a certificate: an authority's, or a server's with names."""
        common = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        uses = changes.get("uses", ("digital_signature",) if names else USES[1:])
        builder = (
            x509.CertificateBuilder()
            .subject_name(common)
            .issuer_name(common if issuer is None else issuer.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1) + timedelta(days=changes.get("begins", 0)))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=changes.get("ca", not names), path_length=None), critical=True)
            .add_extension(x509.KeyUsage(**{use: use in uses for use in ALL_USES}), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(each) for each in names]), critical=False)
            purpose = changes.get("purpose", ExtendedKeyUsageOID.SERVER_AUTH)
            builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        return builder.sign(signer, changes.get("digest", hashes.SHA256()))

    def server(self, folder: Path, *names: str, key: Key | None = None, direct: bool = False, **changes) -> list[Path]:
        """Write a server's certificate with those above it, its key, and the root; gives the three paths."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        signer, issuer = (self.root_key, self.root) if direct else (self.between_key, self.between)
        leaf = self.sign(names[0], key, signer, issuer, names=names, **changes)
        folder.mkdir(parents=True, exist_ok=True)
        certificate, private, root = (folder / name for name in ("centre.crt", "centre.key", "root.crt"))
        certificate.write_bytes(b"Subject: CN = text that tools put there\n" + pem(leaf) + (b"" if direct else pem(self.between)))
        private.touch(mode=0o600)
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
        root.write_bytes(pem(self.root))
        return [certificate, private, root]

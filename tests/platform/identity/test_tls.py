"""Certificates and node keys: what TLS and Flower take, and nothing more."""

import ssl
import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_ssh_private_key

from wardround.identity.keys import SigningKey
from wardround.identity.tls import (
    KeyPair,
    authority_fault,
    certificate_fault,
    expiry,
    issue_server,
    make_authority,
    make_node_key,
    names_of,
    node_key_public,
    node_key_to_pem,
    server_fault,
)

NOW = datetime.now(UTC)


def handshake(server: KeyPair, authority: KeyPair, name: str, folder) -> str | None:
    """Shake hands in memory; gives the reason when the client refuses."""
    (folder / "key").write_bytes(server.private)
    (folder / "certificate").write_bytes(server.public)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(folder / "certificate", folder / "key")
    asking = ssl.create_default_context(cadata=authority.public.decode())
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = asking.wrap_bio(to_client, to_server, server_hostname=name)
    answering = serving.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (client, answering):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError as error:
                return error.verify_message
    return None


@pytest.mark.parametrize("name", ["centre.example", "10.1.2.3", "::1", "localhost", "127.0.0.1"])
def test_a_server_is_known_by_each_of_its_names(tmp_path, name):
    """DNS names, addresses, and loopback always."""
    authority = make_authority("The centre")
    assert handshake(issue_server(authority, ["centre.example", "10.1.2.3", "::1"]), authority, name, tmp_path) is None


def test_another_name_or_authority_is_refused(tmp_path):
    """TLS clients refuse both."""
    authority = make_authority("The centre")
    server = issue_server(authority, ["centre.example"])
    assert "mismatch" in str(handshake(server, authority, "other.example", tmp_path)).lower()
    assert handshake(server, make_authority("The centre"), "centre.example", tmp_path) is not None


def test_an_expired_certificate_is_refused(tmp_path):
    """Days are days."""
    authority = make_authority("The centre")
    server = issue_server(authority, ["a.example"], days=0)  # valid from an hour ago until now
    time.sleep(1.1)
    assert "expired" in str(handshake(server, authority, "a.example", tmp_path))


def test_a_server_can_sign_nothing():
    """A stolen server key makes no certificates."""
    certificate = x509.load_pem_x509_certificate(issue_server(make_authority("A"), ["a.example"]).public)
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


def test_node_keys_are_p384_in_openssh_form():
    """As Flower reads them; another kind of key gives nothing."""
    key = make_node_key()
    private = load_ssh_private_key(key.private, None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    assert private.curve.name == "secp384r1"
    assert key.public.startswith(b"ecdsa-sha2-nistp384 ")
    assert str(node_key_to_pem(key.public), "ascii").startswith("-----BEGIN PUBLIC KEY-----")
    for other in (
        b"",
        b"x",
        SigningKey.generate().public.encode(),
        b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFmN0N0vXyLkZ2bAfxYnQ7m0e3p6tF8QJYcFh3b0l3Zo",
    ):
        assert node_key_to_pem(other) is None


def test_keys_are_not_shown():
    """In no message and no trace."""
    key = make_node_key()
    assert "PRIVATE" not in repr(key)


def test_a_node_key_file_gives_its_public_line():
    """A hospital can check that its key file belongs to its identity; anything else is no node key."""
    key = make_node_key()
    assert node_key_public(key.private) == key.public.decode()
    p256 = ec.generate_private_key(ec.SECP256R1())
    other = p256.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    for data in (b"", b"x", key.public, make_authority("A").private, other):
        assert node_key_public(data) is None


def test_an_authority_holds_for_its_time():
    """Before and after, the reason says which, with both clocks."""
    authority = make_authority("The centre", days=2).public
    assert authority_fault(authority, NOW) is None
    assert "valid from" in str(authority_fault(authority, NOW - timedelta(hours=2)))
    assert "expired at" in str(authority_fault(authority, NOW + timedelta(days=3)))


def test_what_is_no_authority_is_none():
    """A server certificate, one signed by somebody else, a cut or empty file."""
    authority = make_authority("The centre")
    server = issue_server(authority, ["a.example"]).public
    for data in (b"", b"x", authority.private, authority.public[:200], server):
        assert authority_fault(data, NOW) is not None


def test_a_server_holds_for_its_authority_names_and_time():
    """Each of the three is told apart, as a hospital's TLS would refuse it."""
    authority, other = make_authority("The centre", days=3000), make_authority("The centre")
    server = issue_server(authority, ["centre.example", "2001:db8::1"]).public
    for name in ("centre.example", "localhost", "2001:db8::1"):
        assert server_fault(server, authority.public, name, NOW) is None
    assert "does not name" in str(server_fault(server, authority.public, "other.example", NOW))
    assert "not signed" in str(server_fault(server, other.public, "centre.example", NOW))
    assert "expired" in str(server_fault(server, authority.public, "centre.example", expiry(server)))
    assert server_fault(b"x", authority.public, "centre.example", NOW) == certificate_fault(b"x", NOW) == "it cannot be read"


def test_a_server_certificate_gives_its_names_back():
    """So that a renewed one can have them too."""
    server = issue_server(make_authority("A"), ["centre.example", "10.1.2.3"])
    assert names_of(server.public) == ["centre.example", "10.1.2.3", "localhost", "127.0.0.1"]

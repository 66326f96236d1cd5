"""Certificates that the institution brings: only what every hospital will accept is taken, and a swap loses nobody."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from institution import Institution, pem

from coordinator.brought import loopback, read_brought
from coordinator.certificates import check_certificates, ending, expires
from coordinator.identity import centre_files
from wardround.errors import Refused
from wardround.identity.tls import server_fault

HOST = "centre.clinic.example"
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def institution():
    return Institution()


@pytest.fixture
def centre(tmp_path, institution, wardround):
    """Make a centre with certificates that were brought, by the command."""
    files = institution.server(tmp_path / "given", HOST)
    folder = tmp_path / "centre"
    words = ("--name", "The centre", "--address", f"{HOST}:8443", "--certificates", *files)
    answer = wardround("coordinator", "init", folder, *words)
    assert answer.status == 0, answer.err
    return folder


def refusals(call):
    with pytest.raises(Refused) as caught:
        call()
    return [(each.code, each.place, each.finding) for each in caught.value.problems]


def test_what_holds_is_taken_as_it_will_be_shown(centre, institution):
    """Hospitals pin the root; no key of an authority is at the centre; the private listener has files of its own."""
    files = centre_files(centre)
    assert files.authority.read_bytes() == pem(institution.root)
    assert files.certificate.read_bytes().startswith(b"-----BEGIN CERTIFICATE-----")
    assert not (centre / "keys" / "authority.key").exists()
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in (centre / "keys").iterdir())
    check_certificates(centre)
    own = loopback(centre / "keys")
    assert own is not None
    for host in ("localhost", "127.0.0.1"):
        assert server_fault(own.certificate.read_bytes(), own.authority.read_bytes(), host, NOW) is None


@pytest.mark.parametrize("names", [(HOST,), ("*.clinic.example",), ("other.example", HOST)])
@pytest.mark.parametrize("direct", [True, False])
def test_every_usual_form_is_taken(tmp_path, institution, names, direct):
    """With and without an authority between, by wildcard, RSA or elliptic."""
    for key in (ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)):
        read_brought(institution.server(tmp_path, *names, key=key, direct=direct), HOST, NOW)


@pytest.mark.parametrize(
    ("names", "changes", "finding"),
    [
        (("other.example",), {}, "does not name centre.clinic.example"),
        (("*.centre.clinic.example",), {}, "does not name centre.clinic.example"),
        ((HOST,), {"days": -0.5, "begins": -1}, "expired at"),
        ((HOST,), {"begins": 1}, "valid from"),
        ((HOST,), {"ca": True}, "an authority's, not a server's"),
        ((HOST,), {"purpose": ExtendedKeyUsageOID.CLIENT_AUTH}, "not for TLS servers"),
        ((HOST,), {"uses": ("key_encipherment",)}, "not for signatures"),
        ((HOST,), {"key": rsa.generate_private_key(65537, 1024)}, "1024 bits is too short"),  # noqa: S505
        ((HOST,), {"digest": hashes.SHA224()}, "sha224, which is too weak"),
        ((HOST,), {"key": ec.generate_private_key(ec.SECP256K1())}, "neither RSA nor on P-256"),
    ],
)
def test_what_hospitals_would_refuse_is_refused_here(tmp_path, institution, names, changes, finding):
    """Each with its own reason, under one code."""
    found = refusals(lambda: read_brought(institution.server(tmp_path, *names, **changes), HOST, NOW))
    assert {(code, place) for code, place, _ in found} == {("K-CERTIFICATE", "centre.crt")}
    assert any(finding in said for *_, said in found), found


def test_files_that_do_not_belong_together_are_told(tmp_path, institution):
    """Another root, a chain with a gap, another key, a chain in the place of the root: all reasons at once."""
    certificate, key, root = institution.server(tmp_path / "one", HOST)
    other = Institution().server(tmp_path / "two", HOST)
    assert [place for _, place, _ in refusals(lambda: read_brought((certificate, other[1], other[2]), HOST, NOW))] == [
        "centre.key",
        "centre.crt",
    ]
    found = refusals(lambda: read_brought((certificate, key, certificate), HOST, NOW))
    assert any(said.startswith("it holds more than one") for *_, said in found)
    certificate.write_bytes(pem(x509.load_pem_x509_certificates(certificate.read_bytes())[0]))
    assert "not signed" in refusals(lambda: read_brought((certificate, key, root), HOST, NOW))[0][2]


def test_what_only_tls_itself_sees_is_refused(tmp_path, institution):
    """An authority between that may not sign: every signature holds, and no client accepts it."""
    between = institution.sign("between", institution.between_key, institution.root_key, institution.root, uses=("crl_sign",))
    files = institution.server(tmp_path, HOST)
    key = ec.generate_private_key(ec.SECP256R1())
    signed = institution.sign(HOST, key, institution.between_key, between, names=(HOST,))
    files[0].write_bytes(pem(signed) + pem(between))
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    ((code, _, said),) = refusals(lambda: read_brought(files, HOST, NOW))
    assert code == "K-CERTIFICATE"
    assert said.startswith("TLS refuses it")


def test_keys_that_cannot_be_used_are_told(tmp_path, institution):
    """With a passphrase, readable by others, of another kind, none; files that are missing or no PEM."""
    certificate, key, root = institution.server(tmp_path, HOST)
    made = ec.generate_private_key(ec.SECP256R1())
    locked = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x" * 12))
    for data in (locked, b"x", ed25519.Ed25519PrivateKey.generate().private_bytes_raw()):
        key.write_bytes(data)
        assert refusals(lambda: read_brought((certificate, key, root), HOST, NOW))[0][:2] == ("K-FORMAT", "centre.key")
    key.chmod(0o644)
    assert refusals(lambda: read_brought((certificate, key, root), HOST, NOW))[0][0] == "K-MODE"
    key.unlink()
    assert refusals(lambda: read_brought((certificate, key, root), HOST, NOW))[0][0] == "K-MISSING"
    certificate.write_bytes(b"x")
    assert refusals(lambda: read_brought((certificate, key, root), HOST, NOW))[0][:2] == ("K-FORMAT", "centre.crt")
    certificate.unlink()
    assert refusals(lambda: read_brought((certificate, key, root), HOST, NOW))[0][:2] == ("Y-FILE", "centre.crt")


def test_nothing_is_made_with_certificates_that_do_not_hold(tmp_path, institution, wardround):
    """Init refuses before it writes; so it does names for a certificate that others made."""
    files = institution.server(tmp_path / "given", "other.example")
    words = ("coordinator", "init", tmp_path / "centre", "--name", "C", "--address", f"{HOST}:1", "--certificates", *files)
    assert "K-CERTIFICATE centre.crt" in wardround(*words).err
    assert "X-USAGE --also-named" in wardround(*words, "--also-named", "a.example").err
    assert not (tmp_path / "centre").exists()


def test_a_certificate_of_the_same_authority_needs_no_hospital(tmp_path, centre, institution, wardround):
    """The old one is replaced, the pinned one stays; the centre cannot sign one itself."""
    assert "K-CERTIFICATE keys/authority.pem" in wardround("coordinator", "renew", centre).err
    before = {path.name: path.read_bytes() for path in (centre / "keys").iterdir()}
    files = institution.server(tmp_path / "new", HOST, days=200)
    answer = wardround("coordinator", "renew", centre, "--certificates", *files, "--format", "json")
    assert answer.json()["authority_changed"] is False
    after = {path.name: path.read_bytes() for path in (centre / "keys").iterdir()}
    assert before.keys() == after.keys()
    changed = {name for name, data in after.items() if data != before[name]}
    assert changed == {"server.key", "server.pem", "loopback.key", "loopback.pem", "loopback-authority.pem"}
    check_certificates(centre)


def test_another_authority_is_taken_only_when_somebody_says_so(tmp_path, centre, wardround):
    """Hospitals would be shut out by accident; said so, the next invitations carry it."""
    before = {path.name: path.read_bytes() for path in (centre / "keys").iterdir()}
    other = Institution("Other")
    words = ("coordinator", "renew", centre, "--certificates", *other.server(tmp_path / "new", HOST))
    assert "K-CERTIFICATE root.crt" in wardround(*words).err
    assert {path.name: path.read_bytes() for path in (centre / "keys").iterdir()} == before
    answer = wardround(*words, "--hospitals-join-again")
    assert answer.status == 0
    assert "join" in answer.out
    assert (centre / "keys" / "authority.pem").read_bytes() == pem(other.root)
    check_certificates(centre)


def test_a_centre_with_an_authority_of_its_own_can_take_the_institutions(tmp_path, institution, wardround):
    """Its own authority's key goes, since nobody pins it any more."""
    centre = tmp_path / "centre"
    assert wardround("coordinator", "init", centre, "--name", "The centre", "--address", f"{HOST}:8443").status == 0
    files = institution.server(tmp_path / "given", HOST)
    words = ("coordinator", "renew", centre, "--certificates", *files, "--hospitals-join-again")
    assert wardround(*words).status == 0
    assert not (centre / "keys" / "authority.key").exists()
    check_certificates(centre)
    doctor = wardround("coordinator", "doctor", centre, "--format", "json").json()
    assert {each["state"] for each in doctor["lines"] if each["name"] in ("keys", "certificates", "identity")} == {"ok"}


def test_an_end_is_told_a_month_before_with_the_way_out(tmp_path, institution, wardround):
    """Also the end of an authority between, by doctor and status alike."""
    centre = tmp_path / "centre"
    files = institution.server(tmp_path / "given", HOST, days=20)
    words = ("--name", "The centre", "--address", f"{HOST}:8443", "--certificates", *files)
    assert wardround("coordinator", "init", centre, *words).status == 0
    (line,) = ending(centre)
    assert line.startswith("keys/server.pem expires ")
    assert "--certificates CERTIFICATE KEY AUTHORITY" in line
    assert line in wardround("coordinator", "status", centre).err
    assert wardround("coordinator", "status", centre, "--format", "json").json()["certificates_end"] == [line]
    soon = Institution(days=25)
    files = soon.server(tmp_path / "again", HOST, days=300)
    answer = wardround("coordinator", "renew", centre, "--certificates", *files, "--hospitals-join-again")
    assert answer.status == 0, answer.err
    assert expires(centre) < NOW + timedelta(days=26)
    assert [each.split()[0] for each in ending(centre)] == ["keys/server.pem", "keys/authority.pem"]


def test_a_key_that_is_not_the_certificates_is_seen(centre, tmp_path, institution):
    """A swap that was cut off between two files is told, and done again."""
    other = institution.server(tmp_path / "other", HOST)
    (centre / "keys" / "server.key").write_bytes(other[1].read_bytes())
    assert refusals(lambda: check_certificates(centre))[0][:2] == ("K-CERTIFICATE", "keys/server.key")

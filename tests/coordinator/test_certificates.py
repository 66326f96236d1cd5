"""The centre's certificates, checked before hospitals would refuse them, and renewed."""

from datetime import UTC, datetime, timedelta

import pytest

from coordinator.certificates import check_certificates, ending, expires, renew
from coordinator.identity import CentreFile, centre_files, init_centre
from wardround.errors import Refused
from wardround.identity.tls import expiry, issue_server, make_authority, names_of

SETTINGS = CentreFile(name="The centre", address="centre.example:8443", listen="127.0.0.1:9443")


@pytest.fixture
def centre(tmp_path):
    """Make a whole centre."""
    init_centre(tmp_path, SETTINGS, ["second.example"])
    return tmp_path


def refused(call) -> list[tuple[str, str]]:
    with pytest.raises(Refused) as caught:
        call()
    return [(problem.code, problem.place) for problem in caught.value.problems]


def test_fresh_certificates_hold(centre):
    """Until the first of them expires, and not a second longer."""
    end = expires(centre)
    assert datetime.now(UTC) + timedelta(days=800) < end
    check_certificates(centre)
    check_certificates(centre, end - timedelta(seconds=1))
    assert refused(lambda: check_certificates(centre, end)) == [("K-CERTIFICATE", "keys/server.pem")]


def test_an_address_that_the_certificate_does_not_name_is_seen(centre):
    """An operator who edits the address is told before hospitals are; renewing mends it, and keeps the other names."""
    (centre / "centre.yaml").write_text("name: The centre\naddress: new.example:8443\nlisten: 127.0.0.1:9443\n")
    assert refused(lambda: check_certificates(centre)) == [("K-CERTIFICATE", "keys/server.pem")]
    renew(centre, ["third.example"])
    check_certificates(centre)
    names = names_of(centre_files(centre).certificate.read_bytes())
    assert {"new.example", "centre.example", "second.example", "third.example"} < set(names)


def test_a_renewed_certificate_has_a_new_key_of_the_same_authority(centre):
    """Hospitals that pinned the authority need do nothing."""
    files = centre_files(centre)
    before = files.key.read_bytes(), files.certificate.read_bytes(), files.authority.read_bytes()
    renew(centre)
    after = files.key.read_bytes(), files.certificate.read_bytes(), files.authority.read_bytes()
    assert [one == other for one, other in zip(before, after, strict=True)] == [False, False, True]
    assert files.key.stat().st_mode & 0o777 == 0o600
    check_certificates(centre)


def test_a_damaged_certificate_is_renewed(centre):
    """What is to be replaced need not be readable."""
    centre_files(centre).certificate.write_bytes(b"x")
    assert refused(lambda: check_certificates(centre)) == [("K-CERTIFICATE", "keys/server.pem")]
    renew(centre)
    check_certificates(centre)


def test_a_certificate_of_another_authority_is_seen(centre):
    """Mixed up files are told as such."""
    centre_files(centre).certificate.write_bytes(issue_server(make_authority("A"), ["centre.example"]).public)
    assert refused(lambda: check_certificates(centre)) == [("K-CERTIFICATE", "keys/server.pem")]


@pytest.mark.parametrize(
    ("name", "content", "code", "place"),
    [
        ("authority.key", b"x", "K-FORMAT", "keys/authority.key"),
        ("authority.key", None, "K-MISSING", "authority.key"),
        ("authority.pem", b"x", "K-CERTIFICATE", "keys/authority.pem"),
        ("server.key", None, "K-MISSING", "keys/server.key"),
    ],
)
def test_without_its_authority_nothing_is_renewed(centre, name, content, code, place):
    """A missing or damaged authority is coded, and the certificate stays."""
    before = centre_files(centre).certificate.read_bytes()
    path = centre / "keys" / name
    path.write_bytes(content) if content is not None else path.unlink()
    assert refused(lambda: renew(centre)) == [(code, place)]
    assert (centre / "keys" / "server.pem").read_bytes() == before


def test_a_certificate_that_ends_within_a_month_is_told(centre):
    """Neither too early nor too late; the authority, which cannot be renewed, is told with another way out."""
    files = centre_files(centre)
    server, authority = (expiry(path.read_bytes()) for path in (files.certificate, files.authority))
    assert ending(centre) == []
    assert ending(centre, server - timedelta(days=30)) == []
    (line,) = ending(centre, server - timedelta(days=29))
    assert line.startswith("keys/server.pem expires ")
    assert "coordinator renew" in line
    assert [each.split()[0] for each in ending(centre, authority)] == ["keys/server.pem", "keys/authority.pem"]

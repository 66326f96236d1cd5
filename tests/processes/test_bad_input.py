"""What a user may get wrong with real processes: each a code with a next step, no stack trace, no hang."""

from __future__ import annotations

import resource
import shutil
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from hospitals_on_disk import Answer, Hospital
from ledgers import last_segment, ledger_of
from ward_on_processes import Service, Ward, no_trace, wait

from silo_node.configuration import load_site
from silo_node.identity import approval_key, load_identity
from silo_node.porter.approvals import approve
from wardround.identity.approval import Approver
from wardround.identity.tls import KeyPair, issue_server, make_authority
from wardround.study.bundle import read_bundle

pytestmark = pytest.mark.faults

QUICK_SECONDS = 20.0
REFUSED_SECONDS = 100.0
DAY = timedelta(days=1)
FULL_ROUND = 8
"""By then the ledger is longer than the log, so that the log can still say why the ledger cannot be written."""


def refused(answer: Answer, code: str, exit_status: int = 2) -> None:
    """A command ended with one code, a next step and no trace."""
    assert answer.status == exit_status, answer
    assert code in answer.err
    assert "Next: " in answer.err
    assert no_trace(answer.out + answer.err)


def ended(service: Service, code: str, seconds: float) -> None:
    """A service ended by itself with one code, a next step and no trace."""
    begun = time.monotonic()
    assert service.process.wait(seconds) == 2, service.said
    assert time.monotonic() - begun < seconds
    assert code in service.said
    assert "Next: " in service.said
    assert no_trace(service.said)


def authority_of(ward: Ward) -> KeyPair:
    """Give the centre's own authority."""
    keys = ward.centre / "keys"
    return KeyPair((keys / "authority.key").read_bytes(), (keys / "authority.pem").read_bytes())


def certificate(authority: KeyPair, name: str, begins: datetime, ends: datetime) -> KeyPair:
    """Make a server's certificate with any dates, signed by an authority."""
    signer = load_pem_private_key(authority.private, password=None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    issued = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.load_pem_x509_certificate(authority.public).subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA384())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return KeyPair(private, issued.public_bytes(Encoding.PEM))


@contextmanager
def false_centre(ward: Ward, pair: KeyPair | None, answer: bytes) -> Iterator[None]:
    """Listen at the centre's address, with a certificate or without TLS, and answer everybody with the same bytes."""
    context = None
    if pair is not None:
        key, chain = ward.folder / "false.key", ward.folder / "false.pem"
        key.write_bytes(pair.private)
        chain.write_bytes(pair.public)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, key)

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            try:
                spoken = connection if context is None else context.wrap_socket(connection, server_side=True)
                spoken.recv(1000)
                spoken.sendall(answer)
                spoken.close()
            except OSError:
                connection.close()

    with socket.create_server(("127.0.0.1", ward.port)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
    thread.join(QUICK_SECONDS)


def healthy(moment: datetime) -> bytes:
    """Give what a centre with this clock answers when it is asked how it is."""
    return (
        f"HTTP/1.1 200 OK\r\ndate: {format_datetime(moment.astimezone(UTC), usegmt=True)}\r\ncontent-length: 0\r\n\r\n".encode()
    )


def test_nobody_is_there_or_somebody_else(ward: Ward) -> None:
    """A taken port, an unreachable centre, one of another authority, and one that is no centre are told apart at once."""
    hospital = ward.hospitals[0]
    refused(ward.wardround("silo", "stop", "--site", hospital.site), "V-STOPPED")
    refused(ward.wardround("coordinator", "stop", ward.centre), "V-STOPPED")
    refused(ward.wardround("silo", "start", "--site", hospital.site), "N-UNREACHABLE")
    stranger = issue_server(make_authority("Somebody else"), ["localhost"])
    with false_centre(ward, stranger, healthy(datetime.now(UTC))):
        refused(ward.wardround("silo", "start", "--site", hospital.site), "N-CENTRE")
        refused(ward.wardround("coordinator", "start", ward.centre), "N-PORT")
    for pair, answer in ((None, b"220 mail.example.org\r\n"), (issue_server(authority_of(ward), ["localhost"]), b"220 mail\r\n")):
        with false_centre(ward, pair, answer):
            refused(ward.wardround("silo", "start", "--site", hospital.site), "N-CENTRE")
    assert not (hospital.folder / "run" / "supervisor.json").exists()


def test_dates_names_and_clocks(ward: Ward) -> None:
    """An expired certificate, one that is not valid yet, one for another name, and a clock that is off are told apart."""
    hospital, authority, now = ward.hospitals[0], authority_of(ward), datetime.now(UTC)
    cases = {
        "N-EXPIRED": ("localhost", now - 2 * DAY, now - DAY),
        "N-CLOCK": ("localhost", now + DAY, now + 2 * DAY),
        "N-NAME": ("elsewhere.example.org", now - DAY, now + DAY),
    }
    for code, (name, begins, ends) in cases.items():
        with false_centre(ward, certificate(authority, name, begins, ends), healthy(now)):
            refused(ward.wardround("silo", "start", "--site", hospital.site), code)
    valid = certificate(authority, "localhost", now - DAY, now + DAY)
    for skew, word in ((timedelta(minutes=-1), "ahead"), (timedelta(minutes=10), "behind")):
        with false_centre(ward, valid, healthy(now + skew)):
            answer = ward.wardround("silo", "start", "--site", hospital.site)
            refused(answer, "N-CLOCK")
            assert word in answer.err
    old = certificate(authority, "localhost", now - 2 * DAY, now - DAY)
    (ward.centre / "keys" / "server.pem").write_bytes(old.public)
    refused(ward.wardround("coordinator", "start", ward.centre), "K-CERTIFICATE")


def test_who_is_let_in(ward: Ward) -> None:
    """A node that is not enrolled, and a copy of one that runs, are refused in time; nothing runs twice in one directory."""
    alpha, beta = ward.hospitals[:2]
    enrolment = ward.centre / "silos" / "beta.json"
    beta_enrolled = enrolment.read_bytes()
    enrolment.unlink()
    ward.start_centre().up()
    first, unknown = ward.start_hospital(alpha), ward.start_hospital(beta)
    first.up()
    copy = Hospital(ward.folder / "copies" / "alpha")
    shutil.copytree(alpha.folder, copy.folder, ignore=shutil.ignore_patterns("run", "logs"))
    second = ward.start("copy", "silo", "start", "--site", copy.site)
    ended(unknown, "N-REFUSED", REFUSED_SECONDS)
    refused(ward.wardround("silo", "start", "--site", alpha.site), "V-RUNNING")
    refused(ward.wardround("coordinator", "start", ward.centre), "V-RUNNING")
    enrolment.write_bytes(beta_enrolled)  # enrolled while the centre runs: let in without a restart
    ward.start_hospital(beta).up()
    ended(second, "N-REFUSED", REFUSED_SECONDS)
    ward.whole(alpha)
    assert ward.wardround("coordinator", "status", ward.centre).status == 0


def releases(hospital: Hospital) -> int:
    """Count what left a hospital."""
    return sum(entry["event"] == "release" for entry in ledger_of(hospital.folder))


def listed(ward: Ward, hospital: Hospital) -> dict[str, object]:
    """Give the one study in a hospital's inbox, as `silo studies` shows it."""
    (entry,) = ward.command("silo", "studies", "--site", hospital.site, "--format", "json").json()["studies"]  # type: ignore[misc]
    assert isinstance(entry, dict)
    return entry


def expire(hospital: Hospital, bundle: Path) -> None:
    """Write an approval that has ended."""
    folder, study = hospital.folder, read_bundle(bundle)
    person = Approver(name="Dr A", role="DPO")
    approve(folder, study, load_identity(folder), approval_key(folder, b"correct horse battery"), person, timedelta(minutes=-1))
    assert load_site(Path(hospital.site)).file.site == hospital.folder.name


def test_what_is_not_approved_does_not_run(ward: Ward) -> None:
    """No approval, an expired one, one that expires later, an edited bundle: nothing leaves, each side says why."""
    alpha, beta, gamma = ward.hospitals
    ward.start_all()
    bundle = ward.build(silos={"minimum": 1})
    ward.approve(bundle, [alpha, gamma])
    expire(beta, bundle)
    ward.submit(bundle)
    ward.until(lambda state: [silo.offer for silo in state.silos] == ["approved", "waiting", "approved"])
    assert (listed(ward, beta)["state"], listed(ward, beta)["codes"]) == ("waiting", ["A-EXPIRED"])
    assert sum(releases(hospital) for hospital in ward.hospitals) == 0
    expire(gamma, bundle)
    inbox = alpha.folder / "inbox" / bundle_name(bundle)
    data = bytearray(inbox.read_bytes())
    data[len(data) // 2] ^= 1
    inbox.write_bytes(data)
    refused(ward.wardround("silo", "review", inbox, "--site", alpha.site), "B-")
    ward.approve(bundle, [beta])
    state = ward.ended()
    assert state.phase == "partial", state
    assert {*ward.codes(state, "alpha"), *ward.codes(state, "gamma")} == {"H-STUDY"}
    assert ward.codes(state, "beta") == []
    assert releases(alpha) == releases(gamma) == 0 < releases(beta)
    assert "A-EXPIRED" in (gamma.folder / "logs" / "node.log").read_text()
    assert "B-" in (alpha.folder / "logs" / "node.log").read_text()


def bundle_name(bundle: Path) -> str:
    """Give the name of a bundle in an inbox."""
    return f"{read_bundle(bundle).study_hash}.wardround"


def full(process: int, largest: int) -> None:
    """Let a process write no file beyond a size, as if the disk were full."""
    _, most = resource.prlimit(process, resource.RLIMIT_FSIZE)
    resource.prlimit(process, resource.RLIMIT_FSIZE, (largest, most))  # the hard limit stays: not everybody may raise it again


STATE_FITS_BYTES = 20_000
"""A study's state and the log fit in a file of this size; its journal, or the report of its release, does not."""
FULL_SECONDS = 3.0
"""How long nothing at all can be written."""


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="prlimit is Linux's")
def test_a_full_disk(ward: Ward) -> None:
    """A ledger that cannot be written lets nothing out; a centre whose disk is full halts its study until there is space."""
    beta = ward.hospitals[1]
    pair = ward.hospitals[:2]
    ward.start_centre().up()
    services = [ward.start_hospital(hospital) for hospital in pair]
    for service in services:
        service.up()
    first = ward.build("first", pair, silos={"minimum": 1}, rounds={"maximum": 12, "deadline_seconds": 20, "retries": 1})
    ward.approve(first, pair)
    porter = services[1].running("silo_node.node_process")
    ward.submit(first)
    ward.until(lambda state: state.round >= FULL_ROUND, "first")
    full(porter, last_segment(beta.folder).stat().st_size)
    state = ward.ended("first")
    before = releases(beta)
    assert state.phase == "partial", state
    assert "R-SILENT" in ward.codes(state, "beta")
    assert f"O-WRITE {last_segment(beta.folder).name}" in (beta.folder / "logs" / "node.log").read_text()
    assert services[1].end() == 0
    again = ward.start_hospital(beta)  # there is space again
    again.up()
    rounds = {"maximum": 4, "deadline_seconds": 20, "retries": 1}

    def conduct(name: str) -> None:
        bundle = ward.build(name, pair, silos={"minimum": 2}, rounds=rounds)
        ward.approve(bundle, pair)
        ward.submit(bundle)

    conductor = ward.services["centre"].running("coordinator.conductor_process")
    conduct("second")
    ward.until(lambda state: state.purpose is not None, "second")
    full(conductor, STATE_FITS_BYTES)
    state = ward.until(lambda state: bool(state.problems), "second")
    assert state.phase == "running", state
    assert "O-WRITE" in state.problems[0]
    assert "Next: " in state.problems[0]
    assert not list((ward.centre / "releases").glob("second*"))
    full(conductor, resource.RLIM_INFINITY)
    assert ward.ended("second").phase == "complete"
    conduct("third")
    ward.until(lambda state: state.purpose is not None, "third")
    full(conductor, 0)
    wait(FULL_SECONDS)
    full(conductor, resource.RLIM_INFINITY)
    assert ward.ended("third", 180.0).phase == "complete"
    assert releases(beta) > before
    for service in ward.services.values():
        assert no_trace(service.said)

"""What a hospital's doctor says of the centre: real sockets, and certificates and clocks that are right or wrong."""

from __future__ import annotations

import socket
import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from listening_centre import listening
from studies_on_paper import paper

from silo_node.doctor import centre
from silo_node.joining import Joined
from wardround.identity import tls
from wardround.transport.greeting import greet


def told(joined) -> dict[str, tuple[str, str | None]]:
    return {line.name: (line.state, line.code) for line in centre.connection(joined)}


def test_a_centre_in_order(tmp_path):
    """Every line is ok; without a node's key nobody can ask whether it is enrolled, and that is said."""
    with listening(tmp_path) as joined:
        found = told(joined)
    assert found.pop("enrolled") == ("skipped", None)
    assert set(found.values()) == {("ok", None)}
    assert set(found) == {"centre", "proxy", "certificate", "certificates end", "clock"}


def test_nothing_listens(tmp_path, monkeypatch):
    """A closed port: the way fails, the rest is not seen; a proxy of the environment is named, since it does not help."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("https_proxy", "http://user:secret@proxy:3128")
    lines = list(centre.connection(Joined(f"localhost:{port}", tls_file(tmp_path), paper().bundle.roster.coordinator, "")))
    assert [(line.name, line.state) for line in lines[:2]] == [("centre", "fail"), ("proxy", "warn")]
    assert {line.state for line in lines[2:]} == {"skipped"}
    assert lines[0].code == "N-UNREACHABLE"
    assert not any("secret" in line.finding for line in lines)


def tls_file(folder):
    path = folder / "authority.pem"
    path.write_bytes(tls.make_authority("The centre").public)
    return path


def test_an_expired_certificate(tmp_path, monkeypatch):
    """It is reached, and refused for its age."""
    monkeypatch.setattr(tls, "CLOCK_ALLOWANCE", timedelta(days=30))  # it begins long ago, and ended yesterday
    with listening(tmp_path, days=-1) as joined:
        assert x509.load_pem_x509_certificate((tmp_path / "server.pem").read_bytes()).not_valid_after_utc < datetime.now(UTC)
        found = told(joined)
    assert found["centre"] == ("ok", None)
    assert found["certificate"] == ("fail", "N-EXPIRED")
    assert found["clock"] == ("skipped", None)


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"signer": tls.make_authority("Another")}, "N-CENTRE"),
        ({"speaks_tls": False}, "N-CENTRE"),
        ({"told": False}, "N-CENTRE"),
    ],
    ids=["another authority", "no TLS", "no Date"],
)
def test_what_is_not_the_centre(tmp_path, how, code):
    """Another authority's certificate, another protocol, an answer without the time: it is reached, and it is not the centre."""
    with listening(tmp_path, **how) as joined:
        found = told(joined)
    assert found["centre"] == ("ok", None)
    assert found["certificate"] == ("fail", code)


def test_a_certificate_for_another_name(tmp_path):
    """Every certificate of ours names this machine, so the address is another one that leads here."""
    with listening(tmp_path) as joined:
        port = joined.address.rpartition(":")[2]
        found = told(Joined(f"127.0.0.2:{port}", joined.authority, joined.coordinator, joined.invited_at))
    assert found["certificate"] == ("fail", "N-NAME")


def test_a_certificate_that_ends_soon_is_told(tmp_path):
    with listening(tmp_path, days=20) as joined:
        (line,) = [line for line in centre.connection(joined) if line.name == "certificates end"]
    assert line.state == "warn"
    assert "renew" in str(line.next_step)


@pytest.mark.parametrize(
    ("late", "state", "code"),
    [
        (timedelta(seconds=30), "fail", "N-CLOCK"),
        (timedelta(hours=-1), "fail", "N-CLOCK"),
        (timedelta(seconds=-60), "warn", None),
        (timedelta(seconds=-4), "warn", None),
    ],
)
def test_a_clock_that_is_off_is_told(tmp_path, late, state, code):
    """By the time in the head of the centre's answer: what the centre would turn away fails, what goes that way is told."""
    with listening(tmp_path, late=late) as joined:
        assert told(joined)["clock"] == (state, code)


def test_the_clocks_difference_is_as_precise_as_is_said(tmp_path):
    """Whole seconds in the head, made anew each second: the truth is within the bounds that are told."""
    late = timedelta(seconds=100)
    with listening(tmp_path, late=-late) as joined:
        begun = time.monotonic()
        greeting = greet(joined.address, joined.authority)
        took = time.monotonic() - begun
    assert abs(greeting.ahead_seconds + 100) <= greeting.unsure_seconds
    assert 1.0 <= greeting.unsure_seconds <= 1.0 + took

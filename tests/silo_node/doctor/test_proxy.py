"""What a hospital's doctor says of its proxy: a real one on loopback, which is the only way to a name that nobody else knows."""

from __future__ import annotations

import socket
import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from connect_proxy import ConnectProxy
from listening_centre import listening

from silo_node.doctor import centre
from silo_node.way_out import Credentials, Proxy, WayOut
from wardround.identity import tls
from wardround.transport import proxy as proxy_transport

NAME = "centre.wardround.invalid"
"""No name server knows it (RFC 6761, section 6.4): what reaches it was led there by the proxy."""
GIVEN = "ward:s3cr3t-pass"


def credentials_file(folder: Path, text: str = GIVEN) -> Credentials:
    path = folder / "proxy.credentials"
    path.touch(mode=0o600)
    path.write_text(f"{text}\n")
    return Credentials(file=str(path))


def way_out(joined, folder, url: str, credentials: Credentials | None = None, authority: Path | None = None) -> WayOut:
    setting = Proxy(url=url, credentials=credentials, authority=None if authority is None else str(authority))
    return WayOut(proxy=setting, folder=str(folder), centre=joined.address)


def asked(joined, way) -> dict[str, tuple[str, str | None]]:
    lines = list(centre.connection(joined, way))
    assert not any("s3cr3t" in line.model_dump_json() for line in lines)
    return {line.name: (line.state, line.code) for line in lines}


def names(joined) -> dict[str, tuple[str, int]]:
    return {joined.address: ("127.0.0.1", int(joined.address.rpartition(":")[2]))}


@pytest.mark.parametrize("credentials", [None, GIVEN], ids=["open", "with credentials"])
def test_a_proxy_that_leads_to_the_centre(tmp_path, credentials):
    """Every line is ok; the proxy was asked for the centre by its name, and shown the credentials when there are some."""
    with listening(tmp_path, name=NAME) as joined, ConnectProxy(names=names(joined), credentials=credentials) as proxy:
        given = None if credentials is None else credentials_file(tmp_path)
        found = asked(joined, way_out(joined, tmp_path, f"http://127.0.0.1:{proxy.port}", given))
    assert found.pop("enrolled") == ("skipped", None)
    assert set(found.values()) == {("ok", None)}
    assert {tunnel.target for tunnel in proxy.opened} == {joined.address}
    assert len(proxy.opened) == len(proxy.tunnels) > 0


def test_straight_the_name_leads_nowhere(tmp_path):
    """The same centre without the proxy: so the test above did go through it."""
    with listening(tmp_path, name=NAME) as joined:
        assert asked(joined, None)["centre"] == ("fail", "N-UNREACHABLE")


@pytest.mark.parametrize(
    ("answer", "given", "code", "step"),
    [
        (407, None, "N-PROXYAUTH", "name them"),
        (407, "ward:wrong", "N-PROXYAUTH", "correct"),
        (403, None, "N-PROXYDENIED", "allow CONNECT"),
        (302, None, "N-PROXYDENIED", "allow CONNECT"),
        (0, None, "N-PROXY", "ask whoever runs the proxy"),
    ],
)
def test_each_refusal_of_a_proxy_has_its_code_and_next_step(tmp_path, monkeypatch, answer, given, code, step):
    """It asks for credentials, does not take them, allows no tunnel, shows a page of its own, or says nothing."""
    monkeypatch.setattr(proxy_transport, "CONNECT_SECONDS", 1.0)
    with listening(tmp_path, name=NAME) as joined, ConnectProxy(names=names(joined)) as proxy:
        proxy.answer = answer
        given = None if given is None else credentials_file(tmp_path, given)
        lines = list(centre.connection(joined, way_out(joined, tmp_path, f"http://127.0.0.1:{proxy.port}", given)))
    found = {line.name: line for line in lines}
    assert (found["proxy"].state, found["proxy"].code) == ("fail", code)
    assert step in str(found["proxy"].next_step)
    assert not any("wrong" in line.model_dump_json() for line in lines)
    assert {found[name].state for name in ("centre", "certificate", "clock", "enrolled")} == {"skipped"}


def test_a_proxy_that_is_not_there(tmp_path):
    """Nothing listens, or what listens speaks something else: the proxy is wrong, the centre is not seen."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with listening(tmp_path, name=NAME) as joined:
        found = asked(joined, way_out(joined, tmp_path, f"http://127.0.0.1:{port}"))
    assert found["proxy"] == ("fail", "N-PROXY")
    assert found["centre"] == ("skipped", None)
    (tmp_path / "other").mkdir()
    with listening(tmp_path, name=NAME) as joined, listening(tmp_path / "other", speaks_tls=False) as other:
        found = asked(joined, way_out(joined, tmp_path, f"http://127.0.0.1:{other.address.rpartition(':')[2]}"))
    assert found["proxy"] == ("fail", "N-PROXY")


def test_a_centre_that_is_down_behind_the_proxy(tmp_path):
    """It is the centre that is told then, not the proxy."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with listening(tmp_path, name=NAME) as joined, ConnectProxy(names={joined.address: ("127.0.0.1", port)}) as proxy:
        found = asked(joined, way_out(joined, tmp_path, f"http://127.0.0.1:{proxy.port}"))
    assert found["centre"] == ("fail", "N-UNREACHABLE")
    assert found["proxy"] == ("ok", None)


def test_a_proxy_that_opens_tls_is_a_stranger(tmp_path):
    """What answers in the tunnel shows another authority than the pinned one: it is refused, and nothing is said to it."""
    (tmp_path / "opened").mkdir()
    with (
        listening(tmp_path, name=NAME) as joined,
        listening(tmp_path / "opened", name=NAME, signer=tls.make_authority("The hospital's proxy")) as opener,
        ConnectProxy(names={joined.address: ("127.0.0.1", int(opener.address.rpartition(":")[2]))}) as proxy,
    ):
        found = asked(joined, way_out(joined, tmp_path, f"http://127.0.0.1:{proxy.port}"))
    assert found["certificate"] == ("fail", "N-CENTRE")


@pytest.mark.parametrize(
    ("how", "name", "wrong"),
    [({"late": timedelta(seconds=30)}, "clock", "N-CLOCK"), ({"told": False}, "certificate", "N-CENTRE")],
)
def test_what_is_wrong_at_the_centre_is_told_as_without_a_proxy(tmp_path, how, name, wrong):
    with listening(tmp_path, name=NAME, **how) as joined, ConnectProxy(names=names(joined)) as proxy:
        found = asked(joined, way_out(joined, tmp_path, f"http://127.0.0.1:{proxy.port}"))
    assert found[name] == ("fail", wrong)
    assert found["proxy"] == ("ok", None)


def test_a_proxy_over_tls_with_the_hospitals_own_authority(tmp_path):
    """The proxy itself may speak TLS; its certificate is held against the hospital's bundle, the centre's against the pin."""
    institution = tls.make_authority("The hospital")
    server = tls.issue_server(institution, ["localhost"])
    bundle = tmp_path / "hospital.pem"
    bundle.write_bytes(tls.make_authority("Another of the hospital").public + institution.public)
    (tmp_path / "proxy.pem").write_bytes(server.public)
    (tmp_path / "proxy.key").write_bytes(server.private)
    secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secure.load_cert_chain(tmp_path / "proxy.pem", tmp_path / "proxy.key")
    (tmp_path / "centre").mkdir()
    with (
        listening(tmp_path / "centre", name=NAME) as joined,
        ConnectProxy(names=names(joined), secure=secure, credentials=GIVEN) as proxy,
    ):
        url, given = f"https://localhost:{proxy.port}", credentials_file(tmp_path)
        found = asked(joined, way_out(joined, tmp_path, url, given, bundle))
        assert {found[each] for each in ("centre", "proxy", "certificate", "clock")} == {("ok", None)}
        assert proxy.opened
        for other in (None, joined.authority):  # neither the machine's authorities nor the centre's own vouch for it
            assert asked(joined, way_out(joined, tmp_path, url, given, other))["proxy"] == ("fail", "N-PROXY")


def test_credentials_that_cannot_be_used(tmp_path):
    """A missing file, one that others may read, one of another form: said before anybody is asked."""
    with listening(tmp_path, name=NAME) as joined, ConnectProxy() as proxy:
        given = credentials_file(tmp_path, "s3cr3t without a colon")
        way = way_out(joined, tmp_path, f"http://127.0.0.1:{proxy.port}", given)
        assert asked(joined, way)["proxy"] == ("fail", "N-CREDENTIALS")
        Path(given.file or "").write_text(GIVEN)
        Path(given.file or "").chmod(0o640)
        assert asked(joined, way)["proxy"] == ("fail", "N-CREDENTIALS")
        Path(given.file or "").unlink()
        assert asked(joined, way)["proxy"] == ("fail", "N-CREDENTIALS")
        assert not proxy.tunnels

"""Flower's client through a proxy: what the tunnel is fitted to is still as it was, and a SuperNode goes on trying."""

from __future__ import annotations

import inspect
import ssl

import httpx
import pytest
from connect_proxy import ConnectProxy
from flower_processes import write_secret
from flwr.supercore.protobuf import client as flowers_client
from flwr.supercore.retry import http_retry
from flwr.supernode import fleet_http_connection

from silo_node.flower import supernode, tunnel
from silo_node.flower.enrolled import ask_enrolled
from silo_node.proxy_trouble import read_proxy_trouble
from silo_node.way_out import Credentials, Proxy, WayOut
from wardround.errors import Broken, Refused
from wardround.identity.tls import make_node_key
from wardround.transport.proxy import ProxyFault, ProxyTransport
from wardround.transport.route import Route

HOST = "centre.example"
SECONDS = 60.0


def way(centre: str, folder, proxy: ConnectProxy, credentials: Credentials | None = None) -> WayOut:
    return WayOut(proxy=Proxy(url=f"http://127.0.0.1:{proxy.port}", credentials=credentials), folder=str(folder), centre=centre)


def test_the_sign_in_goes_through_the_proxy(superlink, tmp_path):
    """A name that only the proxy knows: with it the centre answers, without it or against it there is no answer."""
    key = make_node_key()
    path = write_secret(tmp_path / "node.key", key.private)
    with superlink.link.control() as control:
        control.register(key.public)
    port = int(superlink.public.rpartition(":")[2])
    centre = f"{HOST}:{port}"
    file = write_secret(tmp_path / "proxy.credentials", b"ward:pl4nted")
    with ConnectProxy(names={centre: ("127.0.0.1", port)}, credentials="ward:pl4nted") as proxy:
        given = way(centre, tmp_path, proxy, Credentials(file="proxy.credentials"))
        assert ask_enrolled(centre, superlink.authority_file, path, SECONDS, given) == "yes"
        assert [tunnel.target for tunnel in proxy.opened] == [centre]
        assert ask_enrolled(centre, superlink.authority_file, path, SECONDS, way(centre, tmp_path, proxy)) == "unknown"
        file.write_bytes(b"no colon")
        assert ask_enrolled(centre, superlink.authority_file, path, SECONDS, given) == "unknown"
        assert [tunnel.status for tunnel in proxy.tunnels] == [200, 407]
    assert ask_enrolled(centre, superlink.authority_file, path, SECONDS) == "unknown"


def test_the_seam_is_still_what_it_was():
    """One place where the connection makes its client, one where the client makes its own of httpx's."""
    assert inspect.getsource(fleet_http_connection).count("FleetHttpClient.from_server_address(") == 1
    assert inspect.getsource(flowers_client.ProtobufClient).count("self._client = httpx.Client(") == 1
    assert vars(fleet_http_connection)["FleetHttpClient"] is tunnel.FleetHttpClient


@pytest.mark.parametrize("answer", [407, 403, 503])
def test_flower_goes_on_after_every_fault_of_a_proxy(answer):
    """Its retries take our fault for a connection error; httpx's own is none that it tries again, so the seam is needed."""
    assert not issubclass(httpx.ProxyError, http_retry._RETRYABLE_TRANSPORT_ERRORS)
    assert issubclass(ProxyFault, http_retry._RETRYABLE_TRANSPORT_ERRORS)
    heard = []
    with ConnectProxy() as proxy:
        proxy.answer = answer
        transport = ProxyTransport(Route("127.0.0.1", proxy.port), ssl.create_default_context(), heard.append)
        with httpx.Client(transport=transport, trust_env=False) as client, pytest.raises(ProxyFault) as fault:
            client.get("https://centre.example:8443/")
    assert heard == [fault.value]
    assert not any(word in str(fault.value).lower() for word in ("certificate", "ssl", "tls")), "Flower would give up"


def test_another_flower_is_refused_and_nothing_goes_straight(monkeypatch, tmp_path):
    """Where the client cannot be put in, the node does not connect past the proxy."""
    with ConnectProxy() as proxy:
        route = Route("127.0.0.1", proxy.port)
        for name, value in way(f"{HOST}:8443", tmp_path, proxy).environment().items():
            monkeypatch.setenv(name, value)
    with pytest.raises(Broken):
        tunnel.fleet_client(route)("https://centre.example:8443", verify=True)
    monkeypatch.setattr(inspect, "getsource", lambda _module: "def another(): ...")
    with pytest.raises(Broken):
        supernode.go_through_proxy(tmp_path / "proxy.json")


def test_bad_credentials_stop_a_supernode_before_it_connects(monkeypatch, tmp_path):
    with ConnectProxy() as proxy:
        for name, value in way(f"{HOST}:8443", tmp_path, proxy, Credentials(file="none")).environment().items():
            monkeypatch.setenv(name, value)
        with pytest.raises(Refused) as refused:
            supernode.go_through_proxy(tmp_path / "proxy.json")
    assert refused.value.codes == ("N-CREDENTIALS",)


def test_what_is_told_is_told_once(tmp_path, capsys):
    """One line when the fault begins or becomes another, one when it ends; the file stands as long as the fault does."""
    path = tmp_path / "proxy.json"
    told = tunnel.Told(path)
    for fault in (None, ProxyFault("N-PROXY", "a", "b"), ProxyFault("N-PROXY", "a", "b"), ProxyFault("N-PROXYAUTH", "c", "d")):
        told(fault)
    trouble = read_proxy_trouble(path)
    assert trouble is not None
    assert (trouble.code, trouble.finding) == ("N-PROXYAUTH", "c")
    told(None)
    told(None)
    assert read_proxy_trouble(path) is None
    assert len(capsys.readouterr().err.splitlines()) == 3

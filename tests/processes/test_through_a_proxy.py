"""A whole study through the hospitals' proxies: the only way, since the centre has a name that no hospital can look up."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from connect_proxy import ConnectProxy
from flower_processes import eventually
from hospitals_on_disk import Command, Hospital
from tcp_sockets import tcp_of
from ward_on_processes import Ward, make_ward, no_trace

HOST = "centre.wardround.invalid"
"""No name server knows it (RFC 6761, section 6.4)."""
GIVEN = {"file": "ward:pl4nted-f1le", "variable": "ward:pl4nted-v4riable", "environment": "ward:pl4nted-env1ronment"}
SECONDS = 60.0


@dataclass
class Proxied:
    """A ward whose hospitals have a proxy each, in each of the ways in which a site file names one."""

    ward: Ward
    proxies: dict[str, ConnectProxy]

    def start(self) -> None:
        """Start the centre, then the hospitals, each in its own environment."""
        self.ward.start_centre().up()
        alpha, beta, gamma = self.ward.hospitals
        url = f"http://{GIVEN['environment']}@127.0.0.1:{self.proxies['gamma'].port}"
        wrong = {"https_proxy": "http://127.0.0.1:9", "all_proxy": "http://127.0.0.1:9"}  # asked by nobody who was not told to
        self.ward.start("alpha", "silo", "start", "--site", alpha.site, **wrong)
        self.ward.start("beta", "silo", "start", "--site", beta.site, **wrong, WARD_PROXY=GIVEN["variable"])
        self.ward.start("gamma", "silo", "start", "--site", gamma.site, https_proxy=url)
        for hospital in self.ward.hospitals:
            self.ward.services[hospital.folder.name].up()


def say(hospital: Hospital, text: str) -> None:
    """Write a proxy into a site file."""
    with Path(hospital.site).open("a") as file:
        file.write(text)


@pytest.fixture
def proxied(tmp_path: Path, wardround: Command) -> Iterator[Proxied]:
    """A centre and three hospitals: credentials in a file, in a variable, in the URL of the environment."""
    ward = make_ward(tmp_path, wardround, (120, 90, 80), host=HOST)
    names = {f"{HOST}:{ward.port}": ("127.0.0.1", ward.port)}
    alpha, beta, gamma = ward.hospitals
    with (
        ConnectProxy(names=names, credentials=GIVEN["file"]) as first,
        ConnectProxy(names=names, credentials=GIVEN["variable"]) as second,
        ConnectProxy(names=names, credentials=GIVEN["environment"]) as third,
    ):
        file = alpha.folder / "proxy.credentials"
        file.touch(mode=0o600)
        file.write_text(GIVEN["file"] + "\n")
        say(alpha, f"proxy: {{url: 'http://127.0.0.1:{first.port}', credentials: {{file: proxy.credentials}}}}\n")
        say(beta, f"proxy: {{url: 'http://localhost:{second.port}', credentials: {{variable: WARD_PROXY}}}}\n")
        say(gamma, "proxy: environment\n")
        try:
            yield Proxied(ward, {"alpha": first, "beta": second, "gamma": third})
        finally:
            ward.stop()


def test_a_study_goes_through_the_proxies_and_in_no_other_way(proxied: Proxied) -> None:
    """It completes; each hospital's connections all end at its proxy; nobody else learns of it; no credential is seen."""
    ward = proxied.ward
    proxied.start()
    bundle = ward.build()
    ward.approve(bundle)
    ward.submit(bundle)
    state = ward.ended()
    assert state.phase == "complete", state
    assert [record for name in proxied.proxies for record in ward.codes(state, name)] == []
    for name, proxy in proxied.proxies.items():
        assert {tunnel.target for tunnel in proxy.tunnels} == {f"{HOST}:{ward.port}"}, name
        assert proxy.opened
        assert {tunnel.status for tunnel in proxy.tunnels} == {200}
        assert sum(tunnel.up for tunnel in proxy.opened) > 10_000, "replies went up"
        service = ward.services[name]
        supernode = service.running("silo_node.flower.supernode")
        runtime = {tcp.local for tcp in tcp_of(supernode) if tcp.listens}
        ends = {tcp.remote for tcp in tcp_of(supernode) if not tcp.listens and tcp.local not in runtime}
        assert ends == {f"127.0.0.1:{proxy.port}"}, name
        for module in ("silo_node.node_process", "silo_node.training.process"):
            environ = Path(f"/proc/{service.running(module)}/environ").read_bytes()
            assert b"pl4nted" not in environ
            assert b"127.0.0.1:9" not in environ
            assert str(proxy.port).encode() not in environ
    assert_nowhere(ward)
    for name, service in reversed(ward.services.items()):
        assert service.end() == 0, name
        assert no_trace(service.said)


def assert_nowhere(ward: Ward) -> None:
    """No credential is on a command line, in what was printed or logged, or in any file but the one that holds it."""
    forms = [form for each in GIVEN.values() for form in (each.encode().partition(b":")[2], base64.b64encode(each.encode()))]
    places = {str(path): path.read_bytes() for path in ward.folder.rglob("*") if path.is_file()}
    assert places.pop(str(ward.hospitals[0].folder / "proxy.credentials"))
    assert len([place for place in places if place.endswith("supernode.out")]) == 3
    for service in ward.services.values():
        for process in (service.process.pid, *service.processes()):
            places[f"{process}"] = Path(f"/proc/{process}/cmdline").read_bytes()
    assert [place for place, data in places.items() for form in forms if form in data] == []


@pytest.mark.faults
def test_a_proxy_that_refuses_for_a_while_is_told_and_outlived(proxied: Proxied, wardround: Command) -> None:
    """A node that runs says which refusal it is where it prints and in its status, goes on trying, and says when it is over."""
    ward, alpha = proxied.ward, proxied.ward.hospitals[0]
    proxied.start()
    proxy = proxied.proxies["alpha"]
    supernode = ward.services["alpha"].running("silo_node.flower.supernode")
    for answer, code in ((407, "N-PROXYAUTH"), (403, "N-PROXYDENIED"), (503, "N-UNREACHABLE")):
        proxy.answer = answer
        proxy.cut()
        eventually(lambda code=code: code in str(status(wardround, alpha)["proxy"]), SECONDS, code)
        assert f"({code})" in wardround("silo", "status", "--site", alpha.site).out
    doctor = wardround("silo", "doctor", "--site", alpha.site)
    proxy.answer = None
    eventually(lambda: status(wardround, alpha)["proxy"] is None, SECONDS, "the way is open again")
    assert ward.services["alpha"].running("silo_node.flower.supernode") == supernode, "the same process went on trying"
    printed = (alpha.folder / "logs" / "supernode.out").read_text()
    for text in ("N-PROXYAUTH: the proxy does not take the credentials (407)", "N-PROXYDENIED", "leads to the centre again"):
        assert text in printed
    assert doctor.status == 1
    assert "N-UNREACHABLE" in doctor.out
    bundle = ward.build()
    ward.approve(bundle)
    ward.submit(bundle)
    assert ward.ended().phase == "complete"
    assert_nowhere(ward)


def status(wardround: Command, hospital: Hospital) -> dict[str, object]:
    """Ask a hospital's node how it is."""
    return wardround("silo", "status", "--site", hospital.site, "--format", "json").json()


def test_a_node_does_not_start_where_its_proxy_does_not_lead_out(proxied: Proxied, wardround: Command) -> None:
    """Said before anything runs, each with its own code; nothing is tried past the proxy."""
    ward = proxied.ward
    alpha, beta, _ = ward.hospitals
    ward.start_centre().up()
    (alpha.folder / "proxy.credentials").write_text("ward:another\n")
    answer = wardround("silo", "start", "--site", alpha.site)
    assert (answer.status, "N-PROXYAUTH" in answer.err) == (2, True)
    assert "another" not in answer.err.replace("another one", "")
    answer = wardround("silo", "start", "--site", beta.site)  # the variable is not set here
    assert (answer.status, "N-CREDENTIALS" in answer.err) == (2, True)
    assert {tunnel.status for proxy in proxied.proxies.values() for tunnel in proxy.tunnels} == {407}

"""What the processes of a centre and a hospital let others see: doors, files, command lines, memory, network."""

from __future__ import annotations

import base64
import http.client
import os
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from flower_processes import eventually
from flwr.supercore.protobuf.constants import PROTOBUF_MEDIA_TYPE
from flwr.superlink.main import create_app as superlink_app
from flwr.supernode.main import create_app as supernode_app
from hospitals_on_disk import deal
from tapped_ward import TappedWard, option_of, pid_of, superlink_of, tapped_ward
from tcp_sockets import is_shown, tcp_of

from coordinator.flower.superlink import SIGNED
from wardround.transport.channel import RuntimeChannel, Secret, Unauthorised

PRIVATE_FOLDERS = ("keys", "run", "logs", "ledger", "approvals", "inbox", "config", "contacts", "invitations", "silos")
PARTS = 24
"""Of a secret, in characters: a part of this length would be enough to recognise it."""


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TappedWard]:
    """A centre and one hospital on real processes, after a study."""
    folder = tmp_path_factory.mktemp("ward")
    with tapped_ward(folder, deal(folder / "hospitals", (110,))) as made:
        made.start_centre().up()
        made.start_planted(made.hospitals[0]).up()
        bundle = made.build(silos={"minimum": 1}, rounds={"maximum": 1, "deadline_seconds": 60, "retries": 1})
        made.approve(bundle)
        made.submit(bundle)
        assert made.ended().phase == "complete"
        yield made


def ask(connection: http.client.HTTPConnection, method: str, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
    """Ask once, in the form that Flower speaks; gives the HTTP status and what came."""
    try:
        body = b"" if method == "POST" else None
        connection.request(method, path, body, {"content-type": PROTOBUF_MEDIA_TYPE, **headers})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def paths_of(app: object) -> list[tuple[str, str]]:
    """Give all methods and paths of one of Flower's applications."""
    return [(method.upper(), path) for path, methods in app.openapi()["paths"].items() for method in methods]


@pytest.mark.parametrize("headers", [{}, dict.fromkeys(SIGNED, "bm90IGEgc2lnbmF0dXJl")], ids=["plain", "as if signed"])
def test_a_stranger_gets_nothing_of_the_centre(ward: TappedWard, headers: dict[str, str]) -> None:
    """With only the authority's certificate: 401 or 404 on every path but the two ways to ask for its health."""
    context = ssl.create_default_context(cafile=str(ward.centre / "keys" / "authority.pem"))
    more = [("GET", "/docs"), ("GET", "/openapi.json"), ("GET", "/"), ("POST", "/v1/fleet/../control/list-nodes")]
    seen = {}
    for method, path in [*paths_of(superlink_app()), *more]:
        connection = http.client.HTTPSConnection("localhost", ward.port, context=context)
        seen[method, path] = ask(connection, method, path, headers)[0]
    assert (seen.pop(("GET", "/health")), seen.pop(("HEAD", "/health"))) == (200, 200)
    assert {key: status for key, status in seen.items() if status not in (401, 404)} == {}
    fleet = [status for (_, path), status in seen.items() if path.startswith("/v1/fleet/") and ".." not in path]
    assert len(fleet) > 8
    assert set(fleet) == {401}
    assert len(seen) > 60


def test_the_private_listener_of_the_centre_asks_for_token_and_secret(ward: TappedWard) -> None:
    """On its own loopback, Control without the token and Runtime without the secret get 401; there is no login to get one."""
    link = superlink_of(ward)
    host, port = link.address.split(":")
    assert host == "127.0.0.1"
    context = ssl.create_default_context(cadata=link.authority.decode())
    for prefix, headers in (("/v1/control/", {"authorization": "Bearer guessed"}), ("/v1/runtime/", {})):
        paths = [key for key in paths_of(superlink_app()) if key[1].startswith(prefix)]
        seen = {key: ask(http.client.HTTPSConnection("localhost", int(port), context=context), *key, headers) for key in paths}
        logins = {f"/v1/control/{name}" for name in ("get-login-details", "get-auth-tokens", "refresh-auth-tokens")}
        assert {key: status for key, (status, _) in seen.items() if status != 401 and key[1] not in logins} == {}
        assert not [key for key, (_, body) in seen.items() if key[1] in logins and link.token.encode() in body]


def test_the_local_runtime_asks_for_the_secret(ward: TappedWard) -> None:
    """The hospital's Runtime API is on loopback only, and without the secret gives 401 on every path."""
    porter = pid_of(ward.services["alpha"], "silo_node.node_process")
    host, port = option_of(porter, "--runtime").split(":")
    assert host == "127.0.0.1"
    runtime = [key for key in paths_of(supernode_app()) if key[1].startswith("/v1/")]
    seen = {key: ask(http.client.HTTPConnection(host, int(port)), *key, {})[0] for key in runtime}
    assert len(seen) > 8
    assert {key: status for key, status in seen.items() if status != 401} == {}
    for wrong in (Secret(b"guessed" * 5), "a token that nobody gave"):
        with RuntimeChannel.open(f"{host}:{port}", wrong, node_id=0, patience=5) as channel, pytest.raises(Unauthorised):
            channel.acquire("flwr-clientapp")


def test_the_trainer_has_no_network(ward: TappedWard, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the kernel may cut it off, neither Python nor native code in the trainer connects even to this machine."""
    trainer = pid_of(ward.services["alpha"], "silo_node.training.process")
    first = ward.frames(ward.hospitals[0])[0]
    assert first["python"] == "PermissionError"
    log = (ward.hospitals[0].folder / "logs" / "trainer.log").read_text()
    apart = Path(f"/proc/{trainer}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
    assert ("cut by kernel" in log) == apart
    if not apart:
        with capsys.disabled():
            print("\nthe kernel does not cut the trainer's network here: Python refuses sockets, native code is not stopped")
        assert "cut by python" in log
        return
    devices = [line.split(":")[0].strip() for line in Path(f"/proc/{trainer}/net/dev").read_text().splitlines() if ":" in line]
    assert devices == ["lo"]
    assert Path(f"/proc/{trainer}/net/route").read_text().count("\n") <= 1
    assert first["native"] == "ENETUNREACH"


def test_without_the_kernels_help_python_itself_refuses() -> None:
    """Where the kernel may not cut the network, no library written in Python gets a socket or a name; local ones work."""
    script = """
import _socket, socket, urllib.request
from silo_node.training import network
network._unshare = lambda: False
print(network.cut_network())
socket.socket(socket.AF_UNIX).close()
for attempt in (
    lambda: socket.create_connection(("127.0.0.1", 9)),
    lambda: _socket.socket(),
    lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM),
    lambda: socket.getaddrinfo("localhost", 80),
    lambda: urllib.request.urlopen("http://127.0.0.1:9/"),
):
    try:
        print(attempt())
    except OSError as error:
        print(type(getattr(error, "reason", error)).__name__)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["python", *["PermissionError"] * 5]


def test_a_porter_is_nobodys_to_trace(ward: TappedWard) -> None:
    """What it has open and in memory, keys among it, is shown to root alone; and nothing of either is dumped."""
    porter, trainer = (pid_of(ward.services["alpha"], f"silo_node.{name}") for name in ("node_process", "training.process"))
    assert Path(f"/proc/{porter}/environ").stat().st_uid == 0
    assert Path(f"/proc/{trainer}/environ").stat().st_uid == os.geteuid()
    for process in (porter, trainer):
        limits = Path(f"/proc/{process}/limits").read_text().splitlines()
        (core,) = [line.split() for line in limits if line.startswith("Max core file size")]
        assert core[4:6] == ["0", "0"]


def test_one_way_out_and_no_way_in(ward: TappedWard) -> None:
    """A hospital listens on nothing but its loopback Runtime API and connects to the centre only; the centre has two doors."""
    alpha, centre = ward.services["alpha"], ward.services["centre"]
    supernode, porter = pid_of(alpha, "silo_node.flower.supernode"), pid_of(alpha, "silo_node.node_process")
    runtime, relay = option_of(porter, "--runtime"), f"127.0.0.1:{ward.tap.port}"
    eventually(lambda: any(tcp.remote == relay for tcp in tcp_of(supernode)), 20, "the SuperNode speaks to the centre")
    seen = {process: tcp_of(process) for process in (alpha.process.pid, *alpha.processes())}
    assert {tcp.local for found in seen.values() for tcp in found if tcp.listens} == {runtime}
    outgoing = {
        (process, tcp.remote) for process, found in seen.items() for tcp in found if not tcp.listens and tcp.local != runtime
    }
    assert outgoing <= {(supernode, relay), (porter, runtime)}
    doors = {tcp.local for process in centre.processes() for tcp in tcp_of(process) if tcp.listens}
    assert doors == {f"127.0.0.1:{ward.port}", superlink_of(ward).address}


def test_nobody_else_can_read_what_is_private(ward: TappedWard) -> None:
    """Keys, secrets, sockets, logs, ledger, approvals and inbox are for their owner only, file by file and folder by folder."""
    sockets = 0
    for root in (ward.centre, ward.hospitals[0].folder):
        for name in PRIVATE_FOLDERS:
            folder = root / name
            if not folder.exists():
                continue
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder
            for path in folder.iterdir():
                sockets += path.is_socket()
                if path.is_file() or path.is_socket():
                    assert stat.S_IMODE(path.stat().st_mode) & 0o177 == 0, path
        private = [path for path in root.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()]
        assert private
        assert {path.parent for path in private} == {root / "keys"}
    assert sockets == 1


def secrets_of(ward: TappedWard) -> dict[str, bytes]:
    """Give every secret of centre and hospital: of keys, the middle of their base64."""
    found = {}
    for path in [*(ward.centre / "keys").iterdir(), *(ward.hospitals[0].folder / "keys").iterdir()]:
        data = path.read_bytes()
        if b"PRIVATE KEY" in data:
            lines = data.split(b"\n")
            found[str(path)] = lines[len(lines) // 2 - 1][:PARTS] if len(lines) > 4 else lines[1][-PARTS:]
        elif b"CERTIFICATE" not in data:
            found[str(path)] = data
            found[f"{path} in hex"] = data.hex().encode()[:PARTS]
            found[f"{path} in base64"] = base64.b64encode(data)[:PARTS]
    return found


def test_no_secret_is_on_a_command_line_in_an_environment_or_in_a_log(ward: TappedWard) -> None:
    """Private keys, token and secrets are in their files and in memory, nowhere that a neighbour or a backup sees."""
    secret = secrets_of(ward)
    assert len(secret) >= 3 + 3 * 3 + 3
    places: dict[str, bytes] = {}
    for service in ward.services.values():
        for process in (service.process.pid, *service.processes()):
            for what in ("cmdline", "environ"):
                hidden = what == "environ" and not is_shown(process)
                places[f"{process} {what}"] = b"" if hidden else Path(f"/proc/{process}/{what}").read_bytes()
    assert len(places) == 2 * (2 + 2 + 3)
    for root in (ward.centre, ward.hospitals[0].folder):
        places |= {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file() and path.parent.name != "keys"}
    places |= {str(path): path.read_bytes() for path in ward.folder.glob("*.out")}
    places["what hospitals sent"], places["what the centre sent"] = ward.tap.up, ward.tap.down
    assert {(place, name) for place, data in places.items() for name, text in secret.items() if text in data} == set()
    assert all(text in Path(name).read_bytes() for name, text in secret.items() if " in " not in name), "positive control"


def test_who_holds_which_library(ward: TappedWard) -> None:
    """No torch in the conductor, neither torch nor readers of records in porter and SuperNode; the trainer has both."""
    heavy = ("libtorch", "polars", "monai", "pandas", "pydicom")
    held = {}
    for service, module in (
        ("centre", "coordinator.flower.superlink"),
        ("centre", "coordinator.conductor_process"),
        ("alpha", "silo_node.flower.supernode"),
        ("alpha", "silo_node.node_process"),
        ("alpha", "silo_node.training.process"),
    ):
        process = pid_of(ward.services[service], module)
        maps = Path(f"/proc/{process}/maps").read_text() if is_shown(process) else ""
        held[module] = {name for name in heavy if name in maps}
    assert held.pop("silo_node.training.process") >= {"libtorch", "polars"}
    assert {module: found for module, found in held.items() if found} == {}

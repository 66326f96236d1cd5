"""Seam: create_app behind our filter. The outside sees the Fleet API and a health check, and nothing else."""

import asyncio
import socket
import subprocess

import pytest
from flower_processes import SuperLink, superlink_command
from flwr.superlink.main import create_app

from coordinator.flower.superlink import LARGEST_BODY_BYTES, SIGNED, WholeBody
from wardround.transport.environment import flower_environment


def _all_paths() -> list[tuple[str, str]]:
    routes = create_app().openapi()["paths"]
    return [(method.upper(), path) for path, methods in routes.items() for method in methods]


def test_flower_still_has_the_paths_that_we_cut():
    """The three APIs are under the prefixes on which the listeners are cut."""
    paths = {path for _, path in _all_paths()}
    for prefix in ("/v1/fleet/", "/v1/control/", "/v1/runtime/"):
        assert any(path.startswith(prefix) for path in paths)


def test_nothing_but_fleet_and_health_is_reachable(superlink: SuperLink):
    """A stranger with only the authority's certificate gets 404 on every other path, and 401 on every fleet path."""
    cut = [*_all_paths(), ("GET", "/docs"), ("GET", "/openapi.json"), ("POST", "/v1/fleet/../control/list-nodes"), ("GET", "/")]
    seen = {
        (method, path): superlink.status(superlink.public, method, path, b"" if method == "POST" else None)
        for method, path in cut
    }
    assert (seen.pop(("GET", "/health")), seen.pop(("HEAD", "/health"))) == (200, 200)
    fleet = {key for key in seen if key[1].startswith("/v1/fleet/") and ".." not in key[1]}
    assert len(fleet) >= 10
    assert {seen[key] for key in fleet} == {401}
    assert {key: seen[key] for key in seen.keys() - fleet if seen[key] != 404} == {}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-length": str(LARGEST_BODY_BYTES + 1)}, 413),
        ({"transfer-encoding": "chunked"}, 411),
        ({"content-length": "1e3"}, 400),
    ],
)
def test_a_stranger_cannot_fill_the_memory(superlink: SuperLink, headers, status):
    """A body that is too long, or of unknown length, is refused before it is read."""
    import http.client
    import ssl

    host, port = superlink.public.split(":")
    connection = http.client.HTTPSConnection(
        host, int(port), context=ssl.create_default_context(cafile=str(superlink.authority_file))
    )
    connection.putrequest("POST", "/v1/fleet/pull-messages")
    for name, value in {**dict.fromkeys(SIGNED, "x"), **headers}.items():
        connection.putheader(name, value)
    connection.endheaders()
    assert connection.getresponse().status == status
    connection.close()


def test_a_port_that_is_taken_is_said(superlink: SuperLink, tmp_path):
    """The SuperLink ends with a coded error, without a trace."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = superlink_command(superlink.folder, public=f"127.0.0.1:{taken.getsockname()[1]}")
        done = subprocess.run(command, env=flower_environment(tmp_path), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "the port cannot be taken" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_private_listener_is_on_loopback_only(superlink: SuperLink, tmp_path):
    """Control and Runtime are never offered to a network."""
    command = superlink_command(superlink.folder, private="0.0.0.0:0")
    done = subprocess.run(command, env=flower_environment(tmp_path), capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, "loopback only" in done.stderr) == (2, True)


def _through_whole_body(messages: list[dict]) -> list[dict]:
    """Give what an application behind it receives, until the client is gone."""
    seen = []

    async def application(_scope, receive, _send):
        while not seen or seen[-1]["type"] != "http.disconnect":
            seen.append(await receive())

    async def receive():
        return messages.pop(0)

    asyncio.run(WholeBody(application)({"type": "http"}, receive, None))
    return seen


def test_a_body_reaches_flower_in_one_piece():
    """Whatever pieces a body came in, Flower's middlewares see one, the same bytes; then they hear that the client left."""
    pieces = [{"type": "http.request", "body": bytes([index]) * index, "more_body": index < 4} for index in range(5)]
    whole = {"type": "http.request", "body": b"".join(piece["body"] for piece in pieces), "more_body": False}
    gone = {"type": "http.disconnect"}
    assert _through_whole_body([*pieces, gone]) == [whole, gone]


def test_half_a_body_reaches_nobody():
    """A client that leaves within its body was never there: Flower would take the part for the whole."""
    assert _through_whole_body([{"type": "http.request", "body": b"x", "more_body": True}, {"type": "http.disconnect"}]) == []

"""A centre and two hospitals in networks of their own: the hospitals' firewalls let nothing in, and the study runs."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hospitals_on_disk import Command
from walled_networks import CENTRE, Networks, unable
from ward_on_processes import Ward, make_ward, no_trace

HOSPITALS = ("alpha", "beta")
KNOCK = """
import socket, sys
for port in map(int, sys.argv[2:]):
    try:
        socket.create_connection((sys.argv[1], port), 0.5).close()
        print("open", port)
    except OSError as error:
        print(type(error).__name__, port)
"""
LISTENING = "0A"


@pytest.fixture
def networks(tmp_path: Path, wardround: Command) -> Iterator[tuple[Networks, Ward]]:
    """The networks, and a ward whose services will run in them; nothing is left of either."""
    if (why := unable()) is not None:
        pytest.skip(why)
    ward = make_ward(tmp_path, wardround, (120, 90), host=CENTRE, listen=CENTRE)
    with Networks(HOSPITALS, ward.port) as made:
        ward.inside = {name: made.inside(name) for name in ("centre", *HOSPITALS)}
        try:
            yield made, ward
        finally:
            ward.stop()


def in_network(networks: Networks, name: str, *words: str) -> str:
    """Run a command in a network, and give what it printed."""
    done = subprocess.run([*networks.inside(name), *words], check=True, capture_output=True, text=True, timeout=60)
    return done.stdout


def open_to_others(networks: Networks, name: str) -> list[str]:
    """Give every socket of a network, whosever it is, that somebody outside could reach: bound to more than loopback."""
    found = []
    for table in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6"):
        for line in in_network(networks, name, "cat", f"/proc/net/{table}").splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            host, _, port = local.partition(":")
            here = len(host) == 8 and socket.inet_ntoa(bytes.fromhex(host)[::-1]).startswith("127.")
            if not here and (state == LISTENING or not table.startswith("tcp")):
                found.append(f"{table} {int(port, 16)}")
    return found


def test_the_study_runs_while_the_hospitals_let_nothing_in(networks: tuple[Networks, Ward]) -> None:
    """Whatever knocks is dropped, before and during the study; hospitals only open connections to the centre's one port."""
    walls, ward = networks
    ward.start_all()
    alpha, beta = (walls.address(name) for name in HOSPITALS)
    ports = [str(port) for port in (22, 443, 9094, ward.port)]
    for source, target in (("centre", alpha), ("beta", alpha), ("alpha", beta)):
        said = in_network(walls, source, sys.executable, "-c", KNOCK, target, *ports)
        assert said.split()[::2] == ["TimeoutError"] * len(ports), said
    knocked = {(packet.source, packet.target, packet.target_port) for packet in walls.dropped}
    assert {(CENTRE, alpha, int(port)) for port in ports} <= knocked
    bundle = ward.build()
    ward.approve(bundle)
    ward.submit(bundle)
    state = ward.ended()
    assert state.phase == "complete", state
    assert {(source, target, port) for source, _, target, port in walls.opened} == {
        (alpha, CENTRE, ward.port),
        (beta, CENTRE, ward.port),
    }
    assert [open_to_others(walls, name) for name in HOSPITALS] == [[], []]
    assert open_to_others(walls, "centre") == [f"tcp {ward.port}"]
    for name, service in reversed(ward.services.items()):
        assert service.end() == 0, name
        assert no_trace(service.said)
    wanted_out = {
        (packet.target, packet.target_port)
        for packet in walls.dropped
        if packet.source in (alpha, beta) and packet.target not in (alpha, beta)
    }
    assert wanted_out - {(CENTRE, ward.port)} == set(), "nothing else was asked for outside"

"""Flower's processes for tests: a hardened SuperLink and SuperNodes on loopback, ended by their own handles."""

from __future__ import annotations

import json
import os
import secrets
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from coordinator.flower.run import SuperLinkAddress
from silo_node.flower.node import SuperNodeAddress
from silo_node.flower.supernode import SuperNodeSettings
from wardround.identity.tls import KeyPair, issue_server, make_authority, make_node_key
from wardround.transport.channel import RuntimeChannel, Secret
from wardround.transport.environment import flower_environment

START_SECONDS = 180.0
STOP_SECONDS = 10.0


def free_port() -> int:
    """Give a port on loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(holds, seconds: float = START_SECONDS, what: str = "it"):
    """Wait until something is truthy, and give it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = holds()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what} did not happen in {seconds:.0f} s")


@dataclass
class Processes:
    """The processes that a test started, each with its log."""

    folder: Path
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], *, say: bool = False
    ) -> subprocess.Popen[str]:
        """Start one; its standard error goes to ``<name>.log``, and so does its output unless it says something to us."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{name}.log").open("a") as log:
            process = subprocess.Popen(
                command,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if say else log,
                stderr=log,
                text=True,
            )
        self.running.append(process)
        return process

    def log(self, name: str) -> str:
        """Give what a process wrote."""
        return (self.folder / f"{name}.log").read_text()

    def stop(self) -> None:
        """End them all, the last one first; kill what does not end by itself."""
        for process in reversed(self.running):
            process.terminate()
        for process in reversed(self.running):
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
        self.running.clear()


def write_secret(path: Path, content: bytes) -> Path:
    """Write a file that its owner alone can read."""
    path.write_bytes(content)
    path.chmod(0o600)
    return path


@dataclass
class SuperLink:
    """A running SuperLink."""

    folder: Path
    processes: Processes
    authority: KeyPair
    link: SuperLinkAddress
    public: str

    @property
    def authority_file(self) -> Path:
        """The authority's certificate, as hospitals pin it."""
        return self.folder / "authority.pem"

    def status(self, address: str, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = {}) -> int:
        """Ask over TLS with nothing but the authority's certificate; gives the HTTP status."""
        context = ssl.create_default_context(cafile=str(self.authority_file))
        request = urllib.request.Request(f"https://{address}{path}", data=body, method=method, headers=dict(headers))
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
        try:
            with opener.open(request, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code


def superlink_command(folder: Path, public: str = "127.0.0.1:0", private: str = "127.0.0.1:0") -> list[str]:
    """Give the command line of a SuperLink whose files lie in a folder."""
    files = {"authority": "authority.pem", "certificate": "server.pem", "key": "server.key", "token": "token", "secret": "secret"}
    options = [word for name, file in files.items() for word in (f"--{name}-file", str(folder / file))]
    return [sys.executable, "-m", "coordinator.flower.superlink", "--public", public, "--private", private, *options]


def write_centre(folder: Path) -> tuple[KeyPair, str, bytes]:
    """Write what a centre's init will write; gives the authority, the token and the secret."""
    folder.mkdir(parents=True)
    authority = make_authority("Test centre")
    server = issue_server(authority, ["centre.example"])
    token, secret = secrets.token_urlsafe(32), secrets.token_bytes(32)
    (folder / "authority.pem").write_bytes(authority.public)
    (folder / "server.pem").write_bytes(server.public)
    write_secret(folder / "server.key", server.private)
    write_secret(folder / "token", token.encode())
    write_secret(folder / "secret", secret)
    return authority, token, secret


def start_superlink(folder: Path, processes: Processes) -> SuperLink:
    """Start a SuperLink and wait until it listens."""
    authority, token, secret = write_centre(folder)
    process = processes.start("superlink", superlink_command(folder), flower_environment(folder / "home"), say=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, processes.log("superlink")
    said = json.loads(line)
    link = SuperLinkAddress(said["private"], authority.public, token, Secret(secret))
    return SuperLink(folder, processes, authority, link, said["public"])


@dataclass
class SuperNode:
    """A running SuperNode."""

    name: str
    node_id: int
    address: SuperNodeAddress
    process: subprocess.Popen[str]

    def channel(self, token: str) -> RuntimeChannel:
        """Connect to its Runtime API with a task's token."""
        return RuntimeChannel.open(self.address.address, token, node_id=self.node_id)

    def door(self, secret: Secret | None = None) -> RuntimeChannel:
        """Connect to its Runtime API with its secret, or another one."""
        return RuntimeChannel.open(self.address.address, secret or self.address.secret, node_id=0, patience=5)


def supernode_settings(superlink: SuperLink, name: str, key: KeyPair) -> tuple[SuperNodeSettings, Secret]:
    """Write a hospital's files for its SuperNode."""
    folder = superlink.folder / name
    folder.mkdir()
    secret = secrets.token_bytes(32)
    settings = SuperNodeSettings(
        superlink=superlink.public,
        authority=superlink.authority_file,
        node_key=write_secret(folder / "node.key", key.private),
        secret=write_secret(folder / "secret", secret),
        runtime=("127.0.0.1", free_port()),
        home=folder / "home",
    )
    return settings, Secret(secret)


def start_supernode(superlink: SuperLink, name: str) -> SuperNode:
    """Register a new key, start a SuperNode with it, and wait until it is connected."""
    key = make_node_key()
    settings, secret = supernode_settings(superlink, name, key)
    with superlink.link.control() as control:
        node_id = control.register(key.public)
        process = superlink.processes.start(name, settings.command(), settings.environment())

        def online() -> bool:
            assert process.poll() is None, superlink.processes.log(name)
            return any(node.online for node in control.nodes() if node.node_id == node_id)

        eventually(online, what=f"{name} online")
    host, port = settings.runtime
    return SuperNode(name, node_id, SuperNodeAddress(f"{host}:{port}", secret), process)


def plain_environment() -> dict[str, str]:
    """Give this process's environment for a process of our own."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}

"""A centre and its hospitals as their users run them: `wardround ... start` in processes of their own, on loopback."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from fixed_keys import fixed_keys
from flower_processes import eventually, free_port
from hospitals_on_disk import Answer, Command, Hospital, deal, write_study

from coordinator.studies import StudyState, folders
from wardround.supervision.house import read_state

UP_SECONDS = 240.0
STOP_SECONDS = 40.0


@dataclass
class Service:
    """One `start` command in the foreground of a process of ours."""

    name: str
    process: subprocess.Popen[str]
    log: Path
    begun: int = 0
    """Where in the log it begins to speak: an earlier start of the same name stands before it."""

    @property
    def said(self) -> str:
        """What it printed."""
        return self.log.read_text()

    def up(self) -> None:
        """Wait until it says that it is up."""

        def look() -> bool:
            assert self.process.poll() is None, f"{self.name} ended: {self.said}"
            return b" is up" in self.log.read_bytes()[self.begun :]

        eventually(look, UP_SECONDS, f"{self.name} is up")

    def end(self) -> int:
        """Ask it to stop, and give its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)

    def processes(self) -> list[int]:
        """Give all processes below it."""
        return descendants(self.process.pid)

    def running(self, module: str) -> int:
        """Give the process below it that runs a module."""

        def look() -> int | None:
            for process in self.processes():
                try:
                    words = Path(f"/proc/{process}/cmdline").read_bytes().decode().split("\0")
                except OSError:
                    continue
                if module in words and "wardround.supervision.leash" not in words:
                    return process
            return None

        found: int = eventually(look, what=f"{self.name} runs {module}")
        return found


def descendants(root: int) -> list[int]:
    """Give every process below one, from /proc."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(stat[1]), []).append(int(entry.name))
    found, pending = [], [root]
    while pending:
        children = parents.get(pending.pop(), [])
        found += children
        pending += children
    return found


@dataclass
class Ward:
    """A centre and hospitals on one machine."""

    folder: Path
    wardround: Command
    port: int
    hospitals: list[Hospital]
    services: dict[str, Service] = field(default_factory=dict)
    inside: dict[str, list[str]] = field(default_factory=dict)
    """Words before the command of a service: where it runs."""

    @property
    def centre(self) -> Path:
        """The centre's directory."""
        return self.folder / "centre"

    def command(self, *words: object) -> Answer:
        """Run a command that must succeed."""
        answer = self.wardround(*words)
        assert answer.status == 0, (words, answer.out, answer.err)
        return answer

    def enrol(self, hospital: Hospital) -> None:
        """Bring a hospital in: its request to the centre, the invitation back."""
        self.command("coordinator", "enrol", hospital.folder / "request.json", "--dir", self.centre, "--yes")
        invitation = self.centre / "invitations" / f"{hospital.folder.name}.json"
        self.command("silo", "join", invitation, "--site", hospital.site)

    def start(self, name: str, *words: object, **environment: str) -> Service:
        """Run a `start` command in a process of its own."""
        log = self.folder / f"{name}.out"
        with log.open("a") as output:
            begun = output.tell()
            process = subprocess.Popen(
                [*self.inside.get(name, ()), sys.executable, "-m", "wardround", *(str(word) for word in words)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                text=True,
                env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
            )
        service = Service(name, process, log, begun)
        self.services[name] = service
        return service

    def start_centre(self) -> Service:
        """Start the centre."""
        return self.start("centre", "coordinator", "start", self.centre)

    def start_hospital(self, hospital: Hospital, *options: object) -> Service:
        """Start a hospital."""
        return self.start(hospital.folder.name, "silo", "start", "--site", hospital.site, *options)

    def start_all(self, *options: object) -> None:
        """Start the centre, then all hospitals side by side."""
        self.start_centre().up()
        services = [self.start_hospital(hospital, *options) for hospital in self.hospitals]
        for service in services:
            service.up()

    def build(self, name: str = "trial", hospitals: list[Hospital] | None = None, **changes: object) -> Path:
        """Build a bundle for some hospitals."""
        study = write_study(self.folder / f"{name}.yaml", **{"name": name, **changes})
        chosen = self.hospitals if hospitals is None else hospitals
        requests = [word for hospital in chosen for word in ("--silo", str(hospital.folder / "request.json"))]
        bundle = self.folder / f"{name}.wardround"
        coordinator = self.centre / "coordinator.json"
        self.command("study", "build", study, "--coordinator", coordinator, *requests, "--out", bundle)
        return bundle

    def approve(self, bundle: Path, hospitals: list[Hospital] | None = None) -> None:
        """Have hospitals approve a bundle."""
        for hospital in self.hospitals if hospitals is None else hospitals:
            self.command("silo", "approve", bundle, "--site", hospital.site, "--approver", "Dr A", "--role", "DPO")

    def submit(self, bundle: Path) -> None:
        """Submit a bundle to the centre."""
        self.command("coordinator", "submit", bundle, "--dir", self.centre)

    def state(self, name: str = "trial") -> StudyState | None:
        """Give where a study is."""
        states = [folder.read() for folder in folders(self.centre)]
        return next((state for state in states if state is not None and state.name == name), None)

    def ended(self, name: str = "trial", seconds: float = UP_SECONDS) -> StudyState:
        """Wait until a study has ended, and give its state."""

        def look() -> StudyState | None:
            state = self.state(name)
            return state if state is not None and state.phase in ("complete", "partial", "failed") else None

        found: StudyState = eventually(look, seconds, f"{name} ends")
        return found

    def until(self, holds: Callable[[StudyState], bool], name: str = "trial", seconds: float = UP_SECONDS) -> StudyState:
        """Wait until something holds of a study's state."""

        def look() -> StudyState | None:
            state = self.state(name)
            return state if state is not None and holds(state) else None

        found: StudyState = eventually(look, seconds, f"{name} gets there")
        return found

    def codes(self, state: StudyState, site: str) -> list[str]:
        """Give a hospital's codes over all visits of a study that has ended."""
        visits = json.loads((self.centre / str(state.release) / "history.json").read_text())["visits"]
        return [silo["code"] for visit in visits for silo in visit["silos"] if silo["site"] == site and silo["code"]]

    def whole(self, hospital: Hospital, seconds: float = UP_SECONDS) -> None:
        """Wait until all processes of a hospital are ready."""

        def look() -> bool:
            state = read_state(hospital.folder / "run")
            return state is not None and all(process.state == "ready" for process in state.processes)

        eventually(look, seconds, f"{hospital.folder.name} is whole")

    def stop(self) -> None:
        """End everything; kill what does not end."""
        for service in reversed(self.services.values()):
            if service.process.poll() is None:
                try:
                    service.end()
                except subprocess.TimeoutExpired:
                    for process in service.processes():
                        os.kill(process, signal.SIGKILL)
                    service.process.kill()
                    service.process.wait()


def make_ward(
    folder: Path,
    wardround: Command,
    sizes: tuple[int, ...],
    *options: object,
    host: str = "localhost",
    listen: str = "127.0.0.1",
) -> Ward:
    """Make keys for a centre, with options of its init, and its hospitals, and enrol them all.

    ``host`` is by what name hospitals connect to it.
    """
    port = free_port()
    hospitals = deal(folder / "hospitals", sizes)
    ward = Ward(folder, wardround, port, hospitals)
    where = ("--address", f"{host}:{port}", "--listen", f"{listen}:{port}")
    with fixed_keys():
        ward.command("coordinator", "init", ward.centre, "--name", "The centre", *where, *options)
        for hospital in hospitals:
            ward.command("silo", "init", "--site", hospital.site)
    for hospital in hospitals:
        policy = hospital.folder / "policy.yaml"
        policy.write_text(policy.read_text().replace("share_metrics: coordinator", "share_metrics: consortium"))
        ward.enrol(hospital)
    return ward


def no_trace(text: str) -> bool:
    """Say whether a text holds no Python stack trace."""
    return not re.search(r"Traceback \(most recent call last\)", text)


def wait(seconds: float) -> None:
    """Let some time pass."""
    time.sleep(seconds)

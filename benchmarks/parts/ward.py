"""A whole deployment on this machine: a centre and four hospitals as `wardround ... start` runs them, and a look at them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from simulate import SCHEMA, SEED, SITES, contract_json

from coordinator.identity import load_centre
from coordinator.studies import StudyState, folders
from parts.processes import ONE_THREAD, await_line, cpu_seconds, free_port, processes
from silo_node.configuration import load_site
from silo_node.identity import approval_key, load_identity
from silo_node.porter.approvals import approve
from wardround.contract.library import find
from wardround.files import write_new
from wardround.identity.approval import Approver
from wardround.models.commands import make_bundle, make_roster
from wardround.study.model import Study, Target
from wardround_lab.synthetic import SyntheticHospital, make_synthetic

LOOK_SECONDS = 0.005
LIMIT_SECONDS = 900.0
BUNDLE = "benchmark.wardround"
CENTRE, SECRET = "centre", "passphrase"
KINDS = {
    "coordinator.flower.superlink": "SuperLink",
    "coordinator.conductor_process": "conductor",
    "silo_node.flower.supernode": "SuperNodes",
    "silo_node.node_process": "porters",
    "silo_node.training.process": "trainers",
}
Key = tuple[str, int]
"""A visit's purpose, and its number if it is a round."""
PASSPHRASE = b"a benchmark has no secrets"
FIRST, CLOSING = ("round", 1), ("closing", 0)


def prepare(folder: Path, study: Study, records: int) -> None:
    """Make hospitals, centre, enrolment, bundle and approvals, and submit the study."""
    table = folder / "schemas" / "tables" / SCHEMA / "1.0.0.yaml"
    table.parent.mkdir(parents=True)
    table.write_text(json.dumps(contract_json()))
    contract = find(f"{SCHEMA}@1.0.0", (folder / "schemas",))
    hospitals = [SyntheticHospital(site, records, 0.2 + 0.2 * index, parquet=True) for index, site in enumerate(SITES)]
    paths = make_synthetic(folder, contract, Target(field="label", positive="yes"), hospitals, SEED)
    port = free_port()
    enrol(folder, paths, reached=port, listening=port)
    sites = [load_site(path) for path in paths]
    members = [load_identity(site.folder) for site in sites]
    bundle = make_bundle(study, contract, make_roster(load_centre(folder / CENTRE).coordinator, members))
    bundle.write(folder / BUNDLE)
    person = Approver(name="Benchmark", role="benchmark")
    for site, member in zip(sites, members, strict=True):
        approve(site.folder, bundle, member, approval_key(site.folder, PASSPHRASE), person, timedelta(days=1))
    quietly("coordinator", "submit", folder / BUNDLE, "--dir", folder / CENTRE)


def enrol(folder: Path, paths: Sequence[Path], *, reached: int, listening: int) -> None:
    """Make a centre and the keys of hospitals, and enrol them; both ports are on loopback.

    Args:
        folder: of the centre's directory; those of the hospitals lie beside it.
        paths: of each hospital's ``site.yaml``.
        reached: where hospitals believe their centre to be.
        listening: where it is: another port where something stands between them.
    """
    centre = folder / CENTRE
    address = ("--address", f"localhost:{reached}", "--listen", f"127.0.0.1:{listening}")
    quietly("coordinator", "init", centre, "--name", "Benchmark", *address)
    for path in paths:
        secret = path.parent / SECRET
        write_new(secret, PASSPHRASE, mode=0o600)
        quietly("silo", "init", "--site", path, "--passphrase-file", secret)
        quietly("coordinator", "enrol", path.parent / "request.json", "--dir", centre, "--yes")
        invitation = centre / "invitations" / f"{load_site(path).file.site}.json"
        quietly("silo", "join", invitation, "--site", path)


def wardround(*words: object) -> list[str]:
    """Give a command line of ours."""
    return [sys.executable, "-m", "wardround", *(str(word) for word in words)]


def quietly(*words: object) -> None:
    """Run a command of ours that must succeed."""
    subprocess.run(wardround(*words), stdout=subprocess.DEVNULL, check=True)


def launch(running: list[subprocess.Popen[bytes]], log: Path, command: list[str], environment: Mapping[str, str]) -> None:
    """Start a process on one thread whose output goes to a log."""
    with log.open("ab") as output:
        whole = {**environment, **ONE_THREAD}
        running.append(subprocess.Popen(command, env=whole, stdin=subprocess.DEVNULL, stdout=output, stderr=output))


@dataclass
class Ward:
    """A deployment that runs.

    Attributes:
        begun: when its first process was started, as all times here in seconds since 1970.
        limit_seconds: how long its study may take.
        opened: when each visit was opened.
        cpu: CPU seconds from the first round to the last, by kind of process.
    """

    folder: Path
    running: list[subprocess.Popen[bytes]]
    begun: float
    limit_seconds: float = LIMIT_SECONDS
    opened: dict[Key, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)

    @property
    def rounds(self) -> list[tuple[float, float]]:
        """Begin and end of each round."""
        times = [self.opened[key] for key in sorted(key for key in self.opened if key[0] == "round")]
        return list(zip(times, [*times[1:], self.opened[CLOSING]], strict=True))

    def by_kind(self) -> dict[str, list[int]]:
        """Give the process ids below our supervisors, by kind."""
        ours: dict[str, list[int]] = {kind: [] for kind in KINDS.values()}
        supervisors = {process.pid for process in self.running}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            kind = next((KINDS[word] for word in words if word in KINDS), None)
            if kind is not None and parent in supervisors:
                ours[kind].append(int(entry.name))
        return ours

    def cpu_by_kind(self) -> dict[str, float]:
        """Give the CPU seconds so far, by kind of process."""
        return {kind: sum(cpu_seconds(pid) for pid in pids) for kind, pids in self.by_kind().items()}

    def follow(self, at_visit: Callable[[Key], None] = lambda _key: None) -> None:
        """Note when each visit is opened, until the study has ended; somebody may look around at each."""
        before: dict[str, float] = {}
        end = time.time() + self.limit_seconds
        (folder,) = folders(self.folder / CENTRE)
        while True:
            state: StudyState | None = folder.read()
            assert time.time() < end, "too long"
            assert all(process.poll() is None for process in self.running), "a service ended"
            if state is not None and state.purpose is not None:
                key = (str(state.purpose), state.round if state.purpose == "round" else 0)
                if key not in self.opened:
                    self.opened[key] = time.time()
                    if key == FIRST:
                        before = self.cpu_by_kind()
                    if key == CLOSING:
                        self.cpu = {kind: seconds - before[kind] for kind, seconds in self.cpu_by_kind().items()}
                    at_visit(key)
                if state.phase not in ("submitted", "running"):
                    assert state.phase == "complete", state.problems
                    return
            time.sleep(LOOK_SECONDS)

    @property
    def release(self) -> Path:
        """The folder of the study's release."""
        (release,) = (self.folder / CENTRE / "releases").iterdir()
        return release


def start_centre(folder: Path, running: list[subprocess.Popen[bytes]], environment: Mapping[str, str] = os.environ) -> None:
    """Start the centre, and wait until it is up."""
    log = folder / "centre.out"
    log.unlink(missing_ok=True)
    launch(running, log, wardround("coordinator", "start", folder / CENTRE), environment)
    await_line(running[-1], log, b" is up")


@contextmanager
def started(folder: Path, environment: Mapping[str, str] = os.environ, limit_seconds: float = LIMIT_SECONDS) -> Iterator[Ward]:
    """Start a centre and all hospitals of a folder, the centre first; all of it is ended with the block."""
    with processes() as running:
        ward = Ward(folder, running, time.time(), limit_seconds)
        start_centre(folder, running, environment)
        for site in sorted(folder.glob("*/site.yaml")):
            launch(running, folder / f"{site.parent.name}.out", wardround("silo", "start", "--site", site), environment)
        yield ward

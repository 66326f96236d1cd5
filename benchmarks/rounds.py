"""The 20-round job on hospitals' and centre's real processes, beside stock Flower and a bare loop: seconds a round.

    python benchmarks/rounds.py [--records 5000] [--rounds 20] [--stock-rounds 3] [--stock-limit 300]

Four hospitals, 13 numeric features, an MLP 13-64-32-1, batches of 32, one local epoch, everything over TLS on loopback.

    wardround  `wardround coordinator start` and four `wardround silo start`: 14 processes of ours and 5 supervisors; the study
               is submitted and approved before they start. Signed messages, ledger on disk, exact sum, metrics each round
    flower     `flower-superlink`, four `flower-supernode`, `flwr run`: FedAvg, ClientApp in Flower's default mode (a process
               for every message), state in memory, no node authentication. It evaluates and trains in one message, like ours
    bare       plain torch over arrays in memory, one process (from simulate.py); it must end with our weights (1e-5)

A round is timed at the centre, from the first round's begin to the last one's end; start-up is told apart, as seconds from
the first process's start to the first local step. Stock Flower gets fewer rounds and a time limit. One thread a process.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file
from simulate import (
    BATCH,
    RATE,
    SCHEMA,
    SEED,
    SITES,
    TOLERANCE,
    contract_json,
    measure,
    study_of,
)

from coordinator.identity import load_centre
from coordinator.studies import StudyState, folders
from silo_node.cohort import assemble
from silo_node.configuration import load_site
from silo_node.identity import approval_key, load_identity
from silo_node.porter.approvals import Approver, approve
from silo_node.training.encode import encode
from wardround.contract.library import find
from wardround.models.commands import make_bundle, make_roster
from wardround.study.bundle import read_bundle
from wardround.study.encoding import Encoding
from wardround.study.model import Target
from wardround.transport.environment import flower_environment
from wardround_lab.synthetic import SyntheticHospital, make_synthetic

TARGET_SECONDS = 1.0
LOOK_SECONDS = 0.005
OUR_LIMIT_SECONDS = 600.0
BUNDLE = "benchmark.wardround"
TICKS = os.sysconf("SC_CLK_TCK")
STOCK_APP = Path(__file__).parent / "stock_flower"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}


@dataclass(frozen=True)
class Figures:
    """What a run on processes took.

    Attributes:
        to_first_step: seconds from the first process's start to the first local step.
        rounds: seconds of each round.
        cpu: CPU seconds of each kind of process over all rounds.
    """

    to_first_step: float
    rounds: list[float]
    cpu: dict[str, float] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        """Seconds a round, on average."""
        return sum(self.rounds) / len(self.rounds)


@contextmanager
def processes() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Hold processes that are ended, the last one first, when the block is left."""
    running: list[subprocess.Popen[bytes]] = []
    try:
        yield running
    finally:
        for process in reversed(running):
            process.terminate()
        for process in reversed(running):
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_port() -> int:
    """Give a port on loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wardround(*words: object) -> list[str]:
    """Give a command line of ours."""
    return [sys.executable, "-m", "wardround", *(str(word) for word in words)]


def prepare(folder: Path, records: int, rounds: int) -> int:
    """Make hospitals, centre, enrolment, bundle and approvals, and submit the study; gives the centre's port."""
    table = folder / "schemas" / "tables" / SCHEMA / "1.0.0.yaml"
    table.parent.mkdir(parents=True)
    table.write_text(json.dumps(contract_json()))
    contract = find(f"{SCHEMA}@1.0.0", (folder / "schemas",))
    hospitals = [SyntheticHospital(site, records, 0.2 + 0.2 * index, parquet=True) for index, site in enumerate(SITES)]
    paths = make_synthetic(folder, contract, Target(field="label", positive="yes"), hospitals, SEED)
    centre, port = folder / "centre", free_port()
    address = ("--address", f"localhost:{port}", "--listen", f"127.0.0.1:{port}")
    _quietly("coordinator", "init", centre, "--name", "Benchmark", *address)
    for path in paths:
        _quietly("silo", "init", "--site", path)
        _quietly("coordinator", "enrol", path.parent / "request.json", "--dir", centre, "--yes")
        invitation = centre / "invitations" / f"{load_site(path).file.site}.json"
        _quietly("silo", "join", invitation, "--site", path)
    sites = [load_site(path) for path in paths]
    members = [load_identity(site.folder) for site in sites]
    bundle = make_bundle(study_of(rounds), contract, make_roster(load_centre(centre).coordinator, members))
    bundle.write(folder / BUNDLE)
    person = Approver(name="Benchmark", role="benchmark")
    for site, member in zip(sites, members, strict=True):
        approve(site.folder, bundle, member, approval_key(site.folder), person, timedelta(days=1))
    _quietly("coordinator", "submit", folder / BUNDLE, "--dir", centre)
    return port


def _quietly(*words: object) -> None:
    subprocess.run(wardround(*words), stdout=subprocess.DEVNULL, check=True)


def ours(folder: Path) -> Figures:
    """Conduct the study on our processes."""
    with processes() as running:
        begun = time.time()
        _start(running, folder / "centre.out", wardround("coordinator", "start", folder / "centre"))
        _await_up(running[0], folder / "centre.out")
        for site in SITES:
            _start(running, folder / f"{site}.out", wardround("silo", "start", "--site", folder / site / "site.yaml"))
        opened, cpu = _observe(folder / "centre", running)
    times = [opened[key] for key in sorted(key for key in opened if key[0] == "round")] + [opened["closing", 0]]
    rounds = [after - before for before, after in itertools.pairwise(times)]
    return Figures(times[0] - begun, rounds, cpu)


def _start(running: list[subprocess.Popen[bytes]], log: Path, command: list[str], environment: Any = None) -> None:  # noqa: ANN401
    with log.open("ab") as output:
        whole = {**(os.environ if environment is None else environment), **ONE_THREAD}
        running.append(subprocess.Popen(command, env=whole, stdin=subprocess.DEVNULL, stdout=output, stderr=output))


def _await_up(process: subprocess.Popen[bytes], log: Path) -> None:
    while b" is up" not in log.read_bytes():
        assert process.poll() is None, log.read_text()
        time.sleep(LOOK_SECONDS)


def _observe(centre: Path, running: list[subprocess.Popen[bytes]]) -> tuple[dict[tuple[str, int], float], dict[str, float]]:
    """Note when each visit was opened, until the study has ended; CPU seconds from the first round to the last."""
    opened: dict[tuple[str, int], float] = {}
    before: dict[str, float] = {}
    cpu: dict[str, float] = {}
    end = time.time() + OUR_LIMIT_SECONDS
    (folder,) = folders(centre)
    while True:
        state: StudyState | None = folder.read()
        assert time.time() < end, "too long"
        assert all(process.poll() is None for process in running), "a service ended"
        if state is not None and state.purpose is not None:
            number = state.round if state.purpose == "round" else 0
            key = (str(state.purpose), number)
            if key not in opened:
                opened[key] = time.time()
                if key == ("round", 1):
                    before = _cpu_seconds(running)
                if key == ("closing", 0):
                    cpu = {kind: seconds - before.get(kind, 0.0) for kind, seconds in _cpu_seconds(running).items()}
            if state.phase not in ("submitted", "running"):
                assert state.phase == "complete", state.problems
                return opened, cpu
        time.sleep(LOOK_SECONDS)


KINDS = {
    "coordinator.flower.superlink": "SuperLink",
    "coordinator.conductor_process": "conductor",
    "silo_node.flower.supernode": "SuperNodes",
    "silo_node.node_process": "porters",
    "silo_node.training.process": "trainers",
}


def _cpu_seconds(running: list[subprocess.Popen[bytes]]) -> dict[str, float]:
    """Give the CPU seconds of the processes below ours so far, by kind (from /proc; nothing elsewhere)."""
    ours, spent = {process.pid for process in running}, dict.fromkeys(KINDS.values(), 0.0)
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            stat = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        kind = next((KINDS[word] for word in words if word in KINDS), None)
        if kind is not None and int(stat[1]) in ours:
            spent[kind] += (int(stat[11]) + int(stat[12])) / TICKS
    return spent


def arrays(folder: Path) -> None:
    """Write each hospital's encoded records for stock Flower, which gets them ready-made."""
    bundle = read_bundle(folder / BUNDLE)
    encoding = Encoding.model_validate_json((folder / "encoding.json").read_text())
    for name in SITES:
        cohort = assemble(load_site(folder / name / "site.yaml"), bundle.contract, bundle.study, bundle.study_hash)
        train, validation = (encode(part, encoding) for part in (cohort.train, cohort.validation))
        np.savez(
            folder / name / "arrays.npz",
            inputs=train.inputs,
            labels=train.labels.astype(np.float32),
            validation_inputs=validation.inputs,
            validation_labels=validation.labels.astype(np.float32),
        )


def stock(folder: Path, rounds: int, limit: float) -> Figures:
    """Conduct the same rounds by stock Flower, until they are done or the time is over."""
    port, keys, times = free_port(), folder / "centre" / "keys", folder / "stock.times"
    binaries = Path(sys.executable).parent
    base = {**flower_environment(folder / "flwr"), "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"}
    (folder / "flwr").mkdir()
    settings = ['[superlink]\ndefault = "lab"\n[superlink.lab]', f'address = "localhost:{port}"']
    settings.append(f'root-certificates = "{keys / "authority.pem"}"')
    (folder / "flwr" / "config.toml").write_text("\n".join(settings) + "\n")
    times.touch()
    with processes() as running:
        begun = time.time()
        tls = ("--ssl-ca-certfile", "authority.pem", "--ssl-certfile", "server.pem", "--ssl-keyfile", "server.key")
        options = [word if word.startswith("--") else str(keys / word) for word in tls]
        link = [str(binaries / "flower-superlink"), "--host", "127.0.0.1", "--port", str(port), *options]
        _start(running, folder / "superlink.out", link, base)
        for site in SITES:
            node = [str(binaries / "flower-supernode"), "--superlink", f"localhost:{port}"]
            node += ["--root-certificates", str(keys / "authority.pem"), "--host", "127.0.0.1", "--port", str(free_port())]
            node += ["--node-config", f'data="{folder / site / "arrays.npz"}"']
            _start(running, folder / f"{site}-stock.out", node, {**base, "FLWR_HOME": str(folder / f"flwr-{site}")})
        _submit(folder, rounds, port, base, binaries)
        while len(_stock_times(times)) <= rounds and time.time() - begun < limit:
            time.sleep(LOOK_SECONDS)
    noted = _stock_times(times)
    assert len(noted) > 1, (folder / "superlink.out").read_text()[-2000:]
    first_step = min(float((folder / site / "arrays.steps").read_text().split()[0]) for site in SITES)
    return Figures(first_step - begun, [after - before for before, after in itertools.pairwise(noted)])


def _submit(folder: Path, rounds: int, port: int, environment: dict[str, str], binaries: Path) -> None:
    """Run ``flwr run`` as soon as the SuperLink listens."""
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    config = f'rounds={rounds} nodes={len(SITES)} batch={BATCH} rate={RATE} seed={SEED} times="{folder / "stock.times"}"'
    command = [str(binaries / "flwr"), "run", str(STOCK_APP), "lab", "--format", "json", "-c", config]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _stock_times(path: Path) -> list[float]:
    return [float(line.split()[1]) for line in path.read_text().splitlines() if line[:1].isdigit() and len(line.split()) == 2]


def report(wall: Figures, flower: Figures | None, bare_seconds: float, rounds: int) -> float:
    """Print all figures beside each other; gives our seconds a round."""
    bare = bare_seconds / rounds
    rows = [("wardround", wall)] + ([] if flower is None else [("flower", flower)])
    print(f"{'':10} {'rounds':>6} {'s/round':>9} {'least':>8} {'most':>8} {'to first step':>14} {'x bare':>8}")
    for name, figures in rows:
        least, most = min(figures.rounds), max(figures.rounds)
        line = f"{name:10} {len(figures.rounds):6} {figures.mean:9.3f} {least:8.3f} {most:8.3f}"
        print(f"{line} {figures.to_first_step:12.1f} s {figures.mean / bare:8.1f}")
    print(f"{'bare':10} {rounds:6} {bare:9.3f} {'':8} {'':8} {'':14} {1.0:8.1f}")
    if flower is not None:
        print(f"flower / wardround: {flower.mean / wall.mean:.1f}")
    print(f"where it goes, CPU seconds a round ({os.cpu_count()} cores, all hospitals on them):")
    for kind, seconds in wall.cpu.items():
        print(f"  {kind:12} {seconds / len(wall.rounds):6.3f}")
    return wall.mean


def run(folder: Path, chosen: argparse.Namespace) -> float:
    """Measure all three, one after the other."""
    prepare(folder, chosen.records, chosen.rounds)
    figures = ours(folder)
    (release,) = (folder / "centre" / "releases").iterdir()
    (folder / "encoding.json").write_bytes((release / "encoding.json").read_bytes())
    bare_seconds, _, expected = measure("floor", folder)
    tensors = load_file(release / "last.safetensors")
    got = np.concatenate([tensors[name].reshape(-1) for name in sorted(tensors)])
    distance = float(np.max(np.abs(got - expected)))
    assert distance <= TOLERANCE, f"the weights differ by {distance}"
    flower = None
    if chosen.stock_rounds:
        arrays(folder)
        flower = stock(folder, chosen.stock_rounds, chosen.stock_limit)
    mean = report(figures, flower, bare_seconds, chosen.rounds)
    print(f"our last weights and the bare loop's differ by at most {distance:.1e}")
    return mean


def main() -> int:
    """Measure, and fail when the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--stock-rounds", type=int, default=3, help="rounds for stock Flower; 0: none")
    parser.add_argument("--stock-limit", type=float, default=300.0, help="seconds after which stock Flower is stopped")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="w") as name:
        mean = run(Path(name), chosen)
    met = mean <= TARGET_SECONDS
    print(f"target: {TARGET_SECONDS} s a round" + ("" if met else ", missed"))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())

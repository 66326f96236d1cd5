"""Two jobs on hospitals' and centre's real processes, beside stock Flower, a bare loop and plain TCP: seconds a round.

    python benchmarks/rounds.py [--job small|large|both] [--records 5000] [--rounds 20] [--stock-rounds 3] [--stock-limit 300]
        [--large-rounds 5]

Small job: four hospitals, 13 numeric features, an MLP 13-64-32-1, batches of 32, one local epoch, everything over TLS on
loopback.

    wardround  `wardround coordinator start` and four `wardround silo start`: 14 processes of ours and 5 supervisors; the study
               is submitted and approved before they start. Signed messages, ledger on disk, exact sum, metrics each round
    flower     `flower-superlink`, four `flower-supernode`, `flwr run`: FedAvg, ClientApp in Flower's default mode (a process
               for every message), state in memory, no node authentication. It evaluates and trains in one message, like ours
    bare       plain torch over arrays in memory, one process (from simulate.py); it must end with our weights (1e-5)

A round is timed at the centre, from the first round's begin to the last one's end; start-up is told apart, as seconds from
the first process's start to the first local step. Stock Flower gets fewer rounds and a time limit. One thread a process.

Large job (parts/large.py): the same hospitals with 60 records each and an MLP 13-3525-3525-1, 50 MB each way, against four
forked processes that move the same bytes over plain TCP and do the same work on them; it must end with our weights (1e-5).
Stamps of our processes' public functions say where a round's time goes.
"""

from __future__ import annotations

import argparse
import itertools
import os
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from parts.large import TARGET_RATIO, large
from parts.processes import free_port, processes
from parts.ward import BUNDLE, LOOK_SECONDS, launch, prepare, started
from safetensors.numpy import load_file
from simulate import BATCH, RATE, SEED, SITES, TOLERANCE, measure, study_of

from silo_node.cohort import assemble
from silo_node.configuration import load_site
from silo_node.training.encode import encode
from wardround.study.bundle import read_bundle
from wardround.study.encoding import Encoding
from wardround.transport.environment import flower_environment

TARGET_SECONDS = 1.0
STOCK_APP = Path(__file__).parent / "stock_flower"


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


def ours(folder: Path) -> Figures:
    """Conduct the study on our processes."""
    with started(folder) as ward:
        ward.follow()
    rounds = [end - begin for begin, end in ward.rounds]
    return Figures(ward.rounds[0][0] - ward.begun, rounds, ward.cpu)


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
        launch(running, folder / "superlink.out", link, base)
        for site in SITES:
            node = [str(binaries / "flower-supernode"), "--superlink", f"localhost:{port}"]
            node += ["--root-certificates", str(keys / "authority.pem"), "--host", "127.0.0.1", "--port", str(free_port())]
            node += ["--node-config", f'data="{folder / site / "arrays.npz"}"']
            launch(running, folder / f"{site}-stock.out", node, {**base, "FLWR_HOME": str(folder / f"flwr-{site}")})
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
    prepare(folder, study_of(chosen.rounds), chosen.records)
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
    """Measure, and fail when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--job", choices=["small", "large", "both"], default="both")
    parser.add_argument("--records", type=int, default=5000, help="of each hospital in the small job")
    parser.add_argument("--rounds", type=int, default=20, help="of the small job")
    parser.add_argument("--large-rounds", type=int, default=5)
    parser.add_argument("--stock-rounds", type=int, default=3, help="rounds for stock Flower; 0: none")
    parser.add_argument("--stock-limit", type=float, default=300.0, help="seconds after which stock Flower is stopped")
    chosen = parser.parse_args()
    met = True
    if chosen.job != "large":
        with tempfile.TemporaryDirectory(prefix="w") as name:
            mean = run(Path(name), chosen)
        met = mean <= TARGET_SECONDS
        print(f"target: {TARGET_SECONDS} s a round" + ("" if met else ", missed"))
    if chosen.job != "small":
        with tempfile.TemporaryDirectory(prefix="w") as name:
            ratio = large(Path(name), chosen.large_rounds)
        print(f"target: {TARGET_RATIO} times plain TCP" + ("" if ratio <= TARGET_RATIO else ", missed"))
        met = met and ratio <= TARGET_RATIO
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())

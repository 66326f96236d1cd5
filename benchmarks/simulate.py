"""A whole study in one process against a bare FedAvg loop: wall and CPU seconds, interleaved, each in a fresh process.

    python benchmarks/simulate.py [--records 5000] [--rounds 20] [--repeats 5]

Four hospitals, 13 numeric features, an MLP 13-64-32-1, batches of 32, one local epoch. Floor: plain torch over arrays that
lie in memory (evaluate the validation loss, train, average in float64). Subject: ``wardround_lab.simulate.simulate`` from
the bundle's bytes to the outcome: approvals, reading, checking and splitting the records, statistics, signed messages,
ledger on disk, exact sum, metrics from histograms. Both use the same initial weights and orders of records and must end
with the same weights (1e-5) before any figure is printed; the activation is smooth (tanh), since at a kink the two ways of
rounding an average may part for good. One thread each; imports stay outside the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from coordinator.identity import create_centre, load_centre
from silo_node.cohort import assemble
from silo_node.configuration import load_site
from silo_node.identity import approval_key, create_identity
from silo_node.porter.approvals import approve
from silo_node.training.encode import encode
from wardround.contract.library import find
from wardround.identity.approval import Approver
from wardround.models.build import build_network, write_weights
from wardround.models.commands import make_bundle, make_roster
from wardround.study.bundle import read_bundle
from wardround.study.encoding import Encoding
from wardround.study.model import Study, Target
from wardround.study.randomness import derive_seed
from wardround.study.shape import Shape
from wardround_lab.simulate import simulate
from wardround_lab.synthetic import SyntheticHospital, make_synthetic

TARGET_RATIO = 2.0
TOLERANCE = 1e-5
FEATURES = tuple(f"x{number}" for number in range(13))
SITES = ("a", "b", "c", "d")
BATCH, RATE, SEED = 32, 0.05, 20_240_131
SCHEMA = "benchmark.vitals"
PARTS: dict[str, str] = {
    "reading, checking, splitting": "silo_node.training.trainer.assemble",
    "training": "silo_node.training.trainer.train",
    "evaluating": "silo_node.training.trainer.evaluate",
    "ledger on disk": "wardround.chain.Chain.append",
    "gate (ledger included)": "silo_node.porter.gate.Gate.release",
    "porter (all of the above)": "silo_node.porter.porter.Porter.visit",
    "admission": "coordinator.rounds.visit.admit",
    "exact sum": "coordinator.rounds.conductor.ExactSum.add",
    "opening the hospitals": "wardround_lab.simulate.open_node",
}


def contract_json() -> dict[str, Any]:
    """Give the benchmark's contract: keys, a label, 13 numbers that are never missing."""
    required: dict[str, Any] = {"required": True}
    key = {"type": "string", "privacy": "pseudonym", "constraints": {**required, "pattern": "^[0-9a-f]{16}$"}}
    numbers = [
        {
            "name": name,
            "type": "number",
            "unit": "1",
            "constraints": {**required, "minimum": -100, "maximum": 100},
            "plausible": {"low": -6, "high": 6},
        }
        for name in FEATURES
    ]
    label = {"name": "label", "type": "string", "constraints": required, "categories": [{"value": "no"}, {"value": "yes"}]}
    return {
        "kind": "table",
        "id": SCHEMA,
        "version": "1.0.0",
        "status": "draft",
        "title": "Made-up vital signs",
        "row_grain": "one row per stay",
        "primaryKey": ["stay_key"],
        "patientKey": "patient_key",
        "fields": [{"name": "stay_key", **key}, {"name": "patient_key", **key}, *numbers, label],
    }


def study_of(rounds: int, hidden: tuple[int, ...] = (64, 32), batch: int = BATCH) -> Study:
    """Give the benchmark's study; it never converges early."""
    return Study.model_validate_json(
        json.dumps(
            {
                "name": "benchmark",
                "version": "1.0.0",
                "title": "Benchmark",
                "question": "How long does it take?",
                "author": "benchmarks",
                "schema": {"id": SCHEMA, "version": "1.0.0"},
                "target": {"field": "label", "positive": "yes"},
                "features": FEATURES,
                "network": {"name": "FullyConnectedNet", "arguments": {"hidden_channels": hidden, "act": "tanh"}},
                "training": {"optimiser": {"learning_rate": RATE}, "batch_size": batch},
                "seed": SEED,
                "split": {"train": 0.8, "validation": 0.2, "test": 0},
                "rounds": {"maximum": rounds},
                "convergence": {"patience": rounds},
                "silos": {"minimum": len(SITES)},
            }
        )
    )


def prepare(folder: Path, records: int, rounds: int) -> None:
    """Make hospitals, keys, bundle and approvals."""
    table = folder / "schemas" / "tables" / SCHEMA / "1.0.0.yaml"
    table.parent.mkdir(parents=True)
    table.write_text(json.dumps(contract_json()))
    contract = find(f"{SCHEMA}@1.0.0", (folder / "schemas",))
    hospitals = [SyntheticHospital(site, records, 0.2 + 0.2 * index, parquet=True) for index, site in enumerate(SITES)]
    paths = make_synthetic(folder, contract, Target(field="label", positive="yes"), hospitals, SEED)
    sites = [load_site(path) for path in paths]
    members = [create_identity(site.folder, site.file.site, site.file.name) for site in sites]
    create_centre(folder / "centre", "Benchmark")
    bundle = make_bundle(study_of(rounds), contract, make_roster(load_centre(folder / "centre").coordinator, members))
    bundle.write(folder / "benchmark.wardround")
    person = Approver(name="Benchmark", role="benchmark")
    for site, member in zip(sites, members, strict=True):
        approve(site.folder, bundle, member, approval_key(site.folder), person, timedelta(days=1))


class Watcher:
    """Looks away."""

    def opened(self, *_: object) -> None:
        """Nothing to note."""

    def answered(self, *_: object) -> None:
        """Nothing to note."""

    def working(self, *_: object) -> None:
        """Nothing to note."""

    def away(self, *_: object) -> None:
        """Nothing to note."""

    def closed(self, *_: object) -> None:
        """Nothing to note."""


def subject(folder: Path) -> np.ndarray:
    """Conduct the study from its bundle; gives the last weights, and keeps the encoding for the floor."""
    sites = [load_site(folder / name / "site.yaml") for name in SITES]
    centre = load_centre(folder / "centre")
    with Clock("subject"):
        bundle = read_bundle(folder / "benchmark.wardround")
        outcome = simulate(bundle, sites, centre, Watcher())
    assert outcome.status == "complete", outcome.problems
    assert outcome.encoding is not None
    assert outcome.last is not None
    (folder / "encoding.json").write_text(outcome.encoding.model_dump_json(by_alias=True))
    return outcome.last


def where(folder: Path) -> np.ndarray:
    """Conduct the study with a clock on its parts; prints the seconds of each."""
    spent = dict.fromkeys(PARTS, 0.0)

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*words: Any, **options: Any) -> Any:  # noqa: ANN401  (wraps whatever it is given)
            begun = time.perf_counter()
            try:
                return function(*words, **options)
            finally:
                spent[name] += time.perf_counter() - begun

        return run

    with ExitStack() as stack:
        for name, target in PARTS.items():
            owner, _, attribute = target.rpartition(".")
            function = getattr(_resolve(owner), attribute)
            stack.enter_context(patch.object(_resolve(owner), attribute, timed(name, function)))
        last = subject(folder)
    for name, seconds in spent.items():
        print(f"  {name:30} {seconds:6.3f} s", file=sys.stderr)
    return last


def _resolve(path: str) -> Any:  # noqa: ANN401  (a module or a class)
    import pkgutil  # noqa: PLC0415  (only this run needs it)

    return pkgutil.resolve_name(path)


def floor(folder: Path) -> np.ndarray:
    """Run a bare FedAvg loop over arrays in memory; gives the last weights, packed as the study's."""
    bundle = read_bundle(folder / "benchmark.wardround")
    encoding = Encoding.model_validate_json((folder / "encoding.json").read_text())
    parts = {}
    for name in SITES:
        cohort = assemble(load_site(folder / name / "site.yaml"), bundle.contract, bundle.study, bundle.study_hash)
        parts[name] = [
            (torch.from_numpy(each.inputs), torch.from_numpy(each.labels.astype(np.float32)))
            for each in (encode(cohort.train, encoding), encode(cohort.validation, encoding))
        ]
    network = build_network(bundle.study.network, Shape.of_table(encoding.width))
    write_weights(network, bundle.weights, bundle.manifest)
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with Clock("floor"):
        for number in range(1, bundle.study.rounds.maximum + 1):
            sums = {name: torch.zeros_like(tensor, dtype=torch.float64) for name, tensor in weights.items()}
            total = 0
            for site, (training, validation) in parts.items():
                network.load_state_dict(weights)
                network.eval()
                with torch.no_grad():
                    binary_cross_entropy_with_logits(network(validation[0]).reshape(-1), validation[1])
                _epoch(network, *training, derive_seed(SEED, site, number, "local training"))
                for name, tensor in network.state_dict().items():
                    sums[name] += tensor.double() * len(training[1])
                total += len(training[1])
            weights = {name: (tensor / total).float() for name, tensor in sums.items()}
    return np.concatenate([weights[name].numpy().reshape(-1) for name in sorted(weights)])


def _epoch(network: torch.nn.Module, inputs: torch.Tensor, labels: torch.Tensor, seed: int) -> None:
    network.train()
    optimiser = torch.optim.SGD(network.parameters(), lr=RATE)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    for batch in order.split(BATCH):
        optimiser.zero_grad(set_to_none=True)
        binary_cross_entropy_with_logits(network(inputs[batch]).reshape(-1), labels[batch]).backward()
        optimiser.step()


class Clock:
    """Prints wall and CPU seconds of its block."""

    def __init__(self, name: str) -> None:
        """Take the name that stands before the figures."""
        self.name = name

    def __enter__(self) -> None:
        """Begin."""
        self.begun = time.perf_counter(), time.process_time()

    def __exit__(self, *_: object) -> None:
        """Print."""
        print(self.name, time.perf_counter() - self.begun[0], time.process_time() - self.begun[1])


RUNS: dict[str, Callable[[Path], np.ndarray]] = {"floor": floor, "subject": subject, "where": where}


def measure(run: str, folder: Path) -> tuple[float, float, np.ndarray]:
    """Do a run in a fresh process; give wall seconds, CPU seconds and the last weights."""
    if run != "floor":
        for site in SITES:
            shutil.rmtree(folder / site / "ledger", ignore_errors=True)
    environment = {**os.environ, "POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
    words = [sys.executable, __file__, "--run", run, "--folder", str(folder)]
    done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    _, wall, cpu = done.stdout.split()
    return float(wall), float(cpu), np.load(folder / f"{run}.npy")


def compare(folder: Path, repeats: int) -> float:
    """Measure floor and subject in turn; print their figures and give the ratio of wall seconds."""
    measure("subject", folder)  # warms the file cache, and gives the floor its encoding
    floors, subjects = [], []
    for _ in range(repeats):
        floors.append(measure("floor", folder))
        subjects.append(measure("subject", folder))
    distance = float(np.max(np.abs(floors[0][2] - subjects[0][2])))
    assert distance <= TOLERANCE, f"the weights differ by {distance}"
    ratios = []
    for name, index in (("wall", 0), ("CPU", 1)):
        least = min(each[index] for each in floors), min(each[index] for each in subjects)
        ratios.append(least[1] / least[0])
        print(f"{name:5} floor {least[0]:.3f} s, simulate {least[1]:.3f} s: ratio {ratios[-1]:.2f}")
    print(f"last weights differ by at most {distance:.1e}; where simulate spends its time:", flush=True)
    measure("where", folder)
    return ratios[0]


def main() -> int:
    """Measure, and fail when the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--run", choices=list(RUNS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    if chosen.run is not None:
        np.save(chosen.folder / f"{chosen.run}.npy", RUNS[chosen.run](chosen.folder))
        return 0
    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name), chosen.records, chosen.rounds)
        ratio = compare(Path(name), chosen.repeats)
    met = ratio <= TARGET_RATIO
    print(f"target: {TARGET_RATIO}" + ("" if met else ", missed"))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())

"""The large job: a model of 50 MB, four hospitals, next to no work, beside the same bytes on plain TCP (tcp_floor.py)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from simulate import SITES, TOLERANCE, study_of

from parts.processes import ONE_THREAD
from parts.ward import Ward, prepare, started

TARGET_RATIO = 3.0
HIDDEN = (3525, 3525)
"""13 inputs and these two layers make 12.5 million weights."""
RECORDS, BATCH = 60, 64
STAMPS = Path(__file__).parent / "stamps"
CENTRE, PORTER, TRAINER = "coordinator.conductor_process", "silo_node.node_process", "silo_node.training.process"


@dataclass(frozen=True)
class Stamp:
    """Something that a process did."""

    what: str
    begin: float
    end: float


def large(folder: Path, rounds: int) -> float:
    """Conduct on our processes and on the floor, print, and give the ratio of seconds a round."""
    study = study_of(rounds, HIDDEN, BATCH)
    prepare(folder, study, RECORDS)
    stamps = folder / "stamps"
    stamps.mkdir()
    with started(folder, {**os.environ, "PYTHONPATH": str(STAMPS), "BENCHMARK_STAMPS": str(stamps)}) as ward:
        ward.follow()
    (folder / "encoding.json").write_bytes((ward.release / "encoding.json").read_bytes())
    floors = [_floor(folder), _floor(folder)]
    tensors = load_file(ward.release / "last.safetensors")
    got = np.concatenate([tensors[name].reshape(-1) for name in sorted(tensors)])
    distance = float(np.max(np.abs(got - np.load(folder / "floor.npy"))))
    assert distance <= TOLERANCE, f"the weights differ by {distance}"
    return _report(ward, floors, got.nbytes, distance, stamps)


def _floor(folder: Path) -> list[float]:
    environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": str(Path(__file__).parent.parent)}
    words = [sys.executable, "-m", "parts.tcp_floor", str(folder)]
    done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    seconds: list[float] = json.loads(done.stdout)
    return seconds


def _report(ward: Ward, floors: list[list[float]], size: int, distance: float, stamps: Path) -> float:
    ours = [end - begin for begin, end in ward.rounds]
    floor = min(_mean(each[1:]) for each in floors)  # torch loads its optimiser in the first round
    ratio = _mean(ours) / floor
    print(
        f"large: {size / 1e6:.0f} MB each way, {len(SITES)} hospitals, {len(ours)} rounds, load average {os.getloadavg()[0]:.1f}"
    )
    print(f"  wardround {_mean(ours):7.3f} s a round (least {min(ours):.3f}, most {max(ours):.3f})")
    halves = " and ".join(f"{_mean(each[1:]):.3f}" for each in floors)
    print(f"  plain TCP {floor:7.3f} s a round (two runs: {halves}): ratio {ratio:.1f}")
    print(f"  last weights differ by at most {distance:.1e}")
    print("  CPU seconds a round: " + ", ".join(f"{kind} {cpu / len(ours):.2f}" for kind, cpu in ward.cpu.items()))
    print("  where a round's time goes (the hospitals' parts run side by side; their mean, and the slowest):")
    for name, values in _split(ward, stamps).items():
        print(f"    {name:34} {_mean(values):7.3f} s {max(values):8.3f} s")
    return ratio


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _read(stamps: Path, module: str) -> Iterator[list[Stamp]]:
    """Give the stamps of each process of a kind."""
    for path in sorted(stamps.glob(f"{module}-*.jsonl")):
        yield [Stamp(**json.loads(line)) for line in path.read_text().splitlines()]


def _split(ward: Ward, stamps: Path) -> dict[str, list[float]]:
    """Split the rounds by what was done, from the stamps."""
    (centre,) = _read(stamps, CENTRE)
    parts: dict[str, list[float]] = {}

    def note(name: str, seconds: float) -> None:
        parts.setdefault(name, []).append(seconds)

    for begin, end in ward.rounds:
        here = [stamp for stamp in centre if begin <= stamp.begin < end]
        push = next(stamp for stamp in here if stamp.what == "push")
        note("centre: push to the SuperLink", push.end - push.begin)
        handed: list[float] = []
        for porter in _read(stamps, PORTER):
            there = [stamp for stamp in porter if begin <= stamp.begin < end]
            got, visit = _only(there, "confirm"), _only(there, "visit")
            sent = next(stamp for stamp in there if stamp.what == "push" and stamp.begin >= visit.end)
            note("to the SuperNode, to the porter", got.end - push.end)
            note("visit: verify, work, gate, ledger", visit.end - visit.begin)
            note("porter: push to the SuperNode", sent.end - sent.begin)
            handed.append(sent.end)
        for trainer in _read(stamps, TRAINER):
            note("trainer: work, within the visit", sum(s.end - s.begin for s in trainer if begin <= s.begin < end))
        for arrived, left in zip(sorted(s.end for s in here if s.what == "confirm"), sorted(handed), strict=False):
            note("to the SuperLink, to the centre", arrived - left)
        pulls = [stamp.end - stamp.begin for stamp in here if stamp.what == "pull"]
        note("centre: its requests for that, all", sum(pulls))
        note("admit, all replies", sum(s.end - s.begin for s in here if s.what == "admit"))
        note("add, all replies", sum(s.end - s.begin for s in here if s.what == "add"))
        added = max(stamp.end for stamp in here if stamp.what == "add")
        note("step", sum(s.end - s.begin for s in here if s.what == "step"))
        note("from the last add to the next round", end - added)
    return parts


def _only(stamps: list[Stamp], what: str) -> Stamp:
    (found,) = (stamp for stamp in stamps if stamp.what == what)
    return found

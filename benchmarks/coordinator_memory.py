"""How much memory a round takes at the centre, by the number of hospitals: conductor and SuperLink, each a real process.

    python benchmarks/coordinator_memory.py [--silos 2 8 50] [--model-mb 100] [--rounds 1] [--where]

The SuperLink is ``python -m coordinator.flower.superlink``. The conductor is this script in a process of its own: the
Conductor over the FlowerGrid, as in deployment. The hospitals are stand-ins that speak the Fleet API with a registered key
each, and answer with signed replies one after the other: the next reply is pushed when the one before was admitted, so that
the machine never holds more than a few of them. What the conductor adds up is compared, bit by bit, with a sum made here.

A peak is the most resident memory (VmHWM) above what the process had when it was connected and had read nothing, for each
step: reading the bundle, packing it for an offer, and each visit. Targets for the visits: at most 4 models and 64 MB, and at
most 0.02 models more for each further hospital. ``--where`` traces the conductor's allocations (slow; its peaks are then
not figures) and prints the lines that hold the most while the last reply of a round is being added.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from parts.conducting import BUNDLE, ENCRYPTION, KEY, SETTINGS, Centre, start_superlink
from parts.fleet import StandIn
from parts.paper import RECORDS, Paper, make_paper
from parts.processes import ONE_THREAD, available_bytes, cpu_seconds, memory, processes

from coordinator.house import STEADY_MEMORY
from wardround.canonical import sha256
from wardround.messages.round import ORDER, Task
from wardround.weights.fixed_point import ExactSum
from wardround.weights.packing import to_bytes

MEGABYTE = 1_000_000
TARGET_MODELS, TARGET_MEGABYTES = 4.0, 64.0
TARGET_SLOPE = 0.02
WAIT_SECONDS = 300.0
MODELS_NEEDED, BYTES_NEEDED = 30, 2_000 * MEGABYTE
"""Memory that must be free before anything starts: models of all processes together, and what they take without any."""
BEFORE = ("bundle", "offer")
STEPS = (*BEFORE, "statistics", "round", "closing", "release")


@dataclass
class Figures:
    """What one run found, in bytes above the start of each process.

    Attributes:
        peaks: the conductor's, by step.
        superlink: the SuperLink's peak; ``kept`` what it still holds at the end.
        cpu: the SuperLink's CPU seconds for the whole study.
        seconds: of each reply of a round, from its push to its admission.
    """

    silos: int
    model: int
    peaks: dict[str, int] = field(default_factory=dict)
    superlink: int = 0
    kept: int = 0
    cpu: float = 0.0
    seconds: list[float] = field(default_factory=list)

    @property
    def visits(self) -> int:
        """The conductor's peak in any visit."""
        return max(self.peaks[step] for step in ("statistics", "round", "closing"))


@dataclass
class Run:
    """A study under way: the conductor's process, and hospitals that answer one after the other."""

    paper: Paper
    stand_ins: dict[str, StandIn]
    conductor: subprocess.Popen[bytes]
    figures: Figures

    def await_event(self, wanted: str) -> dict[str, str]:
        """Listen to the conductor until it says something of a kind; peaks are noted on the way."""
        assert self.conductor.stdout is not None
        while line := self.conductor.stdout.readline():
            said: dict[str, str] = json.loads(line)
            if said["event"] == "peak":
                self.figures.peaks[said["step"]] = max(int(said["bytes"]), self.figures.peaks.get(said["step"], 0))
            elif said["event"] == "where":
                print(said["text"])
            if said["event"] == wanted:
                return said
        msg = f"the conductor ended with status {self.conductor.wait()}"
        raise AssertionError(msg)

    def answer(self) -> None:
        """Answer statistics, rounds and the closing visit, and compare every step with a sum made here."""
        weights = self.paper.bundle.weights
        for _ in range(self.paper.bundle.study.rounds.maximum + 2):
            total: ExactSum | None = None
            for site in self.stand_ins:
                total = self._answer_one(site, total)
            closed = self.await_event("closed")
            if total is not None:
                weights = total.step(weights)
                assert closed["stepped"] == sha256(to_bytes(weights)), "the conductor made other weights"
        self.await_event("peak")  # of the release

    def _answer_one(self, site: str, total: ExactSum | None) -> ExactSum | None:
        asked = self.stand_ins[site].wait(WAIT_SECONDS)
        task = ORDER.validate_json(asked.order)
        assert isinstance(task, Task)
        envelope = self.paper.reply(site, task)
        begun = time.perf_counter()
        self.stand_ins[site].answer(asked, envelope)
        said = self.await_event("answered")
        assert said["admitted"], said
        if task.core.plan is None:
            return None
        self.figures.seconds.append(time.perf_counter() - begun)
        total = total or ExactSum(self.paper.bundle.manifest, task.core.plan)
        total.add(self.paper.change(site, task.core.round), RECORDS)
        return total


def conduct(folder: Path, silos: int, chosen: argparse.Namespace) -> Figures:
    """Conduct a study with so many hospitals."""
    paper = make_paper(silos, chosen.model_mb, chosen.rounds)
    figures = Figures(silos, paper.bundle.manifest.byte_count)
    paper.bundle.write(folder / BUNDLE)
    paper.key.save(folder / KEY)
    paper.encryption.save(folder / ENCRYPTION)
    with processes() as running:
        centre = start_superlink(folder, running)
        begun = memory(running[0].pid).resident
        stand_ins = _connect(centre, paper, folder)
        words = [sys.executable, "-m", "parts.conducting", str(folder), *(["--where"] if chosen.where else [])]
        environment = {**os.environ, **ONE_THREAD, **STEADY_MEMORY, "PYTHONPATH": str(Path(__file__).parent)}
        running.append(subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE))
        Run(paper, stand_ins, running[1], figures).answer()
        assert running[1].wait(WAIT_SECONDS) == 0
        spent = memory(running[0].pid)
        figures.superlink, figures.kept = spent.peak - begun, spent.resident - begun
        figures.cpu = cpu_seconds(running[0].pid)
        for stand_in in stand_ins.values():
            stand_in.close()
    return figures


def _connect(centre: Centre, paper: Paper, folder: Path) -> dict[str, StandIn]:
    """Register every hospital's node and sign it in; the conductor is told the node ids."""
    with centre.link.control() as control:
        nodes = {site: control.register(hospital.node.public) for site, hospital in paper.hospitals.items()}
    settings = {"public": centre.public, "private": centre.private, "nodes": nodes}
    (folder / SETTINGS).write_text(json.dumps(settings))
    return {site: StandIn(centre.public, str(centre.authority), hospital.node) for site, hospital in paper.hospitals.items()}


def report(found: list[Figures]) -> bool:
    """Print peaks in models, the slope over hospitals, and whether the targets are met."""
    print("the conductor's peak above its start, in models; the SuperLink's peak, and what it keeps")
    print(
        f"{'silos':>5} {'model MB':>8} "
        + " ".join(f"{step:>10}" for step in STEPS)
        + f" {'SuperLink':>10} {'kept':>6} {'its CPU s':>9} {'s/reply':>8}"
    )
    for each in found:
        peaks = " ".join(f"{each.peaks[step] / each.model:10.2f}" for step in STEPS)
        link = f"{each.superlink / each.model:10.2f} {each.kept / each.model:6.2f} {each.cpu:9.1f}"
        pace = sum(each.seconds) / len(each.seconds)
        print(f"{each.silos:5} {each.model / MEGABYTE:8.0f} {peaks} {link} {pace:8.2f}")
    limit = TARGET_MODELS * found[0].model / MEGABYTE + TARGET_MEGABYTES
    most = max(each.visits for each in found) / MEGABYTE
    met = most <= limit
    print(f"most in a visit: {most:.0f} MB; target {TARGET_MODELS:.0f} models and {TARGET_MEGABYTES:.0f} MB, {limit:.0f} MB")
    if len(found) > 1:
        few, many = found[0], found[-1]
        slope = (many.visits - few.visits) / few.model / (many.silos - few.silos)
        met = met and slope <= TARGET_SLOPE
        print(f"slope: {slope:.4f} models for a further hospital; target {TARGET_SLOPE}")
    return met


def main() -> int:
    """Measure, and fail when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--silos", type=int, nargs="+", default=[2, 8, 50])
    parser.add_argument("--model-mb", type=float, default=100.0, help="of 10^6 bytes")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--where", action="store_true", help="trace the conductor's allocations instead of measuring")
    chosen = parser.parse_args()
    needed = BYTES_NEEDED + MODELS_NEEDED * chosen.model_mb * MEGABYTE
    assert available_bytes() > needed, f"{needed / MEGABYTE:.0f} MB must be free"
    found = []
    for silos in sorted(chosen.silos):
        with tempfile.TemporaryDirectory(prefix="w") as name:
            found.append(conduct(Path(name), silos, chosen))
    met = report(found)
    print("targets met" if met else "a target was missed")
    return 0 if met or chosen.where else 1


if __name__ == "__main__":
    sys.exit(main())

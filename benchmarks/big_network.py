"""A network for images with weights of hundreds of megabytes, through hospitals' and centre's real processes, and a kill.

    python benchmarks/big_network.py [--width 1.5] [--images 48] [--rounds 3] [--deadline 1800] [--trainer-memory '6 GiB']

Two hospitals with made-up photographs, a ResNet18 of a width: 11.2 million weights at 1, 25.2 (101 MB) at 1.5, 100.5 (402 MB)
at 3. Everything is as operators run it: ``wardround coordinator start`` and two ``wardround silo start`` (SuperLink, conductor;
SuperNode, porter, trainer) over TLS on loopback; the bundle is built by ``wardround study build``, submitted, travels to the
hospitals' inboxes, and is approved there. A relay between hospitals and centre counts the bytes.

In the middle of round 2 (one hospital's answer is in the journal, the other's is not) the whole centre is killed by SIGKILL
and started again. At the end the released weights must be, bit by bit, those of the same study simulated in one process.

Told: seconds of each step; the most that each kind of process held (VmHWM, the larger hospital's) and all together; bytes on
the wire; bytes on disk. A hospital's memory limit, where one is given, holds for its trainer.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from parts.made_up_photographs import HOSPITALS, study_of, write_hospital
from parts.processes import ONE_THREAD, available_bytes, forget_peak, free_port, memory
from parts.relay import Relay
from parts.ward import BUNDLE, CENTRE, SECRET, Ward, enrol, quietly, start_centre, started, wardround
from safetensors.numpy import load_file

from coordinator.studies import OPEN, StudyState, folders
from wardround.canonical import canonical_bytes, model_json
from wardround.messages.round import Purpose
from wardround.study.bundle import SUFFIX

MEGABYTE = 1_000_000
WEIGHTS_BYTES = 44_700_000
"""Of the network with a width of 1; they grow with its square."""
LOOK_SECONDS = 0.25
LIMIT_SECONDS = 4 * 3600.0
KILLED_ROUND = 2
ORDER: tuple[Purpose, ...] = ("statistics", "round", "closing", "test")
MODELS_NEEDED, BYTES_NEEDED = 32, 3_000 * MEGABYTE
"""Memory that must be free before anything starts: models of all processes together, and what they take without any."""
PLACES = ("centre/studies", "centre/releases", *(f"{site}/{name}" for site in HOSPITALS for name in ("inbox", "journal")))


@dataclass
class Step:
    """What a step of the study took.

    Attributes:
        peaks: the most that one process of each kind held; ``together``: the most that all held at one time.
        down, up: bytes on the wire to and from hospitals.
    """

    name: str
    begun: float = field(default_factory=time.time)
    seconds: float = 0.0
    peaks: dict[str, int] = field(default_factory=dict)
    together: int = 0
    down: int = 0
    up: int = 0


class Observer:
    """Looks at all processes of a ward, step by step."""

    def __init__(self, ward: Ward, relay: Relay) -> None:
        """Begin with the first step."""
        self.steps: list[Step] = []
        self._ward, self._relay = ward, relay
        self._known: dict[int, str] = {}
        self._marks = (0, 0)
        self._lock = threading.Lock()

    def begin(self, name: str) -> None:
        """End the step under way, and begin another one."""
        with self._lock:
            self._end()
            for pid in self._known:
                try:
                    forget_peak(pid)
                except OSError:
                    continue
            self.steps.append(Step(name))

    def _end(self) -> None:
        self._look()
        marks = (self._relay.down, self._relay.up)
        if self.steps:
            step = self.steps[-1]
            step.seconds = time.time() - step.begun
            step.down, step.up = marks[0] - self._marks[0], marks[1] - self._marks[1]
        self._marks = marks

    def _look(self) -> None:
        self._known = {pid: kind for kind, pids in self._ward.by_kind().items() for pid in pids}
        if not self.steps:
            return
        step, together = self.steps[-1], 0
        for pid, kind in self._known.items():
            try:
                found = memory(pid)
            except (OSError, KeyError):  # it is gone, or going
                continue
            step.peaks[kind] = max(step.peaks.get(kind, 0), found.peak)
            together += found.resident
        step.together = max(step.together, together)

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look again and again while the block runs."""
        over = threading.Event()

        def look() -> None:
            while not over.wait(LOOK_SECONDS):
                with self._lock:
                    self._look()

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            self._end()


def timed(name: str, *words: object) -> Step:
    """Run a command of ours that must succeed, alone; gives its seconds and its peak."""
    step = Step(name)
    process = subprocess.Popen(wardround(*words), env={**os.environ, **ONE_THREAD}, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, words
    step.seconds = time.time() - step.begun
    step.together = step.peaks["command"] = 1024 * usage.ru_maxrss
    return step


def build(folder: Path, chosen: argparse.Namespace) -> tuple[Step, Relay]:
    """Make hospitals, centre and bundle."""
    paths = [write_hospital(folder / site, site, chosen.images, chosen.trainer_memory) for site in HOSPITALS]
    reached, listening = free_port(), free_port()
    enrol(folder, paths, reached=reached, listening=listening)
    study = folder / "study.yaml"
    study.write_bytes(canonical_bytes(model_json(study_of(chosen.width, chosen.rounds, chosen.deadline))))
    requests = [word for path in paths for word in ("--silo", path.parent / "request.json")]
    centre = ("--coordinator", folder / CENTRE / "coordinator.json")
    step = timed("build the bundle", "study", "build", study, *centre, *requests, "--out", folder / BUNDLE)
    return step, Relay(reached, listening)


def await_state(ward: Ward, holds: Callable[[StudyState], bool]) -> None:
    """Wait until something holds of the study's state."""
    end = time.time() + ward.limit_seconds
    (folder,) = folders(ward.folder / CENTRE)
    while True:
        state = folder.read()
        if state is not None and holds(state):
            return
        assert state is None or state.phase in (*OPEN, "complete"), state
        assert time.time() < end, "too long"
        assert all(process.poll() is None for process in ward.running), "a service ended"
        time.sleep(LOOK_SECONDS)


def offered(ward: Ward, observer: Observer) -> None:
    """Submit the study, wait until it lies in every inbox, and have it approved there."""
    observer.begin("offer: the bundle travels")
    quietly("coordinator", "submit", ward.folder / BUNDLE, "--dir", ward.folder / CENTRE)
    await_state(ward, lambda state: all(silo.offer == "waiting" for silo in state.silos))
    observer.begin("approve")
    for site in HOSPITALS:
        person = ("--approver", "Benchmark", "--role", "benchmark", "--passphrase-file", ward.folder / site / SECRET)
        (bundle,) = (ward.folder / site / "inbox").glob(f"*{SUFFIX}")
        quietly("silo", "approve", bundle, "--site", ward.folder / site / "site.yaml", *person)


def half_answered(state: StudyState) -> bool:
    """Say whether a round is in its middle: one hospital's answer is in the journal, another's is not."""
    counted = [silo.status == "answered" for silo in state.silos]
    return (state.purpose, state.round) == ("round", KILLED_ROUND) and any(counted) and not all(counted)


def conducted(ward: Ward, observer: Observer, rounds: int) -> None:
    """Follow the study to the round that is killed, kill the whole centre there, start it again, and follow to the end."""
    observer.begin("statistics")
    await_state(ward, reached("round", 1))
    observer.begin("round 1")
    await_state(ward, reached("round", KILLED_ROUND))
    observer.begin("round 2, to the kill")
    await_state(ward, half_answered)
    centre = ward.running.pop(0)
    centre.kill()
    centre.wait()
    observer.begin("round 2, from the kill")
    start_centre(ward.folder, ward.running)
    for number in range(KILLED_ROUND + 1, rounds + 1):
        await_state(ward, reached("round", number))
        observer.begin(f"round {number}")
    for purpose in ("closing", "test"):
        await_state(ward, reached(purpose))
        observer.begin(purpose)
    await_state(ward, lambda state: state.phase == "complete")


def reached(purpose: Purpose, number: int = 0) -> Callable[[StudyState], bool]:
    """Give what says whether a study has come to a visit, or is past it."""

    def look(state: StudyState) -> bool:
        if state.purpose is None or state.phase == "submitted":
            return False
        here = ORDER.index(state.purpose), state.round if state.purpose == "round" else 0
        return state.phase == "complete" or here >= (ORDER.index(purpose), number)

    return look


def simulated(folder: Path) -> tuple[Step, Path]:
    """Simulate the study on copies of the hospitals, as they were when they had approved it; gives its release."""
    copies = folder / "copies"
    sites = [word for site in HOSPITALS for word in ("--site", copies / site / "site.yaml")]
    step = timed("simulation", "simulate", folder / BUNDLE, *sites, "--centre", folder / CENTRE, "--out", copies / "out")
    return step, copies / "out" / "release"


def copy_hospitals(folder: Path) -> None:
    """Copy what the simulation needs of the hospitals."""
    unwanted = shutil.ignore_patterns("run", "logs", "journal", "ledger")
    for site in HOSPITALS:
        shutil.copytree(folder / site, folder / "copies" / site, ignore=unwanted)


def same(one: Path, other: Path) -> float | None:
    """Give how far the weights of two releases are apart; None where they are the same bytes."""
    if all((one / name).read_bytes() == (other / name).read_bytes() for name in ("last.safetensors", "model.safetensors")):
        return None
    mine, theirs = load_file(one / "last.safetensors"), load_file(other / "last.safetensors")
    return max(float(np.max(np.abs(mine[name] - theirs[name]))) for name in mine)


def bytes_in(folder: Path) -> int:
    """Give the bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def report(steps: list[Step], model: int, disk: dict[str, int]) -> None:
    """Print what was found."""
    kinds = sorted({kind for step in steps for kind in step.peaks})
    print(f"a model of {model / MEGABYTE:.0f} MB; peaks in MB, of one process of a kind; bytes on the wire in MB")
    print(f"{'':26} {'s':>7} " + " ".join(f"{kind:>10}" for kind in [*kinds, "together"]) + f" {'down':>8} {'up':>8}")
    for step in steps:
        cells = " ".join(f"{each / MEGABYTE:10.0f}" for each in [*(step.peaks.get(kind, 0) for kind in kinds), step.together])
        print(f"{step.name:26} {step.seconds:7.1f} {cells} {step.down / MEGABYTE:8.1f} {step.up / MEGABYTE:8.1f}")
    print("on disk, MB: " + ", ".join(f"{place} {size / MEGABYTE:.0f}" for place, size in disk.items()), flush=True)


def run(folder: Path, chosen: argparse.Namespace) -> float | None:
    """Measure, and give how far the weights are from those of the simulation; None: the same bits."""
    built, relay = build(folder, chosen)
    disk = {"bundle": (folder / BUNDLE).stat().st_size}
    with started(folder, limit_seconds=LIMIT_SECONDS) as ward:
        observer = Observer(ward, relay)
        with observer.looking():
            offered(ward, observer)
            copy_hospitals(folder)
            conducted(ward, observer, chosen.rounds)
    relay.close()
    disk |= {place: bytes_in(folder / place) for place in PLACES}
    model = sum(tensor.nbytes for tensor in load_file(ward.release / "last.safetensors").values())
    report([built, *observer.steps], model, disk)
    simulation, reference = simulated(folder)
    report([simulation], model, {})
    return same(ward.release, reference)


def main() -> int:
    """Measure, and fail when the weights are not those of the simulation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=float, default=1.5)
    parser.add_argument("--images", type=int, default=48, help="of each hospital")
    parser.add_argument("--rounds", type=int, default=3, help="the centre is killed in the second")
    parser.add_argument("--deadline", type=float, default=1800.0, help="of a round, in seconds")
    parser.add_argument("--trainer-memory", help="each hospital's limit, such as '6 GiB'")
    parser.add_argument("--folder", type=Path, help="work here, and leave everything in place")
    chosen = parser.parse_args()
    needed = BYTES_NEEDED + MODELS_NEEDED * WEIGHTS_BYTES * chosen.width**2
    assert available_bytes() > needed, f"{needed / MEGABYTE:.0f} MB must be free"
    if chosen.folder is None:
        with tempfile.TemporaryDirectory(prefix="w") as name:
            distance = run(Path(name), chosen)
    else:
        chosen.folder.mkdir(parents=True)
        distance = run(chosen.folder, chosen)
    words = "the same bits" if distance is None else f"up to {distance:.1e} apart"
    print(f"weights after the kill and those of the simulation: {words}")
    return 0 if distance is None else 1


if __name__ == "__main__":
    sys.exit(main())

"""What it costs a hospital to hold the weights of a round against those before: on disk, in blocks.

    python benchmarks/drift.py [--megabytes 50] [--repeats 7]

Subject: the latest weights are written (whole, flushed), and the next ones held against them, with the study's norm and
without. Floors, each in turn with the subject in the same process, on one thread:

    write   the same bytes written and flushed, without the rename
    hash    SHA-256 over the weights, which every task's weights cost anyway
    equal   both weights compared, read where the subject reads them

The figures are the ratios of the least seconds by the clock; memory is what the process grows by while it holds two
models against each other, beside the two.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from wardround.canonical import sha256
from wardround.files import write_atomic
from wardround.weights.packing import WIRE, Manifest, Tensor, Vector, as_wire
from wardround.weights.reach import reachable

TENSORS = 25
SEED = 20_261_127
MOST_GROWTH_BYTES = 16 * 2**20


def least(repeats: int, work: Callable[[], object]) -> float:
    """Do something again and again, and give the least seconds."""
    seconds = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


def flush(path: Path, data: memoryview) -> None:
    """Write bytes and flush them."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def peak() -> int:
    """Give the most memory that this process ever had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> int:
    """Measure and print; fail when a whole copy of a model is made."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=7)
    chosen = parser.parse_args()
    random = np.random.default_rng(SEED)
    size = chosen.megabytes * 1_000_000 // 4 // TENSORS
    manifest = Manifest(tensors=tuple(Tensor(name=f"layer.{number:02}", shape=(size,)) for number in range(TENSORS)))
    before = random.standard_normal(manifest.size, dtype=np.float32)
    after = before + np.float32(1e-4)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights"
        write_atomic(path, as_wire(before))
        kept: Vector = np.memmap(path, dtype=WIRE, mode="r")
        assert np.array_equal(kept, before)  # and all of it is mapped
        grown = peak()
        held = reachable(kept, after, manifest, 1, 10.0) and reachable(kept, after, manifest, 1, None)
        grown = peak() - grown
        assert held
        seconds = {
            "write, floor": least(chosen.repeats, lambda: flush(path.with_suffix(".floor"), as_wire(before))),
            "write": least(chosen.repeats, lambda: write_atomic(path.with_suffix(".again"), as_wire(before))),
            "hash, floor": least(chosen.repeats, lambda: sha256(as_wire(after))),
            "equal, floor": least(chosen.repeats, lambda: np.array_equal(kept, before)),
            "held by the norm": least(chosen.repeats, lambda: reachable(kept, after, manifest, 1, 10.0)),
            "held by the range": least(chosen.repeats, lambda: reachable(kept, after, manifest, 1, None)),
        }
    print(f"{manifest.byte_count / 1e6:.0f} MB, one thread, load average {os.getloadavg()[0]:.1f}")
    for name, least_seconds in seconds.items():
        print(f"{name:20} {least_seconds:8.4f} s {least_seconds / seconds['hash, floor']:6.2f} x hash")
    print(f"write / floor: {seconds['write'] / seconds['write, floor']:.2f}")
    print(f"memory while they are held: {grown / 2**20:.1f} MiB more")
    met = grown <= MOST_GROWTH_BYTES
    print(f"target: no copy of the model, at most {MOST_GROWTH_BYTES // 2**20} MiB" + ("" if met else ", missed"))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())

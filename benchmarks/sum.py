"""The exact sum of eight replies of 100 MB beside what the memory allows and what Flower's own aggregation takes.

    python benchmarks/sum.py [--replies 8] [--megabytes 100] [--repeats 5]

Subject: ``ExactSum.add`` for each reply (every value checked, made an integer, weighted, added), then ``step``.
Floors, each in turn with the subject in the same process, all on one thread and on the same 25 tensors:

    copy    the bytes of each reply, read and written once
    axpy    ``sum += weight * reply`` in float32, block by block: what an inexact sum costs at least
    flower  ``aggregate_arrayrecords`` of Flower's strategies: the same mean in float32, all replies in memory

The sums agree (1e-6 of the largest weight) before a figure is printed. Seconds are CPU seconds: the clock's, on a machine
that does nothing else. The figure is the ratio of the least seconds of a reply's ``add`` to those of its axpy. Memory alone
would allow about 2: an int64 sum moves 500 MB for a reply (and 100 more to check it first), a float32 one 300. What is left
are numpy's passes over a block in the cache.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from flwr.app import Array, ArrayRecord, MetricRecord, RecordDict
from flwr.serverapp.strategy.strategy_utils import aggregate_arrayrecords

from wardround.weights.fixed_point import BLOCK, ExactSum, SumPlan, plan_sum
from wardround.weights.packing import Manifest, Tensor, Vector

TARGET_RATIO = 4.0
TENSORS = 25
TOLERANCE = 1e-6
SEED = 20_240_131


@dataclass
class Job:
    """Replies of a model, and the seconds that each way of adding them took, by name."""

    manifest: Manifest
    weights: Vector
    changes: list[Vector]
    records: list[int]
    seconds: dict[str, list[float]] = field(default_factory=dict)

    @property
    def plan(self) -> SumPlan:
        """The round's plan."""
        return plan_sum(self.weights, self.manifest, sum(self.records))

    def note(self, name: str, work: Callable[[], None]) -> None:
        """Do something and note how long it took."""
        begun = time.process_time()
        work()
        self.seconds.setdefault(name, []).append(time.process_time() - begun)

    def least(self, name: str) -> float:
        """Give the least seconds: what it takes when nobody else is at work."""
        return min(self.seconds[name])


def make_job(replies: int, megabytes: int) -> Job:
    """Draw weights, and a change and a record count for each hospital."""
    random = np.random.default_rng(SEED)
    size = megabytes * 1_000_000 // 4 // TENSORS
    manifest = Manifest(tensors=tuple(Tensor(name=f"layer.{number:02}", shape=(size,)) for number in range(TENSORS)))
    weights = random.standard_normal(manifest.size, dtype=np.float32)
    changes = [0.01 * random.standard_normal(manifest.size, dtype=np.float32) for _ in range(replies)]
    return Job(manifest, weights, changes, [int(count) for count in random.integers(300, 5000, replies)])


def exact(job: Job) -> Vector:
    """Add and step as a round does; gives the mean change."""
    total = ExactSum(job.manifest, job.plan)
    for change, records in zip(job.changes, job.records, strict=True):
        job.note("add", lambda change=change, records=records: total.add(change, records))  # type: ignore[misc]
    stepped = np.empty(0, dtype=np.float32)

    def step() -> None:
        nonlocal stepped
        stepped = total.step(job.weights)

    job.note("step", step)
    return stepped - job.weights


def axpy(job: Job) -> Vector:
    """Add in float32, block by block."""
    total, scratch = np.zeros_like(job.weights), np.empty(BLOCK, dtype=np.float32)
    shares = np.array(job.records, dtype=np.float32) / np.float32(sum(job.records))

    def add(change: Vector, share: np.float32) -> None:
        for start in range(0, change.size, BLOCK):
            block = change[start : start + BLOCK]
            scaled = np.multiply(block, share, out=scratch[: block.size])
            total[start : start + BLOCK] += scaled

    for change, share in zip(job.changes, shares, strict=True):
        job.note("axpy", lambda change=change, share=share: add(change, share))  # type: ignore[misc]
    return total


def copies(job: Job) -> None:
    """Copy every reply to the same place."""
    place = np.zeros_like(job.weights)
    for change in job.changes:
        job.note("copy", lambda change=change: np.copyto(place, change))  # type: ignore[misc]


def flower(job: Job, records: list[RecordDict]) -> Vector:
    """Have Flower aggregate; its arrays were made beforehand."""
    found: list[ArrayRecord] = []
    job.note("flower", lambda: found.append(aggregate_arrayrecords(records, "num-examples")))
    return np.concatenate([found[0][tensor.name].numpy() for tensor in job.manifest.tensors])


def flower_records(job: Job) -> list[RecordDict]:
    """Give the replies as Flower's messages hold them."""
    return [
        RecordDict(
            {
                "arrays": ArrayRecord({tensor.name: Array(change[part]) for tensor, part in job.manifest.slices()}),
                "metrics": MetricRecord({"num-examples": records}),
            }
        )
        for change, records in zip(job.changes, job.records, strict=True)
    ]


def compare(job: Job, repeats: int) -> float:
    """Measure all in turn, print, and give the ratio of one reply's exact add to its axpy."""
    records = flower_records(job)
    for repeat in range(repeats):
        copies(job)
        means = axpy(job), exact(job), flower(job, records)
        if repeat == 0:
            largest = float(np.max(np.abs(job.weights)))
            distance = max(float(np.max(np.abs(mean - means[1]))) for mean in means)
            assert distance <= TOLERANCE * largest, f"the means differ by {distance}"
    return report(job)


def report(job: Job) -> float:
    """Print seconds, GB/s of replies and ratios."""
    count, gigabytes = len(job.changes), job.manifest.byte_count / 1e9
    ratio = job.least("add") / job.least("axpy")
    print(f"{count} replies of {gigabytes * 1000:.0f} MB, one thread, load average {os.getloadavg()[0]:.1f}")
    print(f"{'one reply':22} {'least s':>8} {'GB/s':>7} {'x axpy':>7}")
    for name in ("copy", "axpy", "add"):
        least = job.least(name)
        print(f"{name:22} {least:8.4f} {gigabytes / least:7.1f} {least / job.least('axpy'):7.2f}")
    print(f"{'step, once a round':22} {job.least('step'):8.4f}")
    rounds = {"axpy": count * job.least("axpy"), "exact": count * job.least("add") + job.least("step")}
    rounds["flower"] = job.least("flower")
    print(f"{'the whole round':22} {'s':>8} {'GB/s':>7} {'x axpy':>7}")
    for name, seconds in rounds.items():
        print(f"{name:22} {seconds:8.4f} {count * gigabytes / seconds:7.1f} {seconds / rounds['axpy']:7.2f}")
    print(f"exact / flower: {rounds['exact'] / rounds['flower']:.2f}")
    return ratio


def main() -> int:
    """Measure, and fail when the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replies", type=int, default=8)
    parser.add_argument("--megabytes", type=int, default=100, help="of one reply, a multiple of 1")
    parser.add_argument("--repeats", type=int, default=5)
    chosen = parser.parse_args()
    ratio = compare(make_job(chosen.replies, chosen.megabytes), chosen.repeats)
    met = ratio <= TARGET_RATIO
    print(f"target: an add takes at most {TARGET_RATIO} axpy" + ("" if met else ", missed"))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())

"""A long study on hospitals' and centre's real processes: does anything grow? Memory, open files, disk, by rounds.

    python benchmarks/endurance.py [--rounds 100] [--every 20] [--records 500] [--figure FILE.svg]

The deployment is that of rounds.py (four hospitals, an MLP 13-64-32-1, 14 processes below 5 supervisors) with few records,
so that rounds are short. At the begin of every so many rounds it notes the resident memory and the open file descriptors of
each kind of process (together), and the bytes in the directories of the centre and of the hospitals (together).

Targets, from the first third (by when all have settled) to the last round: no kind of process opens more files, a process
grows by at most 20 kB a round (the conductor keeps each round's record for the release), a hospital's disk by at most 8 kB
a round, the centre's by at most 16 kB.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from parts.processes import memory
from parts.ward import CLOSING, KINDS, Key, Ward, prepare, started
from simulate import SITES, study_of

MEGABYTE, KILOBYTE = 1_000_000, 1_000
TARGET_MEMORY, TARGET_SILO, TARGET_CENTRE = 20 * KILOBYTE, 8 * KILOBYTE, 16 * KILOBYTE
"""Bytes a round."""
MORE_FILES = 1
"""A look may meet a file or a connection that is open for a moment."""
DISKS = ("centre", "hospitals")
STEADY_SHARE = 1 / 3


@dataclass(frozen=True)
class Look:
    """What the deployment takes after so many rounds: processes, bytes and open files, by kind of process or place."""

    round: int
    seconds: float
    processes: dict[str, int]
    memory: dict[str, int]
    files: dict[str, int]
    disk: dict[str, int]


def look(ward: Ward, done: int) -> Look:
    """Look at every process and every directory."""
    kinds = ward.by_kind()
    disk = {"centre": _bytes_in(ward.folder / "centre"), "hospitals": sum(_bytes_in(ward.folder / site) for site in SITES)}
    return Look(
        round=done,
        seconds=time.time() - ward.begun,
        processes={kind: len(pids) for kind, pids in kinds.items()},
        memory={kind: sum(memory(pid).resident for pid in pids) for kind, pids in kinds.items()},
        files={kind: sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids) for kind, pids in kinds.items()},
        disk=disk,
    )


def _bytes_in(folder: Path) -> int:
    """Give the bytes of all files below a folder; what goes while it is looked at does not count."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue
    return total


def observe(folder: Path, rounds: int, every: int, records: int) -> list[Look]:
    """Conduct the study, and look every so many rounds."""
    prepare(folder, study_of(rounds), records)
    looks: list[Look] = []
    with started(folder) as ward:

        def at_visit(key: Key) -> None:
            done = rounds if key == CLOSING else key[1] - 1
            if key == CLOSING or (key[0] == "round" and done % every == 0):
                looks.append(look(ward, done))

        ward.follow(at_visit)
    assert len(ward.rounds) == rounds
    return looks


def report(looks: list[Look]) -> bool:
    """Print the table and the growth by round; say whether the targets are met."""
    kinds = tuple(KINDS.values())
    print("resident MB, all processes of a kind together; open files (fd); MB on disk")
    print(
        f"{'round':>5} {'s':>6} " + " ".join(f"{kind:>10} {'fd':>4}" for kind in kinds) + "".join(f"{name:>11}" for name in DISKS)
    )
    for each in looks:
        cells = " ".join(f"{each.memory[kind] / MEGABYTE:10.1f} {each.files[kind]:4}" for kind in kinds)
        print(f"{each.round:5} {each.seconds:6.0f} {cells}" + "".join(f"{each.disk[name] / MEGABYTE:11.3f}" for name in DISKS))
    settled = next(each for each in looks if each.round >= looks[-1].round * STEADY_SHARE or each is looks[-2])
    last, rounds = looks[-1], looks[-1].round - settled.round
    print(f"growth from round {settled.round} to round {last.round}, kB a round (open files: in all)")
    met = True
    for kind in kinds:
        grown, opened = (last.memory[kind] - settled.memory[kind]) / rounds, last.files[kind] - settled.files[kind]
        met = met and grown <= TARGET_MEMORY * last.processes[kind] and opened <= MORE_FILES
        print(f"  {kind:10} {grown / KILOBYTE:8.1f}   files {opened:+d}")
    for name, target in (("centre", TARGET_CENTRE), ("hospitals", TARGET_SILO * len(SITES))):
        grown = (last.disk[name] - settled.disk[name]) / rounds
        met = met and grown <= target
        print(f"  {name:10} {grown / KILOBYTE:8.1f}   on disk")
    return met


def draw(looks: list[Look], path: Path) -> None:
    """Draw memory, open files and disk over rounds."""
    import matplotlib as mpl  # noqa: PLC0415  (only a run with --figure needs it)

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "wardround"
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(3, 1, figsize=(7, 7), sharex=True, layout="constrained")
    rounds = [each.round for each in looks]
    for kind in KINDS.values():
        axes[0].plot(rounds, [each.memory[kind] / MEGABYTE for each in looks], marker=".", label=kind)
        axes[1].plot(rounds, [each.files[kind] for each in looks], marker=".", label=kind)
    for name in DISKS:
        axes[2].plot(rounds, [each.disk[name] / MEGABYTE for each in looks], marker=".", label=name)
    for axis, title in zip(axes, ("resident memory, MB", "open files", "on disk, MB"), strict=True):
        axis.set_ylabel(title)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    axes[0].legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    axes[2].legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    axes[2].set_xlabel("rounds done")
    figure.savefig(path, metadata={"Date": None})


def main() -> int:
    """Measure, and fail when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--every", type=int, default=20, help="look every so many rounds")
    parser.add_argument("--records", type=int, default=500, help="of each hospital")
    parser.add_argument("--figure", type=Path, help="write the table as a figure (SVG) too")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="w") as name:
        looks = observe(Path(name), chosen.rounds, chosen.every, chosen.records)
    met = report(looks)
    if chosen.figure is not None:
        draw(looks, chosen.figure)
    print("targets met" if met else "a target was missed")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())

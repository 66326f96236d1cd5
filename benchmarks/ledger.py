"""How long a hospital's ledger takes to verify: a million entries by default, against reading and hashing the same bytes.

    python benchmarks/ledger.py [--entries N]

The ledger is built with true signatures on every entry, as a porter writes it but for the flush to disk after each: one
statistics visit, then rounds, each with its receipt, over days of a thousand entries.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from wardround.canonical import model_bytes, sha256
from wardround.identity.keys import SigningKey
from wardround.ledger.entries import AnyEntry, ReceiptTaken, Released
from wardround.ledger.lines import GENESIS, next_line, seal_line
from wardround.ledger.verification import verify_ledger
from wardround.values import instant

ENTRIES = 1_000_000
A_DAY = 1000
BEGIN = datetime(2026, 1, 1, 8, tzinfo=UTC)


def entry(number: int, when: str, head: str) -> AnyEntry:
    """Give a release or, after each, its receipt."""
    study, task = sha256(b"study"), sha256(b"task %d" % (number // 2))
    if number % 2:
        return ReceiptTaken(
            time=when, study=study, task_id=task, reply=task, verdict="counted", ledger=head, journal=task, signature="0" * 128
        )
    return Released(
        time=when,
        study=study,
        task=task,
        work=task,
        purpose="round",
        round=number // 2,
        approval=study,
        policy=study,
        to=study,
        records=161,
        figures=("records", "scores", "training_loss", "change_of_weights"),
        result=task,
        result_bytes=2180,
        arrays=(task,),
        bytes=324,
        norm=0.125,
    )


def build(folder: Path, count: int, key: SigningKey) -> None:
    """Write a ledger of so many entries."""
    head, number = GENESIS, 0
    while number < count:
        day = BEGIN + timedelta(days=number // A_DAY)
        with (folder / f"{day:%Y-%m-%d}.jsonl").open("wb") as file:
            for _ in range(min(A_DAY, count - number)):
                content = model_bytes(entry(number, instant(day + timedelta(seconds=number % A_DAY)), head))
                line, head = seal_line(content, number, head, key)
                file.write(line)
                number += 1


def floor(folder: Path) -> tuple[float, int]:
    """Read every line and hash it, nothing else; gives seconds and bytes."""
    begun, size = time.perf_counter(), 0
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            for line in file:
                hashlib.sha256(line).digest()
                size += len(line)
    return time.perf_counter() - begun, size


def chain_alone(folder: Path) -> float:
    """Verify hashes and their chain, without reading what the entries say; gives seconds."""
    begun, head, number = time.perf_counter(), GENESIS, 0
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            for data in file:
                line = next_line(data[:-1], number, head)
                assert line is not None
                head, number = line.hash, number + 1
    return time.perf_counter() - begun


def main() -> None:
    """Build, verify, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--entries", type=int, default=ENTRIES)
    count = parser.parse_args().entries
    key = SigningKey.generate()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        begun = time.perf_counter()
        build(folder, count, key)
        built = time.perf_counter() - begun
        least, size = floor(folder)
        chain = chain_alone(folder)
        begun = time.perf_counter()
        verified = verify_ledger(folder, key.public)
        seconds = time.perf_counter() - begun
        assert verified.course.length == count
    load = " ".join(f"{each:.1f}" for each in os.getloadavg())
    print(f"{count} entries in {len(verified.course.segments)} segments, {size / 2**20:.0f} MiB; load average {load}")
    for what, took in (
        ("built, each entry signed, not flushed", built),
        ("floor: every line read and hashed", least),
        ("the chain of hashes alone", chain),
        ("verified whole", seconds),
    ):
        print(f"  {what:40s} {took:8.1f} s  {took / count * 1e6:7.1f} µs an entry  {took / least:6.1f} × floor")


if __name__ == "__main__":
    main()

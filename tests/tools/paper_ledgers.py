"""Ledgers on paper: true signatures, made-up releases and receipts, some entries a day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from studies_on_paper import signing_key

from wardround.canonical import sha256
from wardround.ledger.entries import AnyEntry, ReceiptTaken, RefusalSent, Released
from wardround.ledger.lines import GENESIS, write_line
from wardround.values import instant

KEY = signing_key("beta")
STRANGER = signing_key("a stranger")
BEGIN = datetime(2026, 7, 1, 8, tzinfo=UTC)
STUDY = sha256(b"study")


def entry(number: int, when: str, head: str) -> AnyEntry:
    """Give a release, its receipt, or a refusal, in turn."""
    task = sha256(b"task %d" % (number // 3))
    if number % 3 == 1:
        signed = "0" * 128
        return ReceiptTaken(
            time=when, study=STUDY, task_id=task, reply=task, verdict="counted", ledger=head, journal=task, signature=signed
        )
    if number % 3 == 2:
        return RefusalSent(
            time=when, study=STUDY, task=task, purpose=None, round=None, approval=None, to=None, code="H-ORDER", report=None
        )
    return Released(
        time=when,
        study=STUDY,
        task=task,
        work=task,
        purpose="round",
        round=number,
        approval=STUDY,
        policy=STUDY,
        to=KEY.public,
        records=161,
        figures=("records", "change_of_weights"),
        result=task,
        result_bytes=2180,
        arrays=(task,),
        bytes=324,
        norm=0.125,
    )


def lines(count: int, a_day: int) -> Iterator[tuple[str, bytes]]:
    """Give the day and the bytes of each line."""
    head = GENESIS
    for number in range(count):
        moment = BEGIN + timedelta(days=number // a_day, seconds=number % a_day)
        line, head = write_line(entry(number, instant(moment), head), number, head, KEY)
        yield f"{moment:%Y-%m-%d}", line


def write_ledger(folder: Path, written: list[tuple[str, bytes]]) -> Path:
    """Write lines into the files of their days."""
    folder.mkdir(parents=True, exist_ok=True)
    days: dict[str, list[bytes]] = {}
    for day, line in written:
        days.setdefault(day, []).append(line)
    for day, content in days.items():
        (folder / f"{day}.jsonl").write_bytes(b"".join(content))
    return folder

"""An auditor's export: a page to read, the same as JSON, and the ledger itself with the public keys that verify it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from silo_node.identity import REQUEST
from silo_node.ledger.account import Account, Left
from silo_node.pages import Filters, template
from wardround import __version__
from wardround.canonical import Json, canonical_bytes, model_bytes, model_json
from wardround.errors import refuse
from wardround.files import new_private_folder, write_new
from wardround.identity.keys import fingerprint
from wardround.ledger.entries import ApprovalUsed, Blocked, CanaryAnswered, RefusalSent, Released
from wardround.ledger.folder import FOLDER
from wardround.messages.round import Purpose
from wardround.reference import with_reference

PAGE, DATA = "ledger.html", "ledger.json"
TEMPLATE = "ledger.html.j2"
HASH_SHOWN = 12

FIGURES = {
    "records": "number of training records",
    "validation_size": "number of validation records",
    "test_size": "number of test records",
    "sums": "sums of the numeric features",
    "report": "outgoing report of the check",
    "distributions": "distributions of the fields",
    "scores": "score histograms",
    "overlaps": "sums of overlaps and surface distances",
    "training_loss": "mean training loss",
    "change_of_weights": "change of the weights",
}
"""What people read for the ledger's names of what a result holds."""


@dataclass(frozen=True)
class Row:
    """A line of the page's table."""

    sequence: int
    time: str
    what: str
    holds: str
    records: str
    size: int
    norm: str
    receipt: str
    digest: str
    refused: bool = False


@dataclass(frozen=True)
class Part:
    """What left under one approval; without one, what was answered before any was looked at."""

    approval: ApprovalUsed | None
    holds: bool
    weights: int
    rows: tuple[Row, ...]
    releases: int
    size: int


def write_export(account: Account, out: Path, made_at: str) -> None:
    """Write an export into a new folder, for its owner only, whole or not at all.

    Raises:
        Refused: O-EXISTS when the folder is there and not empty, O-WRITE.
    """
    try:
        with new_private_folder(out) as folder:
            write_new(folder / PAGE, render(account, made_at).encode(), mode=0o600)
            write_new(folder / DATA, canonical_bytes(as_json(account, made_at)) + b"\n", mode=0o600)
            write_new(folder / REQUEST, model_bytes(account.source.member), mode=0o600)
            (folder / FOLDER).mkdir(mode=0o700)
            for segment in account.course.segments:
                with segment.path.open("rb") as file:  # a line that was written since is left out: the page says nothing of it
                    write_new(folder / FOLDER / segment.path.name, file.read(segment.size), mode=0o600)
    except FileExistsError:
        raise refuse(
            "O-EXISTS", str(out), "An export is written into a new folder", "the folder is there", "name another folder"
        ) from None


def as_json(account: Account, made_at: str) -> dict[str, Json]:
    """Give the account for programs."""
    return {
        "format": 1,
        "written_by": __version__,
        "made_at": made_at,
        "site": account.source.member.site,
        "name": account.source.member.name,
        "fingerprint": account.source.member.fingerprint,
        "entries": account.course.length,
        "head": account.course.head,
        "approvals": [{**model_json(used), "signature_holds": account.holds(used)} for used in account.approvals.values()],
        "left": [each.as_json() for each in account.left],
        "part": account.part.as_json(),
        "told_working": account.times("working"),
        "told_offers": account.times("offer"),
        "receipts": account.times("receipt"),
        "blocked": [{"sequence": sequence, **model_json(entry)} for sequence, entry in account.blocked],
        "confinements": [model_json(entry) for entry in account.confinements],
        "problems": [dict(problem.as_json()) for problem in account.problems],
    }


def render(account: Account, made_at: str) -> str:
    """Render the page; the same account gives the same text."""
    filters: Filters = {"fingerprint": fingerprint, "thousands": lambda number: f"{number:,}".replace(",", "\u202f")}
    return template("silo_node.ledger", TEMPLATE, filters).render(
        account=account,
        member=account.source.member,
        parts=_parts(account),
        made_at=made_at,
        version=__version__,
        first=account.left[0].entry.time if account.left else None,
        last=account.left[-1].entry.time if account.left else None,
        kept_back=[_kept_back(sequence, entry) for sequence, entry in account.blocked],
        bytes=sum(_size(each) for each in account.left),
        refusals=sum(isinstance(each.entry, RefusalSent) for each in account.left),
    )


def _parts(account: Account) -> list[Part]:
    """Put what left under each approval together, approvals in the order of their first use."""
    by_approval: dict[str | None, list[Left]] = {digest: [] for digest in account.approvals}
    for each in account.left:
        known = each.entry.approval if each.entry.approval in account.approvals else None
        by_approval.setdefault(known, []).append(each)
    return [_part(account, None if digest is None else account.approvals[digest], left) for digest, left in by_approval.items()]


def _part(account: Account, used: ApprovalUsed | None, left: list[Left]) -> Part:
    return Part(
        approval=used,
        holds=used is not None and account.holds(used),
        weights=0 if used is None else sum(tensor.size for tensor in used.tensors),
        rows=tuple(_row(each) for each in left),
        releases=sum(isinstance(each.entry, Released) for each in left),
        size=sum(_size(each) for each in left),
    )


def _kept_back(sequence: int, entry: Blocked) -> str:
    """Say in a line what the gate kept back."""
    asked = "canary" if entry.purpose is None else _asked(entry.purpose, entry.round)
    parts = ", ".join(part.why.replace("_", " ") + ("" if part.place is None else f" at {part.place}") for part in entry.parts)
    return f"Entry {sequence}, {entry.time}, {asked} of study {entry.study[:HASH_SHOWN]}: {parts}."


def _size(left: Left) -> int:
    return 0 if isinstance(left.entry, RefusalSent) else left.entry.bytes + left.entry.result_bytes


def _asked(purpose: Purpose, number: int | None) -> str:
    return f"round {number}" if purpose == "round" else purpose


def _row(left: Left) -> Row:
    entry = left.entry
    receipt = "not acknowledged" if left.receipt is None else f"{left.receipt.verdict}, {left.receipt.time}"
    again = f"; sent again {left.repeats} ×" if left.repeats else ""
    match entry:
        case Released():
            what = _asked(entry.purpose, entry.round)
            holds = ", ".join(FIGURES[figure] for figure in entry.figures)
            holds += "; of other records than were approved" if left.other_records else ""
            digest = entry.arrays[0] if entry.arrays else entry.result
            norm = "" if entry.norm is None else f"{entry.norm:g}"
            size = _size(left)
            return Row(
                left.sequence, entry.time, what, holds, str(entry.records), size, norm, receipt + again, digest[:HASH_SHOWN]
            )
        case CanaryAnswered():
            holds = "figures of machine and network, and zeros"
            digest = entry.result[:HASH_SHOWN]
            return Row(left.sequence, entry.time, "canary", holds, "0", _size(left), "", "", digest)
        case RefusalSent():
            asked = "" if entry.purpose is None else f" {_asked(entry.purpose, entry.round)}"
            report = "" if entry.report is None else " and the outgoing report of the check"
            holds = f"the code {with_reference(entry.code, entry.reference)}{report}"
            digest = "" if entry.report is None else entry.report[:HASH_SHOWN]
            return Row(left.sequence, entry.time, f"refused{asked}", holds, "", 0, "", "", digest, refused=True)

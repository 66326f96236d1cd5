"""What stands in a hospital's ledger on disk, verified with its public keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wardround.canonical import model_json
from wardround.identity.keys import PublicKey
from wardround.identity.roster import Member, read_party
from wardround.ledger.folder import read_entries


def entries_of(ledger: Path, public: PublicKey) -> list[dict[str, Any]]:
    """Give the entries of a ledger's folder, but for those that hold an approval."""
    return [model_json(entry) for _, entry in read_entries(ledger, public) if entry.event != "approval"]


def ledger_of(hospital: Path) -> list[dict[str, Any]]:
    """Give the entries of the ledger in a hospital's directory, but for those that hold an approval."""
    return entries_of(hospital / "ledger", read_party(hospital / "request.json", Member).signing_key)


def last_segment(hospital: Path) -> Path:
    """Give the file in which a hospital's ledger goes on."""
    return max((hospital / "ledger").glob("*.jsonl"))

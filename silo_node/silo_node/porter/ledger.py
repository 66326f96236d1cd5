"""The hospital's ledger, as its porter writes it: a signed entry for everything that leaves, on disk before the bytes go.

How its lines hold together is ``wardround.ledger``; here is what the porter asks it: whether a result may still leave
under its approval, and for which task a study's test records were read.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from silo_node.porter.manifest import EgressManifest
from wardround.canonical import digest
from wardround.identity.keys import SigningKey
from wardround.ledger.entries import AnyEntry, ApprovalUsed, Released
from wardround.ledger.writing import LedgerWriter
from wardround.messages.round import Purpose
from wardround.values import instant

FOLDER: Final = "ledger"
OF_THE_SAME_RECORDS: Final = frozenset({"errors", "labels"})
"""Figures that leave over the same records alone in all of a study."""


def _now() -> str:
    return instant(datetime.now(UTC))


def _content(entry: Released) -> str:
    """Give what a release is, wherever it stands in the ledger: the work, its result and its arrays."""
    return digest("release", 1, [entry.work, entry.result, list(entry.arrays)])


class Ledger:
    """One hospital's ledger over all studies."""

    def __init__(self, folder: Path, key: SigningKey, now: Callable[[], str] = _now) -> None:
        """Open the ledger in a folder and verify it whole.

        Args:
            folder: the ledger's folder.
            key: signs the entries.
            now: gives the instant of an entry.

        Raises:
            Refused: L-BROKEN when an entry was changed, L-FORGED when one is not this hospital's, L-FORMAT, L-BUSY, O-WRITE.
        """
        self.now = now
        self._releases: dict[str, dict[str, tuple[Purpose, int]]] = {}
        self._tests: dict[str, str] = {}
        self._measured: dict[str, str | None] = {}
        self._bytes: dict[str, dict[str, int]] = {}
        self._approvals: set[str] = set()
        self._writer = LedgerWriter(folder, key, self._remember)

    def _remember(self, entry: AnyEntry) -> None:
        if isinstance(entry, ApprovalUsed):
            self._approvals.add(entry.approval)
        elif isinstance(entry, Released):
            content = _content(entry)
            self._releases.setdefault(entry.approval, {})[content] = (entry.purpose, entry.bytes)
            self._bytes.setdefault(entry.study, {})[content] = entry.bytes
            if not OF_THE_SAME_RECORDS.isdisjoint(entry.figures):
                self._measured.setdefault(entry.study, entry.data)
            if entry.purpose == "test":
                self._tests[entry.study] = entry.task

    def beyond(self, entry: Released, manifest: EgressManifest) -> Literal["times", "bytes"] | None:
        """Say whether a result is one more, or more bytes, than the manifest of its approval lets out.

        The same bytes again are the same result.
        """
        known = self._releases.get(entry.approval, {})
        if _content(entry) in known:
            return None
        if sum(purpose == entry.purpose for purpose, _ in known.values()) >= manifest.visit(entry.purpose).times:
            return "times"
        return "bytes" if sum(size for _, size in known.values()) + entry.bytes > manifest.most_bytes else None

    def bytes_with(self, entry: Released) -> int:
        """Give how many bytes of arrays leave for a study with this result, over every approval; the same again counts once."""
        return sum({**self._bytes.get(entry.study, {}), _content(entry): entry.bytes}.values())

    def knows_approval(self, approval: str) -> bool:
        """Say whether an approval stands in the ledger."""
        return approval in self._approvals

    def measured_on(self, study_hash: str, data: str | None) -> str | None:
        """Give the fingerprint of the records over which a study's first sums of a number, or counts of several labels, left.

        Over every restart and approval.

        ``data`` where none left yet.
        """
        return self._measured.get(study_hash, data)

    def test_task(self, study_hash: str) -> str | None:
        """Give the task for which a study's test records were read, over every restart and approval."""
        return self._tests.get(study_hash)

    @property
    def head(self) -> str:
        """The hash of the last entry."""
        return self._writer.head

    def write(self, entry: AnyEntry) -> str:
        """Write down what leaves, before it does; gives the ledger's new head."""
        head = self._writer.append(entry)
        self._remember(entry)
        return head

    def close(self) -> None:
        """Close the ledger's files."""
        self._writer.close()

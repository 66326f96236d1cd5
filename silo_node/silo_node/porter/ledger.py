"""The hospital's ledger: a hash-chained line for everything that leaves, on disk before the bytes go."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wardround.canonical import digest, model_json
from wardround.chain import Chain, read_chain
from wardround.messages.round import Receipt

if TYPE_CHECKING:
    from wardround.canonical import Json

LEDGER_FILE = "ledger.jsonl"


def _content(entry: dict[str, Json]) -> str:
    """Give what a release is, wherever it stands in the ledger: the work, its result and its arrays."""
    return digest("release", 1, [entry["work"], entry["result"], entry["arrays"]])


def _size(entry: dict[str, Json]) -> int:
    """Give how many bytes the arrays of a release have."""
    return int(str(entry["bytes"]))


class Ledger:
    """One hospital's ledger over all studies."""

    def __init__(self, folder: Path) -> None:
        """Open the ledger in a folder and verify it whole (L-BROKEN if a line was changed)."""
        self._chain = Chain(folder / LEDGER_FILE)
        self._releases: dict[str, set[str]] = {}
        self._tests: dict[str, str] = {}
        self._bytes: dict[str, dict[str, int]] = {}
        for link in read_chain(folder / LEDGER_FILE):
            if link.entry.get("event") == "release":
                self._remember(link.entry)

    def _remember(self, entry: dict[str, Json]) -> None:
        content = _content(entry)
        self._releases.setdefault(str(entry["approval"]), set()).add(content)
        self._bytes.setdefault(str(entry["study"]), {})[content] = _size(entry)
        if entry["purpose"] == "test":
            self._tests[str(entry["study"])] = str(entry["task"])

    def allows(self, entry: dict[str, Json], most: int) -> bool:
        """Say whether a result may leave, if ``most`` may under its approval; the same bytes again are the same result."""
        known = self._releases.get(str(entry["approval"]), set())
        return _content(entry) in known or len(known) < most

    def bytes_with(self, entry: dict[str, Json]) -> int:
        """Give how many bytes of arrays leave for a study with this result, over every approval; the same again counts once."""
        sizes = {**self._bytes.get(str(entry["study"]), {}), _content(entry): _size(entry)}
        return sum(sizes.values())

    def test_task(self, study_hash: str) -> str | None:
        """Give the task for which a study's test records were read, over every restart and approval."""
        return self._tests.get(study_hash)

    @property
    def head(self) -> str:
        """The hash of the last entry."""
        return self._chain.head

    def write_release(self, entry: dict[str, Json]) -> str:
        """Write down a result before its bytes go; gives the ledger's new head."""
        head = self._chain.append({"event": "release", **entry})
        self._remember(entry)
        return head

    def write_refusal(self, entry: dict[str, Json]) -> None:
        """Write down a refusal before it goes."""
        self._chain.append({"event": "refusal", **entry})

    def write_offer(self, study_hash: str, state: str) -> None:
        """Write down what the coordinator is told of an offered study."""
        self._chain.append({"event": "offer", "study": study_hash, "state": state})

    def write_working(self, study_hash: str, task_id: str, epoch: int) -> None:
        """Write down that the coordinator is told how far a task is."""
        self._chain.append({"event": "working", "study": study_hash, "task": task_id, "epoch": epoch})

    def write_canary(self, entry: dict[str, Json]) -> str:
        """Write down that figures of machine and network go, before they do; counts as no release. Gives the new head."""
        return self._chain.append({"event": "canary", **entry})

    def write_repeat(self, study_hash: str, task_id: str) -> None:
        """Write down that the same bytes go again."""
        self._chain.append({"event": "repeat", "study": study_hash, "task": task_id})

    def write_receipt(self, study_hash: str, receipt: Receipt) -> None:
        """Write down what the coordinator says it did with a release."""
        self._chain.append({"event": "receipt", "study": study_hash, **model_json(receipt)})

    def close(self) -> None:
        """Close the ledger's file."""
        self._chain.close()

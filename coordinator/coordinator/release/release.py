"""A release: one folder that is there whole, or not at all.

Every file is written in a folder beside the final one, flushed, and the folder is then renamed into place. Which files
there are follows from the outcome: a failed study leaves no model.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from pydantic import BaseModel

from coordinator.comparability.compare import compare_for_others
from coordinator.comparability.page import render as render_comparability
from coordinator.release.card import write_card
from coordinator.release.comparison import Comparison
from coordinator.release.disclosure import disclose
from coordinator.release.environment import environment_of
from coordinator.release.history import history_of
from coordinator.release.report import render_report
from coordinator.rounds.outcome import Outcome
from wardround.canonical import model_json
from wardround.errors import Broken, Refused, refuse
from wardround.files import sync_folder
from wardround.study.bundle import Bundle
from wardround.weights.packing import safetensors_parts

SUMS = "SHA256SUMS"

FILES: dict[str, str] = {
    "model.safetensors": "the released weights",
    "last.safetensors": "the weights after the last round",
    "encoding.json": "how a record becomes the network’s input: without it the model predicts nothing",
    "study.json": "the study as the hospitals approved it",
    "contract.json": "the shared schema of the records, in the version that the study names",
    "imaging.json": "the shared schema of the images",
    "roster.json": "who took part, and their public keys",
    "history.json": "every visit: who counted, who did not and why, records, figures, seconds, bytes",
    "comparison.json": "the model beside others, where one party holds all records",
    "environment.json": "versions of software at the centre and of what built the study",
    "report.html": "this report",
    "comparability.html": "how far the hospitals’ records differ, field by field, before the first round",
    "comparability.json": "the same in figures",
    "MODEL_CARD.md": "the model card",
    SUMS: "SHA-256 of every other file",
}
"""Every file that a release may hold, and what it is."""
_OF_A_RESULT = ("model.safetensors", "last.safetensors", "encoding.json")

_Parts: TypeAlias = tuple[bytes | memoryview, ...]
"""What a file holds, one part behind the other: weights are not copied to be written."""
PROBE_BYTES = 256 * 1024
"""Written and removed before a study begins, to see that its release has a place."""


def contents_of(bundle: Bundle, outcome: Outcome, comparison: Comparison | None) -> tuple[tuple[str, str], ...]:
    """Give the files of this outcome's release, and what each is."""
    absent = set(_OF_A_RESULT) if outcome.status == "failed" else set()
    if bundle.imaging is None:
        absent.add("imaging.json")
    if comparison is None:
        absent.add("comparison.json")
    if outcome.statistics is None:
        absent |= {"comparability.html", "comparability.json"}
    return tuple((name, words) for name, words in FILES.items() if name not in absent)


def require_free(folder: Path) -> None:
    """Say no when a release cannot go there; asked before a long study begins.

    Raises:
        Refused: O-EXISTS when something is there, other than an empty folder; O-WRITE when nothing can be written beside it.
    """
    _require_nothing(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder.parent) as probe:
            probe.write(bytes(PROBE_BYTES))
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        raise refuse(
            "O-WRITE",
            str(folder),
            "A release needs a folder that can be written, and space",
            f"a first file of {PROBE_BYTES // 1024} KiB cannot be written there ({type(error).__name__})",
            "check the path, its rights and the free space",
        ) from None


def _require_nothing(folder: Path) -> None:
    empty = folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir())
    if os.path.lexists(folder) and not empty:
        raise refuse(
            "O-EXISTS",
            folder.name,
            "A release is written once, into a new or empty folder",
            "there is something already",
            "name another folder, or move that one away",
        )


def write_release(folder: Path, bundle: Bundle, outcome: Outcome, *, comparison: Comparison | None = None) -> None:
    """Write an outcome's release.

    Args:
        folder: new or empty; the parent folders are made.
        bundle: the study that was conducted.
        outcome: what became of it; of what others may not see nothing is written.
        comparison: from somebody who holds all records, such as a demo; left out where a hospital does not share its figures.

    Raises:
        Refused: O-EXISTS, or O-WRITE when it cannot be written; nothing is left there or beside.
        Broken: when the outcome says that there is a result, and has no weights.
    """
    _require_nothing(folder)
    outcome = disclose(outcome)
    files = _files(bundle, outcome, None if outcome.withheld else comparison)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            _write_all(beside, files)
            beside.chmod(0o755)
            beside.rename(folder)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
        sync_folder(folder.parent)
    except OSError as error:
        raise _unwritable(folder, error) from None


def check_release(folder: Path, outcome: Outcome) -> None:
    """See whether a release that is there is the one of this outcome.

    Raises:
        Refused: O-EXISTS when it says another status, or nothing that can be read.
    """
    try:
        status = json.loads((folder / "history.json").read_text())["status"]
    except (OSError, ValueError, KeyError, TypeError):
        status = None
    if status != outcome.status:
        raise refuse(
            "O-EXISTS",
            folder.name,
            "A study has one release",
            f"there is one that is not {outcome.status}, as the study's journal says",
            "move that folder away: the release is then written from the journal",
        )


def _unwritable(folder: Path, error: OSError) -> Refused:
    return refuse(
        "O-WRITE",
        folder.name,
        "A release is written whole or not at all",
        f"it cannot be written ({type(error).__name__})",
        "check the folder's rights and the free space",
    )


def _write_all(folder: Path, files: Iterator[tuple[str, _Parts]]) -> None:
    """Write the files and their sums; one is in memory at a time."""
    sums: dict[str, str] = {}
    for name, parts in files:
        digest = hashlib.sha256()
        for part in parts:
            digest.update(part)
        sums[name] = digest.hexdigest()
        _write(folder / name, *parts)
    lines = "".join(f"{value}  {name}\n" for name, value in sorted(sums.items()))
    _write(folder / SUMS, lines.encode())
    sync_folder(folder)


def _write(path: Path, *parts: bytes | memoryview) -> None:
    with path.open("xb") as file:
        file.writelines(parts)
        file.flush()
        os.fsync(file.fileno())


def _files(bundle: Bundle, outcome: Outcome, comparison: Comparison | None) -> Iterator[tuple[str, _Parts]]:
    if outcome.status != "failed":
        if outcome.best is None or outcome.last is None or outcome.encoding is None:
            msg = f"an outcome that is {outcome.status} has weights and an encoding"
            raise Broken(msg)
        yield "model.safetensors", safetensors_parts(outcome.best, bundle.manifest)
        yield "last.safetensors", safetensors_parts(outcome.last, bundle.manifest)
        yield "encoding.json", (_json(outcome.encoding),)
    yield "study.json", (_json(bundle.study),)
    yield "contract.json", (_json(bundle.contract),)
    if bundle.imaging is not None:
        yield "imaging.json", (_json(bundle.imaging),)
    yield "roster.json", (_json(bundle.roster),)
    yield "history.json", (_json(history_of(bundle, outcome)),)
    if comparison is not None:
        yield "comparison.json", (_json(comparison),)
    if outcome.statistics is not None:
        found = compare_for_others(bundle, outcome)
        yield "comparability.json", (_json(found),)
        yield "comparability.html", (render_comparability(bundle, found).encode(),)
    yield "environment.json", (_json(environment_of(bundle)),)
    yield "report.html", (render_report(bundle, outcome, comparison, contents_of(bundle, outcome, comparison)).encode(),)
    yield "MODEL_CARD.md", (write_card(bundle, outcome, comparison).encode(),)


def _json(model: BaseModel) -> bytes:
    """Give a value as JSON that people can read and compare: indented, keys sorted, always the same."""
    text = json.dumps(model_json(model), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()

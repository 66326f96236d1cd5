"""Read an outcome back from a release: the centre's conductor is another process, and leaves nothing else behind."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from coordinator.release.history import History
from coordinator.release.release import SUMS
from coordinator.rounds.outcome import Outcome
from wardround.canonical import sha256
from wardround.errors import Problem, refuse
from wardround.messages.data_report import DataReport
from wardround.study.bundle import Bundle
from wardround.study.encoding import Encoding
from wardround.weights.packing import Vector, from_safetensors

SUM_DIGITS = 64


def read_outcome(release: Path, bundle: Bundle) -> Outcome:
    """Give the outcome whose release this is.

    Raises:
        Refused: E-READ when a file is missing or is none of this study's release, E-HASH when one differs from the sums.
    """
    files = _read(release)
    try:
        history = History.model_validate_json(files["history.json"])
        encoding = Encoding.model_validate_json(files["encoding.json"]) if history.status != "failed" else None
    except (KeyError, ValidationError):
        raise _unreadable("history.json", "it is none that we wrote") from None
    if history.study_hash != bundle.study_hash:
        raise _unreadable("history.json", "it is of another study")
    closed = [visit for visit in history.visits if visit.outcome == "closed"]
    rounds = {visit.round for visit in history.visits if visit.purpose == "round"}
    tests = [visit for visit in closed if visit.purpose == "test"]
    failed = history.status == "failed"
    return Outcome(
        roster=bundle.roster.sites,
        status=history.status,
        counted=history.counted,
        visits=len(closed),
        whole_visits=sum(visit.counted == bundle.roster.sites for visit in closed),
        fewest=min((len(visit.counted) for visit in closed), default=0),
        rounds=history.rounds,
        failed_rounds=len(rounds - {visit.round for visit in closed if visit.purpose == "round"}),
        stopped=history.stopped,
        encoding=encoding,
        best=None if failed else _weights("model.safetensors", files, bundle),
        best_round=history.best_round,
        best_metrics=history.best_metrics,
        best_evaluated_by=history.best_evaluated_by,
        last=None if failed else _weights("last.safetensors", files, bundle),
        test=tests[-1] if tests else None,
        history=list(history.visits),
        ledgers=dict(history.ledgers),
        reports={site: report for site, report in history.reports.items() if isinstance(report, DataReport)},
        withheld=dict(history.withheld),
        best_withheld=history.best_withheld,
        problems=tuple(Problem(**stated.model_dump()) for stated in history.problems),
    )


def _read(release: Path) -> dict[str, bytes]:
    """Give every file that the release's sums name, each as the sums have it."""
    files: dict[str, bytes] = {}
    try:
        for line in (release / SUMS).read_text().splitlines():
            wanted, name = line[:SUM_DIGITS], line[SUM_DIGITS + 2 :]
            files[name] = (release / name).read_bytes()
            if sha256(files[name]) != wanted:
                raise refuse(
                    "E-HASH",
                    name,
                    "The files of a release are those of its checksums",
                    "it differs",
                    "take the release from the centre again",
                )
    except (OSError, UnicodeDecodeError):
        raise _unreadable(SUMS, "a file is missing or cannot be read") from None
    return files


def _weights(name: str, files: dict[str, bytes], bundle: Bundle) -> Vector:
    packed = from_safetensors(files[name]) if name in files else None
    if packed is None or packed[1] != bundle.manifest:
        raise _unreadable(name, "these are no weights of the study's network")
    return packed[0]


def _unreadable(name: str, finding: str) -> Exception:
    return refuse("E-READ", name, "A release is whole and of one study", finding, "take the release from the centre again")

"""The centre's studies on disk: each a folder with its bundle and a state that anybody at the centre may read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import ValidationError

from coordinator.rounds.outcome import Outcome
from wardround.canonical import canonical_bytes, model_json
from wardround.errors import Refused, refuse
from wardround.files import new_private_folder, write_atomic
from wardround.messages.offer import OfferState
from wardround.messages.round import Purpose
from wardround.metrics.pooled import Metrics
from wardround.study.bundle import SUFFIX, Bundle, bundle_bytes, read_bundle
from wardround.values import Count, Sha256, Slug, Value, Version

STUDIES = "studies"
RELEASES = "releases"
BUNDLE = f"bundle{SUFFIX}"
STATE = "state.json"
JOURNAL = "journal"
HOLD = "hold"
HASH_SHOWN = 12
WAITING = "waiting for the operator"
"""The summary of a study whose journal cannot be read or written: tried again after a while."""
HELD = "held"
"""The summary of a study that was submitted with --hold, and does not begin before somebody says so."""

Phase: TypeAlias = Literal["submitted", "running", "complete", "partial", "failed"]
OPEN: tuple[Phase, ...] = ("submitted", "running")


class SiloState(Value):
    """One hospital in a study, as the centre sees it now.

    Attributes:
        offer: what it decided, as far as it said; None before it answered at all.
        activity: ``invited``, ``asked``, ``answered``, a code, or ``epoch 3 of 10, 27 %``.
    """

    site: Slug
    offer: OfferState | None = None
    activity: str = "invited"


class StudyState(Value):
    """Where a study is."""

    study_hash: Sha256
    name: Slug
    version: Version
    title: str
    phase: Phase
    purpose: Purpose | None = None
    round: Count = 0
    maximum: Count
    silos: tuple[SiloState, ...]
    metrics: Metrics | None = None
    summary: str = ""
    problems: tuple[str, ...] = ()
    release: str | None = None
    updated_at: str


@dataclass(frozen=True)
class StudyFolder:
    """One study's folder."""

    path: Path

    @property
    def held(self) -> bool:
        """Whether it waits for `coordinator begin`, whatever its hospitals have decided."""
        return (self.path / HOLD).exists()

    def bundle(self) -> Bundle:
        """Read its bundle."""
        return read_bundle(self.path / BUNDLE)

    def read(self) -> StudyState | None:
        """Read its state; None when it cannot be read."""
        try:
            return StudyState.model_validate_json((self.path / STATE).read_bytes())
        except (OSError, ValidationError):
            return None

    def read_or_restore(self) -> StudyState | None:
        """Read its state; one that cannot be read is made anew from the bundle. None when that cannot be read either."""
        state = self.read()
        if state is not None:
            return state
        try:
            made = _submitted(self.bundle())
            begun = (self.path / JOURNAL).is_dir()
            restored = made.model_copy(update={"phase": "running"}) if begun else made
            self.write(restored)
        except Refused:
            return None
        return restored

    def write(self, state: StudyState) -> None:
        """Write its state whole, with the time."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        stamped = state.model_copy(update={"updated_at": now})
        write_atomic(self.path / STATE, canonical_bytes(model_json(stamped)))


def folders(centre: Path) -> Iterator[StudyFolder]:
    """Give the studies of a centre, the oldest submission first."""
    paths = [path for path in (centre / STUDIES).glob("*") if (path / BUNDLE).exists()]
    for path in sorted(paths, key=lambda each: ((each / BUNDLE).stat().st_mtime_ns, each.name)):
        yield StudyFolder(path)


def find(centre: Path, named: str) -> tuple[StudyFolder, StudyState]:
    """Give the study of a name, or whose hash begins so.

    Raises:
        Refused: X-USAGE when there is none, or more than one.
    """
    known = [(folder, state) for folder in folders(centre) if (state := folder.read()) is not None]
    found = [each for each in known if named == each[1].name or (named and each[1].study_hash.startswith(named))]
    if len(found) == 1:
        return found[0]
    shown = ", ".join(f"{state.name} {state.version} ({state.study_hash[:HASH_SHOWN]})" for _, state in found or known)
    raise refuse(
        "X-USAGE",
        "STUDY",
        "A study is named by its name or the first digits of its hash",
        "several are named so" if found else "no study that was submitted here is",
        f"name one of: {shown}" if shown else "submit it first: wardround coordinator submit",
    )


def submit(centre: Path, bundle: Bundle, *, hold: bool = False) -> StudyFolder:
    """Take a study in; with ``hold`` it is offered, but does not begin before ``StudyFolder.held`` ends.

    Raises:
        Refused: O-EXISTS when it was submitted before.
    """
    folder = StudyFolder(centre / STUDIES / bundle.study_hash)
    if folder.path.exists():
        raise _submitted_before(bundle)
    try:
        with new_private_folder(folder.path) as beside:
            StudyFolder(beside).write(_submitted(bundle, HELD if hold else ""))
            if hold:
                write_atomic(beside / HOLD, b"")
            write_atomic(beside / BUNDLE, bundle_bytes(bundle))
    except FileExistsError:
        raise _submitted_before(bundle) from None
    folder.path.chmod(0o755)
    return folder


def _submitted_before(bundle: Bundle) -> Refused:
    return refuse(
        "O-EXISTS",
        f"study {bundle.study_hash[:HASH_SHOWN]}",
        "A study is conducted once",
        "exactly this study was submitted before",
        "see: wardround coordinator status; to conduct it anew, build it with another version",
    )


def _submitted(bundle: Bundle, summary: str = "") -> StudyState:
    """Give the state of a study that was just submitted."""
    study = bundle.study
    return StudyState(
        study_hash=bundle.study_hash,
        name=study.name,
        version=study.version,
        title=study.title,
        phase="submitted",
        maximum=study.rounds.maximum,
        silos=tuple(SiloState(site=site) for site in bundle.roster.sites),
        summary=summary,
        updated_at="",
    )


def release_folder(centre: Path, bundle: Bundle) -> Path:
    """Give the place of a study's release."""
    return centre / RELEASES / f"{bundle.study.name}-{bundle.study.version}-{bundle.study_hash[:HASH_SHOWN]}"


def ended(state: StudyState, outcome: Outcome, release: Path) -> StudyState:
    """Give the state after a study's end."""
    return state.model_copy(
        update={
            "phase": outcome.status,
            "round": outcome.rounds,
            "summary": outcome.summary,
            "metrics": None if outcome.test is None else outcome.test.pooled,
            "problems": tuple(str(problem) for problem in outcome.problems),
            "release": str(release.relative_to(release.parents[1])),
        }
    )

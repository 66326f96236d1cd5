"""The centre's studies on disk: each a folder with its bundle and a state that anybody at the centre may read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import ValidationError, model_validator

from coordinator.rounds.outcome import Outcome
from wardround.canonical import canonical_bytes, model_json
from wardround.errors import Refused, refuse
from wardround.files import new_private_folder, write_atomic
from wardround.messages.offer import OfferState
from wardround.messages.round import CentreCode, Percent, Purpose, SiloCode
from wardround.metrics.pooled import Metrics
from wardround.reference import Reference, with_reference
from wardround.strict_yaml import nearest
from wardround.study.bundle import SUFFIX, Bundle, bundle_bytes, read_bundle
from wardround.values import Count, Instant, Sha256, Slug, Value, Version

STUDIES = "studies"
RELEASES = "releases"
BUNDLE = f"bundle{SUFFIX}"
STATE = "state.json"
JOURNAL = "journal"
HOLD, HOLD_TRAINING = "hold", "hold-training"
HASH_SHOWN = 12
WAITING = "waiting for the operator"
"""The summary of a study whose journal cannot be read or written: tried again after a while."""
HELD = "held"
"""The summary of a study that was submitted with --hold, and does not begin before somebody says so."""
HELD_BEFORE_TRAINING = "held before training"
"""The summary of a study whose hospitals have told their statistics, and that goes on when somebody has looked at them."""

Phase: TypeAlias = Literal["submitted", "running", "complete", "partial", "failed"]
OPEN: tuple[Phase, ...] = ("submitted", "running")


SiloStatus: TypeAlias = Literal["invited", "asked", "working", "answered", "refused", "silent", "gone"]
"""``invited``: no visit yet; ``refused``: its last answer did not count, or it is not asked; ``silent``: it said nothing until a
deadline; ``gone``: it cannot be reached."""


class SiloState(Value):
    """One hospital in a study, as the centre sees it now.

    Attributes:
        offer: what it decided, as far as it said; None before it answered at all.
        attempt: how often the visit had been repeated when it was asked.
        code: why it does not count, where it is ``refused``; ``reference``: under which the hospital itself finds what happened.
        epoch, epochs, percent: how far it is, where it is ``working``: this epoch of so many, this part of them all.
        since: when it was found ``silent`` or ``gone``.
    """

    site: Slug
    offer: OfferState | None = None
    status: SiloStatus = "invited"
    attempt: Count = 0
    code: SiloCode | CentreCode | None = None
    reference: Reference | None = None
    epoch: Count | None = None
    epochs: Count | None = None
    percent: Percent | None = None
    since: Instant | None = None

    @model_validator(mode="after")
    def _says_what_its_status_needs(self) -> SiloState:
        """A status without what belongs to it, or with what belongs to another, is none."""
        told = {
            "refused": (self.code,),
            "working": (self.epoch, self.epochs, self.percent),
            "silent": (self.since,),
            "gone": (self.since,),
        }
        needed = told.get(self.status, ())
        if None in needed or sum(
            each is not None for each in (self.code, self.epoch, self.epochs, self.percent, self.since)
        ) != len(needed):
            msg = "a code stands with refused, epochs with working, a time with silent and gone, each whole"
            raise ValueError(msg)
        if self.reference is not None and self.code is None:
            msg = "a reference stands with a code"
            raise ValueError(msg)
        return self

    def now(self, status: SiloStatus, **more: object) -> SiloState:
        """Give this hospital in another status; nothing of the one before stays."""
        return SiloState.model_validate({"site": self.site, "offer": self.offer, "status": status, **more})

    @property
    def activity(self) -> str:
        """Say what it does, in the words that people read."""
        match self.status:
            case "invited":
                return self.offer or "invited"
            case "asked":
                return f"asked again ({self.attempt + 1})" if self.attempt else "asked"
            case "working":
                return f"epoch {self.epoch} of {self.epochs}, {self.percent} %"
            case "refused":
                return with_reference(str(self.code), self.reference)
            case "silent" | "gone":
                return f"{self.status} since {self.since}"
            case "answered":
                return "answered"


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

    @property
    def training_held(self) -> bool:
        """Whether it waits for `coordinator begin` between the first visit and the first round."""
        return (self.path / HOLD_TRAINING).exists()

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


def find_study(centre: Path, name: str) -> tuple[StudyFolder, StudyState]:
    """Give the one study that goes by a name, ``NAME-VERSION``, or the beginning of a study hash.

    Raises:
        Refused: X-STUDY when there is none, with the nearest name, or more than one.
    """
    known = [(folder, state) for folder in folders(centre) if (state := folder.read()) is not None]
    named = [each for each in known if name in (each[1].name, f"{each[1].name}-{each[1].version}")]
    found = named or [each for each in known if name and each[1].study_hash.startswith(name)]
    if len(found) == 1:
        return found[0]
    rule = "A study goes by its name, NAME-VERSION, or the beginning of its hash"
    if found:
        several = ", ".join(f"{state.name}-{state.version} ({state.study_hash[:HASH_SHOWN]})" for _, state in found)
        raise refuse("X-STUDY", name, rule, f"{len(found)} studies go by it: {several}", "name one of them by its hash")
    guess = nearest(name, {word for _, state in known for word in (state.name, f"{state.name}-{state.version}")})
    step = "see: wardround coordinator status" if guess is None else f"did you mean {guess}?"
    raise refuse("X-STUDY", name, rule, "the centre has no such study", step)


def submit(centre: Path, bundle: Bundle, *, hold: bool = False, hold_training: bool = False) -> StudyFolder:
    """Take a study in; with ``hold`` it is offered, but does not begin before ``StudyFolder.held`` ends, and with
    ``hold_training`` no round begins before ``StudyFolder.training_held`` does.

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
            if hold_training:
                write_atomic(beside / HOLD_TRAINING, b"")
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

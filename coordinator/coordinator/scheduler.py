"""The conductor's day: offers studies to their hospitals, conducts what is approved, and writes down where each is."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeAlias

from coordinator.canary.files import pending_request, withdraw_request, write_result
from coordinator.canary.visit import fly
from coordinator.journal.journal import DiskJournal, Halted
from coordinator.release.release import check_release, write_release
from coordinator.rounds.admission import Admitted, Decision
from coordinator.rounds.conductor import Conductor, Surroundings, TrainingHeld
from coordinator.rounds.grid import Grid, Outgoing
from coordinator.rounds.policy import shortfall
from coordinator.studies import (
    HELD,
    HELD_BEFORE_TRAINING,
    WAITING,
    SiloState,
    SiloStatus,
    StudyFolder,
    StudyState,
    ended,
    folders,
    release_folder,
)
from wardround import __version__
from wardround.errors import Problem, Refused
from wardround.identity.keys import SigningKey
from wardround.identity.roster import Roster
from wardround.identity.succession import Current, as_on_roster
from wardround.messages.envelope import Envelope, digests, read, seal, signed_by
from wardround.messages.offer import OFFER_ANSWER, Offer, OfferState
from wardround.messages.record import RoundRecord, SiloRecord
from wardround.messages.round import Purpose
from wardround.reference import with_reference
from wardround.study.bundle import Bundle, bundle_bytes
from wardround.values import instant

log = logging.getLogger("conductor")

OFFER_SECONDS = 30.0
"""How long an offer without a bundle is worth delivering; a hospital that is away is asked again after it."""
SLOWEST_BYTES_A_SECOND = 1_000_000
"""The slowest line (8 Mbit/s) over which a bundle still comes in time; Flower drops a message whose time is over, however much of
it has arrived."""
ASK_AGAIN_SECONDS = 3.0
WAIT_SECONDS = 0.5
FINAL: tuple[OfferState, ...] = ("approved", "rejected", "refused", "refused-by-policy")
HALTED_SECONDS = 10.0
"""How long to wait before a study is tried again whose journal cannot be read, or that the disk did not take."""
STATE_SECONDS = 0.25
"""How often the state of a running study is written at most."""

MakeGrid = Callable[[Bundle], Grid]
"""Makes a grid to exactly the hospitals of a study's roster, which takes no larger answer than the study can have."""


WhoIsRemoved = Callable[[Roster], Collection[str]]
"""Says which hospitals of a roster the centre has removed by now."""


def _nobody(_roster: Roster) -> Collection[str]:
    return ()


_Found: TypeAlias = tuple[SiloStatus, Mapping[str, object]]
"""A hospital's status, and what belongs to it."""


class StateKeeper:
    """Watches a conductor and keeps the study's state on disk."""

    def __init__(self, folder: StudyFolder, state: StudyState) -> None:
        """Take the study's folder and its state."""
        self._folder = folder
        self.state = state
        self._written = 0.0

    def opened(self, purpose: Purpose, round_number: int, attempt: int, sites: tuple[str, ...]) -> None:
        """A visit begins."""
        self._silos({site: ("asked", {"attempt": attempt}) for site in sites})
        self._update({"purpose": purpose, "round": round_number}, at_once=True)

    def answered(self, site: str, decision: Decision) -> None:
        """A hospital answered."""
        if isinstance(decision, Admitted):
            self._silos({site: ("answered", {})})
        else:
            told = with_reference(decision.code, decision.reference)
            log.warning("%s %s: the answer of %s does not count: %s", self.state.name, self.state.version, site, told)
            self._silos({site: ("refused", {"code": decision.code, "reference": decision.reference})})
        self._update({})

    def working(self, site: str, epoch: int, epochs: int, percent: int) -> None:
        """A hospital is still at its task."""
        self._silos({site: ("working", {"epoch": epoch, "epochs": epochs, "percent": percent})})
        self._update({}, at_once=True)

    def away(self, site: str) -> None:
        """A hospital cannot be reached any more, and is waited for."""
        self._silos({site: ("gone", {"since": instant(datetime.now(UTC))})})
        self._update({}, at_once=True)

    def closed(self, record: RoundRecord) -> None:
        """A visit ended."""
        now = instant(datetime.now(UTC))
        known = {silo.site: silo for silo in self.state.silos}
        self._silos({silo.site: _absence(silo, known[silo.site], now) for silo in record.silos if silo.code is not None})
        self._update({} if record.pooled is None else {"metrics": record.pooled}, at_once=record.outcome == "failed")

    def _silos(self, found: Mapping[str, _Found]) -> None:
        silos = tuple(
            silo.now(found[silo.site][0], **found[silo.site][1]) if silo.site in found else silo for silo in self.state.silos
        )
        self.state = self.state.model_copy(update={"silos": silos})

    def _update(self, changes: Mapping[str, object], *, at_once: bool = False) -> None:
        self.state = self.state.model_copy(update=dict(changes))
        if at_once or time.monotonic() - self._written > STATE_SECONDS:
            with suppress(Refused):  # it only shows: what counts is in the journal
                self._folder.write(self.state)
            self._written = time.monotonic()


def _absence(silo: SiloRecord, before: SiloState, now: str) -> _Found:
    """Say how a hospital is absent: what it was refused for, that it could not be reached, or that it says nothing."""
    if silo.status != "silent":
        return "refused", {"code": silo.code, "reference": silo.reference}
    if silo.seconds is None and before.status != "gone":
        return "silent", {"since": now}
    return "gone", {"since": before.since if before.status == "gone" else now}


@dataclass
class _Asked:
    """An offer that is out."""

    folder: StudyFolder
    bundle: Bundle
    site: str
    end: float


class Scheduler:
    """Looks after all studies of a centre, one visit at a time."""

    def __init__(
        self,
        centre: Path,
        key: SigningKey,
        make_grid: MakeGrid,
        removed: WhoIsRemoved = _nobody,
        current: Current = as_on_roster,
    ) -> None:
        """Take the centre's directory, its key, how to reach hospitals, who says which are removed, and which keys they have."""
        self._removed = removed
        self._current = current
        self._centre = centre
        self._key = key
        self._make_grid = make_grid
        self._bundles: dict[str, Bundle] = {}
        self._grids: dict[tuple[str, frozenset[str]], Grid] = {}
        self._asked: dict[str, _Asked] = {}
        self._next_ask: dict[tuple[str, str], float] = {}
        self._lacking: set[tuple[str, str]] = set()
        self._halted: dict[str, float] = {}

    def run(self, stop: threading.Event) -> None:
        """Look after the studies until told to stop."""
        while not stop.is_set():
            self.tick()

    def tick(self) -> None:
        """Go on with what a conductor before this one left open; else offer, listen for a moment, and conduct what is ready."""
        known = [(folder, state) for folder in folders(self._centre) if (state := folder.read_or_restore()) is not None]
        now = time.monotonic()
        running = [(folder, state) for folder, state in known if state.phase == "running"]
        interrupted = [each for each in running if self._halted.get(each[1].study_hash, 0.0) <= now and not _waits(*each)]
        if interrupted:
            self._conduct(*interrupted[0])
            return
        self._answer_canaries(known)
        waiting = [(folder, state) for folder, state in known if state.phase == "submitted"]
        for folder, state in waiting:
            try:
                self._offer(folder, state)
            except Refused as error:  # its bundle was damaged here; the other studies go on
                _fail(folder, state, error)
        self._listen()
        for folder, _ in waiting:
            fresh = folder.read()
            if fresh is not None and not _held(folder, fresh) and self._decided(folder, fresh):
                try:
                    self._begin(folder, fresh)
                except Refused as error:  # its state cannot be written now; it stays submitted
                    log.error("%s cannot begin: %s", fresh.name, error)  # noqa: TRY400  (a coded error, not a trace)
                return

    def _decided(self, folder: StudyFolder, state: StudyState) -> bool:
        """Say whether every hospital has decided; nobody waits for one that is removed."""
        undecided = {silo.site for silo in state.silos if silo.offer not in FINAL}
        try:
            return not undecided or undecided <= {*self._out(folder, state)}
        except Refused:  # its bundle was damaged here: it does not begin
            return False

    def _out(self, folder: StudyFolder, state: StudyState) -> Collection[str]:
        return self._removed(self._bundle(folder, state.study_hash).roster)

    def _answer_canaries(self, known: list[tuple[StudyFolder, StudyState]]) -> None:
        """Visit the hospitals of studies for which a canary is asked; between studies only, since a round goes first."""
        for folder, state in known:
            request = pending_request(folder.path)
            if request is None:
                continue
            try:
                grid = self._grid(self._bundle(folder, state.study_hash))
                write_result(folder.path, fly(folder.bundle(), self._key, grid, request, self._out(folder, state), self._current))
            except Refused as error:
                log.error("a canary of %s was not answered: %s", state.name, error)  # noqa: TRY400  (a coded error, no trace)
                with suppress(OSError):
                    withdraw_request(folder.path, request)

    def _offer(self, folder: StudyFolder, state: StudyState) -> None:
        """Ask every hospital that has not decided, unless it is being asked."""
        bundle = self._bundle(folder, state.study_hash)
        now = time.monotonic()
        asking = {(asked.folder.path, asked.site) for asked in self._asked.values() if asked.end > now}
        out = self._out(folder, state)
        _show_removed(folder, state, out)
        for silo in state.silos:
            due = self._next_ask.get((state.study_hash, silo.site), 0.0) <= now and silo.site not in out
            if silo.offer not in FINAL and due and (folder.path, silo.site) not in asking:
                self._ask(folder, bundle, silo.site)

    def _ask(self, folder: StudyFolder, bundle: Bundle, site: str) -> None:
        """Ask a hospital what it decided; one that has just said that it lacks the bundle is sent it."""
        lacks = (bundle.study_hash, site) in self._lacking
        self._lacking.discard((bundle.study_hash, site))
        arrays = (bundle_bytes(folder.bundle()),) if lacks else ()
        offer = Offer(
            to=site, study_hash=bundle.study_hash, author=bundle.author_key, wardround=__version__, bodies=digests(arrays)
        )
        envelope = seal("offer", offer, self._key, arrays)
        seconds = OFFER_SECONDS + sum(len(array) for array in arrays) / SLOWEST_BYTES_A_SECOND
        (message_id,) = self._grid(bundle).push_messages([Outgoing(site, envelope, seconds)])
        self._asked[message_id] = _Asked(folder, bundle, site, time.monotonic() + seconds)

    def _listen(self) -> None:
        """Take what hospitals answered to offers."""
        now = time.monotonic()
        self._asked = {message_id: asked for message_id, asked in self._asked.items() if asked.end > now}
        by_grid: dict[int, tuple[Grid, list[str]]] = {}
        for message_id, asked in self._asked.items():
            grid = self._grid(asked.bundle)
            by_grid.setdefault(id(grid), (grid, []))[1].append(message_id)
        if not by_grid:
            time.sleep(WAIT_SECONDS)
        for grid, ids in by_grid.values():
            for incoming in grid.pull_messages(ids, WAIT_SECONDS / len(by_grid)):
                self._heard(self._asked.pop(incoming.reply_to), incoming.envelope)

    def _heard(self, asked: _Asked, envelope: Envelope | None) -> None:
        member = asked.bundle.roster.member(asked.site)
        answer = None if envelope is None else read(envelope, OFFER_ANSWER)
        pause = ASK_AGAIN_SECONDS
        out = self._removed(asked.bundle.roster)
        if envelope is not None and answer is not None and member is not None and asked.site not in out:
            ours = (answer.site, answer.study_hash) == (asked.site, asked.bundle.study_hash)
            if ours and signed_by(envelope, "reply", self._current(member).signing_key):
                self._note(asked.folder, asked.site, answer.state)
                if answer.state == "unknown":
                    self._lacking.add((asked.bundle.study_hash, asked.site))
                    pause = 0.0
        self._next_ask[asked.bundle.study_hash, asked.site] = time.monotonic() + pause

    def _note(self, folder: StudyFolder, site: str, offer: OfferState) -> None:
        state = folder.read()
        if state is not None:
            silos = tuple(silo.model_copy(update={"offer": offer}) if silo.site == site else silo for silo in state.silos)
            if silos != state.silos:
                with suppress(Refused):  # it is asked again
                    folder.write(state.model_copy(update={"silos": silos}))

    def _begin(self, folder: StudyFolder, state: StudyState) -> None:
        """Begin a study that every hospital has decided about."""
        bundle = self._bundle(folder, state.study_hash)
        out = self._out(folder, state)
        approved = {silo.site: 1 for silo in state.silos if silo.offer == "approved" and silo.site not in out}
        rules = bundle.study.silos.model_copy(update={"minimum_records": 1})
        if shortfall(rules, approved):
            folder.write(
                state.model_copy(update={"phase": "failed", "summary": "failed", "problems": (str(_declined(state, out)),)})
            )
            return
        running = state.model_copy(update={"phase": "running", "summary": ""})
        folder.write(running)
        self._conduct(folder, running)

    def _conduct(self, folder: StudyFolder, state: StudyState) -> None:
        """Conduct a study from where its journal ends. A disk that is full fails no study: it goes on when there is space."""
        keeper = StateKeeper(folder, state.model_copy(update={"problems": (), "summary": ""}))
        try:
            bundle = self._bundle(folder, state.study_hash)
            removed = partial(self._removed, bundle.roster)
            with closing(DiskJournal(folder.path, bundle)) as journal:
                grid = self._grid(bundle)
                waits = partial(getattr, folder, "training_held")
                surroundings = Surroundings(removed, self._current, waits)
                outcome = Conductor(folder.bundle(), self._key, grid, keeper, journal, surroundings).run()
            release = release_folder(self._centre, bundle)
            if release.exists():  # whole, if it is there: written in a life before this one
                check_release(release, outcome)
            else:
                write_release(release, folder.bundle(), outcome)
            folder.write(ended(keeper.state, outcome, release))
        except TrainingHeld:
            with suppress(Refused):  # it is asked again
                folder.write(keeper.state.model_copy(update={"summary": HELD_BEFORE_TRAINING}))
        except Halted as halted:
            self._halt(folder, keeper.state, halted.refused)
        except Refused as error:  # a file of its own that is damaged or cannot be written: mended, it goes on
            self._halt(folder, keeper.state, error)

    def _halt(self, folder: StudyFolder, state: StudyState, error: Refused) -> None:
        """Say that a study waits for a person, as far as the disk takes it; it is tried again after a while."""
        problems = tuple(str(problem) for problem in error.problems)
        log.error("%s waits: %s", state.name, "; ".join(problems))
        with suppress(Refused):
            folder.write(state.model_copy(update={"problems": problems, "summary": WAITING}))
        self._halted[state.study_hash] = time.monotonic() + HALTED_SECONDS

    def _bundle(self, folder: StudyFolder, study_hash: str) -> Bundle:
        """Give a study without its weights: they are read when they are needed, and not held."""
        if study_hash not in self._bundles:
            self._bundles[study_hash] = folder.bundle().lightened()
        return self._bundles[study_hash]

    def _grid(self, bundle: Bundle) -> Grid:
        """Give the grid to exactly the hospitals of a study's roster: nobody else ever gets anything of it."""
        name = bundle.study_hash, frozenset(self._removed(bundle.roster))  # who is let in again is reached by another grid
        if name not in self._grids:
            self._grids[name] = self._make_grid(bundle)
        return self._grids[name]


def _waits(folder: StudyFolder, state: StudyState) -> bool:
    """Say whether a study's statistics are there, and nobody has let it train yet."""
    return folder.training_held and state.summary == HELD_BEFORE_TRAINING


def _held(folder: StudyFolder, state: StudyState) -> bool:
    """Say whether a study is held, and show it in its state when that is over."""
    held = folder.held
    if not held and state.summary == HELD:
        with suppress(Refused):  # it only shows
            folder.write(state.model_copy(update={"summary": ""}))
    return held


def _fail(folder: StudyFolder, state: StudyState, error: Refused) -> None:
    problems = tuple(str(problem) for problem in error.problems)
    with suppress(Refused):  # it is found again
        folder.write(state.model_copy(update={"phase": "failed", "summary": "failed", "problems": problems}))


def _show_removed(folder: StudyFolder, state: StudyState, out: Collection[str]) -> None:
    """Say in a study's state who is removed, before it begins."""
    shown = tuple(
        silo.now("refused", code="R-REMOVED") if silo.site in out and silo.status == "invited" else silo for silo in state.silos
    )
    if shown != state.silos:
        with suppress(Refused):  # it only shows
            folder.write(state.model_copy(update={"silos": shown}))


def _declined(state: StudyState, out: Collection[str]) -> Problem:
    told = {silo.site: "removed from the centre" if silo.site in out else silo.offer for silo in state.silos}
    said = ", ".join(f"{site}: {offer}" for site, offer in told.items() if offer != "approved")
    return Problem(
        "C-QUORUM",
        f"{state.name} {state.version}",
        "A study begins when enough hospitals have approved it",
        f"these have not: {said}",
        "speak with them, build a study that they can approve, and submit that one",
    )

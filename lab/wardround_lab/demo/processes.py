"""The demonstration on real processes: a centre and four hospitals, each with its services, over TLS on loopback.

Everything is done by the commands that hospitals and the operator type, in their order; hospitals type side by side, as
they would. Only the comparison at the end is the demonstration's own: it needs all records in one place.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from coordinator.release.release import write_release
from coordinator.studies import STUDIES, StudyFolder, StudyState
from silo_node.configuration import Site, load_site
from wardround.errors import refuse
from wardround.study.bundle import SUFFIX, Bundle, read_bundle
from wardround_lab.demo.released import read_outcome
from wardround_lab.demo.story import (
    APPROVER,
    CENTRE,
    CENTRE_NAME,
    RELEASE,
    ROLE,
    ROUNDS,
    STUDY,
    Demo,
    Story,
    author_words,
    passphrase_words,
    show_checks,
    show_step,
    signing_words,
    write_study,
)
from wardround_lab.demo.terminals import Terminals, Words
from wardround_lab.demo.watching import Watching

LOGS = "logs"
LOOPBACK = "127.0.0.1"
OFFER_SECONDS = 90.0
"""How long the study may take to reach every inbox, and the approvals to be heard; seconds are normal."""
LOOK_SECONDS = 0.1
STARTED = ("running", "complete", "partial", "failed")
ENDED = ("complete", "partial", "failed")


def run(folder: Path, screen: Console, story: Story) -> Demo:
    """Run everything, stop every process, compare and release.

    Raises:
        Refused: V-CHILD when a command fails or a service ends; C-QUORUM when the study does not begin. Nothing runs on.
    """
    step = partial(show_step, screen)
    with step("hospitals", f"four folders in {folder}"):
        site_paths = story.make_hospitals(folder)
        write_study(folder, story)
    with Terminals(folder / LOGS) as terminals:
        town = Town(story, folder, tuple(load_site(path) for path in site_paths), terminals)
        with step("keys", "hospitals, centre and author make their own (silo init)"):
            town.make_keys()
        with step("enrolment", "requests to the centre, invitations back (silo join)"):
            town.enrol()
        with step("check", story.check):
            town.check()
        show_checks(screen, story, town.sites)
        with step("study", "study, schema, first weights, roster: one hash, signed (study build)"):
            bundle = town.build()
        with step("services", "centre and hospitals, each with its own (silo start)"):
            terminals.await_up()
        with step("offer", "the study goes to the inboxes (coordinator submit)"):
            town.submit(bundle)
        with step("approval", "by each hospital, with its own key (silo approve)"):
            town.approve(bundle)
        with step(ROUNDS, "the model visits until it no longer improves"):
            final = town.watch(bundle, screen)
        with step("stop", "the services end"):
            terminals.stop()
    return _finish(town, bundle, final, screen)


@dataclass(frozen=True)
class Town:
    """The centre and the hospitals of the demonstration, and what their people type."""

    story: Story
    folder: Path
    sites: tuple[Site, ...]
    terminals: Terminals

    @property
    def centre(self) -> Path:
        """The centre's directory."""
        return self.folder / CENTRE

    def make_keys(self) -> None:
        """Make everybody's keys; then the centre starts, and hospitals can connect as soon as they are enrolled."""
        with socket.socket() as held:  # nobody else gets this port while the keys are made
            held.bind((LOOPBACK, 0))
            port = held.getsockname()[1]
            address = ("--address", f"localhost:{port}", "--listen", f"{LOOPBACK}:{port}")
            centre = ("coordinator", "init", self.centre, "--name", CENTRE_NAME, *address)
            author = ("study", "author", "init", *author_words(self.folder))
            hospitals = self._each("init", lambda site: ("silo", "init", *passphrase_words(site.folder)))
            self.terminals.type({"centre-init": centre, "author-init": author, **hospitals})
        self.terminals.leave_running("centre", "coordinator", "start", self.centre)

    def _each(self, name: str, words: Callable[[Site], Words]) -> dict[str, Words]:
        """Give a command for each hospital."""
        return {f"{site.file.site}-{name}": (*words(site), "--site", site.path) for site in self.sites}

    def enrol(self) -> None:
        """Bring every hospital in; then they start."""
        enrolments: dict[str, Words] = {
            f"{site.file.site}-enrol": ("coordinator", "enrol", site.folder / "request.json", "--dir", self.centre, "--yes")
            for site in self.sites
        }
        self.terminals.type(enrolments)
        invitations = self.centre / "invitations"
        self.terminals.type(self._each("join", lambda site: ("silo", "join", invitations / f"{site.file.site}.json")))
        self.terminals.await_up()  # of the centre: a node that finds nobody there does not start
        for site in self.sites:
            self.terminals.leave_running(site.file.site, "silo", "start", "--site", site.path)

    def build(self) -> Bundle:
        """Build the study's bundle."""
        requests = [word for site in self.sites for word in ("--silo", site.folder / "request.json")]
        found = self.story.schema_words(self.folder)
        study: Words = ("study", "build", self.folder / STUDY, *found, "--coordinator", self.centre / "coordinator.json")
        path = self.folder / self.story.bundle
        self.terminals.type({"study-build": (*study, *requests, *signing_words(self.folder), "--out", path)})
        return read_bundle(path)

    def check(self) -> None:
        """Have every hospital check its records for the study."""
        self.terminals.type(self._each("check", lambda _: ("silo", "check", *self.story.check_words(self.folder))))

    def submit(self, bundle: Bundle) -> None:
        """Submit the study, and wait until it is in every hospital's inbox."""
        self.terminals.type({"centre-submit": ("coordinator", "submit", self.folder / self.story.bundle, "--dir", self.centre)})
        self._until(
            bundle,
            lambda state: all(silo.offer not in (None, "unknown") for silo in state.silos),
            "the study has not reached every hospital",
        )

    def approve(self, bundle: Bundle) -> None:
        """Have every hospital approve what is in its inbox, and wait until the centre has heard it."""

        def words(site: Site) -> Words:
            inbox = site.folder / "inbox" / f"{bundle.study_hash}{SUFFIX}"
            return ("silo", "approve", inbox, "--approver", APPROVER, "--role", ROLE, *passphrase_words(site.folder))

        self.terminals.type(self._each("approve", words))
        state = self._until(bundle, lambda state: state.phase in STARTED, "the centre has not heard every approval")
        if state.phase == "failed" and state.release is None:
            raise _not_begun(bundle, "; ".join(state.problems))

    def watch(self, bundle: Bundle, screen: Console) -> StudyState:
        """Show the study's rounds until it has ended; its own deadlines bound them."""
        folder = StudyFolder(self.centre / STUDIES / bundle.study_hash)
        names = {site.file.site: site.file.name for site in self.sites}
        with Watching(bundle.study.rounds.maximum, names, screen) as watching:
            while True:
                state = folder.read()
                if state is not None:
                    watching.show(state)
                    if state.phase in ENDED:
                        return state
                self.terminals.require_all()
                time.sleep(LOOK_SECONDS)

    def _until(self, bundle: Bundle, holds: Callable[[StudyState], bool], otherwise: str) -> StudyState:
        """Wait until something holds of the study's state at the centre."""
        folder = StudyFolder(self.centre / STUDIES / bundle.study_hash)
        end = time.monotonic() + OFFER_SECONDS
        while True:
            state = folder.read()
            if state is not None and holds(state):
                return state
            self.terminals.require_all()
            if time.monotonic() > end:
                raise _not_begun(bundle, f"{otherwise} after {OFFER_SECONDS:.0f} seconds")
            time.sleep(LOOK_SECONDS)


def _not_begun(bundle: Bundle, finding: str) -> Exception:
    return refuse(
        "C-QUORUM",
        bundle.study.name,
        "The demonstration's study begins when every hospital has approved it",
        finding,
        f"look into the folder {LOGS} of the demonstration, and into logs of its centre and its hospitals",
    )


def _finish(town: Town, bundle: Bundle, final: StudyState, screen: Console) -> Demo:
    """Compare the centre's result, and release it once more with the comparison: all else in it is the centre's own."""
    if final.release is None:
        raise _not_begun(bundle, "; ".join(final.problems))
    from wardround_lab.demo import baselines  # noqa: PLC0415  (torch and MONAI: nobody waits for them at the beginning)

    step = partial(show_step, screen)
    outcome = read_outcome(town.centre / final.release, bundle)
    comparison = None
    if outcome.status != "failed":
        with step("comparison", "one model of all records, and one of each hospital's"):
            comparison = baselines.compare(bundle, town.sites, outcome, town.story.note, side_by_side=town.story.images)
    with step("release", "the centre's, with the comparison; report, checksums"):
        write_release(town.folder / RELEASE, bundle, outcome, comparison=comparison)
    return Demo(town.story, town.folder, bundle, town.sites, outcome, comparison)

"""The demonstration in one process: every command as if it had been typed, and no service."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path

import click
from rich.console import Console

from coordinator.commands import coordinator as coordinator_commands
from coordinator.identity import load_centre
from coordinator.release.release import write_release
from silo_node.commands import silo as silo_commands
from silo_node.configuration import Site, load_site
from wardround.errors import Broken
from wardround.models.commands import build
from wardround.study.author_commands import author
from wardround.study.bundle import read_bundle
from wardround_lab.demo import baselines
from wardround_lab.demo.story import (
    APPROVER,
    CENTRE,
    CENTRE_NAME,
    RELEASE,
    ROLE,
    ROUNDS,
    Demo,
    Story,
    author_words,
    passphrase_words,
    show_checks,
    show_step,
    signing_words,
    write_study,
)
from wardround_lab.progress import Display
from wardround_lab.simulate import simulate


def run(folder: Path, screen: Console, story: Story) -> Demo:
    """Make the hospitals, have every command run that a person would type, conduct the study, compare and release."""
    step = partial(show_step, screen)
    with step("hospitals", f"four folders in {folder}"):
        site_paths = story.make_hospitals(folder)
        study_path = write_study(folder, story)
    with step("keys", "hospitals, centre and author make their own (silo init)"):
        for path in site_paths:
            _type(silo_commands, "init", "--site", str(path), *passphrase_words(path.parent))
        _type(coordinator_commands, "init", str(folder / CENTRE), "--name", CENTRE_NAME)
        _type(author, "init", *author_words(folder))
    sites = tuple(load_site(path) for path in site_paths)
    with step("check", story.check):
        for path in site_paths:
            _type(silo_commands, "check", "--site", str(path), *story.check_words(folder))
    show_checks(screen, story, sites)
    with step("study", "study, schema, first weights, roster: one hash, signed (study build)"):
        bundle_path = _build(folder, study_path, sites, story)
    with step("approval", "by each hospital, with its own key (silo approve)"):
        for path in site_paths:
            person = ("--approver", APPROVER, "--role", ROLE, *passphrase_words(path.parent))
            _type(silo_commands, "approve", str(bundle_path), "--site", str(path), *person)
    bundle = read_bundle(bundle_path)
    with step(ROUNDS, "the model visits until it no longer improves"), Display(bundle.study, screen) as display:
        outcome = simulate(bundle, sites, load_centre(folder / CENTRE), display)
    comparison = None
    if outcome.status != "failed":
        with step("comparison", "one model of all records, and one of each hospital's"):
            comparison = baselines.compare(bundle, sites, outcome, story.note, side_by_side=story.images)
    with step("release", "model, encoding, history, report, checksums"):
        write_release(folder / RELEASE, bundle, outcome, comparison=comparison)
    return Demo(story, folder, bundle, sites, outcome, comparison)


def _build(folder: Path, study_path: Path, sites: tuple[Site, ...], story: Story) -> Path:
    bundle_path = folder / story.bundle
    silos = [word for site in sites for word in ("--silo", str(site.folder / "request.json"))]
    centre = str(folder / CENTRE / "coordinator.json")
    found = (*story.schema_words(folder), *signing_words(folder))
    _type(build, str(study_path), "--coordinator", centre, *silos, *found, "--out", str(bundle_path))
    return bundle_path


def _type(command: click.Command, *words: str) -> None:
    """Run a command as if it had been typed, without its text.

    Raises:
        Refused: as the command does.
        Broken: when it ends with another status than 0; nothing that the demonstration made is out of order.
    """
    with redirect_stdout(io.StringIO()):
        status = command.main(list(words), standalone_mode=False)
    if status:
        msg = f"{command.name} {words[0]} ended with status {status}"
        raise Broken(msg)

"""The demonstration, step by step: the commands that people at the hospitals and the centre would type, in their order."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape

from coordinator.commands import coordinator as coordinator_commands
from coordinator.identity import load_centre
from coordinator.release.comparison import Comparison
from coordinator.release.release import write_release
from coordinator.rounds.outcome import Outcome
from silo_node.commands import silo as silo_commands
from silo_node.configuration import Site, load_site
from wardround.canonical import model_json
from wardround.console import print_json, print_problems
from wardround.errors import Broken
from wardround.models.commands import build
from wardround.study.bundle import SUFFIX, Bundle, read_bundle
from wardround_lab.demo import baselines
from wardround_lab.demo.hospitals import make_hospitals
from wardround_lab.demo.tables import final_tables
from wardround_lab.progress import Display
from wardround_lab.simulate import simulate

STUDY = "study.yaml"
CENTRE = "centre"
RELEASE = "release"
ROUNDS = "rounds"
APPROVER, ROLE = "A. Demo", "made-up data protection officer"
NOTE = (
    "Real patients, made-up split: the records are the 569 of the Wisconsin diagnostic breast cancer data, the hospitals and "
    "who lies in which are made up. It is an easy task: nearly every model orders the patients well. Pooled and alone are "
    "shown because a demonstration has all records at hand; a real study has not, and withholds what the hospitals withhold."
)


@dataclass(frozen=True)
class Demo:
    """What the demonstration made: the study, what became of it, and how it compares."""

    folder: Path
    bundle: Bundle
    sites: tuple[Site, ...]
    outcome: Outcome
    comparison: Comparison | None

    @property
    def release(self) -> Path:
        """Where the release lies."""
        return self.folder / RELEASE


def conduct(folder: Path, form: str) -> int:
    """Run the demonstration in an empty folder and report; gives the study's exit status."""
    screen = Console(stderr=form == "json", highlight=False)
    begun = time.monotonic()
    screen.print("[bold]Wardround demo[/]: real patients, made-up split. Everything stays on this machine.\n")
    made = run(folder, screen)
    if form == "json":
        print_json(
            {
                "status": made.outcome.status,
                "summary": made.outcome.summary,
                "study_hash": made.bundle.study_hash,
                "rounds": made.outcome.rounds,
                "best_round": made.outcome.best_round,
                "stopped": made.outcome.stopped,
                "counted": list(made.outcome.counted),
                "folder": str(folder),
                "release": str(made.release),
                "seconds": round(time.monotonic() - begun, 1),
                "comparison": None if made.comparison is None else model_json(made.comparison),
                "problems": [dict(problem.as_json()) for problem in made.outcome.problems],
            }
        )
        return made.outcome.exit_status
    if made.outcome.problems:
        print_problems(made.outcome.problems)
    if made.comparison is not None:
        screen.print()
        for part in final_tables(made.comparison, made.outcome):
            screen.print(part)
        screen.print(f"\n{escape(NOTE)}")
    screen.print(f"\nStudy: [bold]{escape(made.outcome.summary)}[/], {time.monotonic() - begun:.0f} s.")
    screen.print(f"Report: {escape(str(made.release / 'report.html'))}", soft_wrap=True)
    return made.outcome.exit_status


def run(folder: Path, screen: Console) -> Demo:
    """Make the hospitals, have every command run that a person would type, conduct the study, compare and release."""
    step = partial(_step, screen)
    with step("hospitals", f"four folders in {folder}"):
        site_paths = make_hospitals(folder)
        study_path = folder / STUDY
        study_path.write_bytes(files("wardround_lab.demo").joinpath(STUDY).read_bytes())
    with step("keys", "each hospital and the centre make their own (silo init)"):
        for path in site_paths:
            _type(silo_commands, "init", "--site", str(path))
        _type(coordinator_commands, "init", str(folder / CENTRE), "--name", "Demonstration centre")
    sites = tuple(load_site(path) for path in site_paths)
    with step("study", "study, schema, first weights, roster: one hash (study build)"):
        bundle_path = _build(folder, study_path, sites)
    with step("check", "every record held against the schema (silo check)"):
        for path in site_paths:
            _type(silo_commands, "check", "--site", str(path), "--study", str(study_path))
    with step("approval", "by each hospital, with its own key (silo approve)"):
        for path in site_paths:
            _type(silo_commands, "approve", str(bundle_path), "--site", str(path), "--approver", APPROVER, "--role", ROLE)
    bundle = read_bundle(bundle_path)
    with step(ROUNDS, "the model visits until it no longer improves"), Display(bundle.study, screen) as display:
        outcome = simulate(bundle, sites, load_centre(folder / CENTRE)[1], display)
    comparison = None
    if outcome.status != "failed":
        with step("comparison", "one model of all records, and one of each hospital's"):
            comparison = baselines.compare(bundle, baselines.gather(bundle, sites), outcome, NOTE)
    with step("release", "model, encoding, history, report, checksums"):
        write_release(folder / RELEASE, bundle, outcome, comparison=comparison)
    return Demo(folder, bundle, sites, outcome, comparison)


def _build(folder: Path, study_path: Path, sites: tuple[Site, ...]) -> Path:
    bundle_path = folder / f"breast-mass{SUFFIX}"
    silos = [word for site in sites for word in ("--silo", str(site.folder / "request.json"))]
    centre = str(folder / CENTRE / "coordinator.json")
    _type(build, str(study_path), "--coordinator", centre, *silos, "--out", str(bundle_path))
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


@contextmanager
def _step(screen: Console, name: str, text: str) -> Iterator[None]:
    """Show one line for a step: that it is being done, and how long it took when it is done."""
    begun = time.monotonic()
    line = f"[bold]{name:<11}[/]{escape(text)}"
    if name == ROUNDS or not screen.is_terminal:  # the rounds have a display of their own
        screen.print(line)
        yield
        return
    with screen.status(line):
        yield
    screen.print(f"{line} [dim]({time.monotonic() - begun:.1f} s)[/]")

"""What all demonstrations and both ways of each share: what one is about, the words, the names, and the report at the end."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from coordinator.release.comparison import Comparison
from coordinator.rounds.outcome import Outcome
from silo_node.configuration import Site
from wardround.canonical import model_json
from wardround.console import print_json, print_problems
from wardround.files import write_new
from wardround.study.bundle import SUFFIX, Bundle
from wardround_lab.demo.tables import final_tables

STUDY = "study.yaml"
SCHEMAS = "schemas"
CENTRE, CENTRE_NAME = "centre", "Demonstration centre"
RELEASE = "release"
ROUNDS = "rounds"
APPROVER, ROLE = "A. Demo", "made-up data protection officer"
AUTHOR, INSTITUTION, AUTHOR_KEY = "Wardround's demonstration", "this machine", "author.pem"
"""Who asks the demonstration's study, and the file of that key."""
PASSPHRASE = "passphrase"  # noqa: S105  (a file's name)
"""File of a person's passphrase in the folder of that person's key; a real one is kept elsewhere, or in nobody's file."""


@dataclass(frozen=True)
class Story:
    """What a demonstration is about: whose records, which question, and what a reader must know.

    Attributes:
        title: in a line.
        study: the study file among this package's data; its bundle is named after it.
        note: what a reader of the figures must know of the records.
        check: what is held against what, in a line.
        make_hospitals: writes the hospitals into a folder; gives the paths of their ``site.yaml``, largest first.
        check_words: by which ``silo check`` checks a hospital, with the demonstration's folder to put in.
        checked: what the checks found, where it is to be shown.
        images: whether it is about images; then trainings take minutes, and the comparison's run side by side.
        schemas: whether the study's schema is the demonstration's own, and its folder is written beside the hospitals.
    """

    title: str
    study: str
    note: str
    check: str
    make_hospitals: Callable[[Path], tuple[Path, ...]]
    check_words: Callable[[Path], tuple[str, ...]]
    checked: Callable[[Sequence[Site]], Table] | None = None
    images: bool = False
    schemas: bool = False

    @property
    def bundle(self) -> str:
        """The name of the bundle's file."""
        return self.study.removesuffix(".yaml") + SUFFIX

    def schema_words(self, folder: Path) -> tuple[str, ...]:
        """Give the words by which a command finds the study's schema."""
        return ("--schema-path", str(folder / SCHEMAS)) if self.schemas else ()


@dataclass(frozen=True)
class Demo:
    """What the demonstration made: the study, what became of it, and how it compares."""

    story: Story
    folder: Path
    bundle: Bundle
    sites: tuple[Site, ...]
    outcome: Outcome
    comparison: Comparison | None

    @property
    def release(self) -> Path:
        """Where the release lies."""
        return self.folder / RELEASE


def conduct(folder: Path, form: str, story: Story, way: Callable[[Path, Console, Story], Demo]) -> int:
    """Run a demonstration one way in an empty folder, and report; gives the study's exit status."""
    screen = Console(stderr=form == "json", highlight=False)
    begun = time.monotonic()
    screen.print(f"[bold]Wardround demo[/]: {escape(story.title)}. Everything stays on this machine.\n")
    made = way(folder, screen, story)
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
        screen.print(f"\n{escape(story.note)}")
    screen.print(f"\nStudy: [bold]{escape(made.outcome.summary)}[/], {time.monotonic() - begun:.0f} s.")
    screen.print(f"Report: {escape(str(made.release / 'report.html'))}", soft_wrap=True)
    return made.outcome.exit_status


def write_study(folder: Path, story: Story) -> Path:
    """Write the demonstration's study file into its folder, and its schemas beside it, if it has own ones."""
    own = files("wardround_lab.demo")
    path = folder / STUDY
    path.write_bytes(own.joinpath(story.study).read_bytes())
    if story.schemas:
        with as_file(own.joinpath(SCHEMAS)) as schemas:
            shutil.copytree(schemas, folder / SCHEMAS)
    return path


def show_checks(screen: Console, story: Story, sites: Sequence[Site]) -> None:
    """Show what the checks found, where a demonstration wants that."""
    if story.checked is not None:
        screen.print(story.checked(sites))


@contextmanager
def show_step(screen: Console, name: str, text: str) -> Iterator[None]:
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


def author_words(folder: Path) -> tuple[str, ...]:
    """Give the words that make the author's key, after ``study author init``."""
    return (str(folder / AUTHOR_KEY), "--name", AUTHOR, "--institution", INSTITUTION, *passphrase_words(folder))


def signing_words(folder: Path) -> tuple[str, ...]:
    """Give the words by which ``study build`` signs with the author's key."""
    return ("--author", str(folder / AUTHOR_KEY), *passphrase_words(folder))


def passphrase_words(folder: Path) -> tuple[str, str]:
    """Give the words by which a command finds the passphrase of the key in a folder; it is made up where there is none."""
    file = folder / PASSPHRASE
    if not file.exists():
        write_new(file, secrets.token_urlsafe().encode(), mode=0o600)
    return "--passphrase-file", str(file)

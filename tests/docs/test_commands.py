"""The commands that the documentation shows do what it says: each page's are run in order, in a folder of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

TUTORIAL = "docs/tutorials/first-round.md"
"""The page whose snapshots other pages begin with."""
TIME_LIMIT = 300
WITH_BINARIES = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

Runner = Callable[..., None]


class Folder:
    """A folder in which a page's commands are run, one after the other, as in one terminal."""

    def __init__(self, path: Path, keep_in: Path) -> None:
        self.path = path
        self.keep_in = keep_in
        self.here = path

    def run(self, command: str) -> tuple[int, str]:
        """Run a command line; gives its exit status, and what it wrote to both of its outputs."""
        note = self.keep_in / "here"
        script = f"trap 'pwd > \"{note}\"' EXIT\n{command}\n"
        environment = {**os.environ, "PATH": WITH_BINARIES, "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
        done = subprocess.run(
            ["bash", "-uo", "pipefail", "-c", script],
            cwd=self.here,
            env=environment,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIME_LIMIT,
        )
        self.here = Path(note.read_text().strip())
        return done.returncode, done.stdout

    def write(self, name: str, text: str) -> None:
        """Save a file that the page tells the reader to save."""
        path = self.here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def shown(expected: tuple[str, ...], output: str) -> str | None:
    """Give the first expected line that the output does not have, in its order; None when it has them all.

    Runs of spaces count as one, and ``…`` stands for anything, or for any lines when it stands alone.
    """
    lines = [" ".join(line.split()) for line in output.splitlines()]
    at = 0
    for line in expected:
        wanted = " ".join(line.split())
        if wanted in ("", "…"):
            continue
        pattern = re.compile(".*".join(re.escape(part) for part in wanted.split("…")))
        found = next((index for index in range(at, len(lines)) if pattern.fullmatch(lines[index])), None)
        if found is None:
            return line
        at = found + 1
    return None


def walk(page: Any, folder: Folder, snapshots: Path) -> None:
    """Take the steps of a page."""
    for step in page.steps:
        where = f"{page.name}:{step.line}"
        if hasattr(step, "word"):
            if step.word == "snapshot":
                shutil.copytree(folder.path, snapshots / step.text)
            elif step.word == "meanwhile":
                status, output = folder.run(step.text.strip("`"))
                assert status == 0, f"{where}: {step.text}\n{output}"
        elif step.not_run is None and "file" in step.settings:
            folder.write(step.settings["file"], step.text)
        elif step.not_run is None and step.language == "console":
            for command in step.commands:
                status, output = folder.run(command.text)
                place = f"{page.name}:{command.line}: {command.text}\n{output}"
                assert status == int(step.settings.get("exit", "0")), f"exit status {status}, {place}"
                absent = shown(command.expected, output)
                assert absent is None, f"not in the output: {absent!r}, {place}"


@pytest.fixture(scope="session")
def snapshots(tmp_path_factory: pytest.TempPathFactory, pages: tuple[Any, ...]) -> Iterator[Path]:
    """Give the folder of the tutorial's snapshots; taking the tutorial's steps makes them, and tests the tutorial."""
    kept = tmp_path_factory.mktemp("snapshots")
    folder = Folder(tmp_path_factory.mktemp("first-round"), tmp_path_factory.mktemp("terminal"))
    walk(next(page for page in pages if page.name == TUTORIAL), folder, kept)
    return kept


def test_the_tutorials_commands_do_what_it_says(snapshots: Path) -> None:
    """From nothing to a released model, every step of the tutorial works as shown, and leaves what later pages need."""
    assert {path.name for path in snapshots.iterdir()} >= {"mapped", "released"}


def test_the_commands_of_a_page_do_what_it_says(run_page: Any, snapshots: Path, tmp_path: Path) -> None:
    """Every command of a page ends with the exit status that the page gives, and prints what it shows."""
    if run_page.name == TUTORIAL:
        return  # the fixture has taken its steps
    work = tmp_path / "work"
    if run_page.begins_with is None:
        work.mkdir()
    else:
        shutil.copytree(snapshots / run_page.begins_with, work)
    walk(run_page, Folder(work, tmp_path), tmp_path / "own-snapshots")


@pytest.mark.parametrize(
    ("expected", "output", "absent"),
    [
        (("a  b",), "x\na b\n", None),
        (("a … c",), "a b c\n", None),
        (("a", "…", "b"), "a\nx\nb\n", None),
        (("b", "a"), "a\nb\n", "a"),
        (("a",), "a b\n", "a"),
    ],
)
def test_expected_output_is_compared_line_by_line(expected: tuple[str, ...], output: str, absent: str | None) -> None:
    """Expected lines are whole lines in order; spaces and the mark … are the only freedom."""
    assert shown(expected, output) == absent

"""What the tests of the documentation share: its pages, taken apart into the steps that a reader takes.

The marks that a page may hold are described in ``docs/README.md``; everything here follows that page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))

_FENCE = re.compile(r"^(?P<fence>`{3,})(?P<language>[\w-]*)(?P<more>.*)$")
_MARK = re.compile(r"^<!-- (?P<word>not run|meanwhile|snapshot|begins with): (?P<text>.+?) -->$")


@dataclass(frozen=True)
class Command:
    """A command line of a console block, and what the page shows of its output."""

    line: int
    text: str
    expected: tuple[str, ...] = ()


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its settings (``exit``, ``file``), and why it is not run, if it is not."""

    line: int
    language: str
    settings: dict[str, str]
    text: str
    not_run: str | None
    before: str

    @property
    def commands(self) -> tuple[Command, ...]:
        """The commands of a console block: lines after ``$ ``, and what follows a backslash at a line's end."""
        found: list[tuple[int, str, list[str]]] = []
        going_on = False
        for offset, line in enumerate(self.text.splitlines(), 1):
            if going_on:
                number, command, expected = found[-1]
                found[-1] = (number, f"{command}\n{line.removeprefix('> ')}", expected)
            elif line.startswith("$ "):
                found.append((self.line + offset, line.removeprefix("$ "), []))
            elif found:
                found[-1][2].append(line)
            going_on = line.endswith("\\") and bool(found) and not found[-1][2]
        return tuple(Command(number, command, tuple(expected)) for number, command, expected in found)


@dataclass(frozen=True)
class Mark:
    """A comment that only the tests read."""

    line: int
    word: str
    text: str


@dataclass(frozen=True)
class Page:
    """One page, in the order of its steps."""

    path: Path
    text: str
    steps: tuple[Block | Mark, ...] = field(repr=False)

    @property
    def name(self) -> str:
        """The page's path in the repository."""
        return self.path.relative_to(ROOT).as_posix()

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The fenced blocks."""
        return tuple(step for step in self.steps if isinstance(step, Block))

    @property
    def begins_with(self) -> str | None:
        """The snapshot in whose folder the page's commands are run; an empty folder when there is none."""
        return next((step.text for step in self.steps if isinstance(step, Mark) and step.word == "begins with"), None)

    @property
    def runs(self) -> bool:
        """Whether the page has commands that are run."""
        return any(block.language == "console" and block.not_run is None for block in self.blocks)


def read_page(path: Path) -> Page:
    """Take a page apart."""
    text = path.read_text(encoding="utf-8")
    return Page(path, text, tuple(_steps(text)))


def _steps(text: str) -> Iterator[Block | Mark]:
    lines = text.splitlines()
    at, not_run, before = 0, None, ""
    while at < len(lines):
        line = lines[at]
        if mark := _MARK.match(line):
            if mark["word"] == "not run":
                not_run = mark["text"]
            else:
                yield Mark(at + 1, mark["word"], mark["text"])
        elif fence := _FENCE.match(line):
            end = next(index for index in range(at + 1, len(lines)) if lines[index].rstrip() == fence["fence"])
            settings = dict(word.split("=", 1) for word in fence["more"].split())
            body = "\n".join(lines[at + 1 : end]) + "\n"
            yield Block(at + 1, fence["language"], settings, body, not_run, before)
            at, not_run = end, None
        elif line.strip():
            before, not_run = line, None
        at += 1


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give every page, or every page with commands, to the tests that ask for one."""
    pages = [read_page(path) for path in PAGES]
    if "page" in metafunc.fixturenames:
        metafunc.parametrize("page", pages, ids=[page.name for page in pages])
    if "run_page" in metafunc.fixturenames:
        run = [page for page in pages if page.runs]
        metafunc.parametrize("run_page", run, ids=[page.name for page in run])


@pytest.fixture(scope="session")
def pages() -> tuple[Page, ...]:
    """Give every page of the documentation."""
    return tuple(read_page(path) for path in PAGES)

"""The how-tos for hospital IT and for the centre's operator, followed to the letter on one machine with real processes."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flower_processes import eventually, free_port
from hospitals_on_disk import write_hospital, write_study

ROOT = Path(__file__).resolve().parents[2]
HOW_TO = ROOT / "docs" / "how-to"
DOCUMENTED = "centre.example.org:8443"
"""The centre's address in the pages; the test puts a port of this machine in its place."""
RECEIVED = "first-round.wardround"
"""The bundle's name in the hospital's page; it says to write inbox/... for one that came over the channel."""
LOOKS = ("review", "check", "studies", "status", "ledger")
INSTALLS = ["python3 -m venv program", "pip install", ". program/bin/activate"]
SECONDS = 300
INSTALL_SECONDS = 600

pytestmark = pytest.mark.install


@pytest.fixture(scope="module")
def tools() -> SimpleNamespace:
    """Give what the documentation's own tests read pages with."""
    found: dict[str, Any] = {}
    for name in ("conftest", "test_commands"):
        found.update(_module(f"wardround_docs_{name}", ROOT / "tests" / "docs" / f"{name}.py"))
    return SimpleNamespace(read_page=found["read_page"], shown=found["shown"])


def _module(name: str, path: Path) -> dict[str, Any]:
    import importlib.util

    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look themselves up
    spec.loader.exec_module(module)
    return vars(module)


class Person:
    """Somebody with a page and a terminal in a folder."""

    def __init__(self, tools: SimpleNamespace, page: str, folder: Path, address: str, path: str | None = None) -> None:
        self.shown = tools.shown
        self.page = tools.read_page(HOW_TO / page)
        self.folder = folder
        self.path = with_ours() if path is None else path
        self.said: dict[str, str] = {DOCUMENTED: address}
        self.typed: list[str] = []
        self.services: list[subprocess.Popen[str]] = []

    def section(self, heading: str) -> list[Any]:
        """Give the commands under a heading; there are some."""
        lines = self.page.text.splitlines()
        first = lines.index(f"## {heading}") + 1
        last = next((at for at, line in enumerate(lines, 1) if at > first and line.startswith("## ")), len(lines) + 1)
        blocks = [block for block in self.page.blocks if first < block.line < last and block.language == "console"]
        commands = [command for block in blocks for command in block.commands]
        assert commands, heading
        return commands

    def follow(self, *headings: str) -> None:
        """Type every command under some headings, and see what the page shows."""
        for heading in headings:
            for command in self.section(heading):
                if re.fullmatch(r"cd \S+", command.text):
                    self.folder = self.folder / command.text.removeprefix("cd ")
                elif activated := re.fullmatch(r"\. (\S+/bin)/activate", command.text):
                    self.typed.append(command.text)
                    self.path = f"{self.folder / activated[1]}{os.pathsep}{self.path}"
                elif " start " in command.text:
                    self.serve(command)
                else:
                    self.type(command)

    def type(self, command: Any) -> None:
        """Run one command to its end."""
        text = self._here(command.text)
        done = subprocess.run(
            ["bash", "-uo", "pipefail", "-c", text],
            cwd=self.folder,
            env=environment(self.path),
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=INSTALL_SECONDS if "pip install" in text else SECONDS,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}"
        self._compare(command, done.stdout)

    def serve(self, command: Any) -> None:
        """Start a service in a terminal of its own, and wait until it has said what the page shows."""
        log = self.folder / "terminal.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {self._here(command.text)}"],
                cwd=self.folder,
                env=environment(self.path),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                text=True,
            )
        self.services.append(process)

        def up() -> bool:
            assert process.poll() is None, log.read_text()
            return " is up" in log.read_text()

        eventually(up, SECONDS, command.text)
        self._compare(command, log.read_text())

    def _here(self, text: str) -> str:
        for documented, here in self.said.items():
            text = text.replace(documented, here)
        self.typed.append(text)
        return text

    def _compare(self, command: Any, output: str) -> None:
        expected = tuple(line.replace(DOCUMENTED, self.said[DOCUMENTED]) for line in command.expected)
        absent = self.shown(expected, output)
        assert absent is None, f"{command.text}: not in the output: {absent!r}\n{output}"

    def end(self) -> None:
        """Close the terminals, whatever still runs in them."""
        for process in self.services:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.services:
            process.wait(SECONDS)


def environment(path: str) -> dict[str, str]:
    """Give a terminal's environment, with the programs that are on its path and no trace of the one the tests run in."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return {**kept, "PATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


def with_ours() -> str:
    """Give a path with the commands of this environment."""
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def with_nothing_of_ours(folder: Path) -> str:
    """Give the path of a machine that has Python and nothing of Wardround.

    Its new environments see what others wrote where these tests have it (torch alone is most of a gigabyte), so that
    `pip install` takes only our wheels; tests/install installs everything into a clean one.
    """
    folder.mkdir()
    others = folder / "others"
    others.mkdir()
    for each in Path(sysconfig.get_path("purelib")).iterdir():
        ours = "wardround" in each.name or each.suffix == ".pth"
        if not ours and not each.name.startswith(("pip", "_distutils")):
            (others / each.name).symlink_to(each)
    python = folder / "python3"
    python.write_text(
        f"""#!/bin/sh
{sys._base_executable} "$@" || exit
test "$1 $2" != "-m venv" || for packages in "$3"/lib/python3*/site-packages; do echo {others} > "$packages/others.pth"; done
"""
    )
    python.chmod(0o700)
    others = [each for each in os.environ["PATH"].split(os.pathsep) if not (Path(each) / "wardround").exists()]
    return os.pathsep.join([str(folder), *others])


def build_wheels(folder: Path) -> None:
    """Do what whoever gives a hospital its packages does: three, and no more."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    sources = [str(ROOT / name) for name in ("schemas", "platform", "silo_node")]
    subprocess.run([*command, *sources], check=True, timeout=SECONDS)
    inside = {name.partition("/")[0] for wheel in folder.glob("*.whl") for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in inside if "." not in name} == {"wardround_schemas", "wardround", "silo_node"}


def named(folder: Path, name: str, rows: range) -> None:
    """Write a hospital as the pages have it."""
    site = Path(write_hospital(folder, folder.name, rows).site)
    site.write_text(site.read_text().replace(f"name: Hospital {folder.name}", f"name: {name}"))


def build(folder: Path) -> None:
    """Do the study author's part."""
    study = {"name": "first-round", "title": "Is a breast mass malignant?", "author": "Your name", "silos": {"minimum": 2}}
    write_study(folder / "study.yaml", **study)
    words = ["--coordinator", "centre/coordinator.json", "--silo", "north/request.json", "--silo", "south/request.json"]
    person = ("author.pem", "--name", "Your name", "--institution", "Your institution")
    for command in (
        ("author", "init", *person),
        ("build", "study.yaml", *words, "--author", "author.pem", "--out", RECEIVED),
    ):
        typed = [sys.executable, "-m", "wardround", "study", *command]
        subprocess.run(typed, cwd=folder, env=environment(with_ours()), check=True, stdout=subprocess.DEVNULL, timeout=SECONDS)


def test_the_pages_lead_from_nothing_to_a_release(tools: SimpleNamespace, tmp_path: Path) -> None:
    """Who types what the pages say gets what they show; a hospital needs seven commands from an empty machine to training."""
    build_wheels(tmp_path / "wheels")
    named(tmp_path / "north", "Northern Infirmary", range(200))
    named(tmp_path / "south", "Southern Hospital", range(200, 400))
    address = f"localhost:{free_port()}"
    operator = Person(tools, "run-a-centre.md", tmp_path, address)
    hospital = Person(tools, "hospital-it-join-a-study.md", tmp_path, address, with_nothing_of_ours(tmp_path / "bin"))
    other = Person(tools, "hospital-it-join-a-study.md", tmp_path / "south", address)
    try:
        operator.follow("Make the centre, once", "Look before you start", "Start it")
        assert shutil.which("wardround", path=hospital.path) is None
        hospital.follow("Install the node, once")
        assert shutil.which("wardround", path=hospital.path) == str(tmp_path / "program" / "bin" / "wardround")
        other.path = hospital.path
        hospital.follow("Make your keys, once", "See what the machine lacks")
        shutil.copy(tmp_path / "north" / "request.json", tmp_path / "north-request.json")  # the mail
        operator.follow("Let a hospital in")
        shutil.copy(tmp_path / "centre" / "invitations" / "north.json", tmp_path / "north" / "invitation.json")
        hospital.follow("Join the centre, once", "Start the node")

        four = [command for command in _of_hospital(hospital) if _word(command.text) not in LOOKS]
        assert [_word(command.text) for command in four] == ["init", "join", "start", "approve"]
        for command in four[:3]:  # another hospital: these, and nothing else
            if _word(command.text) == "join":
                (enrol,) = operator.section("Let a hospital in")
                shutil.copy(tmp_path / "south" / "request.json", tmp_path / "south-request.json")
                operator.said["north"] = "south"
                operator.type(SimpleNamespace(text=enrol.text, expected=()))
                del operator.said["north"]
                shutil.copy(tmp_path / "centre" / "invitations" / "south.json", tmp_path / "south" / "invitation.json")
            plain = SimpleNamespace(text=command.text, expected=())
            (other.serve if _word(command.text) == "start" else other.type)(plain)

        build(tmp_path)
        operator.type(
            SimpleNamespace(text=operator.section("Submit a study")[0].text, expected=("Submitted first-round 1.0.0…",))
        )
        for person in (hospital, other):
            (received,) = eventually(lambda person=person: list((person.folder / "inbox").glob("*.wardround")), SECONDS, "offer")
            person.said[RECEIVED] = f"inbox/{received.name}"
        hospital.follow("Read what is asked", "Approve, or do not")
        other.type(SimpleNamespace(text=four[3].text, expected=()))
        until_training = list(hospital.typed)

        operator.follow("Look on")
        assert list((tmp_path / "centre" / "releases").glob("first-round-1.0.0-*/report.html"))
        hospital.follow("Stop the node")
        operator.follow("Stop it")
        assert [process.wait(SECONDS) for process in (*hospital.services, *operator.services)] == [0, 0]
    finally:
        for person in (hospital, other, operator):
            person.end()
    changing = [_word(text) for text in other.typed if text.startswith("wardround silo")]
    assert changing == ["init", "join", "start", "approve"]
    seven(until_training)


def seven(typed: list[str]) -> None:
    """Of what a hospital typed, all but looking around is seven commands: three that install, and four."""
    looking = [text for text in typed if text.startswith("wardround silo") and _word(text) in (*LOOKS, "doctor", "policy")]
    needed = [text for text in typed if text not in looking]
    assert len(needed) == 7, needed
    assert all(part in text for part, text in zip(INSTALLS, needed, strict=False))
    assert [_word(text) for text in needed[3:]] == ["init", "join", "start", "approve"]


def _of_hospital(hospital: Person) -> list[Any]:
    """Give the hospital's commands up to its approval, in the order of the page."""
    headings = ("Make your keys, once", "Join the centre, once", "Start the node", "Read what is asked", "Approve, or do not")
    commands = [command for heading in headings for command in hospital.section(heading)]
    return [command for command in commands if command.text.startswith("wardround silo")]


def _word(text: str) -> str:
    return text.split()[2]

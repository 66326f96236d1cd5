"""The systemd units are what systemd reads, start what is installed, and shut out what a node does not need."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from coordinator import house as coordinator_house
from silo_node import house as silo_house
from wardround.console import cli
from wardround.supervision.supervisor import GROUP_GRACE_SECONDS

DEPLOYMENT = Path(__file__).resolve().parents[2] / "deployment"
UNITS = ("wardround-centre.service", "wardround-silo.service")
MOST_EXPOSED = 30  # of 100, by systemd's own count; 0 is a service that may do nothing
INSTALLED = "/opt/wardround/bin/wardround"

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def settings(unit: str) -> configparser.SectionProxy:
    """Give a unit's service section."""
    parser = configparser.ConfigParser(interpolation=None, comment_prefixes=("#",))
    parser.optionxform = str
    parser.read(DEPLOYMENT / unit)
    return parser["Service"]


@pytest.fixture(params=UNITS)
def unit(request: pytest.FixtureRequest) -> str:
    """Give the name of each unit."""
    name: str = request.param
    return name


def analyze(*words: object) -> subprocess.CompletedProcess[str]:
    """Ask systemd."""
    command = ["systemd-analyze", *(str(word) for word in words)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


def copied(unit: str, folder: Path, **replaced: str) -> Path:
    """Copy a unit whose program is one that is there on this machine, and with other words replaced."""
    text = (DEPLOYMENT / unit).read_text().replace(INSTALLED, sys.executable)
    for old, new in replaced.items():
        assert old in text
        text = text.replace(old, new)
    path = folder / unit
    path.write_text(text)
    return path


@needs_systemd
def test_systemd_reads_it(unit: str, tmp_path: Path) -> None:
    """systemd finds nothing to say about a unit; it would say something about a word that it does not know."""
    checked = analyze("verify", "--man=no", "--recursive-errors=no", copied(unit, tmp_path))
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    spoiled = analyze("verify", "--man=no", "--recursive-errors=no", copied(unit, tmp_path, KillMode="KilMode"))
    assert "KilMode" in spoiled.stderr


@needs_systemd
def test_little_is_exposed(unit: str, tmp_path: Path) -> None:
    """By systemd's own count the service may do little; without the restrictions the same count is refused."""
    words = ("security", "--offline=true", f"--threshold={MOST_EXPOSED}", "--no-pager")
    checked = analyze(*words, copied(unit, tmp_path))
    assert checked.returncode == 0, checked.stdout
    assert analyze(*words, copied(unit, tmp_path, ProtectSystem="#ProtectSystem", SystemCallFilter="#S")).returncode != 0


def test_it_starts_a_command_that_exists(unit: str) -> None:
    """The command line of a unit is one of ours, with the options that it has."""
    program, *words = settings(unit)["ExecStart"].split()
    assert program == INSTALLED
    context = click.Context(cli)
    group = cli.get_command(context, words[0])
    assert isinstance(group, click.Group)
    command = group.get_command(context, words[1])
    assert command is not None
    command.make_context(words[1], words[2:])  # parses; nothing is run


def test_it_writes_only_where_its_directory_is(unit: str) -> None:
    """The one writable folder is the one that the command is given, and no file is made readable for others."""
    service = settings(unit)
    assert service["ReadWritePaths"] == service["WorkingDirectory"]
    assert service["WorkingDirectory"] in service["ExecStart"]
    assert (service["ProtectSystem"], service["UMask"], service["NoNewPrivileges"]) == ("strict", "0077", "yes")


def test_the_supervisor_has_time_to_stop(unit: str) -> None:
    """systemd tells the supervisor alone to stop, and waits longer than `stop` does, before it kills what is left."""
    from wardround.supervision.house import STOP_SECONDS

    service = settings(unit)
    assert (service["KillMode"], service["Restart"]) == ("mixed", "always")
    assert float(service["TimeoutStopSec"]) > STOP_SECONDS


def test_the_supervisor_speaks_to_systemd(unit: str) -> None:
    """systemd waits until the supervisor says that all is ready, for longer than that may take, and sees when it hangs."""
    service = settings(unit)
    assert (service["Type"], service["NotifyAccess"]) == ("notify", "main")
    patience = {
        "wardround-centre.service": 2 * coordinator_house.START_SECONDS,
        "wardround-silo.service": 2 * silo_house.START_SECONDS + silo_house.HELD_SECONDS,
    }
    assert float(service["TimeoutStartSec"]) > patience[unit]
    longest_look = len(patience) * GROUP_GRACE_SECONDS  # the loop stops others of a group before it looks again
    assert float(service["WatchdogSec"]) / 2 > longest_look


def test_the_trainer_may_leave_the_network() -> None:
    """A hospital's unit leaves the two kinds of namespaces that the trainer cuts its network with, and no other."""
    assert set(settings("wardround-silo.service")["RestrictNamespaces"].split()) == {"user", "net"}
    assert settings("wardround-centre.service")["RestrictNamespaces"] == "yes"

"""``wardround demo`` as people run it: processes on loopback, a second one beside it, and Ctrl-C in the middle of that."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from flower_processes import eventually
from ledgers import ledger_of
from rich.console import Console
from ward_on_processes import descendants, no_trace

from wardround.errors import Refused
from wardround_lab.demo import processes
from wardround_lab.demo.cytology import CYTOLOGY

WHOLE_SECONDS = 300.0
"""Two demonstrations at once, on a machine that does other things too."""
STOP_SECONDS = 20.0
PROCESSES = 19  # five services, two processes of the centre, three of each hospital


def demo(folder: Path, output: Path) -> subprocess.Popen[bytes]:
    """Run the command in a process of its own."""
    with output.open("wb") as said, output.with_suffix(".err").open("wb") as beside:
        return subprocess.Popen(
            [sys.executable, "-m", "wardround", "demo", "--folder", str(folder), "--format", "json"],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=beside,
        )


def naming(folder: Path) -> list[int]:
    """Give every process that has a folder in its command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if os.fsencode(folder) in words:
                found.append(int(entry.name))
    return found


@pytest.fixture
def running() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that do not outlive the test."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        if process.poll() is None:
            process.terminate()
            process.wait(STOP_SECONDS)


@pytest.mark.faults
def test_two_at_once_and_one_is_stopped(tmp_path: Path, running: list[subprocess.Popen[bytes]]) -> None:
    """A demo completes whatever runs beside it; Ctrl-C ends another within seconds; of neither is any process left."""
    first, second = tmp_path / "first", tmp_path / "second"
    running += [demo(first, tmp_path / "first.out"), demo(second, tmp_path / "second.out")]
    whole, stopped = running

    def trains() -> bool:
        assert stopped.poll() is None, (tmp_path / "second.err").read_text()
        states = (second / "centre" / "studies").glob("*/state.json")
        return any(json.loads(path.read_bytes())["purpose"] == "round" for path in states)

    eventually(trains, WHOLE_SECONDS, "the second demonstration trains")
    theirs = descendants(stopped.pid)
    assert len(theirs) >= PROCESSES
    begun = time.monotonic()
    stopped.send_signal(signal.SIGINT)
    assert stopped.wait(STOP_SECONDS) == 130
    assert time.monotonic() - begun < STOP_SECONDS
    assert not [process for process in theirs if Path(f"/proc/{process}").exists()], "no orphan"
    assert not naming(second)
    assert "Stopped." in (tmp_path / "second.err").read_text()
    assert no_trace((tmp_path / "second.err").read_text())

    assert whole.wait(WHOLE_SECONDS) == 0, (tmp_path / "first.err").read_text()
    assert not naming(first)
    look_at(first, json.loads((tmp_path / "first.out").read_bytes()))


def look_at(folder: Path, said: dict[str, object]) -> None:
    """See that a whole demonstration has made what it says."""
    assert (said["status"], said["stopped"]) == ("complete", "converged")
    assert said["counted"] == ["birkental", "eastmere", "montaspro", "sainte-aubane"]
    comparison = json.loads((folder / "release" / "comparison.json").read_bytes())
    assert comparison == said["comparison"]
    assert sorted(row["kind"] for row in comparison["models"]) == ["alone"] * 4 + ["federated", "pooled"]
    for line in (folder / "release" / "SHA256SUMS").read_text().splitlines():
        assert hashlib.sha256((folder / "release" / line[66:]).read_bytes()).hexdigest() == line[:64]
    (centre,) = (folder / "centre" / "releases").iterdir()
    own = {"comparison.json", "report.html", "MODEL_CARD.md", "SHA256SUMS"}
    same = {path.name for path in centre.iterdir()} - own
    assert {"model.safetensors", "last.safetensors", "encoding.json", "history.json"} <= same
    for name in same:
        assert (folder / "release" / name).read_bytes() == (centre / name).read_bytes(), name
    for site in ("birkental", "eastmere", "montaspro", "sainte-aubane"):
        assert len(list((folder / site / "inbox").glob("*.wardround"))) == 1
        assert ledger_of(folder / site)
    for log in (folder / "logs").iterdir():
        assert no_trace(log.read_text()), log.name


def test_a_service_that_does_not_come_up_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one hospital's key gone, the demo ends with a code that names it, and everything else is stopped."""
    leave_running = processes.Terminals.leave_running

    def spoilt(terminals: processes.Terminals, name: str, *words: str | Path) -> None:
        if name == "montaspro":
            (tmp_path / "montaspro" / "keys" / "signing.pem").unlink()
        leave_running(terminals, name, *words)

    monkeypatch.setattr(processes.Terminals, "leave_running", spoilt)
    with pytest.raises(Refused) as error:
        processes.run(tmp_path, Console(file=StringIO()), CYTOLOGY)
    (problem,) = error.value.problems
    assert (problem.code, problem.place) == ("V-CHILD", "montaspro")
    assert "K-MISSING" in problem.finding
    assert not naming(tmp_path)


def test_a_port_that_is_taken_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When somebody takes the centre's port at the last moment, the demo ends with the centre's own code, and does not hang."""
    make_keys = processes.Town.make_keys
    with socket.socket() as taken:

        def late(town: processes.Town) -> None:
            with monkeypatch.context() as patch:
                patch.setattr(processes.Terminals, "leave_running", lambda *_: None)
                make_keys(town)
            address = next(line for line in (town.centre / "centre.yaml").read_text().splitlines() if "listen" in line)
            taken.bind(("127.0.0.1", int(address.rpartition(":")[2].strip(" '\""))))
            taken.listen()
            town.terminals.leave_running("centre", "coordinator", "start", town.centre)
            town.terminals.await_up()

        monkeypatch.setattr(processes.Town, "make_keys", late)
        with pytest.raises(Refused) as error:
            processes.run(tmp_path, Console(file=StringIO()), CYTOLOGY)
    (problem,) = error.value.problems
    assert (problem.code, problem.place) == ("V-CHILD", "centre")
    assert "N-PORT" in problem.finding
    assert not naming(tmp_path)

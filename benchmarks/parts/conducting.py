"""A centre on loopback: a real SuperLink, and a conductor in a process of its own that says how much memory it takes.

    python -m parts.conducting FOLDER [--where]

The folder holds ``conduct.json`` (where the SuperLink is, the node ids), the bundle and the centre's key. Every line that
the process says is JSON: ``answered``, ``closed``, ``peak`` (bytes above its start, by step), ``where``.
"""

from __future__ import annotations

import argparse
import json
import secrets
import subprocess
import sys
import tracemalloc
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coordinator.flower.grid import FlowerGrid
from coordinator.flower.run import SuperLinkAddress, serve_run
from coordinator.journal.journal import DiskJournal
from coordinator.release.release import write_release
from coordinator.rounds.admission import Admitted, Decision, NotAdmitted
from coordinator.rounds.conductor import Conductor
from coordinator.rounds.encrypted_grid import EncryptedGrid, encryption_keys
from parts.processes import forget_peak, memory
from wardround.identity.encryption import load_encryption_key
from wardround.identity.keys import load_key
from wardround.identity.tls import issue_server, make_authority
from wardround.messages.record import RoundRecord
from wardround.study.bundle import bundle_bytes, read_bundle
from wardround.supervision.settle import return_memory, settle
from wardround.transport.channel import Secret
from wardround.transport.environment import flower_environment

BUNDLE, KEY, ENCRYPTION, SETTINGS = "study.wardround", "coordinator.pem", "encryption.pem", "conduct.json"
MOST_LINES = 12
LEAST_TOLD = 100_000
"""Bytes that a line of code must hold to be told of."""


@dataclass(frozen=True)
class Centre:
    """A running SuperLink: its two addresses, and the folder of its keys."""

    folder: Path
    public: str
    private: str

    @property
    def authority(self) -> Path:
        """The authority's certificate, as hospitals pin it."""
        return self.folder / "authority.pem"

    @property
    def link(self) -> SuperLinkAddress:
        """What it takes to speak to the private listener."""
        token = (self.folder / "token").read_text()
        return SuperLinkAddress(self.private, self.authority.read_bytes(), token, Secret((self.folder / "secret").read_bytes()))


def start_superlink(folder: Path, running: list[subprocess.Popen[bytes]]) -> Centre:
    """Make a centre's keys, start the SuperLink, and wait until it listens."""
    authority = make_authority("Benchmark")
    server = issue_server(authority, ["localhost"])
    files = {
        "authority": ("authority.pem", authority.public),
        "certificate": ("server.pem", server.public),
        "key": ("server.key", server.private),
        "token": ("token", secrets.token_urlsafe(32).encode()),
        "secret": ("secret", secrets.token_bytes(32)),
    }
    words = [sys.executable, "-m", "coordinator.flower.superlink", "--public", "127.0.0.1:0", "--private", "127.0.0.1:0"]
    for option, (name, content) in files.items():
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o600)
        words += [f"--{option}-file", str(folder / name)]
    with (folder / "superlink.log").open("ab") as log:
        environment = flower_environment(folder / "flower")
        running.append(subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log))
    output = running[-1].stdout
    assert output is not None
    line = output.readline()
    assert line, (folder / "superlink.log").read_text()[-2000:]
    said = json.loads(line)
    return Centre(folder, said["public"], said["private"])


def say(event: str, **more: Any) -> None:  # noqa: ANN401  (whatever is JSON)
    """Tell whoever started us."""
    print(json.dumps({"event": event, **more}), flush=True)


class Teller:
    """Watches a conductor: tells of answers, and of the peak of each visit."""

    def __init__(self, start: int, *, where: bool) -> None:
        """Take the resident bytes of the start."""
        self._start = start
        self._where = where
        self._awaited: set[str] = set()

    def opened(self, purpose: str, round_number: int, _attempt: int, sites: tuple[str, ...]) -> None:
        """A visit begins."""
        self._purpose, self._round, self._awaited = purpose, round_number, set(sites)
        forget_peak()

    def answered(self, site: str, decision: Decision) -> None:
        """An answer was decided about, and added if it counts."""
        self._awaited.discard(site)
        if self._where and self._purpose == "round" and not self._awaited:
            say("where", text=holders())
        code = decision.code if isinstance(decision, NotAdmitted) else None
        say("answered", site=site, admitted=isinstance(decision, Admitted), code=code)

    def working(self, *_: object) -> None:
        """Nobody here works for longer than a visit."""

    def away(self, *_: object) -> None:
        """Nothing to note."""

    def closed(self, record: RoundRecord) -> None:
        """A visit ended: its step is done, its record made."""
        self.peak(record.purpose)
        say("closed", stepped=record.stepped)

    def peak(self, step: str) -> None:
        """Tell the most memory since the last time, and begin anew."""
        say("peak", step=step, bytes=memory().peak - self._start)
        forget_peak()


def holders() -> str:
    """Say which lines of code hold the most memory now, each with whoever called it."""
    lines = [f"  {'MB':>8}  allocated at"]
    for each in tracemalloc.take_snapshot().statistics("traceback")[:MOST_LINES]:
        if each.size > LEAST_TOLD:
            frames = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(each.traceback)]
            lines.append(f"  {each.size / 1e6:8.1f}  {' < '.join(frames)}")
    return "\n".join(lines)


def conduct(folder: Path, *, where: bool) -> None:
    """Conduct the folder's study to its end."""
    settings = json.loads((folder / SETTINGS).read_text())
    link = Centre(folder, settings["public"], settings["private"]).link
    settle()  # as the conductor's process does
    return_memory()
    with serve_run(link) as run:
        grid = FlowerGrid(run.channel, run.run_id, settings["nodes"], spool=folder)
        forget_peak()
        teller = Teller(memory().resident, where=where)
        if where:
            tracemalloc.start(4)
        bundle = read_bundle(folder / BUNDLE)
        teller.peak("bundle")
        bundle_bytes(bundle)
        teller.peak("offer")
        bundle = bundle.lightened()
        encrypted = EncryptedGrid(grid, encryption_keys(bundle.roster), load_encryption_key(folder / ENCRYPTION))
        with closing(DiskJournal(folder, bundle)) as journal:
            outcome = Conductor(read_bundle(folder / BUNDLE), load_key(folder / KEY), encrypted, teller, journal).run()
        assert outcome.status == "complete", outcome.problems
        write_release(folder / "release", read_bundle(folder / BUNDLE), outcome)
        teller.peak("release")


def main() -> None:
    """Conduct, and say what it takes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--where", action="store_true")
    chosen = parser.parse_args()
    conduct(chosen.folder, where=chosen.where)


if __name__ == "__main__":
    main()

"""A ward whose hospitals reach the centre through a relay that keeps every byte, with planted faults where a test wants them."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from fixed_keys import fixed_keys
from flower_processes import free_port
from hospitals_on_disk import Answer, Hospital
from ward_on_processes import Service, Ward
from wiretap import Relay

from coordinator.flower.run import SuperLinkAddress
from coordinator.identity import centre_files
from wardround.console import run
from wardround.identity.roster import Member
from wardround.transport.channel import Secret

PLANTED = Path(__file__).parent / "planted"


def command(*words: object) -> Answer:
    """Run a wardround command in this process and give its exit status and output."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = run([str(word) for word in words])
    return Answer(status, out.getvalue(), err.getvalue())


@dataclass
class TappedWard(Ward):
    """A ward with a relay between hospitals and centre."""

    relay: Relay | None = None

    @property
    def tap(self) -> Relay:
        """The relay."""
        assert self.relay is not None
        return self.relay

    def heard(self, hospital: Hospital) -> Path:
        """Give the file of what reached a hospital's trainer."""
        return self.folder / f"{hospital.folder.name}.heard"

    def frames(self, hospital: Hospital) -> list[dict[str, object]]:
        """Give what reached a hospital's trainer."""
        path = self.heard(hospital)
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def start_planted(self, hospital: Hospital, environment: Mapping[str, str] | None = None, **planted: str) -> Service:
        """Start a hospital with an ear at its trainer's door and with planted faults, by their names."""
        whole = {
            **(environment or {}),
            "PYTHONPATH": os.pathsep.join([str(PLANTED), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "PLANTED_HEARD": str(self.heard(hospital)),
            "PLANTED_TARGET": f"127.0.0.1:{self.port}",
            **{f"PLANTED_{name.upper()}": text for name, text in planted.items()},
        }
        return self.start(hospital.folder.name, "silo", "start", "--site", hospital.site, **whole)


@contextmanager
def tapped_ward(folder: Path, hospitals: Sequence[Hospital]) -> Iterator[TappedWard]:
    """Make a centre that is found at a relay's address, and enrol the hospitals there; end everything afterwards."""
    relay_port, port = free_port(), free_port()
    ward = TappedWard(folder, command, port, list(hospitals))
    address, listen = f"localhost:{relay_port}", f"127.0.0.1:{port}"
    with fixed_keys():
        ward.command("coordinator", "init", ward.centre, "--name", "The centre", "--address", address, "--listen", listen)
        for hospital in hospitals:
            ward.command("silo", "init", "--site", hospital.site)
    for hospital in hospitals:
        request = hospital.folder / "request.json"
        ward.command("coordinator", "enrol", request, "--dir", ward.centre, "--yes")
        site = Member.model_validate_json(request.read_bytes()).site
        ward.command("silo", "join", ward.centre / "invitations" / f"{site}.json", "--site", hospital.site)
    with Relay(relay_port, port, ward.centre / "keys") as relay:
        ward.relay = relay
        try:
            yield ward
        finally:
            ward.stop()


def command_line(process: int) -> list[str]:
    """Give the words of a process's command line."""
    return Path(f"/proc/{process}/cmdline").read_text().rstrip("\0").split("\0")


def pid_of(service: Service, module: str) -> int:
    """Give the one process of a service that runs a module."""
    (found,) = [process for process in service.processes() if command_line(process)[1:3] == ["-m", module]]
    return found


def option_of(process: int, name: str) -> str:
    """Give an option's value from a process's command line."""
    words = command_line(process)
    return words[words.index(name) + 1]


def superlink_of(ward: Ward) -> SuperLinkAddress:
    """Give where a running centre's SuperLink is, with token and secret, as its own conductor has it."""
    files = centre_files(ward.centre)
    private = option_of(pid_of(ward.services["centre"], "coordinator.flower.superlink"), "--private")
    return SuperLinkAddress(
        private, files.authority.read_bytes(), files.token.read_text().strip(), Secret(files.secret.read_bytes())
    )

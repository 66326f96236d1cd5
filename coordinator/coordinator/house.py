"""The centre's processes: the hardened SuperLink and the conductor, as children of one supervisor."""

from __future__ import annotations

import sys
from pathlib import Path

from coordinator.brought import loopback
from coordinator.flower.listener import bind
from coordinator.identity import KEYS, centre_files
from wardround.supervision.child import Child
from wardround.supervision.ports import free_port, listens
from wardround.supervision.pulse import SILENCE_SECONDS, Pulse
from wardround.transport.environment import NO_PROXY, flower_environment

RUN = "run"
LOGS = "logs"
READY = "conductor.ready"
START_SECONDS = 60.0
GROUP = "centre"
STEADY_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(128 * 1024)}
"""glibc's own first limit, held: blocks beyond it go back to the system at once. Left alone it raises it, and keeps the blocks of
4 MiB that the parts of a reply take in pieces that nothing larger fits into: the conductor would grow with every hospital."""


def run_folder(centre: Path) -> Path:
    """Give the folder of locks and states, for the owner only."""
    folder = centre / RUN
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder.absolute()


def check_port(listen: tuple[str, int]) -> None:
    """See whether the public port is free, before anything is started.

    Raises:
        Refused: N-PORT.
    """
    bind(listen).close()


def children(centre: Path, listen: str, *, silence_seconds: float = SILENCE_SECONDS) -> list[Child]:
    """Give the processes in the order of their start.

    The SuperLink keeps its state in memory, so the conductor starts anew with it. One that gives no sign of life for
    ``silence_seconds`` is held for frozen.
    """
    run, files, port = run_folder(centre), centre_files(centre), free_port()
    private, ready = f"127.0.0.1:{port}", run / READY
    options = {
        "authority": files.authority,
        "certificate": files.certificate,
        "key": files.key,
        "token": files.token,
        "secret": files.secret,
    }
    own = loopback(centre / KEYS)
    if own is not None:
        options |= {"loopback-certificate": own.certificate, "loopback-key": own.key}
    file_options = [word for name, path in options.items() for word in (f"--{name}-file", str(path.absolute()))]
    return [
        Child(
            name="superlink",
            command=[
                sys.executable,
                "-m",
                "coordinator.flower.superlink",
                "--public",
                listen,
                "--private",
                private,
                *file_options,
            ],
            environment=flower_environment(run / "flower"),
            whole_environment=True,
            ready=lambda: listens(port),
            patience_seconds=START_SECONDS,
            group=GROUP,
            pulse=Pulse(run / "superlink.pulse", silence_seconds),
        ),
        Child(
            name="conductor",
            command=[
                *(sys.executable, "-m", "coordinator.conductor_process", "--dir", str(centre.absolute())),
                *("--private", private, "--ready", str(ready)),
            ],
            environment={**STEADY_MEMORY, **NO_PROXY},
            ready=ready.exists,
            before=lambda: ready.unlink(missing_ok=True),
            patience_seconds=START_SECONDS,
            group=GROUP,
            pulse=Pulse(run / "conductor.pulse", silence_seconds),
        ),
    ]

"""A hospital's processes: SuperNode, porter and warm trainer, as children of one supervisor."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from pathlib import Path

from silo_node.configuration import Site
from silo_node.flower.supernode import SuperNodeSettings
from silo_node.identity import KEYS, NODE_KEY, RUNTIME_SECRET
from silo_node.joining import Joined
from silo_node.node_process import READY
from wardround.errors import Refused, refuse
from wardround.supervision.supervisor import Child

RUN = "run"
SOCKET = "trainer.sock"
VISIT_SECONDS = 15.0
"""How long one visit may wait for the trainer before it answers that the work goes on."""
START_SECONDS = 90.0
ALREADY_SECONDS = 75.0
"""How long Flower may hold a node for connected after it was killed (60 s), and a little."""
UNKNOWN_SECONDS = 15.0
"""How long a centre that just started may need to let in the nodes that it enrolled."""
LOG_TAIL_BYTES = 4000
ALREADY_CONNECTED, UNKNOWN = b"2004", b"401"
"""In Flower's last words: its code for a node that is connected already, and the HTTP status for a key that it does not know."""


def run_folder(site: Site) -> Path:
    """Give the folder of locks, sockets and states, for the owner only."""
    folder = site.folder / RUN
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder.absolute()


def children(site: Site, joined: Joined, *, visit_seconds: float = VISIT_SECONDS) -> list[Child]:
    """Give the processes in the order of their start."""
    run = run_folder(site)
    trainer_socket, ready, port = run / SOCKET, run / READY, _free_port()
    site_file = str(site.path.absolute())
    runtime = f"127.0.0.1:{port}"
    keys = (site.folder / KEYS).absolute()
    supernode = SuperNodeSettings(
        superlink=joined.address,
        authority=joined.authority.absolute(),
        node_key=keys / NODE_KEY,
        secret=keys / RUNTIME_SECRET,
        runtime=("127.0.0.1", port),
        home=run / "flower",
    )
    patience = ("--patience", str(visit_seconds))
    last_words = _LastWords(site.folder / "logs" / "supernode.log")
    socket_option = ("--socket", SOCKET)  # relative: socket paths may have 107 bytes at most
    return [
        Child(
            name="trainer",
            command=[sys.executable, "-m", "silo_node.training.process", "--site", site_file, *socket_option, *patience],
            environment={"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
            ready=trainer_socket.exists,
            before=_remover(trainer_socket),
            patience_seconds=START_SECONDS,
            folder=run,
        ),
        Child(
            name="supernode",
            command=supernode.command(),
            environment=supernode.environment(),
            whole_environment=True,
            ready=lambda: _listens(port),
            patience_seconds=ALREADY_SECONDS,
            group="node",
            explain=last_words.explain,
            patient=last_words.worth_another_try,
            patient_note="the centre does not let this node in yet; trying again for a while (after a crash it takes a minute)",
        ),
        Child(
            name="porter",
            command=[
                *(sys.executable, "-m", "silo_node.node_process", "--site", site_file, "--runtime", runtime),
                *(*socket_option, *patience, "--ready", str(ready)),
            ],
            ready=ready.exists,
            before=_remover(ready),
            patience_seconds=START_SECONDS,
            group="node",
            folder=run,
        ),
    ]


def _remover(path: Path) -> Callable[[], None]:
    def remove() -> None:
        path.unlink(missing_ok=True)

    return remove


class _LastWords:
    """Why a SuperNode ended, as far as its log says since this object was made."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._begin = log.stat().st_size if log.exists() else 0

    def _heard(self, words: bytes) -> bool:
        try:
            return words in self._log.read_bytes()[self._begin :][-LOG_TAIL_BYTES:]
        except OSError:
            return False

    def worth_another_try(self, seconds: float) -> bool:
        return seconds < UNKNOWN_SECONDS or self._heard(ALREADY_CONNECTED)

    def explain(self, _status: int) -> Refused | None:
        if self._heard(ALREADY_CONNECTED):
            return _refused(
                "another node is connected with this hospital's keys",
                "stop the other node; if a copy of this directory runs anywhere, remove it",
            )
        if self._heard(UNKNOWN):
            return _refused(
                "it does not know this node's key",
                "ask the operator to enrol this site's request.json, and to see that the centre is whole",
            )
        return None


def _refused(finding: str, next_step: str) -> Refused:
    return refuse("N-REFUSED", "supernode", "The centre lets in the nodes that it enrolled, each once", finding, next_step)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0

"""A hospital's processes: SuperNode, porter and warm trainer, as children of one supervisor."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from silo_node.configuration import Site
from silo_node.flower.supernode import SuperNodeSettings
from silo_node.identity import KEYS, NODE_KEY, RUNTIME_SECRET
from silo_node.joining import Joined
from silo_node.node_process import READY
from wardround.errors import Refused, refuse
from wardround.supervision.ports import free_port, listens
from wardround.supervision.supervisor import Child

RUN = "run"
SOCKET = "trainer.sock"
VISIT_SECONDS = 15.0
"""How long one visit may wait for the trainer before it answers that the work goes on."""
START_SECONDS = 90.0
HELD_SECONDS = 75.0
"""How long Flower may hold a node for connected after it was killed (60 s), and a little."""
NEWCOMER_SECONDS = 15.0
"""How long a node that was never let in tries: a centre that has just started needs a moment to know its nodes."""
LOG_BYTES = 100_000
"""Of what a SuperNode writes first, more than enough."""
CONNECTED, NOT_LET_IN = b"SuperNode ID:", b"code: 2004]"
"""What Flower's SuperNode writes when the centre has let it in, and when it has not."""
LET_IN = "let-in"


def run_folder(site: Site) -> Path:
    """Give the folder of locks, sockets and states, for the owner only."""
    folder = site.folder / RUN
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder.absolute()


def children(site: Site, joined: Joined, *, visit_seconds: float = VISIT_SECONDS) -> list[Child]:
    """Give the processes in the order of their start."""
    run = run_folder(site)
    trainer_socket, ready, port = run / SOCKET, run / READY, free_port()
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
    words = _Words(site.folder / "logs" / "supernode.log", run / LET_IN)
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
            ready=lambda: words.connected() and listens(port),
            before=words.begin,
            patience_seconds=HELD_SECONDS,
            group="node",
            explain=words.explain,
            patient=words.worth_another_try,
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


class _Words:
    """What a SuperNode says of its connection: Flower tells it to nobody but its log."""

    def __init__(self, log: Path, let_in: Path) -> None:
        self._log = log
        self._let_in = let_in
        self._begin = 0
        self._refused = False

    def begin(self) -> None:
        """Hear only what is said from now on."""
        self._begin = self._log.stat().st_size if self._log.exists() else 0

    def _heard(self, words: bytes) -> bool:
        try:
            with self._log.open("rb") as file:
                file.seek(self._begin)
                return words in file.read(LOG_BYTES)
        except OSError:
            return False

    def connected(self) -> bool:
        """Whether the centre has let it in; written down, since a node that was in may be held for connected."""
        connected = self._heard(CONNECTED)
        if connected and not self._let_in.exists():
            with suppress(OSError):
                self._let_in.touch(mode=0o600)
        return connected

    def worth_another_try(self, seconds: float) -> bool:
        self._refused = self._heard(NOT_LET_IN)
        return self._let_in.exists() or seconds < NEWCOMER_SECONDS

    def explain(self, _status: int) -> Refused | None:
        if not self._refused and not self._heard(NOT_LET_IN):
            return None
        return refuse(
            "N-REFUSED",
            "supernode",
            "The centre lets in the nodes that it enrolled, each once",
            "the centre does not let this hospital's node in",
            "ask the operator to enrol this site's request.json, and make sure that no other node runs with these keys",
        )

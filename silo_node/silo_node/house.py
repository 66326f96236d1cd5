"""A hospital's processes: SuperNode, porter and warm trainer, as children of one supervisor."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from silo_node.configuration import Site
from silo_node.flower.supernode import SuperNodeSettings
from silo_node.identity import KEYS, NODE_KEY, RUNTIME_SECRET
from silo_node.joining import Joined
from silo_node.local_log import LOG_FILE
from silo_node.proxy_trouble import PROXY_TROUBLE, read_proxy_trouble
from silo_node.supernode_words import SuperNodeWords
from silo_node.training.memory import NO_DEVICE_STATUS, NO_ROOM_STATUS
from silo_node.way_out import WayOut
from wardround.errors import Refused, refuse
from wardround.json_log import close_log
from wardround.json_log import open_log as open_json_log
from wardround.supervision.child import Child
from wardround.supervision.ports import free_port, listens
from wardround.supervision.printed import SUFFIX
from wardround.supervision.pulse import SILENCE_SECONDS, Pulse
from wardround.transport.environment import NO_PROXY

RUN = "run"
READY = "porter.ready"
SOCKET = "trainer.sock"
VISIT_SECONDS = 15.0
"""How long one visit may wait for the trainer before it answers that the work goes on."""
START_SECONDS = 90.0
HELD_SECONDS = 75.0
"""How long Flower may hold a node for connected after it was killed (60 s), and a little."""
LET_IN = "let-in"
KEPT_OUT = "kept-out.json"


def run_folder(site: Site) -> Path:
    """Give the folder of locks, sockets and states, for the owner only."""
    folder = site.folder / RUN
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder.absolute()


def children(
    site: Site, joined: Joined, *, visit_seconds: float = VISIT_SECONDS, silence_seconds: float = SILENCE_SECONDS
) -> list[Child]:
    """Give the processes in the order of their start.

    Args:
        site: the hospital.
        joined: its centre.
        visit_seconds: how long one visit may wait for the trainer.
        silence_seconds: how long a process may give no sign of life before it is held for frozen.
    """
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
        way_out=way_out(site, joined),
    )
    kept = dict.fromkeys(site.file.private_variables(), "")
    patience = ("--patience", str(visit_seconds))
    words = SuperNodeWords(
        site.folder / "logs" / f"supernode{SUFFIX}", run / LET_IN, run / KEPT_OUT, lambda text: _note(site, text)
    )
    socket_option = ("--socket", SOCKET)  # relative: socket paths may have 107 bytes at most
    return [
        Child(
            name="trainer",
            command=[sys.executable, "-m", "silo_node.training.process", "--site", site_file, *socket_option, *patience],
            environment={"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", **kept},
            ready=trainer_socket.exists,
            before=_remover(trainer_socket),
            patience_seconds=START_SECONDS,
            explain=_cannot_start,
            folder=run,
            pulse=Pulse(run / "trainer.pulse", silence_seconds),
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
            pulse=Pulse(run / "supernode.pulse", silence_seconds),
            explain=lambda status: words.explain(status) or _kept_by_proxy(run, joined.address),
            patient=words.worth_another_try,
            patient_note="the centre does not let this node in yet; trying again for a while (after a crash it takes a minute)",
        ),
        Child(
            name="porter",
            command=[
                *(sys.executable, "-m", "silo_node.node_process", "--site", site_file, "--runtime", runtime),
                *(*socket_option, *patience, "--ready", str(ready)),
            ],
            environment={**kept, **NO_PROXY},
            ready=ready.exists,
            before=_remover(ready),
            patience_seconds=START_SECONDS,
            group="node",
            folder=run,
            pulse=Pulse(run / "porter.pulse", silence_seconds),
        ),
    ]


def way_out(site: Site, joined: Joined) -> WayOut:
    """Give how this hospital's node reaches its centre."""
    return WayOut(proxy=site.file.proxy, folder=str(site.folder.absolute()), centre=joined.address)


def _kept_by_proxy(run: Path, address: str) -> Refused | None:
    """Say that the proxy does not lead to the centre, if that is what the SuperNode met."""
    trouble = read_proxy_trouble(run / PROXY_TROUBLE)
    if trouble is None:
        return None
    return refuse(
        trouble.code,
        address,
        "A node reaches its centre through the proxy that its site file names",
        trouble.finding,
        "run: wardround silo doctor --site site.yaml",
    )


def _note(site: Site, text: str) -> None:
    """Write a line into the hospital's own log. Its porter, which writes there too, does not run while the SuperNode is out."""
    log = open_json_log(site.make_directory("logs") / LOG_FILE, "silo_node.supervisor")
    log.warning("%s", text)
    close_log(log)


def _cannot_start(status: int) -> Refused | None:
    """Say why a trainer ended at its start, where its exit status tells."""
    if status == NO_DEVICE_STATUS:
        return refuse(
            "M-DEVICE",
            "trainer",
            "The device that the site file names is there",
            "'device' under 'resources' in site.yaml names a GPU, and the trainer finds none that it can use",
            "set auto or cpu, or install the driver and the build of torch for this GPU",
        )
    if status != NO_ROOM_STATUS:
        return None
    return refuse(
        "V-CHILD",
        "trainer",
        "The trainer's memory limit is larger than what its libraries take",
        "the limit under 'resources' in site.yaml leaves no room for records",
        "give it more, such as 4 GiB; logs/trainer.log says how much the libraries take",
    )


def _remover(path: Path) -> Callable[[], None]:
    def remove() -> None:
        path.unlink(missing_ok=True)

    return remove

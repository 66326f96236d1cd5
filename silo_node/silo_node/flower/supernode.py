"""Flower's SuperNode as it is started at a hospital: ``python -m silo_node.flower.supernode`` takes its own flags.

The SuperNode is stock, but for two seams in the one module that holds its loop, each taken only when that module still
is what it was when the seam was made (else stock Flower runs, and a note says so):

    pace    its literal sleeps of 3 s (no message) and 0.5 s (no reply yet) become shorter, the more the later; an
            object that is still on its way is asked for again after 50 ms instead of a second
    bundle  the bundle that the centre sent is not unpacked to read a configuration that nobody here uses

Where the hospital has a proxy, its client speaks through that, and not at all if it cannot be put in.
"""

from __future__ import annotations

import inspect
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import NoReturn

from silo_node.proxy_trouble import PROXY_TROUBLE
from silo_node.way_out import WayOut, handed_on
from wardround.errors import EXIT_USAGE, Broken, Refused
from wardround.supervision.pulse import begin_pulse
from wardround.supervision.settle import reuse_memory, settle
from wardround.transport.environment import SWITCHED_OFF, flower_environment
from wardround.transport.pace import Pace

IDLE_SECONDS = 3
"""The literal in Flower's loop that means: there was no message."""
SHORTEST_IDLE_SECONDS, LONGEST_IDLE_SECONDS = 0.05, 3.0
SHORTEST_REPLY_SECONDS, LONGEST_REPLY_SECONDS = 0.02, 0.25
OBJECT_BACKOFF_SECONDS = 0.05
ENDED_STATUS = 1
"""Exit status of a SuperNode whose connection has ended; its supervisor starts another one."""

MODULE = "silo_node.flower.supernode"


@dataclass(frozen=True)
class SuperNodeSettings:
    """What a hospital's SuperNode needs to start.

    Attributes:
        superlink: ``host:port`` of the centre.
        authority: path of the centre's authority certificate, pinned at ``join``.
        node_key: path of this hospital's P-384 key (OpenSSH).
        secret: path of the secret that the Runtime API asks for.
        runtime: ``host`` and ``port`` of the Runtime API, on loopback.
        home: Flower's own folder; that a proxy does not lead to the centre is written beside it.
        way_out: how the centre is reached; straight when not given.
    """

    superlink: str
    authority: Path
    node_key: Path
    secret: Path
    runtime: tuple[str, int]
    home: Path
    way_out: WayOut | None = None

    def command(self) -> list[str]:
        """Give the command line."""
        host, port = self.runtime
        return [
            sys.executable,
            "-m",
            MODULE,
            *("--superlink", self.superlink),
            *("--root-certificates", str(self.authority)),
            *("--auth-supernode-private-key", str(self.node_key)),
            *("--isolation", "process"),
            *("--superexec-auth-secret-file", str(self.secret)),
            *("--host", host),
            *("--port", str(port)),
        ]

    def environment(self) -> dict[str, str]:
        """Give the whole environment: telemetry, update checks and installs are off, no proxy is taken over but the site's."""
        return {**flower_environment(self.home), **({} if self.way_out is None else self.way_out.environment())}


def unlike(loop: ModuleType) -> list[str]:
    """Say in what Flower's loop is not the one that the seams were made for; nothing when it is."""
    source = inspect.getsource(loop)
    expected = {
        "import time\n": 1,
        "time.sleep(3)": 1,
        "time.sleep(0.5)": 2,
        "time.sleep(": 3,
        "time.": 4,  # and the end of a sentence in a docstring
        "pull_objects(": 1,
        "get_fused_config_from_fab(": 1,
    }
    return [text for text, times in expected.items() if source.count(text) != times]


def shorten(loop: ModuleType) -> None:
    """Put the seams in."""
    idle = Pace(SHORTEST_IDLE_SECONDS, LONGEST_IDLE_SECONDS)
    reply = Pace(SHORTEST_REPLY_SECONDS, LONGEST_REPLY_SECONDS)
    vars(loop)["time"] = SimpleNamespace(sleep=_sleeper(idle, reply, loop.time.sleep))
    vars(loop)["pull_objects"] = partial(loop.pull_objects, initial_backoff=OBJECT_BACKOFF_SECONDS, backoff_cap=1.0)
    vars(loop)["get_fused_config_from_fab"] = _no_configuration


def _sleeper(idle: Pace, reply: Pace, sleep: Callable[[float], None]) -> Callable[[float], None]:
    waiting_for_reply = False

    def paced(seconds: float) -> None:
        nonlocal waiting_for_reply
        if (seconds != IDLE_SECONDS) != waiting_for_reply:  # from silence to a message, or back
            waiting_for_reply = not waiting_for_reply
            (reply if waiting_for_reply else idle).reset()
        sleep((reply if waiting_for_reply else idle).pause())

    return paced


def _no_configuration(_bundle: bytes, _run: object) -> dict[str, object]:
    return {}


def go_through_proxy(trouble: Path) -> None:
    """Have Flower's connection use the proxy that this process was told of, if any.

    Args:
        trouble: the file in which it stands that the proxy does not lead to the centre.

    Raises:
        Refused: what is wrong with the proxy's settings or credentials.
        Broken: Flower does not connect in the way that a proxy was fitted to; straight is no way then.
    """
    way_out = handed_on()
    route = None if way_out is None else way_out.route()
    if route is None:
        trouble.unlink(missing_ok=True)
        return
    from flwr.supernode import fleet_http_connection as connection  # noqa: PLC0415

    from silo_node.flower.tunnel import fleet_client  # noqa: PLC0415

    if inspect.getsource(connection).count("FleetHttpClient.from_server_address(") != 1:
        msg = "Flower's connection is not the one that the proxy was fitted to"
        raise Broken(msg)
    vars(connection)["FleetHttpClient"] = fleet_client(route, trouble)


def run_to_the_end(supernode: Callable[[], None]) -> NoReturn:
    """Run a SuperNode, and end this process when it comes back: its connection has ended for good.

    Flower tries again where a centre is away, but not where a handshake broke off, as it does where something before the
    centre (a balancer, a firewall, a proxy) takes the connection while the centre is down. Its loop then returns, and the
    thread of its Runtime API would keep the process for ever: nobody would start another one.
    """
    try:
        supernode()
        print("the connection to the centre has ended", file=sys.stderr)  # noqa: T201  (into logs/supernode.out)
    except Exception:  # noqa: BLE001  (whatever it is, the thread would keep the process)
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(ENDED_STATUS)


def main() -> NoReturn:
    """Start the SuperNode in this process; it reads the command line itself."""
    os.environ.update(SWITCHED_OFF)
    begin_pulse()
    from flwr.supernode import start_client_internal as loop  # noqa: PLC0415  (the environment comes first)
    from flwr.supernode.cli.flower_supernode import flower_supernode  # noqa: PLC0415

    differences = unlike(loop)
    if differences:
        print(f"note: Flower's loop has changed ({len(differences)} places); it runs as it comes", file=sys.stderr)  # noqa: T201
    else:
        shorten(loop)
    try:
        go_through_proxy(Path(os.environ["FLWR_HOME"]).parent / PROXY_TROUBLE)
    except Refused as error:
        print(error, file=sys.stderr)  # noqa: T201  (into logs/supernode.out)
        sys.exit(EXIT_USAGE)
    settle()
    reuse_memory()
    run_to_the_end(flower_supernode)


if __name__ == "__main__":
    main()

"""``python -m silo_node.node_process``: the porter's process, between the SuperNode and the trainer.

It holds the site's signing key and the ledger, and speaks to the SuperNode on loopback and to the trainer over the
private socket. It imports no torch and can open no records.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from silo_node.configuration import load_site
from silo_node.flower.node import NodeLoop, SuperNodeAddress
from silo_node.identity import KEYS, RUNTIME_SECRET
from silo_node.joining import load_joined
from silo_node.local_log import keep_everything
from silo_node.node import open_node
from silo_node.porter.bench_client import BenchClient
from silo_node.running_code import measure
from wardround.errors import Refused
from wardround.messages.confidential import encrypted_size
from wardround.study.bundle import MAXIMUM_BYTES
from wardround.supervision.no_dump import no_core_dumps, not_traced
from wardround.supervision.pulse import begin_pulse
from wardround.supervision.settle import reuse_memory, settle
from wardround.transport.channel import Secret

LARGEST_MESSAGE_BYTES = encrypted_size(MAXIMUM_BYTES)
"""A new study's bundle is the largest thing that comes, and nobody here knows its size before it is there. One message comes at
a time, into an unnamed file that ends with it; only what the centre has signed is decrypted, which takes as much memory."""


def main() -> int:
    """Serve until SIGTERM; ends at once, since a SuperNode whose porter is gone is started anew with it."""
    parser = argparse.ArgumentParser(description="The hospital's porter.")
    parser.add_argument("--site", required=True, type=Path)
    parser.add_argument("--runtime", required=True, help="address of the SuperNode's Runtime API, on loopback")
    parser.add_argument("--socket", required=True, type=Path, help="the trainer's socket")
    parser.add_argument("--patience", required=True, type=float, help="how long one visit may wait for the trainer, in seconds")
    parser.add_argument("--ready", required=True, type=Path, help="a file that is made when the porter is ready")
    arguments = parser.parse_args()
    begin_pulse()
    no_core_dumps()
    not_traced()
    code = measure(arguments.ready.parent, "porter")
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        site = load_site(arguments.site)
        joined = load_joined(site.folder)
        secret = Secret((site.folder / KEYS / RUNTIME_SECRET).read_bytes())
        node = open_node(
            site, lambda _site, log: BenchClient(arguments.socket, arguments.patience, log, code), joined.coordinator.signing_key
        )
    except Refused as error:
        print(error, file=sys.stderr)  # noqa: T201  (into the supervisor's log)
        return error.exit_status
    keep_everything(node.log)
    settle()
    reuse_memory()
    try:
        node.porter.begin()
        arguments.ready.touch(mode=0o600)
        NodeLoop(SuperNodeAddress(arguments.runtime, secret), node.visit, node.log, largest_message=LARGEST_MESSAGE_BYTES).run(
            stop
        )
    finally:
        node.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())

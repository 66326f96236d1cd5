"""A hospital's porter (with its trainer) as a process of its own: hospital_process.py SITE_YAML RUNTIME_ADDRESS SECRET_FILE."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from pathlib import Path

from silo_node.configuration import load_site
from silo_node.flower.node import NodeLoop, SuperNodeAddress
from silo_node.node import open_node
from silo_node.training.trainer import Trainer
from wardround.transport.channel import Secret


def main() -> None:
    """Serve until SIGTERM."""
    site_file, address, secret_file = sys.argv[1:]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    node = open_node(load_site(Path(site_file)), Trainer)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    supernode = SuperNodeAddress(address, Secret(Path(secret_file).read_bytes()))
    try:
        NodeLoop(supernode, node.visit, node.log).run(stop)
    finally:
        node.close()


if __name__ == "__main__":
    main()

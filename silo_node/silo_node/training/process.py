"""``python -m silo_node.training.process``: the warm trainer, a process of its own behind a private socket.

It reads the bundles that the hospital approved from the inbox by itself, so that what it executes never came over the
socket. It has no network, and only the owner of the hospital's directory can reach the socket.
"""

from __future__ import annotations

import argparse
import os
import signal
from pathlib import Path
from typing import NoReturn

from silo_node.running_code import measure
from silo_node.training.probes import CutOff, cut_and_try
from wardround.supervision.no_dump import no_core_dumps
from wardround.supervision.pulse import begin_pulse


def main() -> NoReturn:
    """Serve one porter at a time until told to stop."""
    parser = argparse.ArgumentParser(description="The hospital's warm trainer.")
    parser.add_argument("--site", required=True, type=Path)
    parser.add_argument("--socket", required=True, type=Path)
    parser.add_argument("--patience", required=True, type=float)
    parser.add_argument("--checkpoint-seconds", type=float, help="how long a training lasts at least before its state is kept")
    arguments = parser.parse_args()
    network = cut_and_try()  # before any thread starts: ours, torch's
    begin_pulse()
    no_core_dumps()
    code = measure(arguments.socket.parent, "trainer")  # of what is loaded from here on
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # a result that is lost is asked for again
    _serve(arguments, network, code)


def _serve(arguments: argparse.Namespace, network: CutOff, code: str) -> NoReturn:
    # Heavy, with threads of their own: only after the network is cut.
    from silo_node.training.checkpoint import CHECKPOINT_SECONDS  # noqa: PLC0415
    from silo_node.training.serve import serve  # noqa: PLC0415

    seconds = CHECKPOINT_SECONDS if arguments.checkpoint_seconds is None else arguments.checkpoint_seconds
    serve(arguments.site, arguments.socket, arguments.patience, seconds, network, code)


if __name__ == "__main__":
    main()

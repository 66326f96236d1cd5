"""``python -m coordinator.conductor_process``: the conductor's process, between the SuperLink and the studies on disk.

It is its own Flower ServerApp: it starts the one run itself, takes its task and serves every study in it. No torch.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from pathlib import Path

from coordinator.brought import loopback
from coordinator.certificates import ending
from coordinator.door import Door, KeysTaken
from coordinator.flower.grid import FlowerGrid
from coordinator.flower.run import Run, SuperLinkAddress, serve_run
from coordinator.house import LOGS, run_folder
from coordinator.identity import KEYS, centre_files, load_centre
from coordinator.rounds.encrypted_grid import EncryptedGrid, encryption_keys, largest_reply
from coordinator.rounds.grid import Grid
from coordinator.scheduler import MakeGrid, Scheduler
from wardround.errors import Refused
from wardround.identity.encryption import EncryptionKey
from wardround.json_log import private_log
from wardround.study.bundle import Bundle
from wardround.supervision.pulse import begin_pulse
from wardround.supervision.reminder import remind_daily
from wardround.supervision.settle import return_memory, settle
from wardround.transport.channel import Secret, TransportFault

CONDUCTOR_LOG = "conductor.log"
log = logging.getLogger("conductor")


def main() -> int:
    """Serve until SIGTERM, or until the SuperLink is gone: then the supervisor starts both anew."""
    parser = argparse.ArgumentParser(description="The centre's conductor.")
    parser.add_argument("--dir", required=True, type=Path)
    parser.add_argument("--private", required=True, help="the SuperLink's private address, on loopback")
    parser.add_argument("--ready", required=True, type=Path, help="a file that is made when the conductor is ready")
    arguments = parser.parse_args()
    begin_pulse()
    logging.basicConfig(level=logging.INFO, handlers=[private_log(arguments.dir / LOGS / CONDUCTOR_LOG)])
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for every request says nothing and fills the disk
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: _leave(stop))
    try:
        _serve(arguments.dir, arguments.private, arguments.ready, stop)
    except Refused as error:
        log.error("%s", error)  # noqa: TRY400  (a coded error, not a trace)
        print(error, file=sys.stderr)  # noqa: T201  (where who started us looks first)
        return error.exit_status
    except KeysTaken:
        return 0  # the supervisor starts the SuperLink and this process anew; every study goes on with the new keys
    except TransportFault as fault:
        log.error("the SuperLink is gone: %s", fault)  # noqa: TRY400  (its text is ours)
        print(f"the SuperLink is gone: {fault}", file=sys.stderr)  # noqa: T201  (as above)
        return 1
    return 0


def _leave(stop: threading.Event) -> None:
    """Stop at once, wherever it is: the run is ended on the way out."""
    stop.set()
    raise SystemExit(0)


def _serve(folder: Path, private: str, ready: Path, stop: threading.Event) -> None:
    centre = load_centre(folder)
    files, own = centre_files(folder), loopback(folder / KEYS)
    authority = files.authority if own is None else own.authority
    link = SuperLinkAddress(private, authority.read_bytes(), files.token.read_text().strip(), Secret(files.secret.read_bytes()))
    with serve_run(link) as run, link.control() as control:
        door = Door(folder, control)
        door.look()
        scheduler = Scheduler(
            folder, centre.key, _grids(run, door, centre.encryption, run_folder(folder)), door.removed, door.current
        )
        remind_daily(lambda: ending(folder), log.warning)
        settle()
        return_memory()
        ready.touch(mode=0o600)
        log.info("ready")
        while not stop.is_set():
            door.look()
            scheduler.tick()


def _grids(run: Run, door: Door, key: EncryptionKey, spool: Path) -> MakeGrid:
    def make(bundle: Bundle) -> Grid:
        nodes = door.node_ids(bundle.roster)
        grid = FlowerGrid(run.channel, run.run_id, nodes, spool=spool, largest_reply=largest_reply(bundle))
        return EncryptedGrid(grid, encryption_keys(bundle.roster, door.current), key)

    return make


if __name__ == "__main__":
    sys.exit(main())

"""A hospital whose porter lies: rogue_hospital.py SITE_YAML [REPLY] runs it, with the real SuperNode and trainer.

Its answers to statistics are honest. The changes of weights of its rounds are made into rubbish and signed with the
hospital's real key: not a number in the first round, too short in the second, bytes that nobody can read in the third.

With the file of a REPLY (another hospital's, as it was recorded) it replays: that one in the first and third round, its
own answer to statistics in the second.
"""

from __future__ import annotations

import dataclasses
import sys
from functools import partial
from pathlib import Path

import numpy as np

from silo_node import house, node_process
from silo_node.configuration import Site, load_site
from silo_node.identity import encryption_key, signing_key
from silo_node.joining import load_joined
from silo_node.node import MakeWorker, Node, open_node
from silo_node.porter.gate import Release
from silo_node.porter.porter import Porter
from wardround.identity.encryption import EncryptionKey
from wardround.identity.keys import PublicKey, SigningKey
from wardround.messages.confidential import decrypted, encrypted_for
from wardround.messages.envelope import Envelope, digests, read, seal
from wardround.messages.round import ANSWER, Reply, RoundResult, StatisticsResult
from wardround.messages.stored import restore
from wardround.supervision.house import run_house


@dataclasses.dataclass
class Standing:
    """Stands before a real porter, and is it in all but its visits."""

    porter: Porter

    def __getattr__(self, name: str) -> object:
        """Be the porter in everything else."""
        return getattr(self.porter, name)


@dataclasses.dataclass
class Liar(Standing):
    """Answers rounds with rubbish."""

    key: SigningKey
    encryption: EncryptionKey
    centre: PublicKey
    lies: int = 0

    def visit(self, envelope: Envelope) -> Release:
        """Answer as the porter does, but for the changes of weights."""
        release = self.porter.visit(envelope)
        reply, asked = read(release.envelope, ANSWER), decrypted(envelope, self.encryption)
        if not isinstance(reply, Reply) or not isinstance(reply.result, RoundResult) or asked is None or not asked.arrays:
            return release
        self.lies += 1
        weights = bytes(asked.arrays[0])  # as many numbers as a change has
        if self.lies % 3 == 0:
            rubbish = Envelope(message=b"\x93\x00rubbish", signature="0" * 128, arrays=(weights,))
            return Release(encrypted_for(rubbish, self.centre))
        change = np.frombuffer(weights, dtype="<f4").copy()
        change[0] = np.nan
        arrays = (change.tobytes(),) if self.lies % 3 == 1 else (weights[:-4],)
        lie = seal("reply", reply.model_copy(update={"bodies": digests(arrays)}), self.key, arrays)
        return Release(encrypted_for(lie, self.centre))


@dataclasses.dataclass
class Replayer(Standing):
    """Answers with what was said before."""

    recorded: Envelope
    own: Envelope | None = None
    replays: int = 0

    def visit(self, envelope: Envelope) -> Release:
        """Answer statistics as the porter does, and rounds with a replay."""
        release = self.porter.visit(envelope)
        reply = read(release.envelope, ANSWER)
        if isinstance(reply, Reply) and isinstance(reply.result, StatisticsResult):
            self.own = release.envelope
        if not isinstance(reply, Reply) or not isinstance(reply.result, RoundResult) or self.own is None:
            return release
        self.replays += 1
        return Release(self.recorded if self.replays % 2 else self.own)


def open_replayer(reply: Path, site: Site, make_worker: MakeWorker, coordinator: PublicKey | None = None) -> Node:
    """Open the node with the one who replays in its porter's place."""
    node = open_node(site, make_worker, coordinator)
    recorded = restore(reply.read_bytes())
    assert recorded is not None
    return dataclasses.replace(node, porter=Replayer(node.porter, recorded))  # type: ignore[arg-type]


def open_rogue(site: Site, make_worker: MakeWorker, coordinator: PublicKey | None = None) -> Node:
    """Open the node with the liar in its porter's place."""
    node = open_node(site, make_worker, coordinator)
    centre = load_joined(site.folder).coordinator.encryption_key
    liar = Liar(node.porter, signing_key(site.folder), encryption_key(site.folder), centre)
    return dataclasses.replace(node, porter=liar)  # type: ignore[arg-type]


def start(site_file: Path, reply: str) -> None:
    """Run all processes of the hospital, as `silo start` does, with the liar's in place of the porter's."""
    site = load_site(site_file)
    children = house.children(site, load_joined(site.folder))
    porter = next(child for child in children if child.name == "porter")
    command = [word for word in porter.command if word not in ("-m", "silo_node.node_process")]
    command[1:1] = [str(Path(__file__).absolute()), "porter", reply]
    lying = dataclasses.replace(porter, command=command)
    processes = [lying if child is porter else child for child in children]
    run_house(house.run_folder(site), site.make_directory("logs"), f"site {site.file.site}", processes, "The liar is up.")


if __name__ == "__main__":
    if sys.argv[1] == "porter":
        _, _, reply, *sys.argv[1:] = sys.argv
        node_process.open_node = partial(open_replayer, Path(reply)) if reply else open_rogue
        sys.exit(node_process.main())
    start(Path(sys.argv[1]), "".join(sys.argv[2:]))

"""One hospital's node, put together: trainer, ledger, gate and porter over one directory."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from silo_node.configuration import Site
from silo_node.identity import load_identity, signing_key
from silo_node.local_log import close_log, open_log
from silo_node.porter.approvals import Approvals
from silo_node.porter.gate import EgressPolicy, Gate, Release
from silo_node.porter.ledger import Ledger
from silo_node.porter.porter import Porter
from silo_node.training.trainer import Trainer
from silo_node.work import Worker
from wardround.messages.envelope import Envelope


@dataclass(frozen=True)
class Node:
    """A hospital that is open for visits."""

    porter: Porter
    ledger: Ledger
    log: logging.Logger

    def visit(self, envelope: Envelope) -> Release:
        """Take one message and answer it."""
        return self.porter.visit(envelope)

    def close(self) -> None:
        """Close the ledger and the log."""
        self.ledger.close()
        close_log(self.log)


def open_node(site: Site, worker: Worker | None = None) -> Node:
    """Open a hospital in this process, with its trainer (or another worker) behind the door.

    Raises:
        Refused: K- codes when keys are missing or do not fit, L-BROKEN when the ledger was changed.
    """
    identity = load_identity(site.folder)
    policy = site.file.policy
    key = signing_key(site.folder)
    ledger = Ledger(site.make_directory("ledger"))
    gate = Gate(identity.site, key, ledger, EgressPolicy(policy.small_cell, policy.smallest_metrics))
    log = open_log(site.make_directory("logs"), identity.site)
    porter = Porter(identity.site, Approvals(site.folder, identity), gate, ledger, worker or Trainer(site, log), log)
    return Node(porter, ledger, log)

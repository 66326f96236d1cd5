"""One hospital's node, put together over one directory: ledger, gate, inbox and porter, and whoever does the work.

The trainer is not imported here: in a simulation the caller brings it, in deployment it is another process.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from silo_node.configuration import Site
from silo_node.identity import encryption_key, load_identity, signing_key
from silo_node.local_log import open_log
from silo_node.porter.approvals import Approvals
from silo_node.porter.gate import Gate, Release
from silo_node.porter.inbox import Inbox
from silo_node.porter.ledger import FOLDER, Ledger
from silo_node.porter.porter import Porter
from silo_node.porter.told_before import Origins
from silo_node.work import Worker
from wardround.identity.keys import PublicKey
from wardround.json_log import close_log
from wardround.messages.envelope import Envelope

MakeWorker = Callable[[Site, logging.Logger], Worker]


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
        """Close journals, ledger and log."""
        self.porter.close()
        self.ledger.close()
        close_log(self.log)


def open_node(site: Site, make_worker: MakeWorker, coordinator: PublicKey | None = None) -> Node:
    """Open a hospital in this process.

    Args:
        site: the hospital's site file.
        make_worker: makes whoever does the work: a trainer, or a client of the trainer's process.
        coordinator: the key of the centre that the hospital joined. Without it this is a simulation: studies are not offered
            but brought, and what was done for one is forgotten with the node, so that it can be tried again.

    Raises:
        Refused: K- codes when keys are missing or do not fit, Y- codes of the hospital's policy, L- codes when the ledger was
            changed or another process has it open.
    """
    identity = load_identity(site.folder)
    site.policy()  # one that cannot be read is said now, not to the first task
    key = signing_key(site.folder)
    ledger = Ledger(site.make_directory(FOLDER), key)
    log = open_log(site.make_directory("logs"), identity.site)
    approvals = Approvals(site.folder, identity)
    gate = Gate(identity.site, key, ledger, site.policy_file, coordinator, _origins(site))
    encryption = encryption_key(site.folder)
    inbox = None if coordinator is None else Inbox(site.folder, identity, approvals, coordinator, encryption, log)
    folder = None if coordinator is None else site.folder
    porter = Porter(identity.site, folder, encryption, approvals, gate, make_worker(site, log), log, inbox)
    return Node(porter, ledger, log)


def _origins(site: Site) -> Origins:
    """Know of each schema which files are behind it, and of each field its local column."""
    schemas = site.file.schemas

    def table(schema: str) -> frozenset[str] | None:
        mapping = schemas.get(schema)
        paths = () if mapping is None or mapping.source not in site.file.sources else site.record_paths(mapping.source)
        return frozenset(str(path.resolve()) for path in paths) or None

    def columns(schema: str) -> dict[str, str]:
        mapping = schemas.get(schema)
        if mapping is None:
            return {}
        found = {name: mapping.column(name) for name in mapping.columns}
        return {name: column.column for name, column in found.items() if column is not None}

    return Origins(table, columns)

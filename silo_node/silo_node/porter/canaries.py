"""Canaries: figures of this machine for a study that is approved here, without a record, a task or a trace.

A canary is signed by the study's coordinator, addressed to this hospital, and brings exactly the approved initial
weights, as a task of the first round would. It changes nothing of the order of tasks, and is no release.
"""

from __future__ import annotations

import time
from pathlib import Path

import wardround
from silo_node.centre_software import heard
from silo_node.porter.approvals import Approved
from silo_node.porter.gate import Gate, Release
from silo_node.work import NotDone, Worker
from wardround.canonical import sha256
from wardround.identity.encryption import EncryptionKey
from wardround.identity.software import RUNTIME, package_versions
from wardround.messages.canary import MIB, Canary, CanaryFigures
from wardround.messages.confidential import decrypted
from wardround.messages.envelope import Envelope, bodies_hold, signed_by
from wardround.messages.round import SiloCode
from wardround.study.bundle import Bundle
from wardround.supervision.ground import free_bytes
from wardround.weights.packing import as_wire

PAUSE_SECONDS = 1.0
"""Between two canaries at least: each is a line of the ledger, and work."""


class Canaries:
    """One hospital's answers to canaries."""

    def __init__(self, site: str, folder: Path | None, encryption: EncryptionKey, gate: Gate, worker: Worker) -> None:
        """Take the hospital's name and directory (None in a simulation), its key, its gate, and whoever does the work."""
        self._site = site
        self._folder = folder
        self._encryption = encryption
        self._gate = gate
        self._worker = worker
        self._next = 0.0
        self._seen = ""

    def answer(
        self, envelope: Envelope, canary: Canary, approved: Approved, begun: int, *, idle: bool, allowed: bool = True
    ) -> Release:
        """Answer one canary, or refuse it by a code.

        Args:
            envelope: as it came, encrypted to this hospital.
            canary: what stands in it.
            approved: its study, which is approved here and now.
            begun: when the porter had it whole, on the monotonic clock in nanoseconds.
            idle: whether no task is under way here.
            allowed: whether the hospital's policy of now allows the study; only its coordinator hears that it does not.
        """
        objection = self._objection(envelope, canary, approved)
        if objection is None:
            heard(self._folder, canary.wardround)
        code = objection or (None if allowed else "H-POLICY")
        code = code or self._takes_turn(canary, idle=idle)
        if code is not None:
            return self._gate.refuse(NotDone(code), canary.study_hash, canary.nonce)
        tried = self._worker.try_out(approved.bundle, canary.rows)
        if isinstance(tried, NotDone):
            return self._gate.refuse(NotDone(tried.code), canary.study_hash, canary.nonce)
        disk = None if self._folder is None else free_bytes(self._folder)
        inside_us = (time.monotonic_ns() - begun) // 1000
        figures = CanaryFigures(
            same_version=canary.wardround == wardround.__version__,
            other_packages=_others(approved.bundle),
            clock_ms=(time.time_ns() // 1000 - inside_us // 2) // 1000,
            inside_us=inside_us,
            needed_mib=tried.needed_mib,
            available_mib=tried.available_mib,
            disk_mib=None if disk is None else disk // MIB,
            rows=tried.rows,
            step_us=tried.step_us,
        )
        return self._gate.answer_canary(canary, approved, figures)

    def _objection(self, envelope: Envelope, canary: Canary, approved: Approved) -> SiloCode | None:
        """Say why a canary is refused, if so; the signature comes first."""
        if not signed_by(envelope, "canary", approved.bundle.roster.coordinator.signing_key):
            return "H-SIGNATURE"
        if canary.to != self._site:
            return "H-ADDRESS"
        plain = decrypted(envelope, self._encryption)
        ours = canary.bodies == (sha256(as_wire(approved.bundle.weights)),)
        return None if ours and plain is not None and bodies_hold(plain, canary.bodies) else "H-BODY"

    def _takes_turn(self, canary: Canary, *, idle: bool) -> SiloCode | None:
        """Say that a canary comes while a task is under way, too soon after the last one, or is the last one again."""
        now = time.monotonic()
        if not idle or now < self._next or canary.nonce == self._seen:
            return "H-ORDER"
        self._next, self._seen = now + PAUSE_SECONDS, canary.nonce
        return None


def _others(bundle: Bundle) -> int:
    """Count the packages of those that decide what is computed, and that the bundle names, of which another version is here.

    Of no others: what else a hospital has installed is nobody's question.
    """
    named = {name: version for name, version in bundle.versions.packages.items() if name in RUNTIME}
    here = package_versions(named)
    return sum(here.get(name) != version for name, version in named.items())

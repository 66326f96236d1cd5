"""Paper hospitals that are offered a study and answer canaries, with figures that a test decides."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from paper_hospitals import PaperHospital

import wardround
from wardround.messages.canary import CANARY, Canary, CanaryFigures, CanaryReport
from wardround.messages.envelope import Envelope, bodies_hold, digests, read, seal, signed_by
from wardround.messages.offer import OFFER, OfferAnswer, OfferState
from wardround.messages.round import SiloCode, SiloRefusal
from wardround.weights.packing import to_bytes

HONEST: dict[str, object] = {
    "other_packages": 0,
    "inside_us": 10,
    "needed_mib": 10,
    "available_mib": 1000,
    "disk_mib": 10_000,
    "rows": 32,
    "step_us": 2000,
}


@dataclass
class Canaried(PaperHospital):
    """A hospital that says what was decided of an offer, and answers canaries.

    Attributes:
        figures: what it measures otherwise.
        refuses: the code that it answers canaries with.
        silent: whether it answers none.
        flown: the canaries that came.
    """

    decision: OfferState = "approved"
    figures: dict[str, object] = field(default_factory=dict)
    refuses: SiloCode | None = None
    silent: bool = False
    flown: list[Canary] = field(default_factory=list)

    def knock(self, envelope: Envelope) -> Envelope | None:
        """Take an offer, a canary, or an order as ever."""
        key = self.paper.parties[self.site].key
        offer, canary = read(envelope, OFFER), read(envelope, CANARY)
        if offer is not None:
            return seal("reply", OfferAnswer(site=self.site, study_hash=offer.study_hash, state=self.decision), key)
        if canary is None:
            return super().knock(envelope)
        assert signed_by(envelope, "canary", self.paper.key.public)
        assert bodies_hold(envelope, canary.bodies)
        assert bytes(envelope.arrays[0]) == to_bytes(self.paper.bundle.weights)
        assert canary.to == self.site
        self.flown.append(canary)
        if self.silent:
            return None
        if self.refuses is not None:
            refusal = SiloRefusal(site=self.site, study_hash=canary.study_hash, task_id=canary.nonce, code=self.refuses)
            return seal("reply", refusal, key)
        return self._report(canary)

    def _report(self, canary: Canary) -> Envelope:
        arrays = (bytes(len(to_bytes(self.paper.bundle.weights))),)
        same = canary.wardround == wardround.__version__
        measured = {**HONEST, "same_version": same, "clock_ms": time.time_ns() // 10**6, **self.figures}
        report = CanaryReport(
            site=self.site,
            study_hash=canary.study_hash,
            nonce=canary.nonce,
            approval="a" * 64,
            ledger="b" * 64,
            figures=CanaryFigures.model_validate(measured),
            bodies=digests(arrays),
        )
        return seal("reply", report, self.paper.parties[self.site].key, arrays)

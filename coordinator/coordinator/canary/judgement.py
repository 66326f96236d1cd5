"""What an answer to a canary says about its hospital: every reason why it is not ready, as a code."""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.canary.deadline import training_seconds
from coordinator.canary.files import OwnCode, SiloCanary
from wardround.identity.roster import Member
from wardround.messages.canary import CANARY_ANSWER, MIB, CanaryFigures, CanaryReport
from wardround.messages.envelope import Envelope, bodies_hold, read, signed_by
from wardround.messages.round import CentreCode, SiloCode, SiloRefusal
from wardround.study.bundle import Bundle
from wardround.supervision.ground import MODELS_ON_DISK
from wardround.transport.clocks import AHEAD_SECONDS, BEHIND_SECONDS

SPARE_BYTES = 100 * MIB
"""For everything else: journals, ledger, logs."""


@dataclass(frozen=True)
class Landed:
    """An answer as it came.

    Attributes:
        seconds: the round trip.
        middle: this machine's clock in the middle of it, seconds since 1970.
        asked: SHA-256 of the message that it answers.
    """

    envelope: Envelope
    seconds: float
    middle: float
    bytes_down: int
    asked: str


def judge(landed: Landed, member: Member, bundle: Bundle, nonce: str, records: int) -> SiloCanary:
    """Say what an answer says of a hospital. The signature is checked before anything else of it is believed."""
    answer = read(landed.envelope, CANARY_ANSWER)
    code = _objection(answer, landed, member, bundle, nonce)
    if code is None and isinstance(answer, CanaryReport):
        return _measured(answer, landed, bundle, records)
    return SiloCanary(
        site=member.site,
        codes=(code or "R-PROTOCOL",),
        reference=answer.reference if isinstance(answer, SiloRefusal) and answer.code == code else None,
        round_trip_seconds=_tidy(landed.seconds),
        bytes_down=landed.bytes_down,
        bytes_up=landed.envelope.byte_count,
    )


def _objection(
    answer: CanaryReport | SiloRefusal | None, landed: Landed, member: Member, bundle: Bundle, nonce: str
) -> SiloCode | CentreCode | None:
    envelope = landed.envelope
    if answer is None:
        return "R-PROTOCOL"
    if not signed_by(envelope, "reply", member.signing_key):
        return "R-SIGNATURE"
    if answer.site != member.site:
        return "R-SENDER"
    if isinstance(answer, SiloRefusal):
        named = (answer.study_hash, answer.task_id)
        ours = named == (bundle.study_hash, nonce) or (named == (None, None) and answer.answers == landed.asked)
        return answer.code if ours else "R-TASK"
    if (answer.study_hash, answer.nonce) != (bundle.study_hash, nonce):
        return "R-TASK"
    size = 4 * bundle.manifest.size
    return None if bodies_hold(envelope, answer.bodies) and len(envelope.arrays[0]) == size else "R-BODY"


def _measured(report: CanaryReport, landed: Landed, bundle: Bundle, records: int) -> SiloCanary:
    figures = report.figures
    up = landed.envelope.byte_count
    transport = max(landed.seconds - figures.inside_us / 1e6, 0.0)
    ahead = figures.clock_ms / 1000 - landed.middle
    return SiloCanary(
        site=report.site,
        codes=_reasons(figures, ahead, transport / 2, 4 * bundle.manifest.size),
        figures=figures,
        round_trip_seconds=_tidy(landed.seconds),
        transport_seconds=_tidy(transport),
        bytes_down=landed.bytes_down,
        bytes_up=up,
        bytes_per_second=round((landed.bytes_down + up) / transport) if transport else None,
        ahead_seconds=_tidy(ahead),
        unsure_seconds=_tidy(transport / 2),
        training_seconds=_tidy(training_seconds(figures, bundle.study.training, records)),
    )


def _reasons(figures: CanaryFigures, ahead: float, unsure: float, model_bytes: int) -> tuple[OwnCode, ...]:
    """Give every reason that the figures name. A clock counts as wrong where it is for sure.

    Memory is none: the step was really done, and what does not fit is refused as H-MEMORY.
    """
    found: list[OwnCode] = []
    if not figures.same_version:
        found.append("V-VERSION")
    if ahead - unsure > AHEAD_SECONDS or ahead + unsure < -BEHIND_SECONDS:
        found.append("N-CLOCK")
    if figures.disk_mib is not None and figures.disk_mib * MIB < MODELS_ON_DISK * model_bytes + SPARE_BYTES:
        found.append("O-SPACE")
    return tuple(found)


def _tidy(seconds: float) -> float:
    """Round to microseconds, and to no negative zero, which canonical JSON refuses."""
    return round(seconds, 6) + 0.0

"""What the command asks of the conductor, and what it answers: two files in a study's folder, each whole or not there."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, ValidationError

from wardround.canonical import canonical_bytes, model_json
from wardround.files import write_atomic
from wardround.messages.canary import CanaryFigures, Milliseconds
from wardround.messages.round import CentreCode, RecordCount, SiloCode
from wardround.reference import Reference
from wardround.values import Count, Instant, Sha256, Slug, Value, Version

REQUEST = "canary-request.json"
ANSWER = "canary.json"

OwnCode: TypeAlias = Literal["N-CLOCK", "V-VERSION", "O-SPACE"]
"""What the centre finds in the figures of a hospital that answered as it should."""
Seconds: TypeAlias = Annotated[float, Field(ge=0)]


class CanaryRequest(Value):
    """What is asked.

    Attributes:
        request: names it; the answer repeats it.
        records: training records that a hospital is assumed to have.
        until_ms: when nobody waits for the answer any more, milliseconds since 1970 by this machine's clock.
    """

    request: Sha256
    records: RecordCount
    assumed: Literal["given", "silos.minimum_records"]
    until_ms: Milliseconds


class SiloCanary(Value):
    """One hospital: ready when there is no code.

    Attributes:
        reference: under which the hospital itself finds what happened, where it refused.
        round_trip_seconds: from the first byte of the canary to the last of the answer; None when there was none.
        transport_seconds: of these, outside of the hospital's porter.
        bytes_down, bytes_up: what travelled, without the transport's own.
        ahead_seconds: the hospital's clock less the centre's, within ``unsure_seconds`` on either side.
        training_seconds: what one round's local training would take with the assumed records.
    """

    site: Slug
    codes: tuple[SiloCode | CentreCode | OwnCode, ...]
    reference: Reference | None = None
    figures: CanaryFigures | None = None
    round_trip_seconds: Seconds | None = None
    transport_seconds: Seconds | None = None
    bytes_down: Count = 0
    bytes_up: Count = 0
    bytes_per_second: Count | None = None
    ahead_seconds: float | None = None
    unsure_seconds: Seconds | None = None
    training_seconds: Seconds | None = None

    @property
    def ready(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.codes


class Deadline(Value):
    """A proposed ``rounds.deadline_seconds``: ``factor`` times what the slowest hospital needs, rounded up."""

    seconds: Count
    slowest: Slug
    training_seconds: Seconds
    transport_seconds: Seconds
    factor: Count
    least_seconds: Count
    of_the_study: Annotated[float, Field(gt=0)]


class CanaryResult(Value):
    """What came of a canary: every hospital on the roster, and a deadline if one could be measured."""

    request: Sha256
    study_hash: Sha256
    name: Slug
    version: Version
    asked_at: Instant
    records: RecordCount
    assumed: Literal["given", "silos.minimum_records"]
    silos: tuple[SiloCanary, ...]
    deadline: Deadline | None

    @property
    def ready(self) -> bool:
        """Whether every hospital is."""
        return all(silo.ready for silo in self.silos)


def write_request(folder: Path, request: CanaryRequest) -> None:
    """Ask; O-WRITE when it cannot be written."""
    write_atomic(folder / REQUEST, canonical_bytes(model_json(request)))


def pending_request(folder: Path) -> CanaryRequest | None:
    """Give what is asked, if somebody still waits for it."""
    try:
        request = CanaryRequest.model_validate_json((folder / REQUEST).read_bytes())
    except (OSError, ValidationError):
        return None
    return request if request.until_ms > now_ms() else None


def withdraw_request(folder: Path, request: CanaryRequest) -> None:
    """Take a request back, unless another stands in its place."""
    found = pending_request(folder)
    if found is None or found.request == request.request:
        (folder / REQUEST).unlink(missing_ok=True)


def write_result(folder: Path, result: CanaryResult) -> None:
    """Answer; the request is gone once the answer is on disk."""
    write_atomic(folder / ANSWER, canonical_bytes(model_json(result)))
    (folder / REQUEST).unlink(missing_ok=True)


def read_result(folder: Path, request: CanaryRequest) -> CanaryResult | None:
    """Give the answer to a request, once it is there."""
    try:
        result = CanaryResult.model_validate_json((folder / ANSWER).read_bytes())
    except (OSError, ValidationError):
        return None
    return result if result.request == request.request else None


def now_ms() -> int:
    """Give this machine's clock, milliseconds since 1970."""
    return time.time_ns() // 10**6

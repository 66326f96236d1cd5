"""What a study's history says of each visit: who counted, with how many records, who did not, and why."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from wardround.messages.round import CentreCode, Purpose, SiloCode
from wardround.metrics.pooled import Metrics
from wardround.reference import Reference
from wardround.values import Count, Fraction, Sha256, Slug, Value

ShortfallCode: TypeAlias = Literal["C-QUORUM", "C-REQUIRED", "C-SHARE", "C-RANGE", "C-FAILED", "C-STATISTICS"]
Seconds: TypeAlias = Annotated[float, Field(ge=0)]
EvaluationStatus: TypeAlias = Literal["shown", "withheld", "not used", "none"]


class SiloRecord(Value):
    """One hospital in one visit.

    Attributes:
        status: ``not asked`` is a hospital without a signed count: ``code`` is why it did not count in the statistics.
        reference: under which the hospital itself finds what happened, with a code of its own.
        records: its signed training records, if it counted.
        share: its share of the weights of this round's sum.
        evaluation: ``shown``; ``withheld`` by the hospital's policy; ``not used`` since the study wants more validation
            records; ``none`` where it did not count or the visit evaluates nothing.
        metrics: of the weights that were sent, on this hospital's own records.
        training_loss: mean over the last local epoch.
        bytes_down, bytes_up: message and arrays, without the transport's own.
        withheld: in a release, that this hospital's own figures are not shown: what is None here is not zero.
    """

    site: Slug
    status: Literal["counted", "refused", "silent", "not asked"]
    code: SiloCode | CentreCode | None = None
    reference: Reference | None = None
    records: Count | None = None
    share: Fraction | None = None
    evaluation: EvaluationStatus = "none"
    metrics: Metrics | None = None
    training_loss: float | None = None
    seconds: Seconds | None = None
    bytes_down: Count | None = 0
    bytes_up: Count | None = 0
    withheld: bool = False


class RoundRecord(Value):
    """One visit to all hospitals: statistics, a round, the closing evaluation or the test.

    Attributes:
        raised: how often the sum's exponents had been raised in this round (C-RANGE), without training anew.
        weights: SHA-256 of the weights that were sent and evaluated.
        stepped: SHA-256 of the weights after this round's step.
        pooled: metrics of the pooled counts of ``evaluated_by``.
        late: hospitals whose reply to an earlier visit came in now, and was refused.
        training_loss: mean over the records of all that counted; bytes_down, bytes_up: of all hospitals together. None where
            the hospitals' own, from which they follow, are all shown.
        withheld: in a release, that figures of all hospitals together are not shown: a hospital's own would follow from them.
    """

    purpose: Purpose
    round: Count
    attempt: Count
    raised: Count = 0
    outcome: Literal["closed", "failed"]
    shortfall: tuple[ShortfallCode, ...] = ()
    weights: Sha256 | None = None
    stepped: Sha256 | None = None
    records: Count | None
    silos: tuple[SiloRecord, ...]
    pooled: Metrics | None = None
    evaluated_by: tuple[Slug, ...] = ()
    late: tuple[Slug, ...] = ()
    seconds: Seconds
    training_loss: float | None = None
    bytes_down: Count | None = None
    bytes_up: Count | None = None
    withheld: bool = False

    @property
    def counted(self) -> tuple[str, ...]:
        """The hospitals that counted."""
        return tuple(silo.site for silo in self.silos if silo.status == "counted")

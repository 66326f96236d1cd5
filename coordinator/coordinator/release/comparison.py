"""What only somebody who holds all records at once can say: a demo, or a benchmark on public data.

The centre of a real study never has this: it would need the hospitals' records in one place.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import StringConstraints, model_validator

from wardround.metrics.pooled import Metrics
from wardround.values import Count, Slug, Value

Words = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Note = Annotated[str, StringConstraints(max_length=2000)]


class ModelRow(Value):
    """One model's figures, on the test records of every hospital and of all together.

    Attributes:
        kind: ``federated`` (the study's), ``pooled`` (trained on all records in one place), ``alone`` (on one hospital's).
        site: the hospital whose records alone made the model.
        per_site: by site name, on that hospital's test records.
    """

    name: Words
    kind: Literal["federated", "pooled", "alone"]
    site: Slug | None = None
    per_site: dict[Slug, Metrics]
    overall: Metrics

    @model_validator(mode="after")
    def _site_fits(self) -> ModelRow:
        if self.site is not None and self.kind != "alone":
            msg = "only a model trained alone is one hospital's"
            raise ValueError(msg)
        return self


class SiteRecords(Value):
    """True record counts of one hospital.

    Attributes:
        found: records in its table; ``quarantined`` of them broke the schema and were set aside.
        used: records that took part: ``train`` + ``validation`` + ``test``.
    """

    site: Slug
    name: Words
    found: Count
    quarantined: Count
    used: Count
    train: Count
    validation: Count
    test: Count


class Comparison(Value):
    """The federated model beside others, all on the same test records, and the true record counts.

    Attributes:
        note: what the reader must know about the records, such as that the hospitals are made up.
    """

    models: tuple[ModelRow, ...]
    records: tuple[SiteRecords, ...] = ()
    note: Note = ""

    @model_validator(mode="after")
    def _one_federated(self) -> Comparison:
        if sum(row.kind == "federated" for row in self.models) != 1:
            msg = "a comparison has exactly one federated model"
            raise ValueError(msg)
        return self

    @property
    def federated(self) -> ModelRow:
        """The study's own model."""
        return next(row for row in self.models if row.kind == "federated")

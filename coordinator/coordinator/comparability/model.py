"""The comparability report as a value, and the thresholds that it uses."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from wardround.comparison import (
    MEAN_LARGE,
    MEAN_LOOK,
    PSI_LARGE,
    PSI_LOOK,
    SHARE_LARGE,
    SHARE_LOOK,
    SMOOTHING,
    UNIT_RATIO,
)
from wardround.messages.distribution import CellGroup
from wardround.values import Count, FieldName, Fraction, Sha256, Slug, Value, Version

Hidden: TypeAlias = Literal["policy", "few", "told", "others", "absent"]
"""Why a hospital's figures of a field are not here: its policy, few records behind a cell, a telling before this one, another
hospital's figures would follow, or it did not count."""

HIDDEN_WORDS: dict[Hidden, str] = {
    "policy": "withheld: its policy",
    "few": "withheld: small cells",
    "told": "withheld: told before",
    "others": "withheld: another hospital's would follow",
    "absent": "did not count",
}

Kind: TypeAlias = Literal["unit", "drift", "mean", "missing", "prevalence"]
Level: TypeAlias = Literal["look", "large"]


class Remark(Value):
    """What is noticeable at a hospital, and what it will mean for training."""

    kind: Kind
    level: Level
    words: str


class SiteField(Value):
    """A field at one hospital, against all others that are shown.

    Attributes:
        hidden: why nothing is shown; then everything else is empty.
        missing: share of missing values; None where few are missing, or so few that they are hidden.
        mean, deviation: of the values, from the exact sums; what lies outside the range counts as its nearest end.
        positive: of the target, the share of the positive class.
        psi: population stability index on the finest groups that every shown hospital tells; ``psi_chance``: what equal
            hospitals of these sizes exceed by chance once in twenty.
        difference: standardised difference of the means; ``difference_chance``: likewise.
    """

    site: Slug
    hidden: Hidden | None = None
    records: Count | None = None
    groups: tuple[CellGroup, ...] = ()
    missing: Fraction | None = None
    mean: float | None = None
    deviation: float | None = None
    positive: Fraction | None = None
    psi: float | None = None
    psi_chance: float | None = None
    difference: float | None = None
    difference_chance: float | None = None
    remarks: tuple[Remark, ...] = ()

    @property
    def suspected(self) -> bool:
        """Whether its values seem to be in another unit: then it is none of the others for anybody."""
        return any(remark.kind == "unit" for remark in self.remarks)

    @property
    def distance(self) -> float:
        """How far it is from the others, to put the farthest first."""
        return max(self.psi or 0.0, abs(self.difference or 0.0))


class ComparedField(Value):
    """One field at every hospital. ``edges``: of its bins, for a number; ``values``: its categories, else."""

    field: FieldName
    title: str
    unit: str | None
    target: bool
    edges: tuple[float, ...]
    values: tuple[str, ...]
    sites: tuple[SiteField, ...]


class Since(Value):
    """One field of one hospital, as it tells it now against what it told for an earlier study.

    Attributes:
        study, version, study_hash: of the earlier study.
        now: its figures of now, against those of before.
        before: its figures of before.
    """

    site: Slug
    field: FieldName
    title: str
    study: Slug
    version: Version
    study_hash: Sha256
    now: SiteField
    before: SiteField

    @property
    def level(self) -> str:
        """How far it has moved: ``unit``, ``large``, ``look``, or ``even``."""
        if self.now.suspected:
            return "unit"
        levels = {remark.level for remark in self.now.remarks}
        return "large" if "large" in levels else "look" if levels else "even"


class Thresholds(Value):
    """From which numbers something is remarked: worth a look, and large."""

    psi: tuple[float, float] = (PSI_LOOK, PSI_LARGE)
    difference: tuple[float, float] = (MEAN_LOOK, MEAN_LARGE)
    share: tuple[float, float] = (SHARE_LOOK, SHARE_LARGE)
    unit_log_ratio: float = UNIT_RATIO
    smoothing: float = SMOOTHING


class Comparability(Value):
    """How comparable the hospitals of a study are.

    Attributes:
        for_whom: whether it holds what the coordinator sees, or what everybody may see who gets the release.
        synthetic: the hospitals that say that their records were made up, of those that are shown.
        since: how hospitals have moved since earlier studies of the same centre; for the coordinator only.
    """

    kind: Literal["comparability"] = "comparability"
    format: Literal[1] = 1
    study_hash: Sha256
    for_whom: Literal["coordinator", "consortium"]
    hospitals: Annotated[dict[Slug, str], Field(max_length=10_000)]
    synthetic: tuple[Slug, ...] = ()
    thresholds: Thresholds = Thresholds()
    fields: tuple[ComparedField, ...]
    since: tuple[Since, ...] = ()

    @property
    def remarks(self) -> list[tuple[ComparedField, SiteField, Remark]]:
        """Give everything that is remarked: wrong units first, then what is large, the hospitals that differ most first."""
        found = [(field, site, remark) for field in self.fields for site in field.sites for remark in site.remarks]
        return sorted(found, key=lambda each: (each[2].kind != "unit", each[2].level != "large", -each[1].distance))

    @property
    def shown(self) -> int:
        """Say of how many hospitals anything is shown."""
        return len({site.site for field in self.fields for site in field.sites if site.hidden is None})

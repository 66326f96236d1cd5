"""Compare what each hospital told of a field with what all others told together."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from coordinator.comparability import words
from coordinator.comparability.model import (
    Comparability,
    ComparedField,
    Hidden,
    Kind,
    Level,
    Remark,
    SiteField,
)
from coordinator.rounds.outcome import Outcome, WithheldFor
from wardround.comparison import (
    MEAN_LARGE,
    MEAN_LOOK,
    PSI_LARGE,
    PSI_LOOK,
    SHARE_LARGE,
    SHARE_LOOK,
    Moments,
    by_chance,
    moments,
    psi,
    psi_by_chance,
    shares_by_chance,
    standardised_difference,
    suspected_unit,
)
from wardround.messages.distribution import FieldDistribution, Scale, common_groups, count_in, scale_of, told_fields
from wardround.messages.round import FieldSums, StatisticsResult
from wardround.study.bundle import Bundle
from wardround.study.encoding import bounds

_BEFORE = "before"
"""Stands for the hospital itself, as it told a field before."""


@dataclass(frozen=True)
class Told:
    """What one hospital told of a field."""

    field: FieldDistribution
    sums: FieldSums | None


def compare_for_coordinator(bundle: Bundle, results: Mapping[str, StatisticsResult]) -> Comparability:
    """Compare all hospitals that let the coordinator see their distributions; ``results``: of those who counted."""
    return _compare(bundle, results, {}, "coordinator")


def compare_for_others(bundle: Bundle, outcome: Outcome) -> Comparability:
    """Compare what may be shown to everybody; of a hospital that is not shown no figure is used for anything.

    ``outcome`` as others may see it (``coordinator.release.disclosure``).
    """
    return _compare(bundle, outcome.statistics or {}, outcome.untold, "consortium")


def _compare(
    bundle: Bundle,
    results: Mapping[str, StatisticsResult],
    untold: Mapping[str, WithheldFor],
    for_whom: Literal["coordinator", "consortium"],
) -> Comparability:
    return Comparability(
        study_hash=bundle.study_hash,
        for_whom=for_whom,
        hospitals={member.site: member.name for member in bundle.roster.silos},
        synthetic=tuple(site for site, result in sorted(results.items()) if site not in untold and result.report.synthetic),
        fields=tuple(_field(bundle, name, results, untold) for name in told_fields(bundle.study)),
    )


def _field(
    bundle: Bundle, name: str, results: Mapping[str, StatisticsResult], untold: Mapping[str, WithheldFor]
) -> ComparedField:
    field, scale = bundle.contract.field(name), scale_of(bundle.contract, name)
    told: dict[str, Told] = {}
    why: dict[str, Hidden] = {}
    for site in bundle.roster.sites:
        found = None if site not in results else told_of(results[site], name)
        if site in untold:
            why[site] = "policy" if untold[site] == "own policy" else "others"
        elif site not in results:
            why[site] = "absent"
        elif found is None:
            why[site] = "policy"
        elif found.field.withheld is not None:
            why[site] = found.field.withheld
        else:
            told[site] = found
    suspected = {site for site in told if _Site(bundle, scale, site, told).unit is not None}
    return ComparedField(
        field=name,
        title=field.title or name,
        unit=field.unit,
        target=name in bundle.study.target.fields,
        edges=scale.edges,
        values=scale.values,
        sites=tuple(
            _Site(bundle, scale, site, told, suspected).described() if site in told else SiteField(site=site, hidden=why[site])
            for site in bundle.roster.sites
        ),
    )


def told_of(result: StatisticsResult, name: str) -> Told | None:
    """Give what a hospital told of a field; None where its policy lets none out."""
    if result.distributions is None:
        return None
    field = next((each for each in result.distributions.fields if each.field == name), None)
    return None if field is None else Told(field, next((sums for sums in result.sums if sums.field == name), None))


def figures_against(bundle: Bundle, name: str, site: str, now: Told, before: Told) -> tuple[SiteField, SiteField]:
    """Give a hospital's figures of a field against those that it told before, and those of before against them."""
    scale = scale_of(bundle.contract, name)
    told = {site: now, _BEFORE: before}
    own, was = (_Site(bundle, scale, each, told).described() for each in told)
    return own, was.model_copy(update={"site": site})


class _Site:
    """One hospital against the others, in one field; those ``suspected`` of another unit are none of the others."""

    def __init__(
        self, bundle: Bundle, scale: Scale, site: str, told: Mapping[str, Told], suspected: Collection[str] = ()
    ) -> None:
        self._bundle = bundle
        self._scale = scale
        self._site = site
        self._own = told[site]
        self._rest = [each for other, each in told.items() if other != site and other not in suspected]
        self._everybody = [self._own, *self._rest]

    @property
    def unit(self) -> str | None:
        """The unit in which its values seem to be, where it is not that of the schema."""
        own, rest = self._moments([self._own]), self._moments(self._rest)
        return suspected_unit(self._bundle.contract.field(self._scale.field), own, rest) if own and rest else None

    def described(self) -> SiteField:
        """Give its figures, and what is to be remarked."""
        own, rest = self._moments([self._own]), self._moments(self._rest)
        indexed = self._psi()
        index, chance = (None, None) if indexed is None else indexed
        difference = standardised_difference(own, rest) if own and rest else None
        field = SiteField(
            site=self._site,
            records=self._own.field.records,
            groups=self._own.field.groups,
            missing=self._share([self._own], self._scale.missing),
            mean=own.mean if own else None,
            deviation=own.deviation if own else None,
            positive=self._share([self._own], self._positive),
            psi=index,
            psi_chance=chance,
            difference=difference,
            difference_chance=by_chance(own.records, rest.records) if own and rest else None,
        )
        return field.model_copy(update={"remarks": tuple(self._remarks(field, own, rest))}) if self._rest else field

    @property
    def _positive(self) -> int | None:
        looked_for = self._bundle.study.target.looked_for(self._scale.field)
        return None if looked_for is None else self._scale.values.index(looked_for)

    def _moments(self, told: Sequence[Told]) -> Moments | None:
        sums = [each.sums for each in told if each.sums is not None]
        return moments(sums, *bounds(self._bundle.contract, self._scale.field)) if sums and self._scale.numeric else None

    def _psi(self) -> tuple[float, float] | None:
        """Give the index on the finest groups that everybody tells, and what chance alone brings."""
        groups = [cells for cells in common_groups(each.field for each in self._everybody) if cells != (self._scale.missing,)]
        own = [count_in(self._own.field, cells) for cells in groups]
        rest = [sum(count_in(each.field, cells) for each in self._rest) for cells in groups]
        held = [(a, b) for a, b in zip(own, rest, strict=True) if a or b]  # what is empty everywhere says nothing
        if not self._rest or (index := psi([a for a, _ in held], [b for _, b in held])) is None:
            return None
        return index, psi_by_chance(len(held), sum(own), sum(rest))

    def _share(self, told: Sequence[Told], cell: int | None) -> float | None:
        """Give the share of records in a cell; None where somebody tells it in a group with others only."""
        counts = [group.count for each in told for group in each.field.groups if group.cells == (cell,)]
        records = sum(each.field.records for each in told)
        return sum(counts) / records if cell is not None and told and len(counts) == len(told) and records else None

    def _remarks(self, found: SiteField, own: Moments | None, rest: Moments | None) -> Iterator[Remark]:
        unit, meant = self.unit, self._bundle.contract.field(self._scale.field).unit
        if unit is not None and own and rest:  # then values and mean are elsewhere because of it
            yield Remark(kind="unit", level="large", words=words.unit(unit, meant or "", own.mean / rest.mean))
        else:
            if found.psi is not None and (level := _level(found.psi, PSI_LOOK, PSI_LARGE, found.psi_chance)):
                yield Remark(kind="drift", level=level, words=words.drift(found.psi, level))
            if found.difference is not None and own and rest:
                level = _level(abs(found.difference), MEAN_LOOK, MEAN_LARGE, found.difference_chance)
                if level:
                    yield Remark(kind="mean", level=level, words=words.mean(found.difference, own.mean, rest.mean))
        shares: tuple[tuple[Kind, int | None], ...] = (("missing", self._scale.missing), ("prevalence", self._positive))
        yield from (each for kind, cell in shares if (each := self._share_remark(kind, cell)) is not None)

    def _share_remark(self, kind: Kind, cell: int | None) -> Remark | None:
        here, there = self._share([self._own], cell), self._share(self._rest, cell)
        if here is None or there is None or (kind == "missing" and here < there):  # to miss less is no trouble
            return None
        sizes = self._own.field.records, sum(each.field.records for each in self._rest)
        level = _level(abs(here - there), SHARE_LOOK, SHARE_LARGE, shares_by_chance(here, sizes[0], there, sizes[1]))
        return None if level is None else Remark(kind=kind, level=level, words=words.share(kind, here, there))


def _level(value: float, look: float, large: float, chance: float | None) -> Level | None:
    """Say how large a difference is; what chance alone often brings is none."""
    if value < look or (chance is not None and value <= chance):
        return None
    return "large" if value >= large else "look"

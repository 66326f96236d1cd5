"""What each hospital brought: records, and its weight in the model."""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.release.comparison import Comparison, SiteRecords
from coordinator.release.figures import UNKNOWN, WITHHELD, Figure, cell, count, percent
from coordinator.rounds.outcome import Outcome
from wardround.errors import CATALOGUE
from wardround.messages.record import RoundRecord, SiloRecord
from wardround.messages.round import Purpose

_NONE = Figure(UNKNOWN, shown=False)
_WITHHELD = Figure(WITHHELD, shown=False)


@dataclass(frozen=True)
class Holding:
    """One hospital's records, as they are shown.

    Attributes:
        used: records that obey the schema; where the true counts are known, those that took part.
    """

    name: str
    found: Figure
    quarantined: Figure
    used: Figure
    train: Figure
    validation: Figure
    test: Figure


@dataclass(frozen=True)
class Weight:
    """One hospital's weight: the mean of its shares over the rounds that closed (absent: zero); without one it is withheld."""

    name: str
    records: Figure
    share: float | None
    text: str
    rounds: int
    of: int


@dataclass(frozen=True)
class FindingRow:
    """One kind of finding in a hospital's outgoing report, with the code's title and the schema's own names.

    Without a code it stands for a report that is withheld whole.
    """

    name: str
    code: str
    title: str
    about: str
    warning: bool
    records: Figure


def _silos(outcome: Outcome, site: str, *purposes: Purpose) -> list[SiloRecord]:
    """Give a hospital's part in the visits that closed, in which it counted."""
    visits = [record for record in outcome.history if record.outcome == "closed" and record.purpose in purposes]
    return [silo for record in visits for silo in record.silos if silo.site == site and silo.status == "counted"]


def _evaluated(silos: list[SiloRecord]) -> Figure:
    """Give on how many records a hospital last evaluated."""
    if not silos:
        return _NONE
    metrics = silos[-1].metrics
    return _WITHHELD if metrics is None else Figure(count(metrics.records))


def _trained(outcome: Outcome, site: str) -> Figure:
    silos = _silos(outcome, site, "statistics", "round")
    return Figure(count(silos[-1].records)) if silos else _NONE


def _reported(outcome: Outcome, site: str, name: str) -> Holding:
    if site in (outcome.withheld or {}):
        return Holding(name, *[_WITHHELD] * 6)
    report = outcome.reports.get(site)
    return Holding(
        name=name,
        found=cell(report.found if report else None),
        quarantined=cell(report.quarantined if report else None),
        used=cell(report.valid if report else None),
        train=_trained(outcome, site),
        validation=_evaluated(_silos(outcome, site, "round", "closing")),
        test=_evaluated(_silos(outcome, site, "test")),
    )


def _true(records: SiteRecords) -> Holding:
    return Holding(
        name=records.name,
        found=Figure(count(records.found)),
        quarantined=Figure(count(records.quarantined)),
        used=Figure(count(records.used)),
        train=Figure(count(records.train)),
        validation=Figure(count(records.validation)),
        test=Figure(count(records.test)),
    )


def holdings_of(outcome: Outcome, names: dict[str, str], comparison: Comparison | None) -> tuple[Holding, ...]:
    """Give every hospital's records: the true counts where somebody knows both sides, else what the hospitals report."""
    if comparison is not None and comparison.records:
        order = list(names)
        return tuple(_true(records) for records in sorted(comparison.records, key=lambda records: order.index(records.site)))
    return tuple(_reported(outcome, site, names[site]) for site in outcome.roster)


def _rounds(outcome: Outcome) -> list[RoundRecord]:
    return [record for record in outcome.history if record.outcome == "closed" and record.purpose == "round"]


def weights_of(outcome: Outcome, names: dict[str, str]) -> tuple[Weight, ...]:
    """Give every hospital's weight in the sums; empty when no round closed."""
    of = len(_rounds(outcome))
    if not of:
        return ()
    found = []
    for site in outcome.roster:
        rounds = _silos(outcome, site, "round")
        shares = [silo.share for silo in rounds if silo.share is not None]
        records = _WITHHELD if site in (outcome.withheld or {}) else _trained(outcome, site)
        mean = sum(shares) / of if len(shares) == len(rounds) else None
        found.append(Weight(names[site], records, mean, WITHHELD if mean is None else percent(mean), len(rounds), of))
    return tuple(found)


def findings_of(outcome: Outcome, names: dict[str, str]) -> tuple[FindingRow, ...]:
    """Give what the hospitals report of their checks, by hospital; last those whose reports are withheld."""
    shown = tuple(
        FindingRow(
            name=names.get(site, site),
            code=finding.code,
            title=CATALOGUE[finding.code].title,
            about=" ".join(part for part in (finding.field, finding.rule and f"rule {finding.rule}") if part),
            warning=finding.severity == "warning",
            records=cell(finding.records),
        )
        for site, report in sorted(outcome.reports.items())
        for finding in report.findings
    )
    withheld = sorted(outcome.withheld or {})
    return (*shown, *(FindingRow(names.get(site, site), "", WITHHELD, "", warning=False, records=_WITHHELD) for site in withheld))

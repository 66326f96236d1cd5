"""How a hospital's fields have moved since it told them for an earlier study of this centre: two tellings, and nothing else.

Both were let out by the hospital's own gate, which holds the later against the earlier; here they are only put side by side.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from coordinator.comparability import words
from coordinator.comparability.compare import figures_against, told_of
from coordinator.comparability.model import Remark, Since, SiteField
from wardround.messages.distribution import scale_of, told_fields
from wardround.messages.round import StatisticsResult
from wardround.study.bundle import Bundle

ORDER = ("unit", "large", "look", "even")


@dataclass(frozen=True)
class Earlier:
    """A study of this centre that was told before."""

    bundle: Bundle
    results: Mapping[str, StatisticsResult]


def since_earlier(bundle: Bundle, results: Mapping[str, StatisticsResult], earlier: Sequence[Earlier]) -> tuple[Since, ...]:
    """Hold each field of each hospital against the last time before that it was told, those that moved most first.

    Args:
        bundle: the study.
        results: what its hospitals told.
        earlier: studies before it, the oldest first.
    """
    found = [
        each
        for site, result in results.items()
        for name in told_fields(bundle.study)
        if (each := _since(bundle, site, name, result, earlier)) is not None
    ]
    return tuple(sorted(found, key=lambda each: (ORDER.index(each.level), -each.now.distance)))


def _since(bundle: Bundle, site: str, name: str, result: StatisticsResult, earlier: Sequence[Earlier]) -> Since | None:
    now = told_of(result, name)
    if now is None or now.field.withheld is not None:
        return None
    for study in reversed(earlier):
        if site not in study.results or not _comparable(bundle, study.bundle, site, name):
            continue
        before = told_of(study.results[site], name)
        if before is None or before.field.withheld is not None:
            continue
        own, was = figures_against(bundle, name, site, now, before)
        moved = own.model_copy(update={"remarks": tuple(_in_words(own, was))})
        return Since(
            site=site,
            field=name,
            title=bundle.contract.field(name).title or name,
            study=study.bundle.study.name,
            version=study.bundle.study.version,
            study_hash=study.bundle.study_hash,
            now=moved,
            before=was.model_copy(update={"remarks": ()}),
        )
    return None


def _comparable(bundle: Bundle, earlier: Bundle, site: str, name: str) -> bool:
    """Say whether two studies ask the same hospital for the same cells of records that were chosen by the same rule."""
    if bundle.contract.id != earlier.contract.id or bundle.study.cohort != earlier.study.cohort:
        return False
    if site not in earlier.roster.sites or name not in told_fields(earlier.study):
        return False
    return scale_of(bundle.contract, name).scale_digest() == scale_of(earlier.contract, name).scale_digest()


def _in_words(now: SiteField, before: SiteField) -> Iterator[Remark]:
    """Say what was remarked in words of then and now."""
    for remark in now.remarks:
        yield remark.model_copy(update={"words": words.since(remark, now, before)})

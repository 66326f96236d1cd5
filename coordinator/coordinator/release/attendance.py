"""Who counted in which visit, and every code that came up: the report's matrix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from coordinator.release.figures import listing, plural
from coordinator.rounds.outcome import Outcome
from wardround.errors import CATALOGUE
from wardround.messages.record import RoundRecord

SYMBOLS = {"counted": "✓", "refused": "✕", "silent": "…", "not asked": "·"}
"""A sign beside the word and the colour: nobody has to tell colours apart."""


MOST_REFERENCES = 3
"""References of one hospital that stand beside a code."""


@dataclass(frozen=True)
class Mark:
    """One hospital in a run of visits: ``counted``, ``refused`` and ``silent`` with a code, or ``not asked``."""

    status: str
    code: str = ""

    @property
    def symbol(self) -> str:
        """The sign for the status."""
        return SYMBOLS[self.status]


@dataclass(frozen=True)
class Run:
    """Consecutive visits in which the same happened.

    Attributes:
        label: such as ``rounds 1 to 17``.
        visits: how many they are.
        closed: whether they counted; if not, ``shortfall`` says why.
        records: training records of those who counted; None where that is withheld.
        marks: one for each hospital of the roster, in its order.
        late: hospitals whose reply to an earlier visit came in now.
    """

    label: str
    visits: int
    closed: bool
    shortfall: tuple[str, ...]
    records: int | None
    marks: tuple[Mark, ...]
    late: tuple[str, ...]


@dataclass(frozen=True)
class CodeUse:
    """A code that came up: its title in the catalogue, where, and how often.

    Attributes:
        references: of each place, the last ones under which that hospital itself finds what happened.
    """

    code: str
    title: str
    places: tuple[str, ...]
    times: int
    references: tuple[str, ...] = ()


def _marks(record: RoundRecord, roster: tuple[str, ...]) -> tuple[Mark, ...]:
    found = {silo.site: Mark(silo.status, silo.code or "") for silo in record.silos}
    return tuple(found.get(site, Mark("not asked")) for site in roster)


def _label(first: RoundRecord, last: RoundRecord) -> str:
    if first.purpose != "round":
        label = {"statistics": "statistics", "closing": "closing evaluation", "test": "test"}[first.purpose]
    elif first.round == last.round:
        label = f"round {first.round}"
    else:
        label = f"rounds {first.round} to {last.round}"
    return label if first.attempt == 0 else f"{label}, attempt {first.attempt + 1}"


def _same(one: RoundRecord, other: RoundRecord, roster: tuple[str, ...]) -> bool:
    """Say whether the next visit went as the one before; only first attempts at rounds are drawn together."""
    first_rounds = one.purpose == other.purpose == "round" and one.attempt == other.attempt == 0
    ends = (one.outcome, one.shortfall, one.late, one.records) == (other.outcome, other.shortfall, other.late, other.records)
    return first_rounds and ends and _marks(one, roster) == _marks(other, roster)


def runs_of(outcome: Outcome) -> tuple[Run, ...]:
    """Give the history as runs of visits."""
    groups: list[list[RoundRecord]] = []
    for record in outcome.history:
        if groups and _same(groups[-1][-1], record, outcome.roster):
            groups[-1].append(record)
        else:
            groups.append([record])
    return tuple(
        Run(
            label=_label(group[0], group[-1]),
            visits=len(group),
            closed=group[0].outcome == "closed",
            shortfall=group[0].shortfall,
            records=group[0].records,
            marks=_marks(group[0], outcome.roster),
            late=group[0].late,
        )
        for group in groups
    )


def absences(outcome: Outcome) -> dict[str, int]:
    """Give, for each hospital that missed any visit that closed, how many."""
    closed = [record for record in outcome.history if record.outcome == "closed"]
    missed = {site: sum(site not in record.counted for record in closed) for site in outcome.roster}
    return {site: times for site, times in missed.items() if times}


def explain(outcome: Outcome, names: dict[str, str]) -> str:
    """Say in a sentence or two what the status means."""
    hospitals = plural(len(outcome.roster), "hospital")
    if outcome.status == "failed":
        return "The study ended without a result. There is no model in this release, and none may be taken from it."
    visits = plural(outcome.visits, "visit")
    if outcome.status == "complete":
        return f"All {hospitals} counted in every one of {visits}."
    missed = [f"{names[site]} (missing in {times} of {visits})" for site, times in absences(outcome).items()]
    return (
        f"Only {len(outcome.counted)} of {hospitals} counted throughout. Not always there: {listing(missed)}. "
        "In those visits the model rests on the others: read every figure with that in mind."
    )


def _occurrences(outcome: Outcome) -> Iterator[tuple[str, str]]:
    """Give (code, site or empty) for every time that a code came up."""
    for record in outcome.history:
        yield from ((code, "") for code in record.shortfall)
        asked = (silo for silo in record.silos if silo.status != "not asked")
        yield from ((silo.code, silo.site) for silo in asked if silo.code is not None)
        yield from (("R-LATE", site) for site in record.late)
    for site, report in outcome.reports.items():
        yield from ((finding.code, site) for finding in report.findings)
    yield from ((problem.code, "") for problem in outcome.problems)


def codes_of(outcome: Outcome, names: dict[str, str]) -> tuple[CodeUse, ...]:
    """Give every code that came up anywhere, in order of the codes, with the hospitals' names."""
    found: dict[str, list[str]] = {}
    for code, site in _occurrences(outcome):
        found.setdefault(code, []).append(site)
    return tuple(
        CodeUse(
            code,
            CATALOGUE[code].title,
            tuple(names.get(site, site) for site in sorted(set(sites)) if site),
            len(sites),
            _references(outcome, code, names),
        )
        for code, sites in sorted(found.items())
    )


def _references(outcome: Outcome, code: str, names: dict[str, str]) -> tuple[str, ...]:
    """Give what to quote to each hospital about a code: its last references; history.json has all of them."""
    found: dict[str, list[str]] = {}
    for record in outcome.history:
        for silo in record.silos:
            if silo.code == code and silo.reference is not None:
                found.setdefault(silo.site, []).append(silo.reference)
    return tuple(f"{names.get(site, site)}: {', '.join(each[-MOST_REFERENCES:])}" for site, each in sorted(found.items()))

"""The points of the report's curves, from the history alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from coordinator.rounds.outcome import Outcome
from wardround.messages.record import RoundRecord, SiloRecord
from wardround.metrics.labels import behind
from wardround.metrics.pooled import Metrics
from wardround.study.model import Study


@dataclass(frozen=True)
class Line:
    """Points that belong together, by round; rounds without a figure are absent."""

    name: str
    points: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Curves:
    """What is drawn.

    Attributes:
        metric: the study's convergence metric, as the study names it.
        pooled: pieces of the pooled validation metric; a new piece begins where other hospitals evaluate, since
            figures are compared only between the same patients.
        sites: the same metric by hospital.
        loss: mean training loss over the records of those who counted, in pieces likewise; ``site_loss``: by hospital.
        best: round and metric of the released weights, where there is one.
        seconds: duration of each round.
    """

    metric: str
    pooled: tuple[Line, ...]
    sites: tuple[Line, ...]
    loss: tuple[Line, ...]
    site_loss: tuple[Line, ...]
    best: tuple[int, float] | None
    seconds: Line


def _weights_age(record: RoundRecord) -> int:
    """Give how many rounds made the weights that this visit evaluated: they ride one round later."""
    return record.round - 1 if record.purpose == "round" else record.round


def curves_of(study: Study, outcome: Outcome, names: dict[str, str]) -> Curves:
    """Gather the curves of an outcome; all may be empty."""
    metric = study.convergence.metric
    closed = [record for record in outcome.history if record.outcome == "closed"]
    evaluations = [record for record in closed if record.purpose in ("round", "closing")]
    rounds = [record for record in closed if record.purpose == "round"]
    shown = [(_weights_age(record), silo) for record in evaluations for silo in record.silos if silo.evaluation == "shown"]
    best = None if outcome.status == "failed" else _value(outcome.best_metrics, metric)
    return Curves(
        metric=metric,
        pooled=_pieces(
            ((record.evaluated_by, behind(record.pooled)), _weights_age(record), _value(record.pooled, metric))
            for record in evaluations
        ),
        sites=tuple(_site_line(names[site], site, shown, metric) for site in outcome.roster),
        loss=_pieces([(record.counted, record.round, mean_loss(record)) for record in rounds]),
        site_loss=tuple(_loss_line(names[site], site, rounds) for site in outcome.roster),
        best=None if best is None else (outcome.best_round, best),
        seconds=Line("seconds", tuple((record.round, record.seconds) for record in rounds)),
    )


def _value(metrics: Metrics | None, metric: str) -> float | None:
    if metrics is None:
        return None
    found: float | None = getattr(metrics, metric)  # named as the study names it; of its closed list
    return found


def _pieces(found: Iterable[tuple[object, int, float | None]]) -> tuple[Line, ...]:
    """Make lines of (hospitals, round, figure), a new one wherever the hospitals change, or what they tell."""
    pieces: list[tuple[object, list[tuple[int, float]]]] = []
    for sites, number, value in found:
        if value is None:
            continue
        if not pieces or pieces[-1][0] != sites:
            pieces.append((sites, []))
        pieces[-1][1].append((number, value))
    return tuple(Line("pooled", tuple(points)) for _, points in pieces)


def _site_line(name: str, site: str, shown: list[tuple[int, SiloRecord]], metric: str) -> Line:
    points = [(age, value) for age, silo in shown if silo.site == site and (value := _value(silo.metrics, metric)) is not None]
    return Line(name, tuple(points))


def mean_loss(record: RoundRecord) -> float | None:
    """Give the mean training loss over the records of all that counted: sums, not a mean of means.

    None where it is withheld, or a hospital that counted has none.
    """
    if record.training_loss is not None:
        return record.training_loss
    counted = [(silo.records, silo.training_loss) for silo in record.silos if silo.status == "counted"]
    known = [(records, loss) for records, loss in counted if records and loss is not None]
    if not known or len(known) < len(counted):
        return None
    return sum(records * loss for records, loss in known) / sum(records for records, _ in known)


def _loss_line(name: str, site: str, rounds: list[RoundRecord]) -> Line:
    found = [(record.round, silo) for record in rounds for silo in record.silos if silo.site == site]
    return Line(name, tuple((number, silo.training_loss) for number, silo in found if silo.training_loss is not None))

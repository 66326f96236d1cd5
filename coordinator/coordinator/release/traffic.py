"""How long the visits took and what travelled."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from coordinator.release.figures import byte_count, count, ratio, seconds
from coordinator.rounds.outcome import Outcome
from wardround.messages.record import RoundRecord
from wardround.messages.round import Purpose

_LABELS: dict[Purpose, str] = {
    "statistics": "statistics",
    "round": "rounds of training",
    "closing": "closing evaluation",
    "test": "test",
}


@dataclass(frozen=True)
class Traffic:
    """The visits of one kind: how many, how long, how many bytes to and from all hospitals in one visit."""

    label: str
    visits: str
    typical: str
    longest: str
    down: str
    up: str


@dataclass(frozen=True)
class VisitLine:
    """One visit in figures."""

    label: str
    closed: bool
    counted: str
    records: str
    auroc: str
    loss: str
    seconds: str
    down: str
    up: str


def _down(record: RoundRecord) -> int:
    return sum(silo.bytes_down for silo in record.silos)


def _up(record: RoundRecord) -> int:
    return sum(silo.bytes_up for silo in record.silos)


def traffic_of(outcome: Outcome) -> tuple[Traffic, ...]:
    """Sum up the visits, repeated ones included, by their kind."""
    found = []
    for purpose, label in _LABELS.items():
        visits = [record for record in outcome.history if record.purpose == purpose]
        if not visits:
            continue
        found.append(
            Traffic(
                label=label,
                visits=count(len(visits)),
                typical=seconds(median(record.seconds for record in visits)),
                longest=seconds(max(record.seconds for record in visits)),
                down=byte_count(median(_down(record) for record in visits)),
                up=byte_count(median(_up(record) for record in visits)),
            )
        )
    return tuple(found)


def totals_of(outcome: Outcome) -> dict[str, str]:
    """Give the seconds of all visits, and the bytes that went to and came from the hospitals."""
    return {
        "seconds": seconds(sum(record.seconds for record in outcome.history)),
        "down": byte_count(sum(_down(record) for record in outcome.history)),
        "up": byte_count(sum(_up(record) for record in outcome.history)),
    }


def lines_of(outcome: Outcome) -> tuple[VisitLine, ...]:
    """Give every visit as a line of figures."""
    return tuple(_line(record) for record in outcome.history)


def _line(record: RoundRecord) -> VisitLine:
    number = f" {record.round}" if record.purpose == "round" else ""
    attempt = f", attempt {record.attempt + 1}" if record.attempt else ""
    evaluates = record.purpose != "statistics"
    missing = "withheld" if evaluates else "–"
    return VisitLine(
        label=f"{record.purpose}{number}{attempt}",
        closed=record.outcome == "closed",
        counted=f"{len(record.counted)} of {len(record.silos)}",
        records=count(record.records),
        auroc=ratio(record.pooled.auroc) if record.pooled else missing,
        loss=ratio(record.pooled.loss) if record.pooled else missing,
        seconds=seconds(record.seconds),
        down=byte_count(_down(record)),
        up=byte_count(_up(record)),
    )

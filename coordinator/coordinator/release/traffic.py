"""How long the visits took and what travelled."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from coordinator.release.figures import WITHHELD, byte_count, count, ratio, seconds
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
    metric: str
    loss: str
    seconds: str
    down: str
    up: str


def _down(record: RoundRecord) -> int | None:
    return record.bytes_down if record.bytes_down is not None else _sum(silo.bytes_down for silo in record.silos)


def _up(record: RoundRecord) -> int | None:
    return record.bytes_up if record.bytes_up is not None else _sum(silo.bytes_up for silo in record.silos)


def _sum(counts: Iterable[int | None]) -> int | None:
    """Add counts; None where one of them is withheld."""
    known = list(counts)
    shown = [count for count in known if count is not None]
    return sum(shown) if len(shown) == len(known) else None


def _bytes(value: float | None) -> str:
    return WITHHELD if value is None else byte_count(value)


def _median(counts: Iterable[int | None]) -> float | None:
    known = list(counts)
    shown = [count for count in known if count is not None]
    return median(shown) if len(shown) == len(known) else None


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
                down=_bytes(_median(_down(record) for record in visits)),
                up=_bytes(_median(_up(record) for record in visits)),
            )
        )
    return tuple(found)


def totals_of(outcome: Outcome) -> dict[str, str]:
    """Give the seconds of all visits, and the bytes that went to and came from the hospitals, where all are shown."""
    return {
        "seconds": seconds(sum(record.seconds for record in outcome.history)),
        "down": _bytes(_sum(_down(record) for record in outcome.history)),
        "up": _bytes(_sum(_up(record) for record in outcome.history)),
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
        records=WITHHELD if record.records is None else count(record.records),
        metric=ratio(record.pooled.main[1]) if record.pooled else missing,
        loss=ratio(record.pooled.loss) if record.pooled else missing,
        seconds=seconds(record.seconds),
        down=_bytes(_down(record)),
        up=_bytes(_up(record)),
    )

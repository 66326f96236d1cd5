"""How long a round may take: from what a step and the way took, with room for what a canary does not see."""

from __future__ import annotations

from collections.abc import Iterable

from coordinator.canary.files import Deadline, SiloCanary
from wardround.messages.canary import CanaryFigures
from wardround.study.model import Training

FACTOR = 3
"""For evaluation before and after, more records than assumed, and a machine that is busy with something else."""
LEAST_SECONDS = 60
"""The same deadline holds for the visit that reads and checks all records, of which a canary knows nothing."""
STEP_SECONDS = 10
"""Proposals are whole multiples of it."""


def training_seconds(figures: CanaryFigures, training: Training, records: int) -> float:
    """Give the seconds of one round's local epochs over so many records; a step takes as long as its rows are many."""
    batch = training.batch_size or records
    steps = training.local_epochs * -(-records // batch)
    return steps * batch * figures.step_us / figures.rows / 1e6


def propose(silos: Iterable[SiloCanary], of_the_study: float) -> Deadline | None:
    """Propose a deadline from the slowest hospital that was measured; None when none was."""
    measured = [
        (silo.training_seconds + silo.transport_seconds, silo.site, silo.training_seconds, silo.transport_seconds)
        for silo in silos
        if silo.training_seconds is not None and silo.transport_seconds is not None
    ]
    if not measured:
        return None
    seconds, site, training, transport = max(measured)
    wanted = max(FACTOR * seconds, LEAST_SECONDS)
    return Deadline(
        seconds=int(-(-wanted // STEP_SECONDS) * STEP_SECONDS),
        slowest=site,
        training_seconds=training,
        transport_seconds=transport,
        factor=FACTOR,
        least_seconds=LEAST_SECONDS,
        of_the_study=of_the_study,
    )

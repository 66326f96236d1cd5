"""The grid of a simulation: hospitals do their work one after the other, and nobody loses time by that."""

from __future__ import annotations

import time

from paper_hospitals import Onlooker, PaperHospital
from paper_visits import STUDY
from studies_on_paper import RECORDS, SITES, paper

from coordinator.rounds.conductor import Conductor, Surroundings
from wardround.messages.envelope import Envelope
from wardround_lab.local_grid import Door, LocalGrid

SECONDS = 0.5
"""That a hospital takes for its work; three take longer than the deadline, and one does not."""


def slowly(door: Door) -> Door:
    """Have a hospital answer after a while."""

    def answer(envelope: Envelope) -> Envelope:
        time.sleep(SECONDS)
        return door(envelope)

    return answer


def test_hospitals_that_take_turns_have_a_deadline_each() -> None:
    """The last one's time does not end before it began."""
    study = paper(parties=STUDY.parties, rounds={"maximum": 1, "deadline_seconds": 2 * SECONDS, "retries": 0})
    doors = {site: slowly(PaperHospital(study, site, RECORDS[site]).knock) for site in SITES}
    with LocalGrid(doors) as grid:
        outcome = Conductor(study.bundle, study.key, grid, Onlooker(), surroundings=Surroundings(turns=len(SITES))).run()
    assert outcome.status == "complete"
    assert min(record.seconds for record in outcome.history) > 2 * SECONDS

"""A study of three hospitals without records, and what became of one of them."""

from collections.abc import Callable

import numpy as np
from paper_hospitals import PaperHospital, Spoil
from studies_on_paper import RECORDS, Paper, paper

from coordinator.rounds.outcome import Outcome
from wardround.messages.envelope import Envelope, seal
from wardround.messages.round import Reply, SiloRefusal, Task

STUDY = paper()
"""Three hospitals, at least two of them, three rounds, one retry."""
BRIEF = {"maximum": 3, "deadline_seconds": 0.3, "retries": 1}
"""Rounds that do not wait long for the silent."""


def hospitals(study: Paper = STUDY, **beta) -> list[PaperHospital]:
    """Give the study's hospitals; settings are beta's."""
    return [PaperHospital(study, site, RECORDS[site], **(beta if site == "beta" else {})) for site in study.parties]


def codes(outcome: Outcome, site: str = "beta") -> list[str | None]:
    """Give a hospital's codes in the visits it was asked in; None where it counted."""
    return [silo.code for record in outcome.history for silo in record.silos if silo.site == site]


def in_round(number: int, spoil: Callable[[Reply, tuple[bytes, ...]], Envelope | None]) -> Spoil:
    """Spoil the replies of one round only."""

    def only(task: Task, reply: Reply, arrays: tuple[bytes, ...]) -> Envelope | None:
        if task.core.purpose == "round" and task.core.round == number:
            return spoil(reply, arrays)
        return seal("reply", reply, STUDY.parties["beta"].key, arrays)

    return only


def refusing(reply: Reply, _arrays: tuple[bytes, ...]) -> Envelope:
    """Give beta's own refusal in the place of its reply."""
    refusal = SiloRefusal(site=reply.site, study_hash=reply.study_hash, task_id=reply.task_id, code="H-FAILED")
    return seal("reply", refusal, STUDY.parties["beta"].key)


class Large(PaperHospital):
    """A hospital whose change of weights in round 2 is larger than the first plan holds."""

    factor = 2.0**6
    trained = 0

    def change(self, number):
        change = super().change(number)
        return change * np.float32(self.factor) if number == 2 else change

    def _answer(self, task):
        change, manifest, plan = self.change(task.core.round), self.paper.bundle.manifest, task.core.plan
        if task.core.purpose == "round" and plan is not None:
            needed = tuple(
                max(exponent, int(np.ceil(np.log2(np.abs(change[part]).max()))))
                for (_, part), exponent in zip(manifest.slices(), plan.exponents, strict=True)
            )
            if needed != plan.exponents:
                refusal = SiloRefusal(
                    site=self.site, study_hash=task.study_hash, task_id=task.task_id, code="H-RANGE", exponents=needed
                )
                return seal("reply", refusal, self.paper.parties[self.site].key)
        return super()._answer(task)

"""A study of three hospitals without records, and what became of one of them."""

from collections.abc import Callable

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

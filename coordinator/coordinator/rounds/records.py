"""Turn a visit into its history record."""

from __future__ import annotations

from collections.abc import Mapping

from coordinator.rounds.admission import Admitted, NotAdmitted, evaluation_of
from coordinator.rounds.visit import Answered, Visit
from wardround.messages.record import EvaluationStatus, RoundRecord, ShortfallCode, SiloRecord
from wardround.messages.round import CentreCode, RoundResult, SiloCode, TaskCore
from wardround.metrics.pooled import LOSS_UNIT, Counts, Metrics, pool
from wardround.study.bundle import Bundle
from wardround.study.kind import predicted
from wardround.study.model import Silos


def used_evaluations(core: TaskCore, visit: Visit, rules: Silos) -> dict[str, Counts]:
    """Give the evaluations that are pooled: shown by the hospital, and of enough validation records for the study."""
    found = {site: evaluation_of(admitted.reply) for site, admitted in visit.admitted.items()}
    least = 1 if core.purpose == "test" else rules.minimum_validation
    return {site: counts for site, counts in sorted(found.items()) if counts is not None and counts.records >= least}


def describe(
    core: TaskCore,
    attempt: int,
    visit: Visit,
    bundle: Bundle,
    missing: tuple[ShortfallCode, ...],
    stepped: str | None,
    not_asked: Mapping[str, SiloCode | CentreCode],
) -> RoundRecord:
    """Describe a visit: who counted, who did not and why, and the pooled figures of those who were evaluated."""
    used = used_evaluations(core, visit, bundle.study.silos)
    what = predicted(bundle.study, bundle.contract)
    metrics = {site: what.measure(counts) for site, counts in used.items()}
    total = sum(admitted.reply.records for admitted in visit.admitted.values())
    answers = [
        _out(site, answered)
        if answered.decision is None and site in visit.removed
        else _silo(site, answered, core, metrics, total)
        for site, answered in visit.answers.items()
    ]
    absent = [SiloRecord(site=site, status="not asked", code=code) for site, code in not_asked.items()]
    return RoundRecord(
        purpose=core.purpose,
        round=core.round,
        attempt=attempt,
        raised=0 if core.plan is None else core.plan.raised,
        outcome="failed" if missing else "closed",
        shortfall=missing,
        weights=core.weights,
        stepped=stepped,
        records=total,
        silos=tuple(sorted((*answers, *absent), key=lambda silo: silo.site)),
        pooled=what.measure(pool(used.values()), curves=core.purpose != "round") if used else None,
        evaluated_by=tuple(used),
        late=tuple(sorted(visit.late)),
        seconds=visit.seconds,
    )


def _out(site: str, answered: Answered) -> SiloRecord:
    """Describe the part of a hospital that the centre removed before it had answered."""
    return SiloRecord(site=site, status="refused", code="R-REMOVED", bytes_down=answered.bytes_down, bytes_up=answered.bytes_up)


def _silo(site: str, answered: Answered, core: TaskCore, used: Mapping[str, Metrics], total: int) -> SiloRecord:
    decision = answered.decision
    if decision is None:
        return SiloRecord(site=site, status="silent", code="R-SILENT", seconds=answered.seconds, bytes_down=answered.bytes_down)
    if isinstance(decision, NotAdmitted):
        return SiloRecord(
            site=site,
            status="refused",
            code=decision.code,
            reference=decision.reference,
            seconds=answered.seconds,
            bytes_down=answered.bytes_down,
            bytes_up=answered.bytes_up,
        )
    result = decision.reply.result
    return SiloRecord(
        site=site,
        status="counted",
        records=decision.reply.records,
        share=decision.reply.records / total if core.purpose == "round" else None,
        evaluation=_evaluation_status(site, decision, used),
        metrics=used.get(site),
        training_loss=result.training_loss_units * LOSS_UNIT if isinstance(result, RoundResult) else None,
        seconds=answered.seconds,
        bytes_down=answered.bytes_down,
        bytes_up=answered.bytes_up,
    )


def _evaluation_status(site: str, decision: Admitted, used: Mapping[str, Metrics]) -> EvaluationStatus:
    if decision.reply.result.purpose == "statistics":
        return "none"
    if evaluation_of(decision.reply) is None:
        return "withheld"
    return "shown" if site in used else "not used"

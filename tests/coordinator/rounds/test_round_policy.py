"""Who must count for a round to count, how many rounds may fail, and what becomes of a change that is too large."""

import pytest
from paper_hospitals import PaperHospital, conduct
from paper_visits import BRIEF, STUDY, Large, codes, hospitals
from studies_on_paper import RECORDS, paper

from coordinator.rounds.policy import shortfall
from wardround.messages.envelope import seal
from wardround.messages.round import SiloRefusal
from wardround.study.model import Silos
from wardround.weights.fixed_point import HIGHEST_RAISE, MOST_RAISES, ExactSum, plan_sum
from wardround.weights.packing import to_bytes


@pytest.mark.parametrize(
    ("counted", "share", "missing"),
    [
        ({"a": 50, "b": 50}, 0.5, ()),
        ({"a": 51, "b": 50}, 0.5, ("C-SHARE",)),
        ({"a": 100}, 1.0, ()),
        ({"a": 100}, 0.99, ("C-SHARE",)),
        ({}, 0.1, ("C-QUORUM",)),
    ],
)
def test_no_hospital_has_more_than_its_share(counted, share, missing):
    """The largest hospital may have exactly the share, and no record more."""
    assert shortfall(Silos(minimum=1, max_weight_share=share), counted) == missing


def test_a_round_without_the_small_ones_fails():
    """When the small hospitals are away the large one would decide alone: the round fails, and says why."""
    study = paper(rounds=BRIEF, silos={"minimum": 2, "max_weight_share": 0.6})
    asked = [PaperHospital(study, site, RECORDS[site]) for site in study.parties]
    asked[2].spoil = lambda task, reply, arrays: None if task.core.round == 2 else asked[2].sealed(reply, arrays)
    outcome = conduct(study, asked)
    assert outcome.status == "failed"
    assert outcome.history[-1].shortfall == ("C-SHARE",)
    assert "60%" in outcome.problems[0].rule


def without_round_two(study):
    two = [PaperHospital(study, site, RECORDS[site]) for site in study.parties]
    two[1].spoil = lambda task, reply, arrays: None if task.core.round == 2 else two[1].sealed(reply, arrays)
    return two


def test_failed_rounds_are_passed_over_as_often_as_the_study_says():
    """The next round begins with the weights as they were; the result is partial and says so."""
    study = paper(("alpha", "beta"), rounds={**BRIEF, "max_failed_rounds": 1})
    outcome = conduct(study, without_round_two(study))
    assert (outcome.status, outcome.failed_rounds, outcome.rounds) == ("partial", 1, 3)
    assert "1 rounds passed over" in outcome.summary
    assert [(r.purpose, r.round, r.outcome) for r in outcome.history[1:]] == [
        ("round", 1, "closed"),
        ("round", 2, "failed"),
        ("round", 2, "failed"),
        ("round", 3, "closed"),
        ("closing", 3, "closed"),
        ("test", outcome.best_round, "closed"),
    ]
    assert outcome.history[4].weights == outcome.history[1].stepped
    refused = paper(("alpha", "beta"), rounds=BRIEF)
    assert conduct(refused, without_round_two(refused)).status == "failed"


def test_nothing_but_failed_rounds_is_a_failed_study():
    """However many rounds may fail: without a single one that counted there is no model."""
    study = paper(("alpha", "beta"), rounds={**BRIEF, "retries": 0, "max_failed_rounds": 100})
    asked = [PaperHospital(study, site, RECORDS[site]) for site in ("alpha", "beta")]
    asked[1].spoil = lambda task, reply, arrays: None if task.core.purpose == "round" else asked[1].sealed(reply, arrays)
    outcome = conduct(study, asked)
    assert (outcome.status, outcome.exit_status, outcome.best) == ("failed", 1, None)
    assert [problem.code for problem in outcome.problems] == ["C-FAILED"]


def large(factor: float) -> list[PaperHospital]:
    asked: list[PaperHospital] = [
        (Large if site == "beta" else PaperHospital)(STUDY, site, RECORDS[site]) for site in STUDY.parties
    ]
    asked[1].factor = factor  # type: ignore[attr-defined]
    return asked


def test_a_change_that_is_too_large_raises_the_plan():
    """The exponents are raised, the round is repeated for the same work, everybody counts, and it is no retry."""
    asked = large(2.0**16)
    outcome = conduct(STUDY, asked)
    assert outcome.status == "complete"
    shown = [(r.round, r.attempt, r.raised, r.outcome, r.shortfall) for r in outcome.history if r.purpose == "round"]
    assert shown == [
        (1, 0, 0, "closed", ()),
        (2, 0, 0, "failed", ("C-RANGE",)),
        (2, 0, 1, "closed", ()),
        (3, 0, 0, "closed", ()),
    ]
    first, second = (task for task in asked[0].tasks if task.core.round == 2)
    assert first.core.work_id() == second.core.work_id()
    assert first.task_id != second.task_id
    weights = STUDY.bundle.weights
    assert first.core.plan == plan_sum(_after(weights, outcome, 1), STUDY.bundle.manifest, 225)


def _after(weights, outcome, number):
    """Rebuild the weights after a round from the hospitals' changes."""
    for each in range(1, number + 1):
        total = ExactSum(STUDY.bundle.manifest, plan_sum(weights, STUDY.bundle.manifest, 225))
        for hospital in large(2.0**16):
            total.add(hospital.change(each), hospital.records)
        weights = total.step(weights)
    return weights


def test_an_explosion_stays_refused():
    """A change far beyond any step of training raises nothing: its hospital does not count, the others do."""
    outcome = conduct(STUDY, large(2.0 ** (HIGHEST_RAISE + 30)))
    assert outcome.status == "partial"
    assert codes(outcome)[2] == "H-RANGE"
    assert [r.raised for r in outcome.history] == [0] * len(outcome.history)


def test_a_plan_is_raised_so_often_and_no_more():
    """A hospital that always wants more is refused in the end, and the round goes on without it."""

    class Greedy(Large):
        def _answer(self, task):
            if task.core.purpose != "round" or task.core.round != 2:
                return PaperHospital._answer(self, task)
            needed = tuple(exponent + 1 for exponent in task.core.plan.exponents)
            refusal = SiloRefusal(
                site=self.site, study_hash=task.study_hash, task_id=task.task_id, code="H-RANGE", exponents=needed
            )
            return seal("reply", refusal, self.paper.parties[self.site].key)

    asked = [(Greedy if site == "beta" else PaperHospital)(STUDY, site, RECORDS[site]) for site in STUDY.parties]
    outcome = conduct(STUDY, asked)
    assert outcome.status == "partial"
    assert [r.raised for r in outcome.history if r.round == 2 and r.purpose == "round"] == list(range(MOST_RAISES + 1))


def test_raised_exponents_change_no_other_round():
    """A study without large changes has the bits that it always had."""
    plain = conduct(STUDY, hospitals())
    assert to_bytes(plain.last) == to_bytes(conduct(STUDY, hospitals()).last)
    assert all(record.raised == 0 for record in plain.history)

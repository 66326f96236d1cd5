"""Which weights are released: those that were evaluated best by most patients, the last ones where nobody may say."""

import pytest
from paper_hospitals import PaperHospital, conduct
from paper_visits import STUDY, hospitals, refusing
from studies_on_paper import RECORDS, SITES, paper

from coordinator.rounds.outcome import Outcome
from wardround.weights.packing import to_bytes


def best_of(losses: dict[int, int], **changes) -> Outcome:
    """Conduct five rounds over hospitals whose weights have these losses after so many rounds."""
    study = paper(
        parties=STUDY.parties,
        rounds={"maximum": 5, "deadline_seconds": 30.0},
        convergence={"metric": "loss", "patience": 5},
        **changes,
    )
    return conduct(study, [PaperHospital(study, site, RECORDS[site], losses=lambda age: losses[age] << 12) for site in SITES])


def test_the_best_weights_are_those_that_were_evaluated():
    """Evaluations ride one round later: the metric of round 3's evaluation is that of the weights of 2 rounds."""
    outcome = best_of({0: 90, 1: 80, 2: 10, 3: 50, 4: 60, 5: 70})
    assert outcome.best_round == 2
    assert outcome.test is not None
    assert outcome.test.round == 2
    assert outcome.history[2].stepped == outcome.history[3].weights == outcome.test.weights
    assert outcome.best_metrics is not None
    assert outcome.best_metrics.loss == pytest.approx((10 << 12) / 2**20)


def test_the_last_weights_get_their_chance():
    """The closing visit evaluates the last weights, which may be the best."""
    outcome = best_of({0: 90, 1: 80, 2: 70, 3: 60, 4: 50, 5: 1})
    assert outcome.best_round == 5
    closing = outcome.history[-2]
    assert closing.purpose == "closing"
    assert closing.weights == outcome.history[-3].stepped
    assert to_bytes(outcome.best) == to_bytes(outcome.last)


def test_the_initial_weights_are_no_result():
    """However lucky the untrained weights, they are never released; of equals the earliest is."""
    assert best_of({0: 1, 1: 30, 2: 20, 3: 20, 4: 40, 5: 40}).best_round == 2


def test_the_study_stops_when_nothing_improves():
    """After `patience` evaluations without an improvement above the minimum change the rounds end."""
    losses = {0: 90, 1: 50, 2: 50, 3: 50, 4: 50, 5: 50}
    study = paper(
        parties=STUDY.parties, rounds={"maximum": 5}, convergence={"metric": "loss", "patience": 2, "minimum_change": 0.01}
    )
    outcome = conduct(study, [PaperHospital(study, site, RECORDS[site], losses=lambda age: losses[age] << 12) for site in SITES])
    assert (outcome.stopped, outcome.rounds) == ("converged", 4)
    assert [record.purpose for record in outcome.history].count("round") == 4
    assert outcome.status == "complete"


def test_slow_steps_count_together():
    """Improvements below the minimum change add up against the last reference: a slow descent is not stagnation."""
    study = paper(
        parties=STUDY.parties, rounds={"maximum": 5}, convergence={"metric": "loss", "patience": 2, "minimum_change": 0.01}
    )
    asked = [PaperHospital(study, site, RECORDS[site], losses=lambda age: round((0.9 - 0.008 * age) * 2**20)) for site in SITES]
    assert conduct(study, asked).stopped == "maximum"


def test_weights_evaluated_by_fewer_do_not_compete():
    """When a hospital drops out midway, figures of the smaller set never beat those of the larger one."""
    study = paper(
        parties=STUDY.parties, rounds={"maximum": 5, "deadline_seconds": 30.0}, convergence={"metric": "loss", "patience": 5}
    )
    asked = [PaperHospital(study, site, RECORDS[site], losses=lambda age: (90 - 15 * age) << 12) for site in SITES]
    asked[1].spoil = lambda task, reply, arrays: (
        asked[1].sealed(reply, arrays)
        if task.core.purpose in ("statistics", "test") or (task.core.round <= 3 and task.core.purpose == "round")
        else refusing(reply, arrays)
    )
    outcome = conduct(study, asked)
    assert outcome.best_round == 2, "weights of 3, 4 and 5 rounds look better, but to fewer patients"
    assert outcome.best_evaluated_by == SITES
    assert outcome.status == "partial"


def test_without_any_evaluation_the_last_weights_are_released():
    """Where every policy withholds the figures, the last weights are the result, without metrics."""
    asked = hospitals()
    for hospital in asked:
        hospital.shows = lambda _task: False
    outcome = conduct(STUDY, asked)
    assert (outcome.status, outcome.best_round, outcome.best_metrics) == ("complete", 3, None)
    assert to_bytes(outcome.best) == to_bytes(outcome.last)
    assert all(record.pooled is None for record in outcome.history)
    assert {silo.evaluation for record in outcome.history[1:] for silo in record.silos} == {"withheld"}


def test_figures_of_too_few_validation_records_are_shown_but_not_used():
    """Below the study's minimum of validation records a hospital's figures are not pooled, and the record says so."""
    study = paper(parties=STUDY.parties, silos={"minimum": 2, "minimum_validation": 31})
    asked = [PaperHospital(study, site, RECORDS[site], validation=30 if site == "beta" else 40) for site in SITES]
    outcome = conduct(study, asked)
    record = outcome.history[1]
    assert [silo.evaluation for silo in record.silos] == ["shown", "not used", "shown"]
    assert record.evaluated_by == ("alpha", "gamma")
    assert record.pooled is not None
    assert record.pooled.records == 80


def test_the_test_records_are_asked_for_once():
    """One test task for each hospital, of the best weights; none where the study has no test share."""
    asked = hospitals()
    conduct(STUDY, asked)
    assert all([task.core.purpose for task in hospital.tasks].count("test") == 1 for hospital in asked)
    study = paper(parties=STUDY.parties, split={"train": 0.8, "validation": 0.2, "test": 0.0})
    asked = [PaperHospital(study, site, RECORDS[site], test=0) for site in SITES]
    outcome = conduct(study, asked)
    assert outcome.test is None
    assert outcome.status == "complete"
    assert not [task for hospital in asked for task in hospital.tasks if task.core.purpose == "test"]

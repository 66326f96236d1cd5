"""The conductor: from the first visit to the outcome, by the study's own rules for who must count."""

import pytest
from paper_hospitals import Onlooker, PaperGrid, PaperHospital, conduct
from paper_visits import BRIEF, STUDY, codes, hospitals, refusing
from studies_on_paper import RECORDS, SITES, paper

from coordinator.rounds.conductor import Conductor
from wardround.errors import Broken
from wardround.identity.keys import SigningKey
from wardround.weights.fixed_point import ExactSum, plan_sum
from wardround.weights.packing import to_bytes


def test_a_whole_study():
    """Statistics, rounds, closing, test: everybody counts in each, and the result is complete."""
    outcome = conduct(STUDY, hospitals())
    assert [(record.purpose, record.round) for record in outcome.history] == [
        ("statistics", 0),
        ("round", 1),
        ("round", 2),
        ("round", 3),
        ("closing", 3),
        ("test", 3),
    ]
    assert (outcome.status, outcome.exit_status, outcome.stopped) == ("complete", 0, "maximum")
    assert all(record.counted == SITES and record.records == 225 for record in outcome.history)
    assert [silo.share for silo in outcome.history[1].silos] == [120 / 225, 60 / 225, 45 / 225]
    assert outcome.test is outcome.history[-1]
    assert set(outcome.reports) == set(SITES)


def test_the_strictest_answer_says_who_may_see_a_hospitals_figures():
    """A hospital that shares them no longer, for one answer, does not share them in this study; the others do."""
    once = conduct(STUDY, hospitals(shares=lambda task: "coordinator" if task.core.round == 2 else "consortium"))
    assert once.shares == {"alpha": "consortium", "beta": "coordinator", "gamma": "consortium"}
    assert set(conduct(STUDY, hospitals()).shares.values()) == {"consortium"}


def test_the_weights_are_the_exact_sum():
    """Each round's step is the exact sum of the hospitals' changes, weighted by their signed records."""
    asked = hospitals()
    outcome = conduct(STUDY, asked)
    weights, manifest = STUDY.bundle.weights, STUDY.bundle.manifest
    for number in (1, 2, 3):
        total = ExactSum(manifest, plan_sum(weights, manifest, 225))
        for hospital in asked:
            total.add(hospital.change(number), hospital.records)
        weights = total.step(weights)
    assert outcome.last is not None
    assert to_bytes(outcome.last) == to_bytes(weights)


def test_without_quorum_a_round_is_repeated_and_then_the_study_fails():
    """Too few hospitals: the round is repeated as often as the study allows, then the study fails, loudly and for good."""
    study = paper(("alpha", "beta"), rounds={**BRIEF, "retries": 2})
    asked = [PaperHospital(study, site, RECORDS[site]) for site in ("alpha", "beta")]
    asked[1].spoil = lambda task, reply, arrays: None if task.core.round == 2 else asked[1].sealed(reply, arrays)
    outcome = conduct(study, asked)
    assert (outcome.status, outcome.exit_status, outcome.stopped) == ("failed", 1, "failed")
    assert [problem.code for problem in outcome.problems] == ["C-FAILED"]
    assert "C-QUORUM" in outcome.problems[0].finding
    assert "beta" in outcome.problems[0].finding
    assert [(r.round, r.attempt, r.outcome, r.shortfall) for r in outcome.history[2:]] == [
        (2, attempt, "failed", ("C-QUORUM",)) for attempt in range(3)
    ]
    assert all(record.stepped is None for record in outcome.history[2:])
    assert outcome.test is None


def test_a_repeated_round_is_the_same_task():
    """A repeat asks for the same task, so that whoever answered re-sends the same bytes, and then it counts."""
    study = paper(("alpha", "beta"), rounds={**BRIEF, "retries": 1})
    asked = [PaperHospital(study, site, RECORDS[site]) for site in ("alpha", "beta")]
    failures = iter([True])
    asked[1].knock = lambda envelope, knock=asked[1].knock: (
        None if (answer := knock(envelope)) and asked[1].tasks[-1].core.round == 2 and next(failures, False) else answer
    )
    outcome = conduct(study, asked)
    assert outcome.status == "complete"
    first, second = (task for task in asked[0].tasks if task.core.round == 2)
    assert (first.task_id, first.attempt, second.task_id, second.attempt) == (first.task_id, 0, first.task_id, 1)
    assert second.receipt is None or second.receipt.task_id != first.task_id
    reference = conduct(study, [PaperHospital(study, site, RECORDS[site]) for site in ("alpha", "beta")])
    assert to_bytes(outcome.last) == to_bytes(reference.last)


@pytest.mark.parametrize(
    ("silos", "missing", "code"),
    [
        ({"minimum": 1, "required": ("beta",)}, "beta", "C-REQUIRED"),
        ({"minimum": 1, "minimum_records": 166}, "beta", "C-QUORUM"),
        ({"minimum": 3}, "gamma", "C-QUORUM"),
    ],
)
def test_the_studys_rules_for_who_must_count(silos, missing, code):
    """A required hospital that is missing, too few records or too few hospitals fail the study by name."""
    study = paper(parties=STUDY.parties, silos=silos)
    asked = [PaperHospital(study, site, RECORDS[site]) for site in SITES if site != missing]
    outcome = conduct(study, asked)
    assert outcome.status == "failed"
    assert outcome.history[-1].shortfall == (code,)
    assert len(outcome.history) == 2


def test_just_enough_is_enough():
    """The minimum of records and of hospitals is inclusive."""
    study = paper(parties=STUDY.parties, silos={"minimum": 2, "minimum_records": 165, "required": ("alpha", "gamma")})
    asked = [PaperHospital(study, site, RECORDS[site]) for site in ("alpha", "gamma")]
    assert conduct(study, asked).status == "partial"


def test_a_hospital_that_was_not_counted_at_first_is_not_asked_again():
    """Without a signed record count a hospital has no weight: later visits do not ask it, and the result is partial."""
    asked = hospitals(spoil=lambda _task, reply, arrays: refusing(reply, arrays))
    outcome = conduct(STUDY, asked)
    assert codes(outcome) == ["H-FAILED"] * len(outcome.history), "every later visit says why it was not asked"
    assert len(asked[1].tasks) == 1
    assert (outcome.status, outcome.counted) == ("partial", ("alpha", "gamma"))
    assert (outcome.whole_visits, outcome.visits) == (0, 6)


def test_onlookers_see_every_visit_and_answer():
    """A display is told of each visit's begin, answers and end."""
    onlooker = Onlooker()
    asked = hospitals()
    Conductor(STUDY.bundle, STUDY.key, PaperGrid(asked), onlooker).run()
    assert [event[1] for event in onlooker.events if event[0] == "opened"] == [
        "statistics",
        "round",
        "round",
        "round",
        "closing",
        "test",
    ]
    assert len([event for event in onlooker.events if event[0] == "answered"]) == 18
    assert len(onlooker.records) == 6


def test_only_the_rosters_coordinator_conducts():
    """Another key than the roster's is a bug of the caller, found before anything is sent."""
    with pytest.raises(Broken):
        Conductor(STUDY.bundle, SigningKey.generate(), PaperGrid([]), Onlooker())

"""Studies of several classes and of masks: the same rounds, with counts of their own kind, and no others."""

import pytest
from labels_on_paper import labels, sides
from lives import live
from masks_on_paper import GOOD_REGION, guesses, overlaps
from numbers_on_paper import errors
from paper_hospitals import PaperHospital, conduct
from paper_visits import BRIEF, codes
from predicting import CLASSES, LABELS, MASKS, NUMBER, predict
from studies_on_paper import RECORDS, Paper, paper, scores

from coordinator.history_command import _page
from coordinator.journal.chronicle import read_chronicle
from coordinator.rounds.outcome import Outcome
from coordinator.rounds.policy import Progress
from coordinator.service_commands import _where
from coordinator.studies import StudyState
from wardround.metrics.labels import LabelCounts
from wardround.metrics.pooled import measure, pool
from wardround.metrics.regression import NumberCounts
from wardround.metrics.segmentation import RegionCounts, SegmentationCounts
from wardround_lab.progress import figures, line

DICE = {"metric": "dice", "patience": 3, "minimum_change": 0.0}


def masks(size: int, age: int) -> SegmentationCounts:
    """Give evaluations that are best after two rounds."""
    return overlaps(size, 0.5 - 0.1 * abs(age - 2), 0.4)


def hospitals(study: Paper, usual, **beta) -> list[PaperHospital]:
    return [
        PaperHospital(study, site, RECORDS[site], **{"counts": usual, **(beta if site == "beta" else {})})
        for site in study.parties
    ]


def test_a_study_of_masks_is_pooled_judged_and_told_by_dice(monkeypatch, tmp_path):
    """Convergence and the choice of weights go by the mean Dice; journal, history and status say so."""
    predict(monkeypatch, MASKS)
    study = paper(convergence=DICE)
    outcome = live(tmp_path, study, hospitals(study, masks))
    assert isinstance(outcome, Outcome)
    assert (outcome.status, outcome.best_round) == ("complete", 2)
    assert outcome.best_metrics.dice == pytest.approx(0.45, abs=1e-6)
    assert [region.name for region in outcome.test.pooled.regions] == list(MASKS.classes)
    assert outcome.test.pooled == measure(pool([masks(20, 2)] * 3), MASKS.classes, curves=True)
    told = read_chronicle(tmp_path, study.bundle.study_hash)
    assert [(visit.dice, visit.auroc) for visit in told.visits] == [
        (None, None) if record.pooled is None else (record.pooled.dice, None) for record in outcome.history
    ]
    state = StudyState(
        study_hash=study.bundle.study_hash,
        name="trial",
        version="1.0.0",
        title="A trial",
        phase="running",
        purpose="round",
        round=3,
        maximum=3,
        silos=(),
        metrics=outcome.best_metrics,
        updated_at="2026-01-01T00:00:00Z",
    )
    page = _page(state, told)
    assert page[1].split()[:5] == ["visit", "attempt", "seconds", "loss", "Dice"]
    assert page[4].split()[5] == f"{outcome.history[2].pooled.dice:.4f}"
    assert _where(state) == "round 3 of at most 3, Dice 0.4500"
    assert figures(outcome.best_metrics) == f"Dice 0.4500, loss {outcome.best_metrics.loss:.4f}"
    assert "Dice 0." in line(outcome.test)
    assert line(outcome.history[0]).endswith("records")


def test_a_study_of_classes_has_a_confusion_matrix_at_its_end_alone(monkeypatch):
    predict(monkeypatch, CLASSES)
    study = paper(convergence={"metric": "auroc", "patience": 3})
    outcome = conduct(study, hospitals(study, lambda size, age: guesses(size, 3, age + 1.0)))
    assert outcome.status == "complete"
    assert [each.name for each in outcome.best_metrics.classes] == list(CLASSES.classes)
    assert [bool(record.pooled and record.pooled.confusion) for record in outcome.history] == [False] * 4 + [True] * 2
    assert sum(map(sum, outcome.test.pooled.confusion)) == outcome.test.pooled.records == 60
    assert not any(silo.metrics.confusion for silo in outcome.test.silos)


def findings(size: int, age: int) -> LabelCounts:
    """Give evaluations that are best after two rounds; half of the records have the one, a quarter the other."""
    return labels(size, *(sides(size // part, size - size // part, 2 + 10 * (age == 2)) for part in (2, 4)))


def test_a_study_of_labels_is_pooled_judged_and_told_by_their_mean(monkeypatch, tmp_path):
    """Convergence and the choice of weights go by the mean over labels; each label has its curves at the end."""
    predict(monkeypatch, LABELS)
    study = paper(convergence={"metric": "auroc", "patience": 3, "minimum_change": 0.0})
    outcome = live(tmp_path, study, hospitals(study, findings))
    assert (outcome.status, outcome.problems) == ("complete", ())
    assert [label.name for label in outcome.best_metrics.labels] == list(LABELS.classes)
    assert outcome.test.pooled == LABELS.measure(pool([findings(20, outcome.best_round)] * 3), curves=True)
    assert [label.metrics.positives for label in outcome.test.pooled.labels] == [30, 15]
    assert all(label.metrics.roc for label in outcome.test.pooled.labels)
    told = read_chronicle(tmp_path, study.bundle.study_hash)
    assert [visit.auroc for visit in told.visits] == [
        None if record.pooled is None else record.pooled.auroc for record in outcome.history
    ]
    assert figures(outcome.best_metrics).startswith(f"mean AUROC {outcome.best_metrics.auroc:.4f}, ")


def test_a_label_that_a_hospital_withholds_is_pooled_over_the_others(monkeypatch):
    """Its other labels count; what is withheld is no zero, and moves no mean."""
    predict(monkeypatch, LABELS)
    study = paper(rounds=BRIEF)
    partly = lambda size, age: findings(size, age).model_copy(update={"labels": (findings(size, age).labels[0], None)})  # noqa: E731
    outcome = conduct(study, hospitals(study, findings, counts=partly))
    first, second = outcome.test.pooled.labels
    assert (outcome.test.pooled.records, first.metrics.records, second.metrics.records) == (60, 60, 40)
    own = {silo.site: silo.metrics.labels for silo in outcome.test.silos}
    assert own["beta"][1].metrics is None
    assert own["alpha"][1].metrics is not None


def test_figures_of_other_labels_are_not_compared(monkeypatch):
    """A hospital that withholds a label from the third round on: the mean is over other records then, and begins anew."""
    predict(monkeypatch, LABELS)
    study = paper(convergence={"metric": "auroc", "patience": 3, "minimum_change": 0.0})
    rare = lambda size, age: findings(size, age).model_copy(  # noqa: E731
        update={"labels": (findings(size, age).labels[0], None if age > 1 else findings(size, age).labels[1])}
    )
    outcome = conduct(study, hospitals(study, findings, counts=rare))
    assert set(codes(outcome)) == {None}, "its answers count: what a policy withholds is no fault"
    tried = [record for record in outcome.history if record.purpose in ("round", "closing")]
    assert [record.pooled.labels[1].metrics.records for record in tried] == [90, 90, 60, 60]
    judged = Progress(study.bundle.study.convergence)
    for age, record in enumerate(tried):
        judged.observe(age, age, record.pooled, record.evaluated_by)
    assert len(judged.candidates) == 2


def test_labels_that_change_between_rounds_are_refused(monkeypatch):
    """R-METRICS: of the same records as many have a label as before."""
    predict(monkeypatch, LABELS)
    study = paper(rounds={"maximum": 3, "deadline_seconds": 30.0})
    moved = lambda size, age: labels(size, sides(size // 2 + (age > 1), size - size // 2 - (age > 1)), None)  # noqa: E731
    outcome = conduct(study, hospitals(study, findings, counts=moved))
    refused = [silo.code for record in outcome.history for silo in record.silos if silo.status == "refused"]
    assert refused
    assert set(refused) == {"R-METRICS"}


def numbers(size: int, age: int) -> NumberCounts:
    """Give evaluations that are best after two rounds."""
    return errors(size, 0.05 + 0.02 * abs(age - 2))


@pytest.mark.parametrize("metric", ["rmse", "mae", "r2"])
def test_a_study_of_a_number_is_pooled_judged_and_told_in_its_unit(monkeypatch, tmp_path, metric):
    """RMSE and absolute error are better when they fall, R² when it rises; all three choose the same weights here."""
    predict(monkeypatch, NUMBER)
    study = paper(convergence={"metric": metric, "patience": 3, "minimum_change": 0.0})
    outcome = live(tmp_path, study, hospitals(study, numbers))
    assert (outcome.status, outcome.best_round) == ("complete", 2)
    assert outcome.best_metrics.rmse == outcome.best_metrics.mae == pytest.approx(0.05 * 260, abs=1e-2)
    assert outcome.best_metrics.r2 == pytest.approx(0.75, abs=1e-3)
    assert outcome.best_metrics.bias == pytest.approx(0, abs=1e-9)
    assert outcome.test.pooled == NUMBER.measure(pool([numbers(20, 2)] * 3))
    told = read_chronicle(tmp_path, study.bundle.study_hash)
    assert [(visit.r2, visit.auroc, visit.dice) for visit in told.visits] == [
        (None, None, None) if record.pooled is None else (record.pooled.r2, None, None) for record in outcome.history
    ]
    assert figures(outcome.best_metrics) == f"R² {outcome.best_metrics.r2:.4f}, loss {outcome.best_metrics.loss:.4f}"


def test_training_stops_when_the_error_falls_by_less_than_the_study_asks(monkeypatch):
    """The change is in the contract's unit, and towards zero."""
    predict(monkeypatch, NUMBER)
    falling = {"counts": lambda size, age: errors(size, 0.05 / (1 + age))}
    rules = {"metric": "rmse", "patience": 1}
    ended = {}
    for change in (0.0, 5.0):
        study = paper(rounds={"maximum": 6, "deadline_seconds": 30.0}, convergence={**rules, "minimum_change": change})
        ended[change] = conduct(study, hospitals(study, falling["counts"])).rounds
    assert ended[0.0] == 6
    assert ended[5.0] == 3  # 13 to 6.5 mmHg is more than 5; 6.5 to 4.3, which the third round evaluates, is not


def huge(size: int, _age: int) -> SegmentationCounts:
    """Give sums that a roster of three could not add exactly."""
    region = RegionCounts.model_validate({**GOOD_REGION, "true": 2**53 - 1, "present": size, "matched": 2})
    return SegmentationCounts(records=size, regions=(region, region), loss_units=0)


OTHER = {
    "scores for masks": (MASKS, lambda size, _age: scores([150] * (size // 2), [100] * (size - size // 2))),
    "classes for masks": (MASKS, lambda size, _age: guesses(size, 2, 1.0)),
    "masks of another number of classes": (MASKS, lambda size, _age: overlaps(size, 0.5)),
    "masks of sums beyond exact integers": (MASKS, huge),
    "masks of other examples": (MASKS, lambda size, age: masks(size + 1, age)),
    "scores for a number": (NUMBER, lambda size, _age: scores([150] * (size // 2), [100] * (size - size // 2))),
    "numbers of other records": (NUMBER, lambda size, age: numbers(size + 1, age)),
    "labels of other records": (LABELS, lambda size, age: findings(size + 1, age)),
    "scores for labels": (LABELS, lambda size, _age: scores([150] * (size // 2), [100] * (size - size // 2))),
    "another number of labels": (LABELS, lambda size, _age: labels(size, None, None, None)),
    "labels for classes": (CLASSES, findings),
    "numbers for masks": (MASKS, numbers),
    "numbers for classes": (CLASSES, numbers),
    "masks for classes": (CLASSES, masks),
    "another number of classes": (CLASSES, lambda size, _age: guesses(size, 4, 1.0)),
    "scores for classes": (CLASSES, lambda size, _age: scores([150] * (size // 2), [100] * (size - size // 2))),
}


@pytest.mark.parametrize("case", OTHER)
def test_counts_of_another_kind_are_refused(monkeypatch, case):
    """R-METRICS: the study goes on without, and nothing of the answer is used."""
    what, wrong = OTHER[case]
    predict(monkeypatch, what)
    study = paper(rounds=BRIEF)
    right = {"mask": masks, "number": numbers, "labels": findings}.get(what.kind, lambda size, age: guesses(size, 3, age + 1.0))
    outcome = conduct(study, hospitals(study, right, counts=wrong))
    assert set(codes(outcome)) == {None, "R-METRICS"}
    assert outcome.status == "partial"
    assert outcome.best_evaluated_by == ("alpha", "gamma")


def test_values_that_change_between_rounds_are_refused(monkeypatch):
    """R-METRICS: what is predicted stays what it was, as the records do; a hospital that tells other sums has other ones."""
    predict(monkeypatch, NUMBER)
    study = paper(rounds={"maximum": 3, "deadline_seconds": 30.0})
    moved = lambda size, age: errors(size, 0.05, middle=0.5 if age < 2 else 0.51)  # noqa: E731  (as the others)
    outcome = conduct(study, hospitals(study, numbers, counts=moved))
    counted = [("beta" in record.counted, record.purpose) for record in outcome.history]
    assert counted[:3] == [(True, "statistics"), (True, "round"), (True, "round")]
    assert (False, "round") in counted
    refused = [
        silo.code for record in outcome.history for silo in record.silos if silo.site == "beta" and silo.status == "refused"
    ]
    assert set(refused) == {"R-METRICS"}


@pytest.mark.parametrize("counts", [numbers, masks, findings, lambda size, _age: guesses(size, 2, 1.0)])
def test_a_study_of_two_classes_takes_scores_alone(counts):
    study = paper(rounds=BRIEF)
    outcome = conduct(study, hospitals(study, None, counts=counts))
    assert set(codes(outcome)) == {None, "R-METRICS"}

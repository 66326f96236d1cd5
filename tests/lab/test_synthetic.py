"""Synthetic hospitals obey their schema, differ as asked, and each one matters to the study."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest
from approved_study import ApprovedStudy, Unseen, approved
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from coordinator.rounds.conductor import Conductor
from coordinator.rounds.encrypted_grid import EncryptedGrid, encryption_keys
from coordinator.rounds.outcome import Outcome
from silo_node.configuration import load_site
from silo_node.node import open_node
from silo_node.training.trainer import Trainer
from silo_node.validation.check import check
from wardround.canonical import sha256
from wardround.contract.library import find
from wardround.errors import Refused
from wardround.study.model import Study, Target
from wardround.weights.packing import to_bytes
from wardround_lab.local_grid import LocalGrid
from wardround_lab.synthetic import SyntheticHospital, draw, make_synthetic

TARGETS = {
    "breast.cytology": Target(field="diagnosis", positive="malignant"),
    "heart.disease": Target(field="disease", positive="present"),
}
SKEWED = (
    SyntheticHospital("few", 160, prevalence=0.1),
    SyntheticHospital("half", 120, prevalence=0.5, shift=0.4, scale=0.8),
    SyntheticHospital("most", 200, prevalence=0.85, parquet=True),
)


@pytest.mark.parametrize("schema", sorted(TARGETS))
@pytest.mark.parametrize("seed", [1, 2])
def test_they_obey_the_schema(tmp_path: Path, schema: str, seed: int) -> None:
    """Whatever the schema's ranges, codes, patterns, limits and rules say, no synthetic record breaks it, from CSV or Parquet."""
    contract = find(schema)
    for path in make_synthetic(tmp_path, contract, TARGETS[schema], SKEWED, seed):
        result = check(load_site(path), contract)
        assert result.passed, [(finding.code, finding.field or finding.rule, finding.finding) for finding in result.findings]
        assert result.quarantined == 0


def figures(records: pl.DataFrame, target: Target) -> tuple[pl.DataFrame, list[bool]]:
    """Numbers in columns, missing ones at their mean, and the labels; the records whose label is missing left out."""
    labelled = records.filter(pl.col(target.field).is_not_null())
    numbers = labelled.select(pl.col(pl.Int64, pl.Float64).cast(pl.Float64))
    return numbers.select(pl.all().fill_null(pl.all().mean())), (labelled[target.field] == target.positive).to_list()


@pytest.mark.parametrize("schema", sorted(TARGETS))
def test_labels_are_skewed_and_can_be_learned(schema: str) -> None:
    """Every hospital has about its share of positives, and what is learned at one orders the records of the others."""
    contract, target = find(schema), TARGETS[schema]
    inputs, labels = figures(draw(contract, target, SyntheticHospital("teacher", 500), 3), target)
    middle, spread = inputs.mean(), inputs.std()

    def standardised(numbers: pl.DataFrame) -> list[list[float]]:
        columns = [(numbers[name] - middle[name][0]) / spread[name][0] for name in numbers.columns]
        return pl.DataFrame(columns).to_numpy().tolist()

    model = LogisticRegression(max_iter=10_000).fit(standardised(inputs), labels)
    for hospital in SKEWED:
        made = SyntheticHospital(hospital.site, 500, hospital.prevalence, hospital.shift)
        others, positive = figures(draw(contract, target, made, 3), target)
        assert sum(positive) / len(positive) == pytest.approx(hospital.prevalence, abs=0.06)
        assert roc_auc_score(positive, model.decision_function(standardised(others))) > 0.7


def test_hospitals_differ_as_asked() -> None:
    """Where the patients lie, how far apart, and how much is missing; the schema is obeyed all the same (above)."""
    contract, target = find("heart.disease"), TARGETS["heart.disease"]

    def drawn(**changes: float) -> pl.DataFrame:
        return draw(contract, target, SyntheticHospital("here", 400, **changes), 1)  # type: ignore[arg-type]

    usual = drawn()
    higher, lower, close, gaps = drawn(shift=1.0), drawn(shift=-1.0), drawn(scale=0.5), drawn(missing=3.0)
    numbers = ("age", "trestbps", "chol", "thalach", "oldpeak")

    def above(records: pl.DataFrame) -> float:
        """By how many standard deviations its means lie above the usual, over the fields."""
        return sum((records[name].mean() - usual[name].mean()) / usual[name].std() for name in numbers) / len(numbers)  # type: ignore[operator]

    assert above(higher) > 0.5
    assert above(lower) < -0.5
    assert close["thalach"].std() == pytest.approx(0.5 * usual["thalach"].std(), rel=0.15)  # type: ignore[operator]
    assert sum(gaps.null_count().row(0)) > 2 * sum(usual.null_count().row(0))


def test_drawn_again_they_are_the_same() -> None:
    """The same arguments give the same records; another seed or site gives others."""
    contract, target = find("heart.disease"), TARGETS["heart.disease"]
    first = draw(contract, target, SKEWED[0], 5)
    assert first.equals(draw(contract, target, SKEWED[0], 5))
    assert not first.equals(draw(contract, target, SKEWED[0], 6))
    assert not first.equals(draw(contract, target, SyntheticHospital("other", 160, prevalence=0.1), 5))


def test_rules_that_random_records_never_obey_are_refused() -> None:
    """A schema that no random record can satisfy is said to be such, instead of drawing for ever."""
    contract = find("heart.disease")
    never = contract.rules[0].model_copy(update={"check": "age > 110 and age < 18"})
    with pytest.raises(Refused) as error:
        draw(contract.model_copy(update={"rules": (never,)}), TARGETS["heart.disease"], SyntheticHospital("a", 20), 1)
    assert error.value.codes == ("S-SYNTH",)


def skewed_study() -> Study:
    contract = find("heart.disease")
    features = tuple(f.name for f in contract.fields if f.privacy == "none" and f.name != "disease")
    return Study.model_validate(
        {
            "name": "skewed",
            "version": "1.0.0",
            "title": "Skewed labels",
            "question": "Does every hospital matter?",
            "author": "tests",
            "schema": {"id": contract.id, "version": contract.version},
            "target": {"field": "disease", "positive": "present"},
            "features": features,
            "network": {"name": "FullyConnectedNet", "arguments": {"hidden_channels": (8,)}},
            "training": {"optimiser": {"learning_rate": 0.1}, "batch_size": 16},
            "seed": 11,
            "rounds": {"maximum": 4},
            "silos": {"minimum": 2},
        }
    )


def without(ready: ApprovedStudy, site: str | None) -> Outcome:
    """Conduct the very same study (roster, split, initial weights) while one hospital cannot be reached."""
    for each in ready.sites:  # a hospital lets a study run once; here it has not run yet
        shutil.rmtree(each.directory("ledger"), ignore_errors=True)
    nodes = {each.file.site: open_node(each, Trainer) for each in ready.sites if each.file.site != site}
    doors = {name: (lambda envelope, node=node: node.visit(envelope).envelope) for name, node in nodes.items()}
    with LocalGrid(doors) as grid:
        encrypted = EncryptedGrid(grid, encryption_keys(ready.bundle.roster), ready.centre.encryption)
        outcome = Conductor(ready.bundle, ready.centre.key, encrypted, Unseen()).run()
    for node in nodes.values():
        node.close()
    return outcome


def losses(outcome: Outcome) -> dict[str, float]:
    """The best weights' loss on each reached hospital's test records."""
    assert outcome.test is not None
    return {silo.site: silo.metrics.loss for silo in outcome.test.silos if silo.metrics and silo.metrics.loss is not None}


def test_every_hospital_matters(tmp_path: Path) -> None:
    """Law 4 from outside: without any one of three label-skewed hospitals, the weights and every other's metric differ."""
    contract = find("heart.disease")
    paths = make_synthetic(tmp_path, contract, TARGETS["heart.disease"], SKEWED, 13)
    ready = approved(tmp_path, skewed_study(), contract, paths)
    whole = without(ready, None)
    assert whole.status == "complete"
    assert whole.last is not None
    digests = {sha256(to_bytes(whole.last))}
    for hospital in SKEWED:
        outcome = without(ready, hospital.site)
        assert outcome.status == "partial", outcome.problems[0].finding
        assert outcome.last is not None
        digests.add(sha256(to_bytes(outcome.last)))
        found = losses(outcome)
        assert set(found) == {other.site for other in SKEWED} - {hospital.site}
        for site, loss in found.items():
            assert abs(loss - losses(whole)[site]) > 1e-5, f"{site} does not notice that {hospital.site} is gone"
    assert len(digests) == 4

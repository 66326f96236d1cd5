"""The baselines differ from the federation in what they say, and in nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from approved_study import approved

from silo_node.training.encode import encode
from silo_node.training.study_examples import Part
from wardround.contract.library import find
from wardround.study.model import Study
from wardround_lab.demo.baselines import Ward, compare, gather, learn, learn_alone, learn_pooled, own_encoding, score_counts
from wardround_lab.demo.hospitals import SCHEMA, make_hospitals
from wardround_lab.demo.story import Demo


def test_a_federation_of_one_is_that_hospital_alone(tmp_path: Path, made: Demo) -> None:
    """With one hospital on the roster, the study's weights are those of training in one place with the same encoding."""
    study = Study.model_validate(
        {**made.bundle.study.model_dump(by_alias=True), "silos": {"minimum": 1}, "rounds": {"maximum": 6}}
    )
    path = make_hospitals(tmp_path)[0]
    ready = approved(tmp_path, study, find(SCHEMA), [path])
    outcome = ready.conduct()
    assert outcome.encoding is not None
    assert outcome.best is not None
    (ward,) = gather(ready.bundle, ready.sites)
    own = learn(ready.bundle, [Part(ward.cohort.train)], [Part(ward.cohort.validation)], outcome.encoding, ward.name)
    assert (own.rounds, own.best_round) == (outcome.rounds, outcome.best_round)
    assert float(np.abs(own.weights - outcome.best).max()) <= 1e-6


def test_alone_is_scaled_by_its_own_records(made: Demo, wards: tuple[Ward, ...]) -> None:
    """A hospital alone knows no other hospital's mean: its training records have mean 0 and deviation 1 in its own scale."""
    for ward in wards:
        encoding = own_encoding(made.bundle, ward.cohort)
        inputs = encode(ward.cohort.train, encoding).inputs[:, 0::2]
        assert float(np.abs(inputs.mean(axis=0)).max()) < 1e-4
        assert encoding != made.outcome.encoding
    assert learn_alone(made.bundle, wards[0]).encoding == own_encoding(made.bundle, wards[0].cohort)


def test_pooled_learns_from_everybody(made: Demo, wards: tuple[Ward, ...]) -> None:
    """Leaving out any one hospital's records gives another pooled model."""
    assert made.outcome.encoding is not None
    whole = learn_pooled(made.bundle, wards, made.outcome.encoding)
    for ward in wards:
        rest = [each for each in wards if each is not ward]
        assert not np.array_equal(whole.weights, learn_pooled(made.bundle, rest, made.outcome.encoding).weights)


def test_side_by_side_is_the_same_comparison(made: Demo) -> None:
    """Trained in a second process, each hospital's own model has the figures that it had in one process after the other."""
    assert made.comparison is not None
    again = compare(made.bundle, made.sites, made.outcome, made.comparison.note, side_by_side=True)
    assert again == made.comparison


def test_no_records_are_no_figure(made: Demo) -> None:
    """A hospital without test records adds nothing to a model's counts."""
    assert made.outcome.best is not None
    assert made.outcome.encoding is not None
    empty = gather(made.bundle, made.sites[:1])[0].cohort.test.clear()
    assert isinstance(empty, pl.DataFrame)
    assert score_counts(made.bundle, made.outcome.best, made.outcome.encoding, Part(empty)) is None

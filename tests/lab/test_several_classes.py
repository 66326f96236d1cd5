"""A target of several classes on a table, from study file to release; every class is told from the others."""

from __future__ import annotations

import contextlib

import polars as pl
import pytest
from approved_study import approved

from silo_node.cohort import assemble
from silo_node.configuration import load_site
from silo_node.validation.result import CheckFailed
from wardround.console import run
from wardround.contract.library import find
from wardround.study.model import Study

CONTRACT = find("heart.disease@1.0.0")
CLASSES = CONTRACT.field("cp").values
STUDY = {
    "name": "chest-pain",
    "version": "1.0.0",
    "title": "Which chest pain",
    "question": "Which kind of chest pain is it",
    "author": "A. Scientist",
    "schema": {"id": "heart.disease", "version": "1.0.0"},
    "target": {"field": "cp"},
    "features": ("age", "sex", "chol"),
    "network": {"name": "FullyConnectedNet"},
    "training": {"loss": "cross_entropy", "optimiser": {"learning_rate": 0.05}, "batch_size": 32},
    "seed": 7,
    "split": {"train": 0.5, "validation": 0.25, "test": 0.25},
    "rounds": {"maximum": 2, "deadline_seconds": 60.0},
    "convergence": {"metric": "loss"},
    "silos": {"minimum": 2},
}


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    """Two hospitals of synthetic records."""
    folder = tmp_path_factory.mktemp("classes")
    with contextlib.chdir(folder):
        for seed, name in enumerate(("north", "south"), 1):
            assert run(["schema", "synthesise", "heart.disease@1.0.0", "-n", "200", "--seed", str(seed), "--site", name]) == 0
    return folder, [folder / name / "site.yaml" for name in ("north", "south")]


def test_a_study_of_several_classes_comes_to_a_release(sites):
    """Counts are of as many classes as the schema has, and add up to the test records."""
    folder, paths = sites
    ready = approved(folder, Study.model_validate(STUDY), CONTRACT, paths)
    outcome = ready.conduct()
    assert (outcome.status, outcome.problems) == ("complete", ())
    assert outcome.encoding is not None
    assert outcome.encoding.classes == CLASSES
    assert outcome.test is not None
    pooled = outcome.test.pooled
    assert pooled is not None
    assert [each.name for each in pooled.classes] == list(CLASSES)
    assert pooled.records == sum(sum(row) for row in pooled.confusion)


def test_a_feature_that_tells_a_class_from_the_others_leaks(sites):
    """Here a number that is 240 for one kind of pain and 200 for all others."""
    _, paths = sites
    site = load_site(paths[0])
    source = next(path for name in site.file.sources for path in site.record_paths(name))
    table = pl.read_csv(source, infer_schema=False)
    column = next(name for name in table.columns if "chol" in name)
    kind = next(name for name in table.columns if name == "cp" or name.startswith("cp"))
    most = table[kind].drop_nulls().mode()[0]
    changed = table.with_columns(pl.when(pl.col(kind) == most).then(pl.lit("240")).otherwise(pl.lit("200")).alias(column))
    before = source.read_bytes()
    try:
        changed.write_csv(source)
        found = assembled(site)
    finally:
        source.write_bytes(before)
    assert "T-LEAK" in found
    assert "T-LEAK" not in assembled(site)


def assembled(site) -> set[str]:
    """Give the codes of all findings on the study's records."""
    try:
        report = assemble(site, CONTRACT, Study.model_validate(STUDY), "7" * 64).report
    except CheckFailed as failure:
        report = failure.result
    return {each.code for each in report.findings}

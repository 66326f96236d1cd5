"""Several labels at once on a table, from study file to prediction, against truths that are known."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import onnxruntime
import polars as pl
import pytest
from approved_study import ApprovedStudy, approved
from sklearn.metrics import roc_auc_score

from coordinator.release.release import write_release
from coordinator.rounds.outcome import Outcome
from silo_node.training.encode import inputs_of
from silo_node.training.study_examples import Part
from silo_node.validation.check import check
from wardround.console import run
from wardround.contract.library import find
from wardround.metrics.pooled import pool
from wardround.study.bundle import bundle_bytes
from wardround.study.model import Study
from wardround_lab.demo.baselines import compare, gather, score_counts
from wardround_lab.onnx_export import to_onnx
from wardround_lab.predict import load_model, predict

CONTRACT = find("heart.disease@1.0.0")
LABELS = {"disease": "present", "fbs": "above_120", "exang": "present"}
"""Three fields of two categories, each with the value that is looked for; the last two may be missing."""
OTHERS = {"disease": "absent", "fbs": "up_to_120", "exang": "absent"}
UNKNOWN = 0.05
"""Share of the records in which it is not known of the blood sugar, beside those in which the synthetic ones miss it."""
STUDY = {
    "name": "findings",
    "version": "1.0.0",
    "title": "What is found at exercise and in the blood",
    "question": "Which findings does a patient have",
    "author": "A. Scientist",
    "schema": {"id": "heart.disease", "version": "1.0.0"},
    "target": {"labels": tuple({"field": name, "positive": positive} for name, positive in LABELS.items())},
    "features": ("age", "sex", "cp"),
    "network": {"name": "FullyConnectedNet"},
    "training": {"optimiser": {"learning_rate": 0.3}, "batch_size": 32, "local_epochs": 4},
    "seed": 7,
    "split": {"train": 0.6, "validation": 0.2, "test": 0.2},
    "rounds": {"maximum": 8, "deadline_seconds": 60.0},
    "convergence": {"metric": "auroc", "patience": 4, "minimum_change": 0.001},
    "silos": {"minimum": 3},
    "statistics": {"distributions": True},
}
SITES = ("north", "south", "west")
SIZES = (500, 400, 300)


def odds(table: pl.DataFrame) -> dict[str, np.ndarray]:
    """Give the true log-odds of each finding of each record: lines in age, sex and the kind of pain."""
    age = (table["age"].cast(pl.Float64).to_numpy() - 55) / 10
    male = (table["sex"] == "male").to_numpy()
    typical = (table["cp"] == "typical_angina").to_numpy()
    return {
        "disease": 1.5 * age + 2.0 * typical - 0.5,
        "fbs": 2.5 * male - 1.8 + 0.5 * age,
        "exang": 3.0 * typical - 1.5 * age - 1,
    }


def truth(table: pl.DataFrame, seed: int) -> list[pl.Expr]:
    """Draw the findings by their odds; what is missing stays so, and of the blood sugar more is."""
    random, found = np.random.default_rng(seed), []
    for name, each in odds(table).items():
        there = random.random(table.height) < 1 / (1 + np.exp(-each))
        drawn = pl.Series(name, np.where(there, LABELS[name], OTHERS[name]))
        found.append(pl.when(pl.col(name).is_not_null()).then(drawn).alias(name))
    known = pl.Series(random.random(table.height) >= UNKNOWN)
    found[1] = pl.when(known).then(pl.Series(found[1].meta.output_name(), table.select(found[1])["fbs"])).alias("fbs")
    return found


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> ApprovedStudy:
    """Three hospitals of synthetic records of other sizes, whose findings follow two lines."""
    folder = tmp_path_factory.mktemp("labels")
    with contextlib.chdir(folder):
        for seed, (name, size) in enumerate(zip(SITES, SIZES, strict=True), 1):
            assert run(["schema", "synthesise", "heart.disease@1.0.0", "-n", str(size), "--seed", str(seed), "--site", name]) == 0
            file = folder / name / "synthetic-heart.disease-1.0.0.csv"
            table = pl.read_csv(file, infer_schema=False)
            table.with_columns(truth(table, seed)).write_csv(file)
            (folder / name / "policy.yaml").write_text("share_metrics: consortium\nshare_distributions: consortium\n")
    return approved(folder, Study.model_validate(STUDY), CONTRACT, [folder / name / "site.yaml" for name in SITES])


@pytest.fixture(scope="module")
def outcome(study: ApprovedStudy) -> Outcome:
    return study.conduct()


@pytest.fixture(scope="module")
def release(study: ApprovedStudy, outcome: Outcome, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("released") / "release"
    write_release(folder, study.bundle, outcome)
    return folder


def test_the_study_finds_every_line(study, outcome):
    """Nearly as well as the true odds do, label by label; the federated model is as good as one of all records in one place."""
    assert (outcome.status, outcome.problems) == ("complete", ())
    pooled = outcome.test.pooled
    assert [label.name for label in pooled.labels] == list(LABELS)
    records = pl.concat([ward.cohort.test for ward in gather(study.bundle, study.sites)])
    for name, label in zip(LABELS, pooled.labels, strict=True):
        known = records.filter(pl.col(name).is_not_null())
        best = roc_auc_score(known[name] == LABELS[name], odds(known)[name])
        assert (label.metrics.records, label.metrics.positives) == (known.height, (known[name] == LABELS[name]).sum())
        assert label.metrics.auroc > best - 0.03
        assert label.metrics.calibration_error < 0.12
    assert pooled.auroc == pytest.approx(np.mean([label.metrics.auroc for label in pooled.labels]))
    assert pooled.records == records.height > pooled.labels[1].metrics.records, "some are not known of the second"
    compared = compare(study.bundle, study.sites, outcome)
    rows = {row.name: row.overall for row in compared.models}
    assert len([row for row in compared.models if row.kind == "alone"]) == 3
    assert rows["Federated"] == pooled.model_copy(update={"labels": rows["Federated"].labels})
    for federated, together in zip(rows["Federated"].labels, rows["Pooled"].labels, strict=True):
        assert abs(federated.metrics.auroc - together.metrics.auroc) < 0.02
    assert rows["Federated"].auroc >= rows["Pooled"].auroc - 0.01


def test_what_hospitals_send_is_summed_to_the_counts_of_all_records(study, outcome):
    """Exactly: the pooled figures of each label are those of the concatenated test records."""
    wards = gather(study.bundle, study.sites)
    parts = [Part(ward.cohort.test) for ward in wards]
    each = [score_counts(study.bundle, outcome.best, outcome.encoding, part) for part in parts]
    together = score_counts(study.bundle, outcome.best, outcome.encoding, Part(pl.concat([part.records for part in parts])))
    assert pool(each) == together


def test_a_release_has_a_probability_of_each_label(study, release, tmp_path):
    """As the command does: a column called after each field, also of records in which the label is missing."""
    model = load_model(release)
    site = study.sites[0]
    found = predict(model, site)
    columns = [f"probability_{name}" for name in LABELS]
    assert found.table.columns == ["record_id", *columns]
    both = found.table.join(check(site, CONTRACT).valid, on="record_id")
    for name, column in zip(LABELS, columns, strict=True):
        known = both.filter(pl.col(name).is_not_null())
        assert roc_auc_score(known[name] == LABELS[name], known[column]) > 0.7
        assert abs(known[column].mean() - (known[name] == LABELS[name]).mean()) < 0.1
    assert found.table[columns].sum_horizontal().is_between(0.9, 1.1).mean() < 0.5, "they are no shares of one whole"
    out = tmp_path / "predictions.csv"
    assert run(["predict", str(release), "--site", str(site.path), "--out", str(out)]) == 0
    for column in columns:
        assert pl.read_csv(out)[column].to_list() == pytest.approx(found.table[column].to_list())


def test_an_exported_model_gives_the_same_logits(study, release):
    """Their sigmoid is the probability of each label, to a hundred-thousandth."""
    model = load_model(release)
    session = onnxruntime.InferenceSession(to_onnx(model), providers=["CPUExecutionProvider"])
    told = session.get_modelmeta().custom_metadata_map
    assert told["output"] == "logits: sigmoid gives the probability"
    assert json.loads(told["classes"]) == list(LABELS)
    valid = check(study.sites[1], CONTRACT).valid
    logits = session.run(["logits"], {"input": inputs_of(valid, model.encoding)})[0].astype(np.float64)
    expected = predict(model, study.sites[1]).table.drop("record_id").to_numpy()
    assert np.abs(1 / (1 + np.exp(-logits)) - expected).max() <= 1e-5


def test_a_release_tells_each_label(release, outcome):
    """Report and card have a row and curves of each; history what the study found, hospital by hospital."""
    report, card = (release / "report.html").read_text(), (release / "MODEL_CARD.md").read_text()
    for label in outcome.test.pooled.labels:
        assert f"AUROC: {label.name}" in report
        assert f"AUROC: {label.name}" in card
        assert f'id="roc-of-{label.name}-figure_1"' in report
    assert "classification of several labels" in card
    history = json.loads((release / "history.json").read_text())
    told = {silo["site"]: silo["metrics"]["labels"] for silo in history["visits"][-1]["silos"]}
    assert told.keys() == set(SITES)
    assert all([label["name"] for label in labels] == list(LABELS) for labels in told.values())
    encoding = json.loads((release / "encoding.json").read_text())
    assert encoding["labels"] == [{"field": name, "positive": positive} for name, positive in LABELS.items()]


def test_hospitals_are_compared_by_how_often_they_have_each_label(release):
    """Its share, in groups that hide small cells, as of a target with two classes."""
    told = json.loads((release / "comparability.json").read_text())
    for name in LABELS:
        (field,) = [each for each in told["fields"] if each["field"] == name]
        assert field["target"]
        assert {each["site"] for each in field["sites"]} == set(SITES)
        assert all(0.1 < each["positive"] < 0.9 for each in field["sites"])


def test_a_hospital_sees_what_will_leave(study, tmp_path, capsys):
    """The review names each label, and makes an example of it on synthetic records."""
    bundle = tmp_path / "study.wardround"
    bundle.write_bytes(bundle_bytes(study.bundle))
    assert run(["silo", "review", str(bundle), "--site", str(study.sites[0].path)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "predicts several labels (disease is present, fbs is above_120, exang is present)" in said
    assert "for each label histograms of its scores by class, and its summed loss (disease, fbs, exang)" in said
    assert "for 3 of 3 labels" in said


def test_a_hospital_with_few_of_a_label_withholds_it_alone(study, tmp_path):
    """In real rounds: a policy that asks for more than one hospital has of a label; the others count, and the study is whole."""
    folder = tmp_path / "strict"
    with contextlib.chdir(tmp_path):
        folder.mkdir()
        for site in study.sites:
            copy = folder / site.file.site
            copy.mkdir()
            for path in site.path.parent.iterdir():
                if path.is_file():
                    (copy / path.name).write_bytes(path.read_bytes())
        policy = folder / "west" / "policy.yaml"
        policy.write_text(policy.read_text() + "small_cell: 21\n")
    asked = Study.model_validate({**STUDY, "rounds": {"maximum": 2}})
    strict = approved(folder, asked, CONTRACT, [folder / name / "site.yaml" for name in SITES])
    outcome = strict.conduct()
    assert outcome.status == "complete"
    own = {silo.site: [label.metrics is not None for label in silo.metrics.labels] for silo in outcome.test.silos}
    assert own["north"] == own["south"] == [True] * 3
    assert 0 < sum(own["west"]) < len(LABELS)
    for at, label in enumerate(outcome.test.pooled.labels):
        there = [silo.metrics.labels[at].metrics for silo in outcome.test.silos if silo.metrics.labels[at].metrics is not None]
        assert label.metrics.records == sum(each.records for each in there)

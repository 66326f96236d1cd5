"""A number that is predicted on a table, from study file to prediction, against a truth that is known: a line and its noise."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import onnxruntime
import polars as pl
import pytest
from approved_study import ApprovedStudy, approved

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
FIELD = CONTRACT.field("thalach")
LOW, HIGH = 30, 250
NOISE = 8.0
"""Standard deviation of what no feature tells, in beats a minute."""
STUDY = {
    "name": "peak-rate",
    "version": "1.0.0",
    "title": "The highest heart rate at exercise",
    "question": "Which heart rate does a patient reach",
    "author": "A. Scientist",
    "schema": {"id": "heart.disease", "version": "1.0.0"},
    "target": {"field": "thalach", "number": True},
    "features": ("age", "sex", "exang"),
    "network": {"name": "FullyConnectedNet"},
    "training": {"loss": "mse", "optimiser": {"learning_rate": 0.1}, "batch_size": 32, "local_epochs": 2},
    "seed": 7,
    "split": {"train": 0.6, "validation": 0.2, "test": 0.2},
    "rounds": {"maximum": 10, "deadline_seconds": 60.0},
    "convergence": {"metric": "rmse", "patience": 3, "minimum_change": 0.05},
    "silos": {"minimum": 3},
    "statistics": {"distributions": True},
}
SITES = ("north", "south", "west")


def truth(table: pl.DataFrame, seed: int) -> pl.Series:
    """Give the heart rate of each record: a line in age, sex and angina, and noise."""
    noise = np.random.default_rng(seed).normal(scale=NOISE, size=table.height)
    age = table["age"].cast(pl.Float64).to_numpy()
    male = (table["sex"] == "male").to_numpy()
    angina = (table["exang"] == "present").fill_null(value=False).to_numpy()
    rate = 215.0 - 0.9 * age + 6.0 * male - 14.0 * angina + noise
    return pl.Series("thalach", np.clip(np.rint(rate), LOW, HIGH).astype(np.int64).astype(str))


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> ApprovedStudy:
    """Three hospitals of synthetic records of other sizes, whose heart rates follow one line."""
    folder = tmp_path_factory.mktemp("regression")
    with contextlib.chdir(folder):
        for seed, (name, size) in enumerate(zip(SITES, (400, 250, 160), strict=True), 1):
            assert run(["schema", "synthesise", "heart.disease@1.0.0", "-n", str(size), "--seed", str(seed), "--site", name]) == 0
            file = folder / name / "synthetic-heart.disease-1.0.0.csv"
            table = pl.read_csv(file, infer_schema=False)
            rates = pl.when(pl.col("exang").is_not_null()).then(truth(table, seed)).alias("thalach")
            table.with_columns(rates).write_csv(file)
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


def test_the_study_finds_the_line(study, outcome):
    """The error that is left is the noise; the federated model is as good as one of all records in one place."""
    assert (outcome.status, outcome.problems) == ("complete", ())
    pooled = outcome.test.pooled
    assert NOISE * 0.85 < pooled.rmse < NOISE * 1.15
    assert abs(pooled.bias) < 2.0
    compared = compare(study.bundle, study.sites, outcome)
    rows = {row.name: row.overall for row in compared.models}
    assert len([row for row in compared.models if row.kind == "alone"]) == 3
    assert all(row.r2 is not None for row in rows.values())
    assert rows["Federated"].r2 >= rows["Pooled"].r2 - 0.02
    assert rows["Federated"] == pooled.model_copy(update={})
    assert rows["Federated"].r2 > 0.6


def test_what_hospitals_send_is_summed_to_the_counts_of_all_records(study, outcome):
    """Exactly: the pooled figures are those of the concatenated test records."""
    wards = gather(study.bundle, study.sites)
    parts = [Part(ward.cohort.test) for ward in wards]
    each = [score_counts(study.bundle, outcome.best, outcome.encoding, part) for part in parts]
    together = score_counts(study.bundle, outcome.best, outcome.encoding, Part(pl.concat([part.records for part in parts])))
    assert pool(each) == together


def test_a_release_predicts_in_the_schemas_unit(study, release, tmp_path):
    """As the command does: a column that is called after the field; the error is what the release says."""
    model = load_model(release)
    site = study.sites[0]
    found = predict(model, site)
    assert found.table.columns == ["record_id", "predicted_thalach"]
    both = found.table.join(check(site, CONTRACT).valid, on="record_id")
    apart = (both["predicted_thalach"] - both["thalach"]).drop_nulls().to_numpy()
    assert NOISE * 0.85 < np.sqrt(np.square(apart).mean()) < NOISE * 1.15
    out = tmp_path / "predictions.csv"
    assert run(["predict", str(release), "--site", str(site.path), "--out", str(out)]) == 0
    assert pl.read_csv(out)["predicted_thalach"].to_list() == pytest.approx(found.table["predicted_thalach"].to_list())


def test_an_exported_model_gives_the_same_numbers(study, release):
    """In the unit, to a hundred-thousandth of the range."""
    model = load_model(release)
    data = to_onnx(model)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    assert [each.name for each in session.get_outputs()] == ["value"]
    told = session.get_modelmeta().custom_metadata_map
    assert (told["output"], told["unit"]) == ("value: the number thalach", "/min")
    assert "classes" not in told
    valid = check(study.sites[1], CONTRACT).valid
    numbers = session.run(["value"], {"input": inputs_of(valid, model.encoding)})[0][:, 0]
    expected = predict(model, study.sites[1]).table["predicted_thalach"].to_numpy()
    assert np.abs(numbers - expected).max() <= 1e-5 * (HIGH - LOW)


def test_a_release_says_errors_in_few_digits_and_has_no_curve_of_classes(release, outcome):
    """Report and card show R², RMSE and errors of each hospital, in the schema's unit; no ROC, no AUROC."""
    report, card = (release / "report.html").read_text(), (release / "MODEL_CARD.md").read_text()
    for page in (report, card):
        assert "RMSE (/min)" in page
        assert "R²" in page
        assert "AUROC" not in page
        assert "ROC curve" not in page
    assert "regression" in card
    history = json.loads((release / "history.json").read_text())
    last = history["visits"][-1] if "visits" in history else history["rounds"][-1]
    exact = outcome.test.pooled
    assert last["pooled"]["rmse"] == float(f"{exact.rmse:.3g}")
    assert last["pooled"]["r2"] == round(exact.r2, 3)
    assert {silo["site"]: silo["metrics"]["mae"] for silo in last["silos"]} == {
        silo.site: float(f"{silo.metrics.mae:.3g}") for silo in outcome.test.silos
    }


def test_hospitals_are_compared_by_how_the_number_is_distributed(release):
    """Its histogram, in groups that hide small cells, as of a feature; no sum of it leaves for that."""
    told = json.loads((release / "comparability.json").read_text())
    (field,) = [each for each in told["fields"] if each["field"] == "thalach"]
    assert field["target"]
    assert {each["site"] for each in field["sites"]} == set(SITES)
    assert all(each["mean"] is None for each in field["sites"])
    assert "Highest heart rate" in (release / "comparability.html").read_text()


def test_a_hospital_sees_what_will_leave(study, tmp_path, capsys):
    """The review names each sum, and makes an example of it on synthetic records."""
    bundle = tmp_path / "study.wardround"
    bundle.write_bytes(bundle_bytes(study.bundle))
    assert run(["silo", "review", str(bundle), "--site", str(study.sites[0].path)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "predicts the number thalach" in said
    assert "sums of errors above and below, of their squares, of the predicted number, and of its squares" in said
    assert "sums of errors on " in said

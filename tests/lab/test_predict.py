"""A release is enough to predict, and a changed one is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import click.testing
import numpy as np
import polars as pl
import pytest
from approved_study import approved
from sklearn.metrics import roc_auc_score

from coordinator.release.release import write_release
from silo_node.cohort import assemble
from silo_node.configuration import load_site
from silo_node.training.study_examples import Part
from wardround.console import run
from wardround.contract.library import find
from wardround.errors import Refused
from wardround.metrics.pooled import measure
from wardround.study.bundle import Bundle
from wardround.study.check import load_study
from wardround_lab.demo.baselines import score_counts
from wardround_lab.demo.hospitals import SCHEMA, make_hospitals, wisconsin_records
from wardround_lab.predict import load_model, predict, score
from wardround_lab.predict_command import predict as predict_command

STUDY = Path(__file__).parents[2] / "lab" / "wardround_lab" / "demo" / "breast-mass.yaml"


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Bundle]:
    """A folder with four hospitals and a release of three rounds, and the study's bundle."""
    folder = tmp_path_factory.mktemp("predict")
    study, contract, *_ = load_study(STUDY)
    study = study.model_copy(update={"rounds": study.rounds.model_copy(update={"maximum": 5})})
    ready = approved(folder, study, contract, make_hospitals(folder))
    write_release(folder / "release", ready.bundle, ready.conduct())
    return folder, ready.bundle


def test_predictions_are_the_models(studied: tuple[Path, Bundle]) -> None:
    """A released model orders a hospital's test records as it did inside: the AUROC is the counts', to their resolution."""
    folder, bundle = studied
    model = load_model(folder / "release")
    site = load_site(folder / "eastmere" / "site.yaml")
    test = assemble(site, bundle.contract, bundle.study, bundle.study_hash).test
    vector = np.concatenate([tensor.numpy().reshape(-1) for _, tensor in sorted(model.network.state_dict().items())])
    metrics = measure(score_counts(bundle, vector, model.encoding, Part(test)))
    chances = score(model, test)
    assert ((chances > 0) & (chances < 1)).all()
    exact = roc_auc_score(test["diagnosis"] == "malignant", chances)
    assert metrics.auroc == pytest.approx(exact, abs=metrics.auroc_error + 1e-12)  # the error is 0 when no bin holds both classes


def test_everybodys_units_give_the_same_predictions(studied: tuple[Path, Bundle]) -> None:
    """Each hospital's own file, in its own units and codes, is scored as the original records in shared form are."""
    folder, _ = studied
    model = load_model(folder / "release")
    original = wisconsin_records(find(SCHEMA))
    for name in ("eastmere", "birkental", "sainte-aubane", "montaspro"):
        found = predict(model, load_site(folder / name / "site.yaml"))
        assert found.table.height == found.check.found - found.check.quarantined
        whole = found.check.valid.drop_nulls().select("sample_id").join(original, on="sample_id", maintain_order="left")
        expected = whole.select("sample_id").with_columns(expected=score(model, whole))
        compared = found.table.join(expected, on="sample_id")
        assert compared.height > 0.8 * found.table.height, "most records have no blank"
        assert compared.select((pl.col("probability") - pl.col("expected")).abs().max()).item() < 1e-6


def test_one_patient_is_enough(studied: tuple[Path, Bundle], tmp_path: Path) -> None:
    """Limits on the number of records and of missing values are for training; a single record is scored, target unknown."""
    folder, _ = studied
    shutil.copy(folder / "montaspro" / "site.yaml", tmp_path)
    lines = (folder / "montaspro" / "agoaspirati.tsv").read_text().splitlines()
    header, row = lines[0].split("\t"), lines[1].split("\t")
    row[header.index("esito")] = ""
    row[header.index("max.area")] = ""
    (tmp_path / "agoaspirati.tsv").write_text("\t".join(header) + "\n" + "\t".join(row) + "\n")
    found = predict(load_model(folder / "release"), load_site(tmp_path / "site.yaml"))
    assert found.table.height == 1


def test_a_file_that_cannot_be_read_is_refused(studied: tuple[Path, Bundle], tmp_path: Path) -> None:
    """A table that is not there is refused with its code; there is no empty prediction."""
    folder, _ = studied
    shutil.copy(folder / "montaspro" / "site.yaml", tmp_path)
    with pytest.raises(Refused) as error:
        predict(load_model(folder / "release"), load_site(tmp_path / "site.yaml"))
    assert error.value.codes == ("T-FILE",)


@pytest.mark.parametrize("name", ["model.safetensors", "encoding.json", "study.json", "contract.json"])
def test_a_changed_release_is_refused(studied: tuple[Path, Bundle], tmp_path: Path, name: str) -> None:
    """One changed byte in what makes predictions is found, and a missing file is named."""
    shutil.copytree(studied[0] / "release", tmp_path / "release")
    file = tmp_path / "release" / name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(Refused) as error:
        load_model(tmp_path / "release")
    assert error.value.codes == ("E-HASH",)
    file.unlink()
    with pytest.raises(Refused) as error:
        load_model(tmp_path / "release")
    assert error.value.codes == ("E-READ",)
    assert error.value.problems[0].place == name


def test_the_command_writes_for_its_owner_only(studied: tuple[Path, Bundle], tmp_path: Path, capfd) -> None:
    """Predictions are patient data: one line for each valid record, mode 0600, never over a file that is there."""
    folder, _ = studied
    out = tmp_path / "predictions.csv"
    words = [str(folder / "release"), "--site", str(folder / "eastmere" / "site.yaml"), "--out", str(out)]
    assert run(["predict", *words]) == 1, "some were left out"
    said = capfd.readouterr().out
    assert "257 records" in said
    assert "4 records break" in said
    table = pl.read_csv(out)
    assert table.columns == ["sample_id", "probability"]
    assert table.height == 257  # the one without a diagnosis is no worse for it
    assert out.stat().st_mode & 0o777 == 0o600
    with pytest.raises(Refused) as error:
        click.testing.CliRunner().invoke(predict_command, words, catch_exceptions=False)
    assert error.value.codes == ("O-EXISTS",)

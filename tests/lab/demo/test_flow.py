"""The demonstration's result: it equals plain training to rounding, and it says what it did."""

from __future__ import annotations

import hashlib
import json
from io import StringIO

import numpy as np
import polars as pl
import pytest
import torch
from numpy.typing import NDArray
from rich.console import Console

from coordinator.release.comparison import Comparison
from silo_node.training.field_sums import field_sums
from silo_node.training.study_examples import Part
from wardround.metrics.pooled import measure, pool
from wardround.study.randomness import derive_seed
from wardround.weights.packing import unpack
from wardround_lab.demo.baselines import Ward, score_counts
from wardround_lab.demo.story import Demo, conduct
from wardround_lab.demo.tables import final_tables

SMALL_CELL = 11


def test_complete_and_converged(made: Demo) -> None:
    """All four hospitals count in every visit, and the study ends because it converged, within its rounds."""
    assert made.outcome.status == "complete"
    assert made.outcome.stopped == "converged"
    assert made.outcome.counted == ("birkental", "eastmere", "montaspro", "sainte-aubane")


def test_the_release_verifies(made: Demo) -> None:
    """Every file of the release is the one in its list of checksums."""
    lines = (made.release / "SHA256SUMS").read_text().splitlines()
    assert {"model.safetensors", "encoding.json", "comparison.json", "report.html"} <= {line[66:] for line in lines}
    for line in lines:
        assert hashlib.sha256((made.release / line[66:]).read_bytes()).hexdigest() == line[:64]


# ------------------------------------------------------------------------------------- against plain numpy and torch


def plain_moments(columns: list[pl.Series]) -> tuple[float, float]:
    """Mean and standard deviation of all hospitals' values; where a hospital misses only few, these are like its others."""
    values, weights = [], []
    for column in columns:
        present = column.drop_nulls().to_numpy().astype(np.float64)
        few = 0 < column.null_count() < SMALL_CELL
        values.append(present)
        weights.append(np.full(len(present), len(column) / len(present) if few else 1.0))
    everything, weight = np.concatenate(values), np.concatenate(weights)
    mean = float(np.average(everything, weights=weight))
    return mean, float(np.sqrt(np.average((everything - mean) ** 2, weights=weight)))


def plain_inputs(records: pl.DataFrame, moments: dict[str, tuple[float, float]]) -> torch.Tensor:
    """Each feature centred and scaled, zero where missing, and beside it whether it is missing."""
    columns = []
    for name, (mean, deviation) in moments.items():
        scaled = (records[name].to_numpy() - mean) / deviation
        columns += [np.nan_to_num(scaled), np.isnan(scaled).astype(np.float64)]
    return torch.tensor(np.stack(columns, axis=1), dtype=torch.float32)


def plain_fedavg(made: Demo, wards: tuple[Ward, ...]) -> NDArray[np.float64]:
    """FedAvg as in the paper, in a plain loop: same initial weights and orders of records, averages in float64."""
    study, state = made.bundle.study, unpack(made.bundle.weights, made.bundle.manifest)
    moments = {name: plain_moments([ward.cohort.train[name] for ward in wards]) for name in study.features}
    hospitals = []
    for ward in wards:
        labels = torch.tensor((ward.cohort.train["diagnosis"] == "malignant").to_numpy(), dtype=torch.float32)
        hospitals.append((ward.name, plain_inputs(ward.cohort.train, moments), labels))
    settings, names = study.training.optimiser, sorted(state)
    size = study.training.batch_size
    assert (settings.name, study.training.local_epochs) == ("sgd", 1)
    assert size is not None
    biases, matrices = ([name for name in names if name.endswith(kind)] for kind in ("bias", "weight"))
    weights = {name: np.array(state[name], dtype=np.float64) for name in names}
    total = sum(len(labels) for _, _, labels in hospitals)
    for number in range(1, made.outcome.rounds + 1):
        average = {name: np.zeros_like(value) for name, value in weights.items()}
        for site, inputs, labels in hospitals:
            tensors = {n: torch.tensor(weights[n], dtype=torch.float32, requires_grad=True) for n in names}
            optimiser = torch.optim.SGD(
                list(tensors.values()), settings.learning_rate, settings.momentum, weight_decay=settings.weight_decay
            )
            seed = derive_seed(study.seed, site, number, "local training")
            order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
            for start in range(0, len(labels), size):
                batch = order[start : start + size]
                hidden = torch.tanh(inputs[batch] @ tensors[matrices[0]].T + tensors[biases[0]])
                logits = (hidden @ tensors[matrices[1]].T + tensors[biases[1]]).squeeze(1)
                loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels[batch])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            for name in names:
                average[name] += tensors[name].detach().double().numpy() * (len(labels) / total)
        weights = {name: value.astype(np.float32).astype(np.float64) for name, value in average.items()}
    return np.concatenate([weights[name].reshape(-1) for name in names])


def test_the_federated_model_is_plain_fedavg(made: Demo, wards: tuple[Ward, ...]) -> None:
    """Law 6, seen from outside: the last weights equal those of a plain reference loop to 1e-6."""
    assert made.outcome.last is not None
    reference = plain_fedavg(made, wards)
    assert np.abs(reference).max() > 0.1, "something was learned"
    assert float(np.abs(reference - made.outcome.last).max()) <= 1e-6


# ----------------------------------------------------------------------------------------------------- the comparison


def comparison_of(made: Demo) -> Comparison:
    assert made.comparison is not None
    return made.comparison


def test_the_federated_model_is_as_good_as_the_pooled(made: Demo) -> None:
    """Pooled minus federated AUROC is at most 0.01 over everybody's test records, and both are well above chance."""
    rows = {row.kind: row for row in comparison_of(made).models}
    federated, pooled = rows["federated"].overall.auroc, rows["pooled"].overall.auroc
    assert federated is not None
    assert pooled is not None
    assert pooled - federated <= 0.01
    assert min(federated, pooled) > 0.95


def test_the_comparison_repeats_the_studys_own_figures(made: Demo, wards: tuple[Ward, ...]) -> None:
    """The federated row has the test visit's metrics of every hospital that shows them, and only adds who withholds."""
    test, outcome = made.outcome.test, made.outcome
    assert test is not None
    assert outcome.best is not None
    assert outcome.encoding is not None
    row = comparison_of(made).federated
    shown = {silo.site: silo.metrics for silo in test.silos if silo.evaluation == "shown"}
    assert len(shown) >= 3
    assert {site: row.per_site[site] for site in shown} == shown
    counts = {ward.name: score_counts(made.bundle, outcome.best, outcome.encoding, Part(ward.cohort.test)) for ward in wards}
    assert measure(pool(counts[site] for site in shown), curves=True) == test.pooled
    assert measure(pool(counts.values())) == row.overall


def test_every_record_is_accounted_for(made: Demo) -> None:
    """Found is set aside plus used, and used is training plus validation plus test, at every hospital."""
    records = comparison_of(made).records
    assert [each.found for each in records] == [261, 171, 97, 45]
    for each in records:
        assert each.found - each.quarantined == each.used == each.train + each.validation + each.test
    assert sum(each.used for each in records) == 569


def test_the_tables_say_everything(made: Demo) -> None:
    """The final tables name every hospital, what it gave, how often it counted, and all three kinds of model."""
    text = StringIO()
    screen = Console(file=text, width=80)
    for table in final_tables(comparison_of(made), made.outcome):
        screen.print(table)
    shown = text.getvalue()
    for word in (
        "Eastmere",
        "Birkental",
        "Sainte-Aubane",
        "Montaspro",
        "set aside",
        "alone",
        "federated",
        "pooled",
        "AUROC",
        "accuracy",
    ):
        assert word in shown
    visits = made.outcome.visits
    assert shown.count(f"{visits} of {visits}") == 5
    federated = comparison_of(made).federated.overall.auroc
    assert f"{federated:.3f}" in shown


def test_off_a_terminal_it_stays_calm(made: Demo, said: StringIO) -> None:
    """Where nobody watches, the whole run is a few plain lines without control characters."""
    lines = said.getvalue().splitlines()
    assert 8 <= len(lines) <= 25
    assert "\x1b" not in said.getvalue()
    for step in ("hospitals", "keys", "study", "check", "approval", "rounds", "comparison", "release"):
        assert any(line.startswith(step) for line in lines)


@pytest.mark.parametrize("form", ["text", "json"])
def test_it_reports(form: str, made: Demo, capsys: pytest.CaptureFixture[str]) -> None:
    """For people it says that the split is made up and where the report is; for programs it is one JSON object."""
    assert conduct(made.folder, form, made.story, lambda *_: made) == 0
    output = capsys.readouterr().out
    if form == "json":
        value = json.loads(output)
        assert value["status"] == "complete"
        assert value["comparison"]["note"] == made.story.note
    else:
        words = " ".join(output.split())
        assert "made-up split" in words
        assert "report.html" in words


def test_statistics_hide_small_gaps(made: Demo, wards: tuple[Ward, ...]) -> None:
    """A hospital's few missing values do not show in its sums: the count is that of all its training records."""
    for ward in wards:
        for sums in field_sums(ward.cohort.train, made.bundle.contract, made.bundle.study.features, SMALL_CELL):
            missing = ward.cohort.train.height - sums.records
            assert missing == 0 or missing >= SMALL_CELL

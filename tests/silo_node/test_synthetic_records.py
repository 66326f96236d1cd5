"""Synthetic records as a hospital has them: the same from CSV and Parquet, and never taken for patients'."""

from __future__ import annotations

import json
from importlib.metadata import entry_points
from pathlib import Path

import polars as pl
import pytest

from silo_node.configuration import load_site
from silo_node.local_report.question import Question
from silo_node.synthetic_parquet import parquet
from silo_node.validation.check import CheckResult, check
from wardround.contract.library import available, find
from wardround.contract.model import Contract
from wardround.contract.synthetic.faults import ALONE, CODES, OF_TEXT_FILES, spoiled
from wardround.contract.synthetic.records import synthesise
from wardround.contract.synthetic.sheet import in_shared_form, sheet_of
from wardround.study.model import Study

SHIPPED = [listing.name for listing in available()]
HEART = find("heart.disease")
IMPOSSIBLE = {"T-PHI-TEXT", "T-CODEVER", "T-DATEFMT", "T-TZ", "T-FUTURE", "T-UNIT", "T-UNITMIX", "T-DRIFT"} | {
    "T-VARYING",
    "T-OVERLAP",
    "T-DUPROW",
    "T-DATESHIFT",
    "T-FEW",
}
"""What records of heart.disease cannot have, and T-FEW, which cannot stand beside others."""


def question(contract: Contract, folder: Path, file: str, data: bytes, study: Study | None = None) -> CheckResult:
    (folder / file).write_bytes(data)
    content = {
        "site": "north",
        "name": "North",
        "sources": {"table": {"format": file.rpartition(".")[2], "path": file}},
        "schemas": {contract.id: {"source": "table", "columns": {name: name for name in contract.names}}},
    }
    (folder / "site.yaml").write_text(json.dumps(content))
    site = load_site(folder / "site.yaml")
    return check(site, contract, max_fraction=1.0) if study is None else Question(contract, study).answer(site)


# --------------------------------------------------------------------------------------------------------- CSV and Parquet


@pytest.mark.parametrize("name", SHIPPED)
def test_the_same_records_are_read_from_csv_and_parquet(name: str, tmp_path: Path) -> None:
    """Of every shipped schema, in the fields' own types."""
    contract = find(name)
    text = in_shared_form(contract, synthesise(contract, 90, 4))
    assert text == sheet_of(contract, synthesise(contract, 90, 4)).encoded()
    one = question(contract, tmp_path, "records.csv", text)
    other = question(contract, tmp_path, "records.parquet", parquet(text, contract, {}))
    assert one.findings == other.findings == ()
    assert one.valid.equals(other.valid)
    types = pl.read_parquet_schema(tmp_path / "records.parquet")
    numbers = {field.name for field in contract.fields if field.type in ("integer", "number")}
    assert {name for name, kind in types.items() if kind.is_numeric()} == numbers


def test_faults_are_the_same_in_parquet(tmp_path: Path) -> None:
    """But for those that only a text file can have."""
    wanted = set(CODES) - IMPOSSIBLE - {*ALONE, *OF_TEXT_FILES}
    made = spoiled(HEART, 400, 1, dict.fromkeys(wanted))
    csv = question(HEART, tmp_path, "records.csv", made.sheet.encoded())
    other = question(HEART, tmp_path, "records.parquet", parquet(made.sheet.encoded(), HEART, {}))
    assert {each.code for each in other.findings} == wanted
    assert [(each.code, each.field, each.count) for each in other.findings] == [
        (each.code, each.field, each.count) for each in csv.findings
    ]


def test_the_command_writes_parquet_that_says_what_it_is(wardround, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the ending, or by asking; a made-up hospital of it passes its check."""
    monkeypatch.chdir(tmp_path)
    assert wardround("schema", "synthesise", "heart.disease", "-n", "40", "--out", "made.parquet").status == 0
    told = pl.read_parquet_metadata("made.parquet")
    assert "SYNTHETIC, NO PATIENTS" in told["wardround.synthetic"]
    assert (told["wardround.schema"], told["wardround.seed"]) == ("heart.disease@1.1.0", "0")
    made = wardround("schema", "synthesise", "heart.disease", "-n", "40", "--site", "made-up", "--parquet", "--format", "json")
    assert made.json()["files"] == ["made-up/synthetic-heart.disease-1.1.0.parquet", "made-up/site.yaml"]
    assert made.json()["marked"] is True
    assert wardround("silo", "check", "--site", "made-up/site.yaml", "--schema", "heart.disease").status == 0


@pytest.mark.parametrize(
    ("words", "finding"),
    [
        (("--out", "made.parquet", "--dirty", "T-RAGGED"), "a fault of text files"),
        (("--out", "made.csv", "--parquet"), "that after --out does not"),
    ],
)
def test_what_parquet_cannot_be_is_refused(
    wardround, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], finding: str
) -> None:
    """And nothing is written."""
    monkeypatch.chdir(tmp_path)
    answer = wardround("schema", "synthesise", "heart.disease", *words, "--format", "json")
    (problem,) = answer.json()["problems"]
    assert (answer.status, problem["code"], list(tmp_path.iterdir())) == (2, "X-USAGE", [])
    assert finding in problem["finding"]


def test_without_a_reader_of_tables_no_parquet_is_written(wardround, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The platform alone makes CSV: it knows no tables."""
    none = entry_points(group="wardround.no_such_group")
    monkeypatch.setattr("wardround.contract.synthesise_command.entry_points", lambda **_: none)
    answer = wardround("schema", "synthesise", "heart.disease", "--out", tmp_path / "made.parquet", "--format", "json")
    assert (answer.status, answer.json()["problems"][0]["code"], list(tmp_path.iterdir())) == (2, "X-USAGE", [])
    assert "wardround-silo-node" in answer.json()["problems"][0]["next_step"]


# -------------------------------------------------------------------------------------------------- known as made up


def study() -> Study:
    return Study.model_validate(
        {
            "name": "known",
            "version": "1.0.0",
            "title": "Known",
            "question": "Are these patients?",
            "author": "tests",
            "schema": {"id": HEART.id, "version": HEART.version},
            "target": {"field": "disease", "positive": "present"},
            "features": ("age", "chol"),
            "network": {"name": "FullyConnectedNet", "arguments": {"hidden_channels": (8,)}},
            "training": {"optimiser": {"learning_rate": 0.1}, "batch_size": 16},
            "seed": 11,
            "rounds": {"maximum": 2},
            "silos": {"minimum": 2},
        }
    )


def test_a_study_is_told_that_records_were_made_up(tmp_path: Path) -> None:
    """As a warning that leaves with the report, and stops nothing; one real key among them, and nothing is said."""
    data = in_shared_form(HEART, synthesise(HEART, 300, 2))
    result = question(HEART, tmp_path, "records.csv", data, study())
    assert (result.passed, result.outgoing.synthetic) == (True, True)
    assert [(each.code, each.severity, each.records) for each in result.outgoing.findings] == [("T-SYNTHETIC", "warning", None)]
    patient = data.decode().splitlines()[1].split(",")[1]
    real = question(HEART, tmp_path, "records.csv", data.replace(patient.encode(), b"0123456789abcdef"), study())
    assert (real.passed, real.outgoing.synthetic, real.outgoing.findings) == (True, False, ())


def test_a_check_by_the_schema_says_it_too(wardround, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the screen, and as a finding."""
    monkeypatch.chdir(tmp_path)
    wardround("schema", "synthesise", "heart.disease", "-n", "40", "--site", "made-up")
    answer = wardround("silo", "check", "--site", "made-up/site.yaml", "--schema", "heart.disease", "--format", "json")
    assert (answer.status, [each["code"] for each in answer.json()["findings"]]) == (0, ["T-SYNTHETIC"])

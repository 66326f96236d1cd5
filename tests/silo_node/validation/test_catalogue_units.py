"""The catalogue of bad data, entries 40 to 42: T-UNIT, T-UNITMIX and T-DRIFT, each in variants, in CSV and in Parquet."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from unit_cases import LABORATORY

from silo_node.configuration import load_site
from silo_node.validation.check import CheckResult, check
from silo_node.validation.reports import as_json
from wardround.contract.model import Contract
from wardround.contract.synthetic.faults import spoiled
from wardround.contract.synthetic.records import synthesise
from wardround.contract.synthetic.sheet import sheet_of
from wardround.messages.data_report import foreign_names

COUNT = 1200
CONTRACT = Contract.model_validate_json(json.dumps(LABORATORY))


@pytest.fixture(scope="module")
def clean() -> pl.DataFrame:
    """Give clean records of the laboratory, made up."""
    return pl.read_csv(io.BytesIO(sheet_of(CONTRACT, synthesise(CONTRACT, COUNT, 11)).encoded()))


def checked(table: pl.DataFrame, form: str, folder: Path, **columns: Any) -> CheckResult:
    """Check a table in shared form; ``columns`` say what the site file says of some."""
    write = table.write_csv if form == "csv" else table.write_parquet
    write(folder / f"records.{form}")
    content = {
        "site": "north",
        "name": "North",
        "sources": {"table": {"format": form, "path": f"records.{form}"}},
        "schemas": {
            CONTRACT.id: {
                "source": "table",
                "columns": {name: {"column": name, **columns.get(name, {})} for name in CONTRACT.names},
            }
        },
    }
    (folder / "site.yaml").write_text(json.dumps(content))
    return check(load_site(folder / "site.yaml"), CONTRACT, max_fraction=1.0)


POUNDS = pl.col("weight") / 0.45359237
NITROGEN = pl.col("urea") * 2.8014
FAHRENHEIT = pl.col("temperature") * 1.8 + 32
MILLIGRAMS = pl.col("glucose") * 18.0156
WHOLE = {
    "pounds": (POUNDS, "weight", 'write unit: "[lb_av]" for weight', {"unit": "[lb_av]"}),
    "urea as nitrogen": (
        NITROGEN,
        "urea",
        "write unit: mg/dL, analyte: urea_nitrogen",
        {"unit": "mg/dL", "analyte": "urea_nitrogen"},
    ),
    "fahrenheit": (FAHRENHEIT, "temperature", 'write unit: "[degF]" for temperature', {"unit": "[degF]"}),
    "milligrams": (MILLIGRAMS, "glucose", "write unit: mg/dL for glucose", {"unit": "mg/dL"}),
}


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("variant", WHOLE)
def test_a_whole_column(variant: str, form: str, clean: pl.DataFrame, tmp_path: Path) -> None:
    """T-UNIT, whatever the range sees; the line that the finding gives for the site file mends it."""
    slipped, name, line, keys = WHOLE[variant]
    result = checked(clean.with_columns(slipped.alias(name)), form, tmp_path)
    assert [(each.code, each.severity, each.level, each.field) for each in result.findings] == [
        ("T-UNIT", "error", "table", name)
    ]
    assert (result.passed, result.quarantined) == (False, 0)
    assert line in result.findings[0].next_step
    mended = checked(clean.with_columns(slipped.alias(name)), form, tmp_path, **{name: keys})
    assert (mended.findings, mended.passed) == ((), True)


SLIPPED = [(POUNDS, "weight"), (FAHRENHEIT, "temperature"), (MILLIGRAMS, "glucose")]
MIXED = [(slipped, name, share) for slipped, name in SLIPPED for share in (0.1, 0.5, 0.9)]


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize(("slipped", "name", "share"), MIXED)
def test_a_part_of_a_column(slipped: pl.Expr, name: str, share: float, form: str, clean: pl.DataFrame, tmp_path: Path) -> None:
    """T-UNITMIX with the lines of the part, an error that sets no record aside."""
    rows = pl.int_range(pl.len()) < share * pl.len()
    result = checked(clean.with_columns(pl.when(rows).then(slipped).otherwise(pl.col(name)).alias(name)), form, tmp_path)
    (finding,) = result.findings
    assert (finding.code, finding.severity, finding.level, finding.field) == ("T-UNITMIX", "error", "share", name)
    assert finding.count == pytest.approx(share * COUNT, rel=0.25)
    assert len(finding.lines) == 20
    assert (result.passed, result.quarantined) == (False, 0)


SMOKERS = pl.when(pl.int_range(pl.len()) % 10 == 0).then(pl.col("smoking")).otherwise(pl.lit("current"))
DRIFTED = {
    "low": (pl.col("weight") * 0.55, "weight", "more than half of the values lie below its p05"),
    "wide": (pl.when(pl.int_range(pl.len()) % 5 == 0).then(pl.col("weight") * 3.9).otherwise(pl.col("weight")), "weight", "p95"),
    "below all": (pl.col("base_excess") - 12, "base_excess", "more than half of the values lie below its p05"),
    "one category": (SMOKERS, "smoking", "current is more frequent"),
}


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("variant", DRIFTED)
def test_a_column_that_drifts(variant: str, form: str, clean: pl.DataFrame, tmp_path: Path) -> None:
    """T-DRIFT, a warning: the records may be used."""
    drifted, name, words = DRIFTED[variant]
    result = checked(clean.with_columns(drifted.alias(name)), form, tmp_path)
    assert [(each.code, each.severity, each.field) for each in result.findings] == [("T-DRIFT", "warning", name)]
    assert words in result.findings[0].finding
    assert result.passed


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_clean_records(form: str, clean: pl.DataFrame, tmp_path: Path) -> None:
    """Nothing is found, nor in a column that a hospital does not have."""
    assert checked(clean, form, tmp_path).findings == ()
    assert checked(clean.with_columns(pl.lit(None, dtype=pl.Float64).alias("weight")), form, tmp_path).passed is False


def test_a_range_speaks_beside_it_and_later(clean: pl.DataFrame, tmp_path: Path) -> None:
    """A column that is out of its range as a whole is set aside, and the wrong unit is named first."""
    result = checked(clean.with_columns(pl.col("glucose") * 180.156), "csv", tmp_path)
    assert [each.code for each in result.findings][:2] == ["T-UNIT", "T-RANGE"]
    assert result.findings[0].field == "glucose"


def test_what_leaves_is_code_and_field(clean: pl.DataFrame, tmp_path: Path) -> None:
    """No factor, unit or quantile: the report that leaves has room for none. The local one holds no figure of the hospital."""
    table = clean.with_columns(POUNDS.alias("weight"), SMOKERS.alias("smoking"))
    result = checked(table, "csv", tmp_path)
    assert {(each.code, each.field, each.records) for each in result.outgoing.findings} == {
        ("T-UNIT", "weight", None),
        ("T-DRIFT", "smoking", None),
    }
    assert foreign_names(result.outgoing, CONTRACT) == ()
    median = f"{table['weight'].median():.4g}"
    assert median not in json.dumps(as_json(result))


@pytest.mark.parametrize("code", ["T-UNIT", "T-UNITMIX", "T-DRIFT"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_they_can_be_planted(code: str, seed: int, tmp_path: Path) -> None:
    """``schema synthesise --dirty`` makes each, alone, and a check finds it where it was made."""
    made = spoiled(CONTRACT, 600 if code == "T-UNITMIX" else 150, seed, {code: None})
    (each,) = made.made
    result = checked(pl.read_csv(io.BytesIO(made.sheet.encoded())), "csv", tmp_path)
    (finding,) = result.findings
    assert (finding.code, finding.field) == (code, each.field)
    if each.lines:
        assert (finding.count, finding.lines) == (len(each.lines), each.lines[:20])

"""pandera as oracle: for the rules that both can express, both find the same records on random tables."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from clinic_on_disk import load_contract

from silo_node.configuration import Site, load_site
from silo_node.validation.check import check
from wardround.contract.model import Contract

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import pandera.polars as pa

HEIGHT = 400

CONTRACT: dict[str, Any] = {
    "kind": "table",
    "id": "test.oracle",
    "version": "1.0.0",
    "status": "draft",
    "title": "Random records",
    "row_grain": "one row per sample",
    "primaryKey": ["sample"],
    "patientKey": "sample",
    "fields": [
        {"name": "sample", "type": "string", "privacy": "pseudonym", "constraints": {"required": True}},
        {"name": "key", "type": "string", "privacy": "pseudonym", "constraints": {"pattern": "^[A-F][0-9]{2,3}$"}},
        {"name": "tag", "type": "string", "privacy": "quasi", "constraints": {"unique": True, "minLength": 2, "maxLength": 4}},
        {"name": "sex", "type": "string", "categories": [{"value": "female"}, {"value": "male"}]},
        {"name": "low", "type": "integer", "unit": "1", "constraints": {"minimum": 10, "maximum": 90}},
        {"name": "high", "type": "number", "unit": "1", "constraints": {"required": True, "minimum": 0, "maximum": 100}},
    ],
    "rules": [
        {"id": "in_order", "check": "low + 5 <= high"},
        {"id": "either", "check": 'sex == "male" or low between 20 and 80'},
    ],
}  # fmt: skip


def _table(seed: int) -> pl.DataFrame:
    random = np.random.default_rng(seed)

    def some(values: list[Any], share: float = 0.1) -> list[Any]:
        picked = [values[int(at)] for at in random.integers(0, len(values), HEIGHT)]
        return [None if random.random() < share else value for value in picked]

    return pl.DataFrame(
        {
            "sample": [f"S{at}" for at in random.permutation(HEIGHT)],
            "key": some(["A12", "F999", "G12", "A1", "A12x", "xA12", "A1234", "A12\n"]),
            "tag": some([f"t{at}" for at in range(2000)] + ["x", "toolong"] * 20),
            "sex": some(["female", "male", "Male", "male "]),
            "low": some(list(range(5, 96))),
            "high": some([float(at) for at in range(-3, 104)]),
        },
        schema={"sample": pl.String, "key": pl.String, "tag": pl.String, "sex": pl.String, "low": pl.Int64, "high": pl.Float64},
    )


def _in_order(data: Any) -> pl.LazyFrame:
    return data.lazyframe.select((pl.col("low") + 5 <= pl.col("high")).fill_null(value=True))


def _either(data: Any) -> pl.LazyFrame:
    keeps = (pl.col("sex") == "male") | pl.col("low").is_between(20, 80)
    return data.lazyframe.select(keeps.fill_null(value=True))


def _oracle(table: pl.DataFrame) -> dict[tuple[str, str], set[int]]:
    """Give the rows that pandera objects to, for each code and field or rule."""
    schema = pa.DataFrameSchema(
        {
            "sample": pa.Column(pl.String),
            "key": pa.Column(pl.String, pa.Check.str_matches(r"^[A-F][0-9]{2,3}$"), nullable=True),
            "tag": pa.Column(pl.String, pa.Check.str_length(2, 4), nullable=True),
            "sex": pa.Column(pl.String, pa.Check.isin(["female", "male"]), nullable=True),
            "low": pa.Column(pl.Int64, pa.Check.in_range(10, 90), nullable=True),
            "high": pa.Column(pl.Float64, pa.Check.in_range(0, 100), nullable=False),
        },
        checks=[pa.Check(_in_order, name="in_order"), pa.Check(_either, name="either")],
    )
    found: dict[tuple[str, str], set[int]] = {}
    try:
        schema.validate(table, lazy=True)
    except pa.errors.SchemaErrors as errors:
        for case in errors.failure_cases.iter_rows(named=True):
            found.setdefault((case["check"].split("(")[0], case["column"]), set()).add(case["index"])
    return found


@pytest.fixture
def hospital(tmp_path: Path) -> tuple[Site, Contract]:
    contract = load_contract(CONTRACT, tmp_path)
    columns = "".join(f"      {name}: {name}\n" for name in contract.names)
    (tmp_path / "site.yaml").write_text(
        "site: north\nname: North\nsources: {t: {format: parquet, path: t.parquet}}\n"
        f"schemas:\n  test.oracle:\n    source: t\n    columns:\n{columns}"
    )
    return load_site(tmp_path / "site.yaml"), contract


@pytest.mark.parametrize("seed", range(12))
def test_the_same_rows_as_pandera(hospital: tuple[Site, Contract], tmp_path: Path, seed: int, monkeypatch: Any) -> None:
    """Ranges, code lists, patterns, lengths, uniqueness, required values and cross-field rules: row for row the same."""
    monkeypatch.setattr("silo_node.validation.judgement.SAMPLE_LINES", HEIGHT)
    table = _table(seed)
    table.write_parquet(tmp_path / "t.parquet")
    result = check(*hospital, max_fraction=1.0)
    found = {(each.code, each.field or each.rule): {line - 1 for line in each.lines} for each in result.findings}
    oracle = _oracle(table)

    assert found[("T-CASE", "sex")] == oracle[("isin", "sex")]  # all of them are variants of male
    assert found[("T-PATTERN", "key")] == oracle[("str_matches", "key")]
    assert found[("T-PATTERN", "tag")] == oracle[("str_length", "tag")]
    assert found[("T-RANGE", "low")] == oracle[("in_range", "low")]
    assert found[("T-RANGE", "high")] == oracle[("in_range", "high")]
    assert found[("T-NULL", "high")] == oracle[("not_nullable", "high")]
    doubled = table["tag"].is_duplicated() & table["tag"].is_not_null()
    assert found.get(("T-DUPKEY", "tag"), set()) == set(doubled.arg_true())

    # A value that failed by itself is no evidence against a rule: pandera judges it, Wardround has said so already.
    impossible = oracle[("in_range", "low")] | oracle[("in_range", "high")]
    assert found[("T-RULE", "in_order")] == _rows(table, _in_order) - impossible
    unusable = oracle[("isin", "sex")] | oracle[("in_range", "low")]
    assert found[("T-RULE", "either")] == _rows(table, _either) - unusable
    assert result.valid["sample"].to_list() == _untouched(table, found)


def _rows(table: pl.DataFrame, rule: Any) -> set[int]:
    schema = pa.DataFrameSchema({}, checks=[pa.Check(rule, name="rule")])
    try:
        schema.validate(table, lazy=True)
    except pa.errors.SchemaErrors as errors:
        return set(errors.failure_cases["index"])
    return set()


def _untouched(table: pl.DataFrame, found: dict[Any, set[int]]) -> list[str]:
    aside = set().union(*found.values())
    return [sample for at, sample in enumerate(table["sample"]) if at not in aside]

"""Whole columns of the shipped schemas in a wrong unit, through the real check: each is named, with its factor."""

from __future__ import annotations

import io
import json
import math
from functools import cache
from pathlib import Path

import polars as pl
import pytest

from silo_node.configuration import load_site
from silo_node.validation.check import CheckResult, check
from silo_node.validation.unit_slips import NEAREST
from wardround.contract import units
from wardround.contract.library import available, find
from wardround.contract.model import ContractField
from wardround.contract.slips import Slip, slips
from wardround.contract.synthetic.records import synthesise
from wardround.contract.synthetic.sheet import sheet_of

NEWEST = {listing.id: listing.name for listing in available()}
FIELDS = [
    (name, field.name)
    for name in NEWEST.values()
    for field in find(name).fields
    if field.analyte is not None and field.reference is not None
]
FAR = math.log(2)
"""From here on 200 values are enough; for a nearer slip (haemoglobin in mmol/L, 0.62 times) the median of so few may be off by
as much as other patients' may."""
USUAL = math.log(100)
"""How far the units lie apart that laboratories write: no clinic gives glucose in moles or picograms."""
FEW, MANY = 200, 1000


def apart(field: ContractField, slip: Slip) -> float:
    """Give how far a slip moves the reference's median: the logarithm of the ratio."""
    assert field.reference is not None
    assert field.reference.median is not None
    return math.log(slip.local(field.reference.median) / field.reference.median)


def dimension(slip: Slip) -> str:
    return units.table()[slip.unit].dimension


def different(field: ContractField) -> list[Slip]:
    """Give the usual units that a column's numbers can tell from the right one, one of those that come to the same."""
    found: dict[float, Slip] = {}
    for slip in slips(field):
        if NEAREST <= abs(apart(field, slip)) <= USUAL + 1e-9:
            found.setdefault(round(apart(field, slip), 3), slip)
    return list(found.values())


@cache
def records(name: str, count: int) -> pl.DataFrame:
    contract = find(name)
    return pl.read_csv(io.BytesIO(sheet_of(contract, synthesise(contract, count, 7)).encoded()))


def slipped(name: str, field: str, slip: Slip, count: int, folder: Path) -> CheckResult:
    contract = find(name)
    wrong = ((pl.col(field) - slip.offset) / slip.factor).alias(field)
    records(name, count).with_columns(wrong).write_csv(folder / "records.csv")
    mapping = {"source": "table", "columns": {name: name for name in contract.names}}
    content = {
        "site": "north",
        "name": "North",
        "sources": {"table": {"format": "csv", "path": "records.csv"}},
        "schemas": {contract.id: mapping},
    }
    (folder / "site.yaml").write_text(json.dumps(content))
    return check(load_site(folder / "site.yaml"), contract, max_fraction=1.0)


@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_a_whole_column_in_a_wrong_unit_is_named(name: str, field: str, tmp_path: Path) -> None:
    """T-UNIT at that field alone, with the factor, the unit, and the line that mends the site file; never without a slip."""
    contract = find(name)
    tried = different(contract.field(field))
    assert {"substance_concentration", "mass_concentration"} <= {dimension(each) for each in slips(contract.field(field))}
    for slip in tried:
        distance = apart(contract.field(field), slip)
        result = slipped(name, field, slip, FEW if abs(distance) >= FAR else MANY, tmp_path)
        (found,) = [each for each in result.findings if each.code == "T-UNIT"]
        assert (found.field, found.severity) == (field, "error"), slip
        assert f"about {math.exp(distance):.3g} times the reference's" in found.finding, slip
        assert slip.name in found.finding, slip
        assert f"write {slip.keys} for {field}" in found.next_step, slip
    same = next(each for each in slips(contract.field(field)) if abs(apart(contract.field(field), each)) < 1e-9)
    assert [each.code for each in slipped(name, field, same, FEW, tmp_path).findings] == []


def test_laboratory_values_have_references_where_a_source_is_known() -> None:
    """Seven fields; those of intensive care have none, since no published quantiles of such values are known."""
    assert {(name.partition("@")[0], field) for name, field in FIELDS} == {
        *(("kidney.chronic", each) for each in ("glucose", "urea", "creatinine", "sodium", "potassium", "haemoglobin")),
        ("heart.disease", "chol"),
    }

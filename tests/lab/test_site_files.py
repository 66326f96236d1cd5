"""What is written as a hospital would have it is read as it was, for any unit, code, mark and file format."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from silo_node.configuration import load_site
from silo_node.validation.check import check
from wardround.contract import units
from wardround.contract.library import find
from wardround.contract.model import Contract
from wardround.study.model import Target
from wardround_lab.site_files import LocalColumn, LocalForm, converted, write_site
from wardround_lab.synthetic import SyntheticHospital, draw

TARGET = Target(field="disease", positive="present")
PAIRS = [
    (own.code, shared.code)
    for own in units.table().values()
    for shared in units.table().values()
    if own.dimension == shared.dimension
]
TWO_ROUNDINGS = 2**-51


@given(value=st.floats(0.001, 1e6), pair=st.sampled_from(PAIRS))
def test_numbers_come_back(value: float, pair: tuple[str, str]) -> None:
    """A number written in any unit and converted back by the hospital's own conversion is the number, to two roundings."""
    own, shared = (units.table()[code] for code in pair)
    factor, offset = shared.factor / own.factor, (shared.offset - own.offset) / own.factor
    text = converted(value, factor, offset)
    back = units.conversion(*pair)(float(text))
    scale = max(abs(value), float(abs(shared.offset - own.offset) / shared.factor))
    assert abs(back - value) <= 4 * TWO_ROUNDINGS * scale


@pytest.mark.parametrize(
    ("value", "factor", "text"), [(17.99, "1/1000", "0.01799"), (1001.0, "1/1000000", "0.001001"), (3.0, "10", "30")]
)
def test_digits_are_a_persons(value: float, factor: str, text: str) -> None:
    """Conversion is decimal: the file holds the digits that a person would write, not those of a binary product."""
    assert converted(value, Fraction(factor)) == text


def form(**changes: object) -> LocalForm:
    contract = find("heart.disease")
    columns = {name: LocalColumn(f"Größe {name}") for name in contract.names}
    columns["sex"] = LocalColumn("no", codes={"female": "N", "male": "Yes"})
    columns["trestbps"] = LocalColumn("on", unit="kPa")
    columns["age"] = LocalColumn("1", unit="mo")
    return LocalForm(**{"site": "here", "name": "Zum Hl. Geist: 'no'", "path": "r.csv", "columns": columns, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"delimiter": ";", "decimal": ",", "encoding": "latin-1", "missing": "k. A.", "line_end": "\r\n"},
        {"delimiter": "\t", "encoding": "utf-16", "missing": "NO"},
        {"path": "r.parquet", "missing": "-99"},
        {"path": "r.parquet", "extra": {"yes": "no", "Größe, roh": "-"}},
        {"policy": {"small_cell": (7, "ours: seven"), "metrics_minimum": (3, "ours: three")}},
    ],
    ids=["plain", "german", "tabs", "parquet with marks", "extra columns", "policy"],
)
def test_every_form_is_read_back(tmp_path: Path, changes: dict[str, object]) -> None:
    """Whatever the dialect, the marks and the words that YAML could misread, the check finds the same records."""
    contract: Contract = find("heart.disease")
    records = draw(contract, TARGET, SyntheticHospital("here", 60), 1)
    site = load_site(write_site(tmp_path, form(**changes), contract, records))
    result = check(site, contract)
    assert result.passed, [(finding.code, finding.field, finding.finding) for finding in result.findings]
    assert result.valid.select(pl.exclude(pl.Float64)).equals(records.select(pl.exclude(pl.Float64)))
    for column in records.select(pl.col(pl.Float64)).iter_columns():
        assert (column - result.valid[column.name]).abs().max() < 1e-12
    assert (site.policy().small_cell, site.policy().smallest_metrics) == ((7, 3) if "policy" in changes else (11, 11))
    assert site.path.stat().st_mode & 0o077 == 0, "a hospital's files are its own"

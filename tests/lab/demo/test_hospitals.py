"""The demonstration's hospitals: every one of the 569 records lies in exactly one, and comes back as it was."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from sklearn.datasets import load_breast_cancer

from silo_node.configuration import Site, load_site
from silo_node.validation.check import CheckResult, check
from wardround.contract.library import find
from wardround.contract.model import Contract
from wardround_lab.demo.hospitals import FEATURES, HOSPITALS, SCHEMA, make_hospitals, wisconsin_records

SHARES = (0.45, 0.30, 0.17, 0.08)
LAST_DIGIT = 1e-15
"""Two units in the last place of a 64-bit number: one for the division into a local unit, one for the way back."""


@pytest.fixture(scope="module")
def contract() -> Contract:
    return find(SCHEMA)


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> list[Site]:
    return [load_site(path) for path in make_hospitals(tmp_path_factory.mktemp("demo"))]


@pytest.fixture(scope="module")
def checked(sites: list[Site], contract: Contract) -> list[CheckResult]:
    return [check(site, contract, max_fraction=0.05) for site in sites]


def test_the_records_are_scikit_learns() -> None:
    """Every number and label of the schema form is the source's, under the source's own name of the feature."""
    source = load_breast_cancer()
    records = wisconsin_records(find(SCHEMA))
    assert records.height == 569
    for ours, theirs in zip(FEATURES, source.feature_names, strict=True):
        words = theirs.replace(" error", "").replace("mean ", "").replace("worst ", "").replace(" ", "_")
        kind = "se" if "error" in theirs else "worst" if "worst" in theirs else "mean"
        assert ours == f"{words}_{kind}"
        assert records[ours].to_list() == source.data[:, FEATURES.index(ours)].tolist()
    assert [value == "malignant" for value in records["diagnosis"]] == [target == 0 for target in source.target]


def test_every_hospital_passes_its_check(checked: list[CheckResult]) -> None:
    """All four are in order for the whole schema; only the impossible records of one are set aside, each for its reason."""
    assert all(result.passed for result in checked)
    assert [result.quarantined for result in checked] == [5, 0, 0, 0]
    codes = {(finding.code, finding.field or finding.rule) for finding in checked[0].findings}
    assert codes >= {
        ("T-RANGE", "radius_mean"),
        ("T-RANGE", "texture_mean"),
        ("T-RULE", "perimeter_worst_at_least_mean"),
        ("T-RULE", "area_worst_at_least_mean"),
        ("T-NULL", "diagnosis"),
    }


def test_the_569_come_back(checked: list[CheckResult], contract: Contract) -> None:
    """Together the hospitals hold every record once, each number the original's to its last digit, but for the blanks."""
    together = pl.concat([result.valid for result in checked])
    original = wisconsin_records(contract)
    assert sorted(together["patient_key"]) == sorted(original["patient_key"])
    joined = together.join(original, on="patient_key", suffix=" original")
    assert joined["diagnosis"].to_list() == joined["diagnosis original"].to_list()
    blanks = 0
    for name in FEATURES:
        here, there = joined[name], joined[f"{name} original"]
        blanks += here.null_count()
        assert ((here - there).abs() <= LAST_DIGIT * there.abs()).all(), name
    assert blanks == sum(count for hospital in HOSPITALS for count in hospital.gaps.values())


def test_sizes_and_prevalences_differ(checked: list[CheckResult]) -> None:
    """The hospitals hold about 45, 30, 17 and 8 per cent, and no two have the same share of malignant tumours."""
    for result, share in zip(checked, SHARES, strict=True):
        assert result.valid.height / 569 == pytest.approx(share, abs=0.01)
    malignant = [float((result.valid["diagnosis"] == "malignant").mean()) for result in checked]
    assert sorted(malignant) == pytest.approx([0.281, 0.333, 0.402, 0.503], abs=0.001)


def test_each_has_its_own_ways(sites: list[Site]) -> None:
    """No two hospitals name, measure, code or store the same way, and one hospital's decision on metrics says whose it is."""
    mappings = [site.file.schemas["breast.cytology"] for site in sites]
    columns = [mapping.column("area_mean") for mapping in mappings]
    diagnoses = [mapping.column("diagnosis") for mapping in mappings]
    sources = [site.file.sources["records"] for site in sites]
    assert len({column.column for column in columns if column}) == 4
    assert {column.unit for column in columns if column} == {"um2", "mm2", "cm2"}
    assert len({tuple(column.codes or {}) for column in diagnoses if column}) == 4
    assert len({source.model_dump_json(exclude={"path"}) for source in sources}) == 4
    assert [site.policy().smallest_metrics for site in sites] == [11, 11, 11, 5]
    assert "our own decision" in sites[3].policy_file.path.read_text()


def test_the_same_on_every_machine(tmp_path: Path, sites: list[Site]) -> None:
    """Making the hospitals again gives the same records to the same hospitals, byte for byte in the CSVs."""
    for path, site in zip(make_hospitals(tmp_path), sites, strict=True):
        assert path.read_bytes() == site.path.read_bytes()
        for file in path.parent.glob("*.[ct]sv"):
            assert file.read_bytes() == (site.folder / file.name).read_bytes()

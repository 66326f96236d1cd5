"""Wrong units by the contract's reference: twenty slips named, parts found, and no alarm where the patients are others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
import pytest
from unit_cases import CASES, Case

from silo_node.mapping import FieldMapping
from silo_node.sources.faults import Fault
from silo_node.validation import distributions
from silo_node.validation.constraints import Check
from wardround.contract.model import ContractField

BY_NAME = {case.name: case for case in CASES}


def mapping_of(field: Mapping[str, Any], **mapping: float) -> FieldMapping:
    return FieldMapping(ContractField.model_validate_json(json.dumps(field)), "column", **mapping)


def looked(mapping: FieldMapping, values: Any) -> tuple[list[Fault], list[tuple[Check, pl.Series]]]:
    found = distributions.look(lambda _: [pl.Series(mapping.field.name, values)], [mapping])
    return list(found.faults), list(found.parts)


def names(case: Case, text: str) -> bool:
    return f"about {case.times:.3g} times" in text and f" {case.wrong} " in f"{text} "


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("count", [200, 5000])
def test_a_column_in_a_wrong_unit_is_named_with_its_factor(case: Case, count: int) -> None:
    """All twenty, each an error, with the line for the site file."""
    random = np.random.default_rng(count)
    for _ in range(3):
        (fault,), parts = looked(mapping_of(case.field), case.slipped(case.right(random, count)))
        assert (fault.code, fault.field, fault.warning, parts) == ("T-UNIT", case.name, False, [])
        assert names(case, fault.finding)
        assert "unit: " in fault.next_step


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_tenth_of_a_column_in_a_wrong_unit_is_found(case: Case) -> None:
    """In a thousand values mostly; in ten thousand always. An error where both units' values lie apart, else a warning."""
    clear = abs(np.log(case.times)) >= 3 * case.relative_spread
    random, hits = np.random.default_rng(7), 0
    for count in (1000, 1000, 10_000):
        values = case.right(random, count)
        wrong = random.permutation(count)[: count // 10]
        values[wrong] = case.slipped(values[wrong])
        faults, parts = looked(mapping_of(case.field), values)
        if not parts:
            assert count == 1000
            assert case.name in {"urea", "crp", "haemoglobin_us"}
            continue
        hits += 1
        ((check, mask),) = parts
        assert (check.code, check.level, check.severity, faults) == ("T-UNITMIX", "share", "error" if clear else "warning", [])
        assert names(case, check.expectation)
        if abs(np.log(case.times)) > 6 * case.relative_spread:
            rows = set(mask.arg_true())
            assert len(rows - set(wrong)) < 0.001 * count
            assert len(rows) > 0.95 * len(wrong)
    assert hits >= 1


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("name", ["glucose", "weight", "temperature", "troponin"])
def test_larger_parts_are_found_too(name: str, share: float) -> None:
    """Half of a column, where the median says nothing; most of it, where the median is the wrong unit's."""
    case, random = BY_NAME[name], np.random.default_rng(3)
    values = case.right(random, 2000)
    wrong = random.permutation(2000)[: int(share * 2000)]
    values[wrong] = case.slipped(values[wrong])
    faults, ((check, mask),) = looked(mapping_of(case.field), values)
    assert (check.code, check.severity, faults) == ("T-UNITMIX", "error", [])
    assert names(case, check.expectation)
    assert mask.sum() == pytest.approx(share * 2000, rel=0.12)


def test_other_patients_are_no_wrong_unit() -> None:
    """In a thousand right columns: medians from 30 % below to 30 % above, spreads from 0.8 to 1.25 times the reference's."""
    random = np.random.default_rng(1)
    mappings = [mapping_of(case.field) for case in CASES]
    for at in range(1000):
        case, mapping = CASES[at % len(CASES)], mappings[at % len(CASES)]
        count = (200, 500)[at // len(CASES) % 2]
        values = case.right(random, count, shift=random.uniform(0.7, 1.3), wider=random.uniform(0.8, 1.25))
        faults, parts = looked(mapping, values)
        assert (case.name, [fault for fault in faults if fault.code == "T-UNIT"], parts) == (case.name, [], [])


def test_a_sick_part_is_no_wrong_unit() -> None:
    """A ward among the patients whose values are several times as high, but by no factor of a unit."""
    random = np.random.default_rng(5)
    for name, share, times in (("glucose", 0.15, 2.5), ("creatinine", 0.05, 5.0), ("crp", 0.2, 15.0), ("lactate", 0.1, 4.0)):
        values = BY_NAME[name].right(random, 2000)
        values[: int(share * 2000)] *= times
        faults, parts = looked(mapping_of(BY_NAME[name].field), values)
        assert ([fault.code for fault in faults if not fault.warning], parts) == ([], [])


def test_what_the_site_file_says_is_part_of_the_question() -> None:
    """A conversion that is not needed is found, and one that names another unit than the column's."""
    case, random = BY_NAME["glucose"], np.random.default_rng(2)
    right = case.right(random, 500)
    (needless,), _ = looked(mapping_of(case.field, factor=1 / 18.0156), right / 18.0156)
    assert "write unit: mmol/L for glucose in the site file in place of the conversion" in needless.next_step
    (other,), _ = looked(mapping_of(case.field, factor=1000 / 180.156), right * 18.0156 * 1000 / 180.156)
    assert (other.code, "write unit: mg/dL" in other.next_step) == ("T-UNIT", True)


def test_a_unit_that_no_table_converts_is_converted_by_hand() -> None:
    """By the factor that the contract's reference names."""
    field = {**BY_NAME["glucose"].field, "analyte": None}
    field["reference"] = {**field["reference"], "wrong_units": [{"unit": "mg/dL", "factor": 18.016}]}
    values = BY_NAME["glucose"].right(np.random.default_rng(2), 300) * 18.0156
    (fault,), _ = looked(mapping_of(field), values)
    assert "write factor: 0.0555062 for glucose" in fault.next_step
    without = {**field, "reference": {key: value for key, value in field["reference"].items() if key != "wrong_units"}}
    (drifted,), _ = looked(mapping_of(without), values)
    assert drifted.code == "T-DRIFT"


def test_too_little_to_judge_is_not_judged() -> None:
    """Few values, a reference without quantiles or spread, and numbers of which many are not positive."""
    case, random = BY_NAME["weight"], np.random.default_rng(4)
    pounds = case.slipped(case.right(random, 5000))
    assert looked(mapping_of(case.field), pounds[:49]) == ([], [])
    only_shares = {**case.field, "reference": {"source": "made up", "wrong_units": [{"unit": "[lb_av]", "factor": 2.2046}]}}
    assert looked(mapping_of(only_shares), pounds) == ([], [])
    median_only = {**case.field, "reference": {"source": "made up", "median": 76}}
    (whole,), _ = looked(mapping_of(median_only), pounds)
    assert (whole.code, 'unit: "[lb_av]"' in whole.next_step) == ("T-UNIT", True)
    mixed = np.concatenate([pounds[:500], case.right(random, 4500)])
    assert looked(mapping_of(median_only), mixed) == ([], [])
    assert looked(mapping_of(case.field), np.where(np.arange(5000) % 5 == 0, -1.0, pounds))[1] == []


def test_investigative_fields_only_inform() -> None:
    """A wrong unit in one is a warning, whole or in part."""
    case, random = BY_NAME["glucose"], np.random.default_rng(4)
    mapping = mapping_of({**case.field, "investigative": True})
    (fault,), _ = looked(mapping, case.slipped(case.right(random, 300)))
    assert (fault.code, fault.warning) == ("T-UNIT", True)
    values = case.right(random, 1000)
    values[:200] = case.slipped(values[:200])
    _, ((check, _),) = looked(mapping, values)
    assert (check.code, check.severity) == ("T-UNITMIX", "warning")


def test_a_large_column_is_looked_at_everywhere() -> None:
    """Of a hundred thousand values some from everywhere: a tenth at the end, or every tenth, is found all the same."""
    case, random = BY_NAME["weight"], np.random.default_rng(6)
    for rows in (np.arange(100_000) >= 90_000, np.arange(100_000) % 10 == 0):
        values = case.right(random, 100_000)
        values[rows] = case.slipped(values[rows])
        _, ((check, mask),) = looked(mapping_of(case.field), values)
        assert check.code == "T-UNITMIX"
        assert mask.sum() == pytest.approx(10_000, rel=0.15)


# -------------------------------------------------------------------------------------------------------------- drift


def field(**reference: Any) -> dict[str, Any]:
    kind = {"type": "string", "categories": [{"value": each} for each in "abc"]}
    if "shares" not in reference:
        kind = {"type": "number", "unit": "1", "constraints": {"minimum": -1000, "maximum": 1000}}
    return {"name": "f", **kind, "reference": {"source": "made up", **reference}}


@pytest.mark.parametrize(
    ("reference", "values", "words"),
    [
        ({"median": 10}, np.full(100, 15.5), "median lies above it"),
        ({"median": 10}, np.full(100, 14.5), ""),
        ({"median": 10, "p95": 20}, np.r_[np.full(900, 10.0), np.full(100, 41.0)], "p95 lies above it"),
        ({"p25": 8, "median": 10, "p75": 12}, np.full(100, 5.0), "p25 lies below it, median lies below it, p75 lies below it"),
        ({"p05": -6, "median": 0, "p95": 4}, np.full(100, 4.5), "more than half of the values lie above its p95"),
        ({"p05": -6, "median": 0, "p95": 4}, np.full(100, -3.0), ""),
        ({"shares": {"a": 0.5, "b": 0.3, "c": 0.2}}, ["a"] * 90 + ["b"] * 60 + ["c"] * 50, ""),
        ({"shares": {"a": 0.5, "b": 0.3, "c": 0.2}}, ["a"] * 1000, "a is more frequent, b is less frequent, c is less frequent"),
        ({"shares": {"a": 0.9, "b": 0.1, "c": 0.0}}, ["a"] * 700 + ["b"] * 300, "a is less frequent, b is more frequent"),
        ({"shares": {"a": 0.9, "b": 0.1, "c": 0.0}}, ["a"] * 860 + ["b"] * 90 + ["c"] * 50, ""),
        ({"shares": {"a": 0.9, "b": 0.1, "c": 0.0}}, ["a"] * 1000, "a is more frequent, b is less frequent"),
    ],
)
def test_drift_is_what_lies_beyond_the_stated_limits(reference: dict[str, Any], values: Any, words: str) -> None:
    """A warning that names which quantiles or categories are off, and no figure."""
    faults, parts = looked(mapping_of(field(**reference)), values)
    assert parts == []
    assert [(fault.code, fault.warning, fault.finding) for fault in faults] == ([("T-DRIFT", True, words)] if words else [])

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from wardround.contract.library import find
from wardround.contract.model import Contract
from wardround.errors import CATALOGUE
from wardround.messages.data_report import CountedFinding, DataReport, FindingCode, ShownCell, foreign_names, make_report

CONTRACT = find("breast.cytology")
SMALL = 3
"""Threshold of the brute force: counts of 1 and 2 are small."""


TINY = Contract.model_validate_json(
    """{"kind": "table", "id": "test.tiny", "version": "1.0.0", "status": "draft", "title": "t", "row_grain": "r",
    "primaryKey": ["k"], "patientKey": "k", "fields": [{"name": "k", "type": "string"}]}"""
)
"""A contract whose hash is quickly computed, for thousands of reports."""


def _report(
    found: int, quarantined: int, findings: list[CountedFinding], small_cell: int = SMALL, contract: Contract = CONTRACT
) -> DataReport:
    return make_report(contract, found=found, quarantined=quarantined, passed=True, findings=findings, small_cell=small_cell)


def _strings(schema: Any, path: str = "$") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        if schema.get("type") == "string":
            yield path, schema
        for key, value in schema.items():
            yield from _strings(value, f"{path}.{key}")
    elif isinstance(schema, list):
        for at, value in enumerate(schema):
            yield from _strings(value, f"{path}[{at}]")


def test_the_outgoing_type_has_no_free_string() -> None:
    """Every text in the type is one of a closed list, a constant, or a short name of a narrow pattern; every object is closed."""
    schema = DataReport.model_json_schema()
    strings = list(_strings(schema))
    assert len(strings) > 4
    for path, each in strings:
        assert "enum" in each or "const" in each or "pattern" in each, path
    for name, definition in [("DataReport", schema), *schema["$defs"].items()]:
        assert definition["additionalProperties"] is False, name


def test_codes_are_those_of_the_catalogue() -> None:
    """Whatever can be found in records can be reported, and has its page."""
    assert set(FindingCode.__args__) == {code for code in CATALOGUE if code.startswith("T-")}


def test_a_report_is_held_against_its_schema() -> None:
    """Names that the schema does not have, and reports on another schema, are named by their place alone."""
    finding = CountedFinding(code="T-RANGE", severity="error", field="radius_mean", records=20, sets_aside=True)
    assert foreign_names(_report(100, 20, [finding]), CONTRACT) == ()
    strange = CountedFinding(code="T-RULE", severity="error", field="smith_john", rule="born_1970", records=20)
    assert foreign_names(_report(100, 20, [strange]), CONTRACT) == ("findings.0.field", "findings.0.rule")
    assert foreign_names(_report(100, 20, [finding]), find("heart.disease")) == ("schema", "findings.0.field")


def test_withheld_is_not_zero_and_not_a_number() -> None:
    """A cell is either a count or withheld, never both, never a guess."""
    report = _report(100, 1, [CountedFinding(code="T-RANGE", severity="error", records=1, sets_aside=True)])
    assert report.model_dump(mode="json")["found"] == {"withheld": True}
    assert report.valid == ShownCell(count=99)
    clean = _report(100, 0, [])
    assert (clean.found, clean.quarantined, clean.valid) == (ShownCell(count=100), ShownCell(count=0), ShownCell(count=100))
    for wrong in ({}, {"withheld": False}, {"count": 5, "withheld": True}, {"count": -1}, {"count": "5"}):
        with pytest.raises(ValidationError):
            DataReport.model_validate({**report.model_dump(mode="json"), "found": wrong})


def test_large_counts_are_shown() -> None:
    """Suppression is for small cells only: a hospital with nothing small reports its figures."""
    findings = [
        CountedFinding(code="T-RANGE", severity="error", field="radius_mean", records=20, sets_aside=True),
        CountedFinding(code="T-MISSLIM", severity="error", field="texture_mean", records=40),
    ]
    report = _report(100, 20, findings, small_cell=11)
    assert [each.records for each in report.findings] == [ShownCell(count=20), ShownCell(count=40)]
    assert (report.found, report.quarantined, report.valid) == (ShownCell(count=100), ShownCell(count=20), ShownCell(count=80))


def _worlds(most: int) -> Iterator[tuple[dict[str, int], DataReport]]:
    """Give every way in which up to ``most`` records can break two checks, and a share be counted, with its report.

    The records are those in neither set, in one of them, in the other, and in both.
    """
    for neither, only_a, only_b, both in itertools.product(range(most + 1), repeat=4):
        found = neither + only_a + only_b + both
        if not 0 < found <= most:
            continue
        a, b, aside = only_a + both, only_b + both, only_a + only_b + both
        findings = [
            CountedFinding(code=code, severity="error", records=count, sets_aside=True)
            for code, count in (("T-RANGE", a), ("T-ENUM", b))
            if count
        ]
        secrets = {
            "found": found, "aside": aside, "valid": neither, "a": a, "b": b, "both": both, "only a": only_a, "only b": only_b,
            "not a": found - a, "not b": found - b,
        }  # fmt: skip
        yield secrets, _report(found, aside, findings, contract=TINY)
        for share in range(1, found + 1):
            shared = CountedFinding(code="T-MISSLIM", severity="error", records=share)
            extended = {**secrets, "share": share, "not share": found - share}
            yield extended, _report(found, aside, [*findings, shared], contract=TINY)


def test_no_small_count_can_be_computed_from_a_report() -> None:
    """Over all small worlds: whoever sees a report and knows all rules can never name a count between 1 and the threshold."""
    most = 10
    groups: dict[str, list[dict[str, int]]] = defaultdict(list)
    for secrets, report in _worlds(most):
        groups[report.model_dump_json()].append(secrets)
    assert len(groups) > 50
    judged = 0
    for report, worlds in groups.items():
        if "withheld" in report and min(world["found"] for world in worlds) + 2 * SMALL > most:
            continue  # only our own limit on the search makes these few: in truth a table may be larger
        judged += 1
        for name in worlds[0]:
            values = {world[name] for world in worlds}
            certain = len(values) == 1
            assert not (certain and 0 < next(iter(values)) < SMALL), (report, name, values)
    assert judged > 100


def test_the_brute_force_would_notice() -> None:
    """The same search convicts a report that withholds small counts but not their complements."""
    caught = 0
    groups: dict[tuple[Any, ...], set[int]] = defaultdict(set)
    for secrets, _ in _worlds(6):
        naive = tuple(-1 if 0 < secrets[name] < SMALL else secrets[name] for name in ("found", "aside", "valid"))
        groups[naive].add(secrets["aside"])
    for values in groups.values():
        caught += len(values) == 1 and 0 < next(iter(values)) < SMALL
    assert caught

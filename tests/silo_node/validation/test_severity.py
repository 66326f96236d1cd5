"""How severe a finding is: weighed by the contract, informing where a field is investigative, explained by the hospital."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from clinic_on_disk import load_contract
from stays_on_disk import HEIGHT, STAYS, changed, hospital, own_patients, same_as, table

from silo_node.validation.check import CheckResult, check
from silo_node.validation.findings import Finding
from wardround.contract.model import Contract
from wardround.errors import Refused


@pytest.fixture
def stays(tmp_path: Path) -> Contract:
    """Give the contract of stays."""
    return load_contract(STAYS, tmp_path)


def with_checks(folder: Path, *settings: dict[str, Any]) -> Contract:
    return load_contract({**STAYS, "checks": list(settings)}, folder)


def only(result: CheckResult) -> Finding:
    [finding] = result.findings
    return finding


def test_a_contract_weighs_findings_otherwise(tmp_path: Path) -> None:
    """An error becomes a warning, a warning an error; a share is borne; what names a field goes before what names none."""
    frame = own_patients(same_as(table(), {7: 0}), [0, 7])
    varying = changed(table(), "sex", {4: "female"})
    contract = with_checks(tmp_path, {"code": "T-VARYING", "severity": "warning"}, {"code": "T-DUPROW", "severity": "error"})
    told = check(hospital(tmp_path, varying, "csv"), contract)
    assert (only(told).code, only(told).severity, told.quarantined, told.passed) == ("T-VARYING", "warning", 0, True)
    assert told.outgoing.findings[0].severity == "warning"
    aside = check(hospital(tmp_path, frame, "csv"), contract, max_fraction=1.0)
    assert (only(aside).code, only(aside).severity, aside.quarantined) == ("T-DUPROW", "error", 2)
    share = {"code": "T-VARYING", "max_fraction": 0.05}
    assert check(hospital(tmp_path, varying, "csv"), with_checks(tmp_path, share)).findings == ()
    of_born = {"code": "T-VARYING", "fields": ["born"], "severity": "warning"}
    assert only(check(hospital(tmp_path, varying, "csv"), with_checks(tmp_path, of_born), max_fraction=1.0)).severity == "error"
    both = with_checks(tmp_path, of_born | {"fields": ["sex"]}, {"code": "T-VARYING", "severity": "error"})
    assert only(check(hospital(tmp_path, varying, "csv"), both)).severity == "warning"


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"code": "T-VARYIN", "severity": "warning"}, "did you mean 'T-VARYING'"),
        ({"code": "T-DUPKEY", "severity": "warning"}, "without its keys"),
        ({"code": "T-FILE", "severity": "warning"}, "another shape"),
        ({"code": "T-RANGE", "severity": "warning"}, "investigative: true"),
        ({"code": "T-RULE", "severity": "warning"}, "under 'rules'"),
        ({"code": "T-VARYING"}, "neither severity nor max_fraction"),
        ({"code": "T-MISSLIM", "max_fraction": 0.5}, "missing.max_fraction"),
        ({"code": "T-VARYING", "fields": ["pulse"], "severity": "warning"}, "never about 'pulse'"),
    ],
)
def test_settings_that_weigh_nothing_are_refused(tmp_path: Path, setting: dict[str, Any], words: str) -> None:
    """Unknown codes, codes that cannot be weighed, and settings without an effect."""
    with pytest.raises(Refused, match=words) as refused:
        with_checks(tmp_path, setting)
    assert refused.value.codes == ("S-CHECK",)


def test_a_setting_stands_once(tmp_path: Path) -> None:
    """For a code as a whole, and for each of its fields."""
    for fields in ({}, {"fields": ["sex"]}):
        with pytest.raises(Refused, match="is set again"):
            with_checks(tmp_path, *[{"code": "T-VARYING", "severity": "warning", **fields}] * 2)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_investigative_fields_only_inform(stays: Contract, tmp_path: Path, form: str) -> None:
    """A bad value counts, is missing from then on, and neither sets its record aside nor fails the check."""
    frame = changed(table(), "score", {3: 99.0})
    frame = changed(frame.cast({"score": pl.String}), "score", {4: "high"}) if form == "csv" else frame
    result = check(hospital(tmp_path, frame, form), stays)
    expected = [("T-TYPE", "warning", 1)] if form == "csv" else []
    assert [(each.code, each.severity, each.count) for each in result.findings] == [*expected, ("T-RANGE", "warning", 1)]
    assert (result.passed, result.quarantined, result.valid.height) == (True, 0, HEIGHT)
    assert result.valid["score"].null_count() == len(result.findings)
    assert {each.severity for each in result.outgoing.findings} == {"warning"}


def test_a_rule_that_reads_an_investigative_field_only_informs(tmp_path: Path) -> None:
    """Its records stay, and lose the investigative value alone."""
    rule = {"id": "score_below_pulse", "check": "score < 7 or pulse > 80"}
    contract = load_contract({**STAYS, "rules": [rule]}, tmp_path)
    result = check(hospital(tmp_path, table(), "parquet"), contract)
    lost = only(result).count
    assert (only(result).rule, only(result).severity, result.quarantined) == ("score_below_pulse", "warning", 0)
    assert (result.valid["score"].null_count(), result.valid["pulse"].null_count()) == (lost, 0)


EXCEPTION: dict[str, Any] = {
    "code": "T-MISSLIM",
    "field": "glucose",
    "reason": "other_device",
    "until": "2999-12-31",
    "note": "since 2019",
}


def missing_glucose(folder: Path, *exceptions: dict[str, Any]) -> CheckResult:
    fields = [{**each, "missing": {"max_fraction": 0.1}} if each["name"] == "glucose" else each for each in STAYS["fields"]]
    contract = load_contract({**STAYS, "fields": fields}, folder)
    frame = changed(table(), "glucose", dict.fromkeys(range(90)))
    return check(hospital(folder, frame, "csv", exceptions=list(exceptions)), contract)


def test_an_explained_finding_fails_nothing_and_says_why(tmp_path: Path) -> None:
    """The reason travels as a code, the note stays; nothing else is explained by it."""
    assert not missing_glucose(tmp_path).passed
    result = missing_glucose(tmp_path, EXCEPTION)
    finding = only(result)
    assert (result.passed, finding.code, finding.severity, finding.explained) == (True, "T-MISSLIM", "warning", "other_device")
    assert [(each.severity, each.explained) for each in result.outgoing.findings] == [("warning", "other_device")]
    assert "2019" not in result.outgoing.model_dump_json()
    assert not missing_glucose(tmp_path, {**EXCEPTION, "field": "pulse"}).passed
    assert not missing_glucose(tmp_path, {**EXCEPTION, "code": "T-PLAUS"}).passed


def test_an_exception_counts_on_its_last_day_and_no_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the finding fails the check again, and says that the exception ended."""
    ending = {**EXCEPTION, "until": "2026-03-31"}
    monkeypatch.setattr("silo_node.validation.explained.today", lambda: date(2026, 3, 31))
    assert missing_glucose(tmp_path, ending).passed
    monkeypatch.setattr("silo_node.validation.explained.today", lambda: date(2026, 4, 1))
    result = missing_glucose(tmp_path, ending)
    assert not result.passed
    assert (only(result).severity, only(result).explained) == ("error", None)
    assert "ended on 2026-03-31" in only(result).next_step


@pytest.mark.parametrize(
    ("wrong", "code", "words"),
    [
        ({"code": "T-MISSLIMIT"}, "M-EXCEPTION", "did you mean 'T-MISSLIM'"),
        ({"code": "T-RANGE"}, "M-EXCEPTION", "T-RANGE cannot be explained away"),
        ({"code": "T-DUPKEY"}, "M-EXCEPTION", "T-DUPKEY cannot be explained away"),
        ({"code": "T-TYPE"}, "M-EXCEPTION", "T-TYPE cannot be explained away"),
        ({"code": "T-MISSCOL"}, "M-EXCEPTION", "T-MISSCOL cannot be explained away"),
        ({"code": "T-VARYING"}, "M-EXCEPTION", "T-VARYING cannot be explained away"),
        ({"field": "glukose"}, "M-EXCEPTION", "did you mean 'glucose'"),
        ({"field": None}, "M-EXCEPTION", "names a field"),
        ({"code": "T-RULE", "field": None, "rule": "admitted_alive"}, "M-EXCEPTION", "sets records aside"),
        ({"code": "T-RULE", "field": None, "rule": "admitted_alife"}, "M-EXCEPTION", "did you mean 'admitted_alive'"),
        ({"reason": "other_devices"}, "Y-VALUE", "did you mean 'other_device'"),
        ({"until": "31.12.2026"}, "Y-VALUE", "YYYY-MM-DD"),
        ({"untill": "2026-12-31"}, "Y-KEY", "did you mean 'until'"),
    ],
)
def test_exceptions_that_explain_nothing_are_refused(tmp_path: Path, wrong: dict[str, Any], code: str, words: str) -> None:
    """Records, keys, types and structure are not explained away; names are the schema's."""
    with pytest.raises(Refused, match=words) as refused:
        missing_glucose(tmp_path, EXCEPTION | wrong)
    assert refused.value.codes == (code,)


def test_two_exceptions_for_one_finding_are_refused(tmp_path: Path) -> None:
    """Which reason should travel?"""
    with pytest.raises(Refused, match="another one explains"):
        missing_glucose(tmp_path, EXCEPTION, EXCEPTION | {"reason": "case_mix"})


def test_columns_without_a_value_are_weighed_and_explained_too(tmp_path: Path) -> None:
    """What the source finds of a column is weighed as what the records show."""
    fields = [{**each, "missing": {"max_fraction": 0.1}} if each["name"] == "glucose" else each for each in STAYS["fields"]]
    empty = table().with_columns(glucose=pl.lit(None, dtype=pl.Float64))
    contract = load_contract({**STAYS, "fields": fields}, tmp_path)
    assert not check(hospital(tmp_path, empty, "csv"), contract).passed
    explained = check(hospital(tmp_path, empty, "csv", exceptions=[EXCEPTION | {"code": "T-ALLNULL"}]), contract)
    assert (explained.passed, only(explained).explained) == (True, "other_device")
    informing = [{**each, "investigative": True} if each["name"] == "glucose" else each for each in fields]
    setting = {"code": "T-ALLNULL", "fields": ["glucose"], "severity": "warning"}
    for weighed in ({"checks": [setting], "fields": fields}, {"fields": informing}):
        result = check(hospital(tmp_path, empty, "csv"), load_contract({**STAYS, **weighed}, tmp_path))
        assert (result.passed, only(result).code, only(result).severity) == (True, "T-ALLNULL", "warning")
    absent = empty.drop("glucose")
    site = hospital(tmp_path, absent, "csv", columns={name: name for name in STAYS_NAMES})
    result = check(site, load_contract({**STAYS, "fields": informing}, tmp_path))
    assert (result.passed, only(result).code) == (False, "T-MISSCOL")


def test_a_required_column_without_a_value_is_neither_weighed_nor_explained(tmp_path: Path) -> None:
    """Its records are set aside without the value; that the column has none must not let them pass."""
    fields = [{**each, "constraints": {"required": True}} if each["name"] == "sex" else each for each in STAYS["fields"]]
    weighed = load_contract({**STAYS, "fields": fields, "checks": [{"code": "T-ALLNULL", "severity": "warning"}]}, tmp_path)
    for name in ("patient", "sex"):
        empty = table().with_columns(pl.lit(None, dtype=pl.String).alias(name))
        result = check(hospital(tmp_path, empty, "csv"), weighed, max_fraction=1.0)
        assert (result.passed, [each.severity for each in result.findings if each.code == "T-ALLNULL"]) == (False, ["error"])
        with pytest.raises(Refused, match=f"required field '{name}'") as refused:
            check(hospital(tmp_path, empty, "csv", exceptions=[EXCEPTION | {"code": "T-ALLNULL", "field": name}]), weighed)
        assert refused.value.codes == ("M-EXCEPTION",)
    setting = {"code": "T-ALLNULL", "fields": ["sex"], "severity": "warning"}
    with pytest.raises(Refused, match="never about 'sex'"):
        load_contract({**STAYS, "fields": fields, "checks": [setting]}, tmp_path)


STAYS_NAMES = tuple(each["name"] for each in STAYS["fields"])

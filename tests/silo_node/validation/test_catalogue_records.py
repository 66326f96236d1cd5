"""The bad-data catalogue's faults between records and of whole columns: each in variants, as CSV and as Parquet."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from clinic_on_disk import load_contract

from silo_node.configuration import Site, load_site
from silo_node.validation.check import CheckResult, check
from silo_node.validation.constancy import constant
from silo_node.validation.findings import Finding
from silo_node.validation.longitudinal import overlapping
from silo_node.validation.twins import twin_records
from wardround.contract.model import Contract
from wardround.contract.synthetic.faults import spoiled
from wardround.contract.synthetic.records import synthesise
from wardround.contract.synthetic.sheet import sheet_of
from wardround.errors import Refused

REQUIRED: dict[str, Any] = {"required": True}
STAYS: dict[str, Any] = {
    "kind": "table",
    "id": "test.stays",
    "version": "1.0.0",
    "status": "draft",
    "title": "Stays in a hospital that exists in tests only",
    "row_grain": "one row per stay",
    "primaryKey": ["stay"],
    "patientKey": "patient",
    "fields": [
        {"name": "stay", "type": "string", "privacy": "pseudonym", "constraints": {**REQUIRED, "pattern": "S[0-9]{6}"}},
        {"name": "patient", "type": "string", "privacy": "pseudonym", "constraints": {**REQUIRED, "pattern": "[0-9a-f]{8}"}},
        {"name": "born", "type": "date", "privacy": "quasi", "constraints": {"minimum": "1920-01-01", "maximum": "2020-12-31"}},
        {"name": "died", "type": "date", "privacy": "quasi", "constraints": {"minimum": "2005-01-01"}},
        {"name": "sex", "type": "string", "categories": [{"value": "female"}, {"value": "male"}]},
        {"name": "admitted", "type": "date", "privacy": "quasi", "constraints": {"minimum": "2010-01-01"}},
        {"name": "left", "type": "date", "privacy": "quasi", "constraints": {"minimum": "2009-01-01"}},
        {"name": "pulse", "type": "integer", "unit": "/min", "constraints": {"minimum": 20, "maximum": 300}},
        {"name": "glucose", "type": "number", "unit": "mmol/L", "constraints": {"minimum": 0.5, "maximum": 60}},
        {"name": "ward", "type": "string", "categories": [{"value": value} for value in ("a", "b", "c")]},
        {"name": "score", "type": "number", "unit": "1", "constraints": {"minimum": 0, "maximum": 9}, "investigative": True},
    ],
    "rules": [
        {"id": "admitted_alive", "check": "admitted >= born"},
        {"id": "no_stay_after_death", "check": "admitted <= died"},
    ],
    "longitudinal": {"time": "admitted", "constant": ["sex", "born"], "no_overlap": ["admitted", "left"]},
}  # fmt: skip
"""A hospital's stays: constant fields, stays that do not overlap, quasi-identifiers, an investigative field."""

CODES = ("T-VARYING", "T-OVERLAP", "T-DUPROW", "T-DATESHIFT", "T-CONST")
PATIENTS, STAYS_OF_ONE = 60, 3
HEIGHT = PATIENTS * STAYS_OF_ONE


@pytest.fixture
def stays(tmp_path: Path) -> Contract:
    """Give the contract of stays."""
    return load_contract(STAYS, tmp_path)


def table(seed: int = 0) -> pl.DataFrame:
    """Give stays in order: three of each patient, half a year apart, of up to a month, with the dates of each patient shifted."""
    random = np.random.default_rng(seed)
    records: list[dict[str, Any]] = []
    for patient in range(PATIENTS):
        shift = timedelta(days=int(random.integers(-180, 180)))
        born = date(1930, 1, 1) + timedelta(days=int(random.integers(0, 20_000))) + shift
        for stay in range(STAYS_OF_ONE):
            admitted = date(2015, 1, 1) + timedelta(days=180 * stay + int(random.integers(0, 100))) + shift
            records.append(
                {
                    "stay": f"S{len(records):06}",
                    "patient": f"{patient:08x}",
                    "born": born,
                    "died": date(2022, 1, 1) + shift if patient % 5 == 3 else None,
                    "sex": ("female", "male")[patient % 2],
                    "admitted": admitted,
                    "left": admitted + timedelta(days=int(random.integers(0, 30))),
                    "pulse": int(random.integers(50, 120)),
                    "glucose": round(float(random.uniform(3, 20)), 1),
                    "ward": "abc"[int(random.integers(0, 3))],
                    "score": round(float(random.uniform(1, 9)), 2),
                }
            )
    return pl.DataFrame(records, schema_overrides={"died": pl.Date})


def hospital(folder: Path, frame: pl.DataFrame, form: str, **mapping: Any) -> Site:
    """Write a table and the site file that maps it as it is."""
    frame.write_csv(folder / "t.csv") if form == "csv" else frame.write_parquet(folder / "t.parquet")
    schema = {"source": "table", "columns": {name: name for name in frame.columns}, **mapping}
    content = {
        "site": "north",
        "name": "North",
        "sources": {"table": {"format": form, "path": f"t.{form}"}},
        "schemas": {"test.stays": schema},
    }
    (folder / "site.yaml").write_text(json.dumps(content))
    return load_site(folder / "site.yaml")


def changed(frame: pl.DataFrame, name: str, values: dict[int, Any]) -> pl.DataFrame:
    """Give a table with other values of one field in some rows."""
    cells = frame[name].to_list()
    for row, value in values.items():
        cells[row] = value
    return frame.with_columns(pl.Series(name, cells, dtype=frame[name].dtype))


def add_days(frame: pl.DataFrame, name: str, days: Iterable[int]) -> pl.DataFrame:
    """Give a table with the dates of one field moved, each by its own number of days."""
    moved = [day if day is None else day + timedelta(days=int(by)) for day, by in zip(frame[name], days, strict=True)]
    return frame.with_columns(pl.Series(name, moved, dtype=pl.Date))


def shifts(seed: int, most: int, height: int = HEIGHT) -> list[int]:
    return [int(each) for each in np.random.default_rng(seed).integers(-most, most + 1, height)]


def rows_of(result: CheckResult) -> dict[tuple[str, str | None], set[int]]:
    """Give the rows of each finding, from 0."""
    first = 2 if result.unit == "line" else 1
    return {(each.code, each.field or each.rule): {line - first for line in each.lines} for each in result.findings}


@pytest.fixture(autouse=True)
def all_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have findings list every line."""
    monkeypatch.setattr("silo_node.validation.judgement.SAMPLE_LINES", 10_000)


# ------------------------------------------------------------------------------------------------------------ variants


def _same_as(frame: pl.DataFrame, pairs: dict[int, int], but: tuple[str, ...] = ("stay", "patient")) -> pl.DataFrame:
    for row, like in pairs.items():
        for name in frame.columns:
            if name not in but:
                frame = changed(frame, name, {row: frame[name][like]})
    return frame


def _own_patients(frame: pl.DataFrame, rows: Iterable[int]) -> pl.DataFrame:
    return changed(frame, "patient", {row: f"{0xF0000000 + row:08x}" for row in rows})


def _stay(frame: pl.DataFrame, row: int, first: date, last: date) -> pl.DataFrame:
    return changed(changed(frame, "admitted", {row: first}), "left", {row: last})


def _overlaps(frame: pl.DataFrame, first: tuple[date, date], second: tuple[date, date]) -> pl.DataFrame:
    """Give the first patient two such stays, and a third one far from both."""
    return _stay(_stay(frame, 0, *first), 1, *second)


DAY = date(2012, 3, 1)


def days(first: int, last: int) -> tuple[date, date]:
    return DAY + timedelta(days=first), DAY + timedelta(days=last)


Change = Callable[[pl.DataFrame], pl.DataFrame]
VARIANTS: dict[str, tuple[Change, dict[tuple[str, str | None], set[int]]]] = {
    "one other sex": (lambda frame: changed(frame, "sex", {4: "female"}), {("T-VARYING", "sex"): {3, 4, 5}}),
    "another sex beside a missing one": (
        lambda frame: changed(frame, "sex", {3: None, 4: "female"}),
        {("T-VARYING", "sex"): {3, 4, 5}},
    ),
    "two patients under one pseudonym": (
        lambda frame: changed(frame, "patient", dict.fromkeys((3, 4, 5), frame["patient"][0])),
        {
            ("T-VARYING", "sex"): {0, 1, 2, 3, 4, 5},
            ("T-VARYING", "born"): {0, 1, 2, 3, 4, 5},
            ("T-OVERLAP", "admitted"): {1, 5},
        },
    ),
    "another day of birth": (
        lambda frame: changed(frame, "born", {6: date(1999, 1, 1)}),
        {("T-VARYING", "born"): {6, 7, 8}},
    ),
    "one stay in another": (lambda frame: _overlaps(frame, days(0, 9), days(3, 5)), {("T-OVERLAP", "admitted"): {0, 1}}),
    "a stay that begins before another ends": (
        lambda frame: _overlaps(frame, days(0, 9), days(8, 20)),
        {("T-OVERLAP", "admitted"): {0, 1}},
    ),
    "the same stay twice": (lambda frame: _overlaps(frame, days(0, 9), days(0, 9)), {("T-OVERLAP", "admitted"): {0, 1}}),
    "a day case in a stay": (lambda frame: _overlaps(frame, days(0, 9), days(4, 4)), {("T-OVERLAP", "admitted"): {0, 1}}),
    "a long stay over two": (
        lambda frame: _stay(_overlaps(frame, days(0, 90), days(3, 5)), 2, *days(60, 61)),
        {("T-OVERLAP", "admitted"): {0, 1, 2}},
    ),
    "one twin": (lambda frame: _own_patients(_same_as(frame, {7: 0}), [0, 7]), {("T-DUPROW", None): {0, 7}}),
    "a patient exported twice, with all stays": (
        lambda frame: _same_as(frame, {3: 0, 4: 1, 5: 2}),
        {("T-DUPROW", None): set(range(6))},
    ),
    "three of one": (
        lambda frame: _own_patients(_same_as(frame, {40: 9, 50: 9}), [9, 40, 50]),
        {("T-DUPROW", None): {9, 40, 50}},
    ),
    "a constant number": (lambda frame: frame.with_columns(glucose=pl.lit(5.5)), {("T-CONST", "glucose"): set()}),
    "a constant code": (lambda frame: frame.with_columns(ward=pl.lit("b")), {("T-CONST", "ward"): set()}),
    "a constant whole number with gaps": (
        lambda frame: frame.with_columns(pulse=pl.when(pl.int_range(pl.len()) % 3 > 0).then(pl.lit(60, dtype=pl.Int64))),
        {("T-CONST", "pulse"): set()},
    ),
    "a stay after death, stays before birth": (
        lambda frame: changed(_stay(frame, 9, *days(4000, 4001)), "born", dict.fromkeys((0, 1, 2), date(2019, 1, 1))),
        {("T-RULE", "no_stay_after_death"): {9}, ("T-RULE", "admitted_alive"): {0, 1, 2}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_right_code_on_the_right_rows(stays: Contract, tmp_path: Path, variant: str, form: str) -> None:
    """Each fault is found where it is, and nothing else is."""
    change, expected = VARIANTS[variant]
    result = check(hospital(tmp_path, change(table()), form), stays, max_fraction=1.0)
    assert rows_of(result) == expected
    aside = {row for (code, _), rows in expected.items() if code not in ("T-DUPROW", "T-CONST") for row in rows}
    assert (result.passed, result.quarantined) == (True, len(aside))


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("most", [30, 90, 365])
@pytest.mark.parametrize("how", ["each date", "each record"])
def test_dates_that_were_shifted_one_by_one_are_known(stays: Contract, tmp_path: Path, most: int, form: str, how: str) -> None:
    """By the lengths of stays when each date moved by itself, by the days of birth when each record did."""
    frame = table(most)
    if how == "each date":
        frame = add_days(add_days(frame, "admitted", shifts(1, most)), "left", shifts(2, most))
        concerned, field = set((frame["left"] < frame["admitted"]).arg_true()), "left"
    else:
        for name in ("born", "admitted", "left"):
            frame = add_days(frame, name, shifts(1, most))
        concerned, field = set(range(HEIGHT)), "born"
    result = check(hospital(tmp_path, frame, form), stays, max_fraction=1.0)
    assert rows_of(result)["T-DATESHIFT", field] == concerned
    assert not result.passed


def test_shifts_by_the_patient_and_mistakes_are_no_date_shifting(stays: Contract, tmp_path: Path) -> None:
    """Whatever a patient's dates move by together; a few stays the wrong way round; two columns swapped; another date."""
    of_patient = [by for by in shifts(5, 3650, PATIENTS) for _ in range(STAYS_OF_ONE)]
    frame = table(1)
    for name in ("admitted", "left", "died"):
        frame = add_days(frame, name, [abs(by) % 3000 for by in of_patient])
    assert check(hospital(tmp_path, frame, "parquet"), stays, max_fraction=1.0).findings == ()
    turned = table(1)
    few = add_days(turned, "left", [-40 if row % 11 == 0 else 0 for row in range(HEIGHT)])
    swapped = turned.rename({"admitted": "left", "left": "admitted"})
    another = turned.with_columns(born=pl.col("admitted").dt.offset_by("-20y"))
    for frame in (few, swapped, another):
        result = check(hospital(tmp_path, frame, "parquet"), stays, max_fraction=1.0)
        codes = {each.code for each in result.findings}
        assert codes == ({"T-VARYING", "T-FEW"} if frame is another else set())


# --------------------------------------------------------------------------------------------------------------- clean


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("seed", range(10))
def test_nothing_is_found_in_clean_stays(stays: Contract, tmp_path: Path, seed: int, form: str) -> None:
    """Whatever the seed."""
    assert rows_of(check(hospital(tmp_path, table(seed), form), stays)) == {}


def synthetic(contract: Contract, folder: Path, data: bytes) -> CheckResult:
    """Check a synthetic file."""
    site = hospital(folder, pl.DataFrame(schema=list(contract.names)), "csv")
    (folder / "t.csv").write_bytes(data)
    return check(site, contract, max_fraction=1.0)


@pytest.mark.parametrize("seed", range(5))
def test_synthetic_stays_keep_what_holds_between_records(stays: Contract, tmp_path: Path, seed: int) -> None:
    """Constants are constant, stays do not overlap and end after they begin."""
    data = sheet_of(stays, synthesise(stays, 300, seed)).encoded()
    assert rows_of(synthetic(stays, tmp_path, data)) == {}


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("seed", range(3))
def test_a_synthetic_fault_is_found_alone(stays: Contract, tmp_path: Path, code: str, seed: int) -> None:
    """Where ``schema synthesise --dirty`` made it."""
    found = spoiled(stays, 300, seed, {code: None})
    [made] = found.made
    [finding] = synthetic(stays, tmp_path, found.sheet.encoded()).findings
    assert (finding.code, finding.field) == (code, made.field)
    assert code == "T-CONST" or finding.lines == made.lines


def test_all_synthetic_faults_between_records_go_together(stays: Contract, tmp_path: Path) -> None:
    """And with faults of cells."""
    wanted = {*CODES, "T-TYPE", "T-DUPKEY", "T-RANGE"}
    found = spoiled(stays, 600, 1, dict.fromkeys(wanted))
    assert {code for code, _ in rows_of(synthetic(stays, tmp_path, found.sheet.encoded()))} == wanted


# ------------------------------------------------------------------------------------------------- conservative by rule


def test_patients_who_are_alike_by_chance_are_no_twins() -> None:
    """In a table that tells little of each, pairs that differ in one field are more than pairs that differ in none."""
    random = np.random.default_rng(3)
    few = {f"f{at}": random.integers(0, 3, 400) for at in range(5)}
    coarse = pl.DataFrame({"the patient": [f"p{at}" for at in range(400)], **few})
    assert coarse.select(*few).is_duplicated().any()
    assert not twin_records(coarse.to_struct(), ("f0",)).any()
    fine = coarse.with_columns(f4=pl.Series(random.integers(0, 10**6, 400)))
    doubled = pl.concat([fine, fine.head(3).with_columns(pl.lit("another").alias("the patient"))])
    assert set(twin_records(doubled.to_struct(), ("f0",)).arg_true()) == {0, 1, 2, 400, 401, 402}
    assert not twin_records(doubled.with_columns(f0=None).to_struct(), ("f0",)).any()  # no quasi-identifier is known


def test_overlaps_are_those_of_every_pair() -> None:
    """Held against the definition, on random stays, some without a day, some the wrong way round."""
    random = np.random.default_rng(4)
    for _ in range(60):
        size = int(random.integers(2, 12))
        starts = [None if random.random() < 0.1 else int(random.integers(0, 12)) for _ in range(size)]
        ends = [None if start is None else start + int(random.integers(-1, 5)) for start in starts]
        patients = [None if random.random() < 0.1 else "ab"[int(random.integers(0, 2))] for _ in range(size)]
        frame = pl.DataFrame({"patient": patients, "start": starts, "end": ends}, schema_overrides={"patient": pl.String})
        dated = frame.with_columns(pl.col("start", "end").cast(pl.Int32).cast(pl.Date))

        def pair(one: int, other: int, starts: Any = starts, ends: Any = ends, patients: Any = patients) -> bool:
            stays = [(starts[at], ends[at]) for at in (one, other)]
            if one == other or None in (patients[one], starts[one], starts[other]) or patients[one] != patients[other]:
                return False
            return all(a <= b for a, b in stays) and stays[0][0] < stays[1][1] and stays[1][0] < stays[0][1]

        expected = {one for one in range(size) if any(pair(one, other) for other in range(size))}
        assert set(overlapping(dated.to_struct()).arg_true()) == expected


@pytest.mark.parametrize(
    ("others", "of", "found"),
    [(0, 29, False), (0, 30, True), (1, 999, False), (1, 1000, True), (2, 2000, True), (3, 2000, False)],
)
def test_nearly_constant_is_one_in_a_thousand(others: int, of: int, found: bool) -> None:
    """And thirty values are the fewest of which that is said."""
    values = pl.Series([1.0] * others + [None] * 7 + [2.0] * (of - others))
    assert constant(values).sum() == (of - others if found else 0)


@pytest.mark.parametrize("height", [3_000, 60_000])
def test_a_nearly_constant_column_is_found_in_a_large_table(stays: Contract, tmp_path: Path, height: int) -> None:
    """Although every hundredth value alone is looked at first, and the others stand exactly there."""
    ids = pl.int_range(height, eager=True)
    at = dict.fromkeys(range(0, height // 10, 100), "a") if height > 10_000 else {0: "a"}
    frame = pl.DataFrame({"stay": [f"S{row:06}" for row in ids], "patient": [f"{row:08x}" for row in ids]})
    frame = changed(frame.with_columns(ward=pl.lit("b")), "ward", at)
    result = check(hospital(tmp_path, frame, "parquet"), stays, fields=["ward"], max_fraction=1.0)
    assert [each.code for each in result.findings] == (["T-CONST"] if len(at) * 1000 <= height else [])


def test_a_key_that_stands_twice_overlaps_with_nothing(stays: Contract, tmp_path: Path) -> None:
    """The record is a duplicate already; and a value that failed by itself is no other value of a constant field."""
    frame = table()
    twice = pl.concat([frame, frame.head(1)])
    assert set(rows_of(check(hospital(tmp_path, twice, "csv"), stays, max_fraction=1.0))) == {("T-DUPKEY", "stay")}
    impossible = changed(frame.cast({"sex": pl.String}), "sex", {1: "unknown"})
    found = rows_of(check(hospital(tmp_path, impossible, "csv"), stays, max_fraction=1.0))
    assert found == {("T-ENUM", "sex"): {1}}


# ------------------------------------------------------------------------------------------------ weighed and explained


def with_checks(folder: Path, *settings: dict[str, Any]) -> Contract:
    return load_contract({**STAYS, "checks": list(settings)}, folder)


def only(result: CheckResult) -> Finding:
    [finding] = result.findings
    return finding


def test_a_contract_weighs_findings_otherwise(tmp_path: Path) -> None:
    """An error becomes a warning, a warning an error; a share is borne; what names a field goes before what names none."""
    frame = _own_patients(_same_as(table(), {7: 0}), [0, 7])
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
